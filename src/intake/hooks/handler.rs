//! Handles one webhook request: verifies it, maps it and stores the result.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tracing::info;

use super::body_json::{self, Unreadable};
use super::first_end::{self, StoreOutcome};
use super::secret_mask::SecretMask;
use super::verify::Verifier;
use super::{Hook, Kind, MapResult, Settings};
use crate::domain::{FieldError, Parsed};
use crate::http::{Caller, Problem, Sender, Visitor, problem};
use crate::intake::ApiState;
use crate::intake::request::{self, key};
use crate::intake::{Accepted, charset, grant, response};

/// Maximum number of query parameters that become metadata.
const MAX_QUERY: usize = 32;
/// Maximum length of a key in the store, in characters.
const MAX_KEY: usize = 200;

/// A request without its body.
pub(super) struct HookRequest {
    pub(super) state: ApiState,
    pub(super) hook: Arc<Hook>,
    pub(super) visitor: Visitor,
    pub(super) query: Option<String>,
    pub(super) sender: Sender,
    pub(super) headers: HeaderMap,
}

impl HookRequest {
    /// Handles the request; `secret` is the last segment of the URL.
    pub(super) async fn handle(
        self,
        secret: Option<&str>,
        body: Body,
    ) -> Result<Response, Problem> {
        let caller = self.admit(secret)?;
        let parsing = &self.state.parsing;
        let invalid = |_: &Problem| self.count("invalid");
        let body = self.read(body).await.inspect_err(invalid)?;
        // Signatures cover the raw bytes; decoding comes after verification.
        let text = charset::utf8(&self.headers, &body);
        // Held until the payload is dropped, which may take far more memory than its text.
        let _permit = match &text {
            Ok(text) => Some(parsing.permit(text).await.inspect_err(invalid)?),
            Err(_) => None,
        };
        let read = match text {
            Ok(text) => self.parse(&text),
            Err(problem) => Err(Unreadable {
                why: "has an unsupported encoding".to_owned(),
                problem,
            }),
        };
        let (payload, key) = match read {
            Ok(read) => read,
            Err(unreadable) => return Err(self.unreadable(&body, unreadable).await),
        };
        drop(body);
        self.map(&caller, &payload, key).await
    }

    /// Maps the payload and stores the result.
    async fn map(
        &self,
        caller: &Caller,
        payload: &Value,
        key: Option<String>,
    ) -> Result<Response, Problem> {
        let intake = &self.state.intake;
        let hook = self.settings();
        let has_default = intake.has_default_recipient();
        match hook.map(payload, &self.headers, has_default, intake.wall()) {
            MapResult::Events(events) => self.store(caller, payload, events, key).await,
            MapResult::Partly(events, why) => {
                self.log_kept("webhook batch partly not understood", &why);
                self.keep(payload, why).await;
                self.store(caller, payload, events, key).await
            }
            MapResult::Ignored(why) => {
                self.count("ignored");
                self.log_ignored(&why);
                Ok(self.empty_response())
            }
            MapResult::Challenge(answer) => {
                self.count("ignored");
                if let Some(times) = self.log_count() {
                    info!(
                        hook = hook.name,
                        times, "webhook address verified by the service"
                    );
                }
                Ok(problem::json(StatusCode::OK, &answer))
            }
            MapResult::Unknown(why) => {
                self.count("ignored");
                self.log_kept("webhook not understood", &why);
                self.keep(payload, why).await;
                Ok(self.empty_response())
            }
            MapResult::Unmappable(errors) => Err(self.invalid(payload, errors).await),
        }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.hook.settings
    }

    pub(super) fn count(&self, outcome: &'static str) {
        self.state.intake.count(&self.settings().source(), outcome);
    }

    /// Parses the payload, with our own secrets masked, and reads the request's key.
    fn parse(&self, bytes: &[u8]) -> Result<(Value, Option<String>), Unreadable> {
        let Settings { verifier, kind, .. } = self.settings();
        let mut value = body_json::read(&self.headers, bytes)?;
        SecretMask::of(verifier).clean(&mut value);
        if !matches!((verifier, kind), (Verifier::ServerTokens, Kind::Huiying)) {
            return Ok((value, self.delivery()));
        }
        // Huiying records arrive like every other event, including the idempotency key.
        let key = key(&self.headers).map_err(|problem| Unreadable {
            problem,
            why: "has an invalid idempotency key".to_owned(),
        })?;
        if value.is_array() {
            return Err(Unreadable {
                problem: request::array(),
                why: "is an array".to_owned(),
            });
        }
        Ok((value, key))
    }

    /// The sender's id of this delivery, prefixed with the hook's name.
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
        // Event ids already detect duplicates, so an overlong key can be dropped.
        (key.len() <= MAX_KEY).then_some(key)
    }

    /// Stores the results of jobs.
    async fn store(
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
                .map(|parsed| parsed.clone().into_event())
                .collect();
            grant::check(caller, &named, |_| "#".to_owned())?;
        }
        for parsed in &mut events {
            self.address(parsed);
        }
        let warnings: Vec<Vec<FieldError>> = events
            .iter_mut()
            .map(|parsed| std::mem::take(&mut parsed.warnings))
            .collect();
        let stored = first_end::store(&self.state.intake, &self.hook, &source, events, key).await;
        match stored.map_err(|refusal| response::refused(&refusal, |_| "#".to_owned()))? {
            StoreOutcome::Accepted(accepted) => {
                grant::log(caller, &accepted);
                Ok(self.accepted_response(accepted, warnings))
            }
            StoreOutcome::EndedBefore(first) => {
                self.log_kept("second result of a job ignored", first.as_str());
                self.keep(
                    payload,
                    format!("second result of a job that is stored as {first}"),
                )
                .await;
                Ok(self.accepted_response(
                    vec![Accepted {
                        id: first,
                        duplicate: true,
                    }],
                    warnings,
                ))
            }
        }
    }

    fn accepted_response(
        &self,
        mut accepted: Vec<Accepted>,
        mut warnings: Vec<Vec<FieldError>>,
    ) -> Response {
        let mut response = match (accepted.len(), accepted.pop()) {
            (1, Some(one)) => response::one(one, warnings.pop().unwrap_or_default()),
            (_, last) => response::many(accepted.into_iter().chain(last).collect(), warnings),
        };
        if self.settings().kind.wants_exactly_200() {
            *response.status_mut() = StatusCode::OK;
        }
        response
    }

    /// The response to a payload that needs no email.
    fn empty_response(&self) -> Response {
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

    /// Adds recipients and language from the configuration and metadata from the URL.
    fn address(&self, parsed: &mut Parsed) {
        if self.settings().address(&mut parsed.event) {
            let detail =
                "to: recipients that the hook's `to` does not list were removed".to_owned();
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
