//! Authorization: bearer tokens (RFC 6750) with scopes; without tokens, protection against foreign
//! web pages.

use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::body_budget::BodyBudget;
use super::caller::{Caller, Grant};
use super::guessing::Guesses;
use super::own_names::OwnNames;
use super::tokens::{Digest, Scope, Token, bearer};
use super::{Problem, Proxies, Sender, Settings, Visitor, Why};

/// Time limit for receiving a body.
const BODY_TIME: Duration = Duration::from_secs(30);
/// `Retry-After` for clients that guess tokens, in seconds.
const RETRY_GUESS: u16 = 5;

/// Access rules, which can be replaced at run time. Clones share them.
#[derive(Debug, Clone)]
pub struct Access(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    rules: ArcSwap<Rules>,
    body_time: Duration,
    budget: BodyBudget,
    proxies: Proxies,
    guesses: Guesses,
}

#[derive(Debug)]
struct Rules {
    /// Tokens with all scopes.
    masters: Vec<Digest>,
    grants: Vec<Arc<Grant>>,
    names: Arc<OwnNames>,
    max_body: usize,
}

impl Rules {
    fn new(settings: &Settings, old: &[Arc<Grant>]) -> Self {
        // Keep used-up rates across a reload.
        let grant = |token: &Token| {
            let known = old.iter().find(|grant| grant.token == *token);
            known
                .cloned()
                .unwrap_or_else(|| Arc::new(Grant::new(token.clone())))
        };
        Self {
            masters: settings
                .tokens
                .iter()
                .map(|token| Digest::of(token.expose()))
                .collect(),
            grants: settings.named_tokens.iter().map(grant).collect(),
            names: Arc::new(OwnNames::new(settings)),
            max_body: settings.max_body,
        }
    }

    fn has_tokens(&self) -> bool {
        !self.masters.is_empty() || !self.grants.is_empty()
    }

    /// Finds a token's owner. All tokens are compared, in constant time.
    fn find(&self, token: &str) -> Option<Caller> {
        let given = Digest::of(token);
        let master = self
            .masters
            .iter()
            .fold(false, |known, digest| known | digest.matches(&given));
        let named = self.grants.iter().fold(None, |found, grant| {
            if grant.token.digest.matches(&given) {
                Some(grant)
            } else {
                found
            }
        });
        if master {
            Some(Caller::default())
        } else {
            named.map(|grant| Caller::new(Arc::clone(grant)))
        }
    }
}

impl Access {
    /// The rules of the `[server]` table.
    pub fn new(settings: &Settings) -> Self {
        Self::with_body_time(settings, BODY_TIME)
    }

    /// The same with another time limit for bodies.
    pub fn with_body_time(settings: &Settings, body_time: Duration) -> Self {
        let (budget, proxies) = (BodyBudget::new(settings.body_budget), Proxies::default());
        proxies.replace(&settings.trusted_proxies);
        let rules = ArcSwap::from_pointee(Rules::new(settings, &[]));
        Self(Arc::new(Shared {
            rules,
            body_time,
            budget,
            proxies,
            guesses: Guesses::default(),
        }))
    }

    /// Replaces the rules, starting with the next request.
    pub fn replace(&self, settings: &Settings) {
        let Shared {
            rules,
            budget,
            proxies,
            ..
        } = &*self.0;
        budget.resize(settings.body_budget);
        proxies.replace(&settings.trusted_proxies);
        let new = Rules::new(settings, &rules.load().grants);
        rules.store(Arc::new(new));
    }

    /// The budget for all bodies: `server.body_budget`.
    pub fn budget(&self) -> BodyBudget {
        self.0.budget.clone()
    }

    /// The trusted proxies: `server.trusted_proxies`.
    pub fn proxies(&self) -> Proxies {
        self.0.proxies.clone()
    }

    /// Marks a sender that passed [`Access::check`] as authenticated: by its token, or, if no
    /// tokens are configured, because it runs on this machine.
    pub fn mark_authenticated(&self, sender: &Sender) {
        if self.has_tokens() {
            sender.mark_authenticated();
        } else if sender.is_on_this_machine() {
            sender.trust();
        }
    }

    /// Maximum length of a body: `server.max_body`.
    pub fn max_body(&self) -> usize {
        self.0.rules.load().max_body
    }

    /// Time limit for receiving a body.
    pub(super) fn body_time(&self) -> Duration {
        self.0.body_time
    }

    /// Whether callers need a token.
    pub(super) fn has_tokens(&self) -> bool {
        self.0.rules.load().has_tokens()
    }

    /// The names of this server.
    pub(super) fn names(&self) -> Arc<OwnNames> {
        Arc::clone(&self.0.rules.load().names)
    }

    /// Authorizes a request.
    ///
    /// # Errors
    /// With configured tokens: 401 without a valid one, 403 if it lacks the scope, 429 if its rate
    /// limit is reached. Without: 421 for a foreign `Host`, 403 for requests of web pages of
    /// another origin.
    pub fn check(
        &self,
        method: &Method,
        headers: &HeaderMap,
        visitor: Visitor,
        scope: Scope,
    ) -> Result<Caller, Problem> {
        let rules = self.0.rules.load();
        if !rules.has_tokens() {
            visitor.check_host()?;
            return if method.is_safe() {
                Ok(Caller::default())
            } else {
                visitor.check_origin().map(|()| Caller::default())
            };
        }
        let Some(given) = bearer(headers) else {
            let advice = "missing bearer token: send Authorization: Bearer …";
            return Err(unauthorized(advice, "Bearer realm=\"jobbell\"").because(Why::NoToken));
        };
        let Some(caller) = rules.find(given) else {
            return Err(unauthorized(
                "invalid token",
                "Bearer realm=\"jobbell\", error=\"invalid_token\"",
            )
            .because(Why::WrongToken));
        };
        caller.require(scope)?;
        caller.charge()?;
        Ok(caller)
    }

