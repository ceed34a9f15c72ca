//! Who may enter: bearer tokens (RFC 6750), and no strange web pages where there are none.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::budget::Budget;
use super::{Problem, Proxies, Sender, Settings, Why};
use crate::secret::Secret;

/// How long a request's body may take to arrive in full.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The rules of the door that may change while it is open. Clones share them.
#[derive(Debug, Clone)]
pub struct Access(Arc<ArcSwap<Rules>>);

#[derive(Debug)]
struct Rules {
    tokens: Vec<Secret>,
    max_body: usize,
    body_time: Duration,
    budget: Budget,
    proxies: Proxies,
}

impl Access {
    /// The rules of `[server]`: tokens and the largest body; a body may take 30 s.
    pub fn new(settings: &Settings) -> Self {
        Self::with_body_time(settings, BODY_TIME)
    }

    /// The same with another time limit for bodies.
    pub fn with_body_time(settings: &Settings, body_time: Duration) -> Self {
        let (budget, proxies) = (Budget::new(settings.body_budget), Proxies::default());
        proxies.replace(&settings.trusted_proxies);
        let rules = Rules { tokens: settings.tokens.clone(), max_body: settings.max_body, body_time, budget, proxies };
        Self(Arc::new(ArcSwap::from_pointee(rules)))
    }

    /// Puts new tokens, limits of bodies and trusted proxies in force, from the next request on (SIGHUP).
    pub fn replace(&self, settings: &Settings) {
        let Rules { body_time, budget, proxies, .. } = &**self.0.load();
        budget.resize(settings.body_budget);
        proxies.replace(&settings.trusted_proxies);
        let (tokens, max_body) = (settings.tokens.clone(), settings.max_body);
        self.0.store(Arc::new(Rules { tokens, max_body, body_time: *body_time, budget: budget.clone(), proxies: proxies.clone() }));
    }

    /// The budget for the bodies of all requests: `server.body_budget`.
    pub fn budget(&self) -> Budget {
        self.0.load().budget.clone()
    }

    /// The trusted proxies: `server.trusted_proxies`.
    pub fn proxies(&self) -> Proxies {
        self.0.load().proxies.clone()
    }

    /// Notes of a sender whose request [`Access::check`] let in that it is proven: by its token, or where there are no tokens because it runs on this
    /// machine, whose users are trusted then.
    pub fn prove(&self, sender: &Sender) {
        if !self.0.load().tokens.is_empty() {
            sender.prove();
        } else if sender.is_on_this_machine() {
            sender.trust();
        }
    }

    /// The most bytes that a body may have: `server.max_body`.
    pub fn max_body(&self) -> usize {
        self.0.load().max_body
    }

    /// How long a body may take to arrive.
    pub(super) fn body_time(&self) -> Duration {
        self.0.load().body_time
    }

    /// Lets a request to change something in, unless a web page of another origin made its reader's browser send it.
    ///
    /// # Errors
    /// 403 for such a one.
    pub fn check_origin(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if cross_site(headers) { Err(forbidden()) } else { Ok(()) }
    }

    /// Lets a request in, or says why not.
    ///
    /// # Errors
    /// 401 without a valid token where tokens are set; 403 for a request that a web page of another origin made its reader's browser send,
    /// where there are no tokens and being on this machine is all that is asked for.
    pub fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
        let rules = self.0.load();
        if rules.tokens.is_empty() {
            return if method.is_safe() || !cross_site(headers) { Ok(()) } else { Err(forbidden()) };
        }
        let Some(given) = bearer(headers) else {
            return Err(unauthorized("a bearer token is needed: send Authorization: Bearer …", "Bearer realm=\"jobbell\"").because(Why::NoToken));
        };
        // Every token is compared, so that the time does not tell which one was near.
        let known = rules.tokens.iter().fold(false, |known, token| known | token.matches(given));
        if known {
            Ok(())
        } else {
            Err(unauthorized("this token is not known here", "Bearer realm=\"jobbell\", error=\"invalid_token\"").because(Why::WrongToken))
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn unauthorized(detail: &'static str, challenge: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, detail).with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}

fn forbidden() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "a web page of another origin may not do this; configure server.tokens and send one").because(Why::Origin)
}

/// Whether a browser sends this for a page of another origin: Fetch Metadata says so, or else Origin differs from Host.
fn cross_site(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    match (text("sec-fetch-site"), text("origin"), text("host")) {
        (Some(site), _, _) => site != b"same-origin" && site != b"none",
        (None, Some(origin), Some(host)) => origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://")) != Some(host),
        (None, Some(_), None) => true,
        (None, None, _) => false,
    }
}

/// Proof that a request may enter: name it among a handler's arguments.
#[derive(Debug, Clone, Copy)]
pub struct Allowed(());

impl<S: Sync> FromRequestParts<S> for Allowed
where
    Access: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let access = Access::from_ref(state);
        access.check(&parts.method, &parts.headers)?;
        if let Some(sender) = parts.extensions.get::<Sender>() {
            access.prove(sender);
        }
        Ok(Self(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Listen;

    fn settings(tokens: &[&str]) -> Settings {
        Settings {
            listen: Listen::Tcp(([127, 0, 0, 1], 0).into()),
            tokens: tokens.iter().map(|token| Secret::new(*token)).collect(),
            allow_anonymous: false,
            threads: None,
            max_body: 1,
            body_budget: 1 << 20,
            trusted_proxies: Vec::new(),
        }
    }

    fn status(access: &Access, method: &Method, fields: &[(&'static str, &str)]) -> u16 {
        let headers = fields.iter().map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect();
        access.check(method, &headers).map_or_else(|problem| problem.status().as_u16(), |()| 200)
    }

    #[test]
    fn any_of_the_tokens_opens_and_a_new_set_counts_at_once() {
        let access = Access::new(&settings(&["one", "two"]));
        assert_eq!(status(&access, &Method::GET, &[]), 401);
        assert_eq!(status(&access, &Method::GET, &[("authorization", "Basic one")]), 401);
        assert_eq!(status(&access, &Method::GET, &[("authorization", "Bearer three")]), 401);
        assert_eq!(status(&access, &Method::GET, &[("authorization", "Bearer ")]), 401);
        assert_eq!(status(&access, &Method::GET, &[("authorization", "bearer two")]), 200);
        access.replace(&settings(&["three"]));
        assert_eq!(status(&access, &Method::GET, &[("authorization", "Bearer two")]), 401);
        assert_eq!(status(&access, &Method::GET, &[("authorization", "Bearer three")]), 200);
    }

    #[test]
    fn without_tokens_a_strange_web_page_may_change_nothing() {
        let access = Access::new(&settings(&[]));
        let post = |fields: &[(&'static str, &str)]| status(&access, &Method::POST, fields);
        assert_eq!(post(&[]), 200);
        assert_eq!(post(&[("sec-fetch-site", "cross-site")]), 403);
        assert_eq!(post(&[("sec-fetch-site", "same-site")]), 403);
        assert_eq!(post(&[("sec-fetch-site", "same-origin"), ("origin", "http://a"), ("host", "b")]), 200);
        assert_eq!(post(&[("origin", "http://evil.example"), ("host", "127.0.0.1:8000")]), 403);
        assert_eq!(post(&[("origin", "null"), ("host", "127.0.0.1:8000")]), 403);
        assert_eq!(post(&[("origin", "http://127.0.0.1:8000"), ("host", "127.0.0.1:8000")]), 200);
        assert_eq!(status(&access, &Method::GET, &[("sec-fetch-site", "cross-site")]), 200);
    }
}
