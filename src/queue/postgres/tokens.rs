//! Refresh tokens of mail servers.

use std::time::Duration;

use tokio_postgres::types::Type;

use super::codes::int;
use super::connection::Value;
use super::store::Store;
use crate::queue::StoreError;
use crate::queue::prepared::NoRandomNumbers;
use crate::queue::vault::{self, Opened};
use crate::secret::Secret;

const LOAD: &str = "SELECT sealed FROM jobbell.oauth_tokens WHERE name = $1 AND origin = $2 AND sealed IS NOT NULL";
const SAVE: &str = "INSERT INTO jobbell.oauth_tokens (name, origin, sealed, changed_at) VALUES ($1, $2, $3, jobbell.now_ms()) \
     ON CONFLICT (name) DO UPDATE SET origin = excluded.origin, sealed = excluded.sealed, changed_at = excluded.changed_at";
/// A reservation ends by itself when its time is over, since its owner may die.
const RESERVE: &str = "INSERT INTO jobbell.oauth_tokens AS o (name, reserved_by, reserved_until) VALUES ($1, $2, jobbell.now_ms() + $3) \
     ON CONFLICT (name) DO UPDATE SET reserved_by = excluded.reserved_by, reserved_until = excluded.reserved_until \
     WHERE o.reserved_by = excluded.reserved_by OR o.reserved_until <= jobbell.now_ms() RETURNING 1";
const RELEASE: &str =
    "UPDATE jobbell.oauth_tokens SET reserved_until = 0 WHERE name = $1 AND reserved_by = $2";

/// The name under which a token is encrypted; no id of an event has a space.
fn sealed_as(server: &str) -> String {
    format!("oauth {server}")
}

impl Store {
    pub(in crate::queue) async fn load_token(
        &self,
        server: &str,
        origin: &str,
    ) -> Result<Option<Secret>, StoreError> {
        let values: [Value<'_>; 2] = [(&server, Type::TEXT), (&origin, Type::TEXT)];
        let rows = self.read(LOAD, &values).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let sealed: &[u8] = row
            .try_get("sealed")
            .map_err(|error| StoreError::failed("read the refresh token", error))?;
        // Encrypted with another key, it is lost: the configured token or `jobbell oauth` replaces it.
        let opened = vault::open(self.shared.vault()?, &sealed_as(server), sealed);
        Ok(match opened {
            Opened::Whole(token) => String::from_utf8(token.into_owned()).ok().map(Secret::new),
            Opened::Masked(_) | Opened::Gone | Opened::Damaged => None,
        })
    }

    pub(in crate::queue) async fn save_token(
        &self,
        server: &str,
        origin: &str,
        token: &Secret,
    ) -> Result<(), StoreError> {
        let name = sealed_as(server);
        let sealed = (self.shared.vault()?.seal(&name, token.expose().as_bytes()))
            .ok_or_else(|| StoreError::failed("encrypt", NoRandomNumbers))?;
        let values: [Value<'_>; 3] = [
            (&server, Type::TEXT),
            (&origin, Type::TEXT),
            (&sealed, Type::BYTEA),
        ];
        self.shared.work.write(SAVE, &values).await?;
        Ok(())
    }

    pub(in crate::queue) async fn reserve_token(
        &self,
        server: &str,
        time: Duration,
    ) -> Result<bool, StoreError> {
        let (owner, time) = (self.shared.notify.id(), int(time.as_millis()));
        let values: [Value<'_>; 3] = [
            (&server, Type::TEXT),
            (&owner, Type::TEXT),
            (&time, Type::INT8),
        ];
        let rows = self.shared.work.write(RESERVE, &values).await?;
        Ok(!rows.is_empty())
    }

    pub(in crate::queue) async fn release_token(&self, server: &str) -> Result<(), StoreError> {
        let owner = self.shared.notify.id();
        let values: [Value<'_>; 2] = [(&server, Type::TEXT), (&owner, Type::TEXT)];
        self.shared.work.write(RELEASE, &values).await?;
        Ok(())
    }
}
