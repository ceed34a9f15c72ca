//! One request to a hook: who may, what it says, what becomes of it.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tracing::{debug, info, warn};

use super::body_json::{self, Unreadable};
use super::first_end::{self, StoreOutcome};
use super::secret_mask::SecretMask;
use super::verify::{self, Verifier, VerifyError};
use super::{Hook, Kind, MapResult, Settings, redact};
use crate::domain::{FieldError, JobEvent, Parsed};
use crate::http::body::{self, Received};
use crate::http::tokens::Scope;
use crate::http::{Caller, Problem, Sender, Visitor, Why, problem};
use crate::intake::request::{self, key};
use crate::intake::state::ApiState;
use crate::intake::{Accepted, IncomingEvent, charset, grant, response};
use crate::telemetry::log_limit::Verdict;

/// The most notes that the query of a hook's URL makes.
const MAX_QUERY: usize = 32;
/// The most characters of a request's key in the store.
const MAX_KEY: usize = 200;
/// Seconds until another look at a service's keys is worth a try.
const RETRY: u16 = 5;

/// One answer for every name that is no hook and every secret that is wrong. Whoever sends a secret
/// may be guessing.
pub(super) fn unknown(secret: Option<&str>, headers: &HeaderMap) -> Problem {
    let guess = secret.is_some() || headers.contains_key(header::AUTHORIZATION);
    Problem::not_found("there is no hook at this address").because(if guess {
        Why::HookSecret
    } else {
        Why::HookAddress
    })
}

/// The most bytes of a sender's words in the log.
const MAX_LOGGED: usize = 500;

/// What one request brings besides its body.
pub(super) struct HookRequest {
    pub(super) state: ApiState,
    pub(super) hook: Arc<Hook>,
    pub(super) visitor: Visitor,
    pub(super) query: Option<String>,
    pub(super) sender: Sender,
    pub(super) headers: HeaderMap,
}

impl HookRequest {
    /// Does it; `secret` is what stood after the hook's name.
    pub(super) async fn answer(
        self,
        secret: Option<&str>,
        body: Body,
    ) -> Result<Response, Problem> {
        let caller = self.admit(secret)?;
        let ApiState {
            intake, parsing, ..
        } = &self.state;
        let invalid = |_: &Problem| self.count("invalid");
        let body = self.read(body).await.inspect_err(invalid)?;
        // Signatures are over the bytes as they came; only then are they text.
        let text = charset::utf8(&self.headers, &body);
        // Held until the payload is dropped, which may take far more memory than its text.
        let _permit = match &text {
            Ok(text) => Some(parsing.permit(text).await.inspect_err(invalid)?),
            Err(_) => None,
        };
        let read = match text {
            Ok(text) => self.parse(&text),
            Err(problem) => Err(Unreadable {
                why: "is in an encoding that cannot be read".to_owned(),
                problem,
            }),
        };
        let (payload, key) = match read {
            Ok(read) => read,
            Err(unreadable) => return Err(self.unreadable(&body, unreadable).await),
        };
        drop(body);
        let hook = self.settings();
        match hook.map(&payload, &self.headers, intake.now()) {
            MapResult::Events(events) => self.take(&caller, &payload, events, key).await,
            MapResult::Partly(events, why) => {
                self.warn(
                    "a part of a batch was not understood, and the batch was kept",
                    &why,
                );
                self.keep(&payload, why).await;
                self.take(&caller, &payload, events, key).await
            }
            MapResult::Ignored(why) => {
                self.count("ignored");
                if let Some(times) = self.to_log() {
                    info!(hook = hook.name, times, "of no interest: {}", brief(&why));
                }
                Ok(self.nothing())
            }
            MapResult::Challenge(answer) => {
                self.count("ignored");
                if let Some(times) = self.to_log() {
                    info!(
                        hook = hook.name,
                        times, "a challenge was answered: somebody set up this address"
                    );
                }
                Ok(problem::json(StatusCode::OK, &answer))
            }
            MapResult::Unknown(why) => {
                self.count("ignored");
                self.warn("not understood and kept", &why);
                self.keep(&payload, why).await;
                Ok(self.nothing())
            }
            MapResult::Unmappable(mut errors) => {
                // A record of ours names its recipients, and its producer learns of everything at
                // once.
                if hook.kind == Kind::Huiying
                    && JobEvent::names_nobody(&payload)
                    && !self.is_heard()
                {
                    errors.push(response::missing_recipient());
                }
                Err(self.invalid(&payload, errors).await)
            }
        }
    }

    /// Whether to log a line about this payload, and how many it stands for: a stranger who floods
    /// a hook that is not verified gets one a minute.
    fn to_log(&self) -> Option<u64> {
        if !verify::is_unproven(&self.settings().verifier, &self.headers) {
            return Some(1);
        }
        match self.hook.unproven.count() {
            Verdict::Log(times) => Some(times),
            Verdict::FlushIn(_) | Verdict::Skip => None,
        }
    }

