//! An access token and its times.

use std::time::Duration;

use crate::domain::Timestamp;
use crate::secret::Secret;

/// The shortest and the longest time before its expiry at which a token is renewed.
const MARGIN: (Duration, Duration) = (Duration::from_mins(1), Duration::from_mins(5));
/// An access token.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) secret: Secret,
    pub(super) renew_at: Timestamp,
    pub(super) expires_at: Timestamp,
}

impl Token {
    pub(super) fn new(secret: Secret, lifetime: Duration, now: Timestamp) -> Self {
        // A token with a lifetime under two minutes is used for half of it, instead of being
        // renewed at each login.
        let margin = (lifetime / 10).clamp(MARGIN.0, MARGIN.1).min(lifetime / 2);
        Self {
            secret,
            renew_at: now.after(lifetime.saturating_sub(margin)),
            expires_at: now.after(lifetime),
        }
    }
}
