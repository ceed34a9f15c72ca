//! Prepares a new connection.

use std::time::Duration;

use super::connection::Connection;
use super::query_error::QueryError;

const LIMIT: Duration = Duration::from_secs(3);

/// Whether the connection leads straight to the server: a connection pooler has another port.
const ASK: &str = "SELECT current_setting('port')::int, current_setting('synchronous_commit')";

/// Settings of a session that no pooler shares. `jit`: the planner overrates our statements, and to
/// compile one takes longer than to run it. `synchronous_commit`: an acknowledged event is on disk,
/// and on the standby that the operator has asked for.
const SETTINGS: &str = "SET jit = off; SET idle_in_transaction_session_timeout = '10s'; SET statement_timeout = 0; SET timezone = 'UTC'";
const COMMIT: &str = "SET synchronous_commit = on";

/// Sets up the session unless a pooler would hand it to others.
pub(super) async fn prepare(connection: &Connection, ports: &[u16]) -> Result<(), QueryError> {
    let rows = connection.query_within(LIMIT, ASK, &[]).await?;
    let Some(row) = rows.first() else {
        return Ok(());
    };
    let (port, commit): (i32, String) = (row.try_get(0)?, row.try_get(1)?);
    let is_direct = ports.iter().any(|known| i32::from(*known) == port) || ports.is_empty();
    if is_direct {
        connection.batch(LIMIT, SETTINGS).await?;
        if matches!(commit.as_str(), "off" | "local") {
            connection.batch(LIMIT, COMMIT).await?;
        }
    }
    Ok(())
}