    fn warn(&self, what: &str, why: &str) {
        if let Some(times) = self.to_log() {
            let hook = &self.settings().name;
            warn!(hook, times, "{what}: {}", brief(why));
        }
    }

    /// Keeps a payload for the operator.
    async fn keep(&self, payload: &Value, why: String) {
        self.state
            .intake
            .keep_unmapped(&self.settings().name, why, redact::text(payload))
            .await;
    }

    /// Keeps a body that is not JSON, and says what its sender hears.
    async fn unreadable(&self, bytes: &[u8], Unreadable { problem, why }: Unreadable) -> Problem {
        self.count("invalid");
        let why = format!("the body {why}");
        self.warn("cannot be read and was kept", &why);
        let text = redact::raw(bytes);
        let text = SecretMask::of(&self.settings().verifier)
            .masked(&text)
            .unwrap_or(text);
        self.state
            .intake
            .keep_unmapped(&self.settings().name, why, text)
            .await;
        problem
    }

    /// Whether somebody hears of an event that names nobody.
    fn is_heard(&self) -> bool {
        !self.settings().to.is_empty() || self.state.intake.has_default_recipient()
    }

    fn settings(&self) -> &Settings {
        &self.hook.settings
    }

    fn count(&self, outcome: &'static str) {
        self.state.intake.count(&self.settings().source(), outcome);
    }

    async fn invalid(&self, payload: &Value, errors: Vec<FieldError>) -> Problem {
        self.count("invalid");
        let why: Vec<String> = errors
            .iter()
            .map(|error| format!("{} {}", error.pointer, error.detail))
            .collect();
        let why = why.join("; ");
        self.warn("cannot be mapped and was kept", &why);
        self.keep(payload, why).await;
        response::invalid(errors)
    }

    /// What can be said of the sender before its body is read.
    fn admit(&self, secret: Option<&str>) -> Result<Caller, Problem> {
        let Settings {
            verifier,
            replay_window,
            ..
        } = self.settings();
        if matches!(verifier, Verifier::ServerTokens) {
            // As for every other route: the name is no secret, and these senders can be given a
            // token.
            if secret.is_some() {
                return Err(unknown(secret, &self.headers));
            }
            let caller =
                self.state
                    .access
                    .check(&Method::POST, &self.headers, self.visitor, Scope::Post)?;
            self.state.access.prove(&self.sender);
            return Ok(caller);
        }
        verify::admit(
            verifier,
            secret,
            &self.headers,
            self.state.intake.now(),
            *replay_window,
        )
        .map_err(|refused| self.refused(refused, secret))?;
        if verify::is_unproven(verifier, &self.headers) {
            // Nothing vouches for it, so it must at least be no web page of somebody else's.
            self.visitor.check_host()?;
            self.visitor.check_origin()?;
        }
        if matches!(
            verifier,
            Verifier::Path(_) | Verifier::Bearer(_) | Verifier::Header { .. }
        ) {
            self.sender.prove();
        }
        Ok(Caller::default())
    }

    /// What a sender hears that proves nothing: not why.
    fn refused(&self, refused: VerifyError, secret: Option<&str>) -> Problem {
        match refused {
            VerifyError::NotFound => unknown(secret, &self.headers),
            VerifyError::Unauthorized => {
                let why = match self.settings().verifier {
                    Verifier::Bearer(_) | Verifier::Header { .. } => Why::HookSecret,
                    _ => Why::HookProof,
                };
                debug!(
                    hook = self.settings().name,
                    "a request is not proven to come from the service"
                );
                Problem::new(
                    StatusCode::UNAUTHORIZED,
                    "this request is not proven to come from the service of this hook",
                )
                .because(why)
            }
            VerifyError::KeysUnavailable => Problem::unavailable(
                "the keys of the service are not to be had now; nothing was taken",
                RETRY,
            )
            .because(Why::HookKeys),
        }
    }

    /// The body, proven to come from the service.
    async fn read(&self, body: Body) -> Result<Received, Problem> {
        let ApiState { access, intake, .. } = &self.state;
        let Settings {
            verifier, max_body, ..
        } = self.settings();
        let most = max_body.unwrap_or(access.max_body());
        let mut body = body::read_at_most(access, &self.sender, &self.headers, body, most).await?;
        let keys = self.hook.keys.as_ref();
        let mut proven =
            verify::body(verifier, keys, &self.headers, body.as_sent(), intake.now()).await;
        if proven == Err(VerifyError::Unauthorized) && body.as_sent() != &*body {
            // Some services sign before they compress.
            proven = verify::body(verifier, keys, &self.headers, &body, intake.now()).await;
        }
        proven.map_err(|refused| self.refused(refused, None))?;
        if verifier.proves_by_body(&self.headers) {
            body.prove();
        }
        Ok(body)
    }

