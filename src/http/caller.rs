//! The caller of a request and the limits of its token.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderValue, StatusCode, header};

use super::tokens::{Rate, Scope, Token};
use super::{Problem, Why};

/// An active `[[server.token]]` with its remaining rate.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) token: Token,
    /// When the token bucket of `rate.number` is full again.
    full_at: Mutex<Option<Instant>>,
}

impl Grant {
    /// A token with an unused rate.
    pub(super) fn new(token: Token) -> Self {
        Self {
            token,
            full_at: Mutex::default(),
        }
    }
}

/// The caller: a named token, or full access.
#[derive(Debug, Clone, Default)]
pub struct Caller(Option<Arc<Grant>>);

impl Caller {
    /// The owner of this token.
    pub(super) fn new(grant: Arc<Grant>) -> Self {
        Self(Some(grant))
    }

    /// The named token, if any.
    pub fn token(&self) -> Option<&Token> {
        self.0.as_deref().map(|grant| &grant.token)
    }

    /// Its name.
    pub fn name(&self) -> Option<&str> {
        self.token().map(|token| token.name.as_str())
    }

    /// Whether records are shown in full, with addresses and prompts.
    pub fn sees_all(&self) -> bool {
        self.token().is_none_or(|token| token.may(Scope::Operate))
    }

    /// Checks a scope.
    ///
    /// # Errors
    /// 403 that names the scope.
    pub(super) fn require(&self, scope: Scope) -> Result<(), Problem> {
        match self.token() {
            Some(token) if !token.may(scope) => {
                let detail = format!(
                    "the token {} lacks the scope {}",
                    token.name,
                    scope.as_str()
                );
                let challenge = HeaderValue::try_from(format!(
                    "Bearer realm=\"jobbell\", error=\"insufficient_scope\", scope=\"{}\"",
                    scope.as_str()
                ));
                let problem = Problem::new(StatusCode::FORBIDDEN, detail)
                    .because(Why::Scope)
                    .by(&token.name);
                Err(challenge.into_iter().fold(problem, |problem, value| {
                    problem.with_header(header::WWW_AUTHENTICATE, value)
                }))
            }
            _ => Ok(()),
        }
    }

    /// Charges one request to the token's rate.
    ///
    /// # Errors
    /// 429 with `Retry-After` if nothing is left.
    pub(super) fn charge(&self) -> Result<(), Problem> {
        self.charge_more(1, 0)
    }

    /// Charges the further events of a request that has been charged already.
    ///
    /// # Errors
    /// 429 with `Retry-After` if less is left; then nothing is charged.
    pub fn charge_events(&self, events: usize) -> Result<(), Problem> {
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        self.charge_more(events.saturating_sub(1), 1)
    }

    /// `taken` is the number that was charged for the same request.
    fn charge_more(&self, number: u32, taken: u32) -> Result<(), Problem> {
        let Some(grant) = self.0.as_deref() else {
            return Ok(());
        };
        let Some(rate) = grant.token.rate else {
            return Ok(());
        };
        let mut full_at = grant.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        match take(rate, *full_at, number, Instant::now()) {
            Ok(until) => {
                *full_at = Some(until);
                Ok(())
            }
            Err(wait) => {
                let name = &grant.token.name;
                let detail = if number.saturating_add(taken) > rate.number {
                    format!(
                        "the rate of the token {name} is {} in {} s; send fewer events in one request",
                        rate.number,
                        rate.per.as_secs()
                    )
                } else {
                    format!("the rate of the token {name} is used up; try again later")
                };
                let seconds = u64::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX);
                let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, detail)
                    .with_header(header::RETRY_AFTER, seconds.max(1).into());
                Err(problem.because(Why::Rate).by(name))
            }
        }
    }
}

/// Token bucket: when it is full again after taking `number`, or how long to wait.
fn take(
    rate: Rate,
    full_at: Option<Instant>,
    number: u32,
    now: Instant,
) -> Result<Instant, Duration> {
    let one = rate.per / rate.number.max(1);
    let used = full_at.map_or(Duration::ZERO, |full| full.saturating_duration_since(now))
        + one.saturating_mul(number);
    let over = used.saturating_sub(rate.per);
    if number > rate.number || !over.is_zero() {
        Err(over.max(one))
    } else {
        Ok(now + used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_an_evenly_filling_bucket() {
        let rate = Rate {
            number: 2,
            per: Duration::from_mins(1),
        };
        let now = Instant::now();
        let full = take(rate, None, 2, now).unwrap();
        assert_eq!(take(rate, Some(full), 1, now), Err(Duration::from_secs(30)));
        assert!(take(rate, Some(full), 1, now + Duration::from_secs(30)).is_ok());
        assert!(take(rate, None, 3, now).is_err());
    }
}