    /// Delays the response to a wrong token or webhook secret.
    pub(super) async fn slow_down(&self, address: Option<IpAddr>, response: Response) -> Response {
        if !matches!(
            response.extensions().get::<Why>(),
            Some(Why::WrongToken | Why::HookSecret | Why::HookProof)
        ) {
            return response;
        }
        match self.0.guesses.record_failure(address) {
            Some(Duration::ZERO) => response,
            Some(wait) => {
                tokio::time::sleep(wait).await;
                response
            }
            None => {
                let problem = Problem::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too many invalid tokens or secrets from this address; try again later",
                );
                problem
                    .with_header(header::RETRY_AFTER, RETRY_GUESS.into())
                    .because(Why::Guessing)
                    .into_response()
            }
        }
    }
}

fn unauthorized(detail: &'static str, challenge: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, detail).with_header(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static(challenge),
    )
}

/// A scope as a type, so that each handler names the one it needs.
pub trait Right {
    /// The scope.
    const SCOPE: Scope;
}

/// Defines a type per scope.
macro_rules! rights {
    ($($name:ident),+) => { $(
        #[doc = concat!("The right `", stringify!($name), "`.")]
        #[derive(Debug, Clone, Copy)]
        pub enum $name {}

        impl Right for $name {
            const SCOPE: Scope = Scope::$name;
        }
    )+ };
}
rights!(Post, Read, Operate, Metrics);

/// Extractor that authorizes a request for the scope `R`.
#[derive(Debug)]
pub struct Authorized<R> {
    /// The caller.
    pub caller: Caller,
    right: PhantomData<R>,
}

impl<S: Sync, R: Right> FromRequestParts<S> for Authorized<R>
where
    Access: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(visitor) = Visitor::from_request_parts(parts, state).await;
        let access = Access::from_ref(state);
        let caller = access.check(&parts.method, &parts.headers, visitor, R::SCOPE)?;
        if let Some(sender) = parts.extensions.get::<Sender>() {
            access.mark_authenticated(sender);
        }
        Ok(Self {
            caller,
            right: PhantomData,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tokens::Rate;
    use crate::secret::Secret;

    fn settings(tokens: &[&str]) -> Settings {
        Settings {
            tokens: tokens.iter().map(|token| Secret::new(*token)).collect(),
            ..Settings::default()
        }
    }

    fn named(value: &str, may: &[Scope], rate: Option<Rate>) -> Token {
        let digest = Digest::of(value);
        Token {
            name: format!("name-of-{value}"),
            digest,
            value: None,
            may: may.to_vec(),
            kinds: Vec::new(),
            to: Vec::new(),
            rate,
        }
    }

    fn status(access: &Access, scope: Scope, authorization: Option<&str>) -> u16 {
        let headers = authorization
            .map(|value| (header::AUTHORIZATION, HeaderValue::from_str(value).unwrap()))
            .into_iter()
            .collect();
        access
            .check(&Method::GET, &headers, Visitor::default(), scope)
            .map_or_else(|problem| problem.status().as_u16(), |_| 200)
    }

    #[test]
    fn replaced_tokens_take_effect_at_once() {
        let access = Access::new(&settings(&["one", "two"]));
        let status = |authorization| status(&access, Scope::Operate, authorization);
        assert_eq!(status(None), 401);
        for wrong in ["Basic one", "Bearer three", "Bearer ", "Bearer one two"] {
            assert_eq!(status(Some(wrong)), 401, "{wrong}");
        }
        assert_eq!(status(Some("bearer two")), 200);
        access.replace(&settings(&["three"]));
        assert_eq!(
            (status(Some("Bearer two")), status(Some("Bearer three"))),
            (401, 200)
        );
    }

    #[test]
    fn named_token_is_limited_to_its_scopes() {
        let named_tokens = vec![
            named("post", &[Scope::Post], None),
            named("operate", &[Scope::Operate], None),
        ];
        let access = Access::new(&Settings {
            named_tokens,
            ..Settings::default()
        });
        let statuses = |token: &str| {
            let status = |scope| status(&access, scope, Some(&format!("Bearer {token}")));
            Scope::ALL.iter().copied().map(status).collect::<Vec<_>>()
        };
        assert_eq!(statuses("post"), [200, 403, 403, 403]);
        assert_eq!(statuses("operate"), [403, 200, 200, 403]);
        assert_eq!(statuses("name-of-post"), [401; 4]);
    }

    #[test]
    fn rate_limit_survives_a_reload() {
        let rate = Rate {
            number: 2,
            per: Duration::from_mins(1),
        };
        let settings = Settings {
            named_tokens: vec![named("t", &[Scope::Post], Some(rate))],
            ..Settings::default()
        };
        let access = Access::new(&settings);
        let post = || status(&access, Scope::Post, Some("Bearer t"));
        assert_eq!((post(), post(), post()), (200, 200, 429));
        access.replace(&settings);
        assert_eq!(post(), 429);
    }

    #[test]
    fn unknown_host_is_rejected_without_tokens() {
        let access = Access::new(&settings(&[]));
        assert_eq!(status(&access, Scope::Read, None), 421);
        assert_eq!(status(&access, Scope::Read, Some("Bearer any")), 421);
    }
}