    /// The payload without our own secrets, and the request's key.
    fn parse(&self, bytes: &[u8]) -> Result<(Value, Option<String>), Unreadable> {
        let Settings { verifier, kind, .. } = self.settings();
        let mut value = body_json::read(&self.headers, bytes)?;
        SecretMask::of(verifier).clean(&mut value);
        if !matches!((verifier, kind), (Verifier::ServerTokens, Kind::Huiying)) {
            return Ok((value, self.delivery()));
        }
        // A record of the Huiying studio comes as every other event does, key and all.
        let key = key(&self.headers).map_err(|problem| Unreadable {
            problem,
            why: "has a key that cannot be one".to_owned(),
        })?;
        if value.is_array() {
            return Err(Unreadable {
                problem: request::array(),
                why: "is an array".to_owned(),
            });
        }
        Ok((value, key))
    }

    /// The sender's own name for this delivery, in a name space of the hook's own.
    fn delivery(&self) -> Option<String> {
        let Settings { name, kind, .. } = self.settings();
        let id = kind
            .delivery_headers()
            .iter()
            .find_map(|name| self.headers.get(*name))?
            .to_str()
            .ok()
            .filter(|id| !id.is_empty())?;
        let key = format!("{}{name} {id}", request::HOOK_KEY);
        // The id of an event goes by job and end, so nothing is lost where a name is too long to be
        // kept.
        (key.len() <= MAX_KEY).then_some(key)
    }

    /// Puts the ends of jobs through the door.
    async fn take(
        &self,
        caller: &Caller,
        payload: &Value,
        mut events: Vec<Parsed>,
        key: Option<String>,
    ) -> Result<Response, Problem> {
        let source = self.settings().source().by(caller.name());
        if caller.token().is_some() {
            let named: Vec<_> = events
                .iter()
                .map(|parsed| IncomingEvent::new(parsed.clone(), source.clone()))
                .collect();
            grant::check(caller, &named, |_| "#".to_owned())?;
        }
        for parsed in &mut events {
            self.address(parsed);
        }
        if !self.is_heard() && events.iter().any(|parsed| parsed.event.to.is_empty()) {
            return Err(self
                .invalid(payload, vec![response::missing_recipient()])
                .await);
        }
        let warnings: Vec<Vec<FieldError>> = events
            .iter_mut()
            .map(|parsed| std::mem::take(&mut parsed.warnings))
            .collect();
        let taken = first_end::take(
            self.state.intake.clone(),
            Arc::clone(&self.hook),
            source,
            events,
            key,
        )
        .await;
        match taken.map_err(|refusal| response::refused(&refusal, |_| "#".to_owned()))? {
            StoreOutcome::Accepted(accepted) => {
                grant::log(caller, &accepted);
                Ok(self.said(accepted, warnings))
            }
            StoreOutcome::EndedBefore(first) => {
                if let Some(times) = self.to_log() {
                    warn!(hook = self.settings().name, times, %first, "another end of the same job came; the first one stands, and this one was kept");
                }
                self.keep(
                    payload,
                    format!("another end of a job that is on record as {first}"),
                )
                .await;
                Ok(self.said(
                    vec![Accepted {
                        id: first,
                        duplicate: true,
                    }],
                    warnings,
                ))
            }
        }
    }

    fn said(&self, mut accepted: Vec<Accepted>, mut warnings: Vec<Vec<FieldError>>) -> Response {
        let mut response = match (accepted.len(), accepted.pop()) {
            (1, Some(one)) => response::one(one, warnings.pop().unwrap_or_default()),
            (_, last) => response::many(accepted.into_iter().chain(last).collect(), warnings),
        };
        if self.settings().kind.wants_exactly_200() {
            *response.status_mut() = StatusCode::OK;
        }
        response
    }

    /// The answer to what is understood and needs no mail.
    fn nothing(&self) -> Response {
        if self.settings().kind.wants_exactly_200() {
            return (
                StatusCode::OK,
                [(header::CONTENT_TYPE, "application/json")],
                "{}",
            )
                .into_response();
        }
        StatusCode::NO_CONTENT.into_response()
    }

    /// What the configuration and the URL say beside the payload.
    fn address(&self, parsed: &mut Parsed) {
        if self.settings().address(&mut parsed.event) {
            let detail =
                "to: recipients other than those of the hook's own `to` were left out".to_owned();
            parsed.warnings.push(FieldError {
                pointer: "#/to".to_owned(),
                detail,
            });
        }
        let event = &mut parsed.event;
        for (name, value) in
            url::form_urlencoded::parse(self.query.as_deref().unwrap_or_default().as_bytes())
                .take(MAX_QUERY)
        {
            let fits = !name.is_empty()
                && name.len() <= 100
                && value.len() <= 200
                && !value.chars().any(char::is_control);
            if fits && name == "model" && event.model.is_none() {
                event.model = Some(value.into_owned());
            } else if fits {
                event
                    .metadata
                    .entry(name.into_owned())
                    .or_insert_with(|| Value::String(value.into_owned()));
            }
        }
    }
}

/// So much of it as a log line may hold: senders choose the words.
fn brief(why: &str) -> &str {
    why.get(..why.floor_char_boundary(MAX_LOGGED))
        .unwrap_or_default()
}
