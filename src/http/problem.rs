//! The format of every error: `application/problem+json` (RFC 9457).

use std::borrow::Cow;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Why;
use super::refusals::TokenName;
use crate::telemetry::terminal::escaped;

/// Default `Retry-After` of a 503, in seconds.
const RETRY: u16 = 5;

/// One error in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Fault {
    /// The location: a JSON pointer as a URI fragment (`#/images/0/url`), `?name` for a query
    /// parameter, or the name of a header.
    pub pointer: String,
    /// What is wrong and what to do.
    pub detail: String,
}

/// An error response.
#[derive(Debug)]
pub struct Problem(Box<Refusal>);

/// Boxed, because every handler's result reserves space for it.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    detail: Cow<'static, str>,
    errors: Vec<Fault>,
    headers: HeaderMap,
    why: Option<Why>,
    token: Option<String>,
}

/// The body of an error response (RFC 9457).
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// Always `about:blank`: the status identifies the problem.
    r#type: &'static str,
    /// The status in words.
    title: &'a str,
    /// The status code again.
    status: u16,
    /// What is wrong and what to do.
    detail: &'a str,
    /// All errors, if there are several or their location matters.
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'a [Fault],
}

impl Problem {
    /// A problem with this status. `detail` says what is wrong and what to do, without secrets and
    /// addresses.
    pub fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Refusal {
            status,
            detail: detail.into(),
            errors: Vec::new(),
            headers: HeaderMap::new(),
            why: None,
            token: None,
        }))
    }

    /// 422 with all invalid fields.
    pub fn invalid(errors: Vec<Fault>) -> Self {
        let detail = match errors.as_slice() {
            [one] => format!("{} {}", one.pointer, one.detail),
            many => format!("{} validation errors; see errors", many.len()),
        };
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
        problem.0.errors = errors;
        problem
    }

    /// 403 with everything that the token does not permit.
    pub fn forbidden(errors: Vec<Fault>) -> Self {
        let mut problem = Self::invalid(errors);
        problem.0.status = StatusCode::FORBIDDEN;
        problem.because(Why::Scope)
    }

    /// 404.
    pub fn not_found(detail: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 503 with `Retry-After` in seconds; nothing was stored.
    pub fn unavailable(detail: impl Into<Cow<'static, str>>, retry_after: u16) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            .with_header(RETRY_AFTER, retry_after.into())
    }

    /// 500 without internal details.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal error; see the log of the daemon",
        )
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Sets the reason that is counted and logged.
    #[must_use]
    pub fn because(mut self, why: Why) -> Self {
        self.0.why = Some(why);
        self
    }

    /// Sets the name of the rejected token, for the log.
    #[must_use]
    pub fn by(mut self, token: &str) -> Self {
        self.0.token = Some(token.to_owned());
        self
    }

    /// The status code.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Refusal {
            status,
            detail,
            errors,
            mut headers,
            why,
            token,
        } = *self.0;
        let title = status.canonical_reason().unwrap_or("Error");
        let body = ProblemBody {
            r#type: "about:blank",
            title,
            status: status.as_u16(),
            detail: &detail,
            errors: &errors,
        };
        // Serializing texts and numbers cannot fail.
        let json = escaped(&serde_json::to_string(&body).unwrap_or_default()).into_owned();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.entry(RETRY_AFTER).or_insert_with(|| RETRY.into());
        }
        let mut response = (status, headers, json).into_response();
        if let Some(why) = why {
            response.extensions_mut().insert(why);
        }
        if let Some(token) = token {
            response.extensions_mut().insert(TokenName(token));
        }
        response
    }
}

/// A JSON response.
pub fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_string(value) {
        // Responses are shown in terminals.
        Ok(body) if let Cow::Owned(escaped) = escaped(&body) => (
            status,
            [(CONTENT_TYPE, HeaderValue::from_static("application/json"))],
            escaped,
        )
            .into_response(),
        Ok(body) => (
            status,
            [(CONTENT_TYPE, HeaderValue::from_static("application/json"))],
            body,
        )
            .into_response(),
        Err(error) => {
            tracing::error!(%error, "could not serialize a response");
            Problem::internal().into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_503_has_retry_after() {
        let retry = |problem: Problem| problem.into_response().headers().get(RETRY_AFTER).cloned();
        let close = |problem: Problem| {
            problem.with_header(
                axum::http::header::CONNECTION,
                HeaderValue::from_static("close"),
            )
        };
        assert_eq!(
            retry(close(Problem::unavailable("later", 7))),
            Some(7.into())
        );
        assert_eq!(
            retry(close(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "later"
            ))),
            Some(RETRY.into())
        );
        assert_eq!(retry(Problem::not_found("nothing")), None);
    }
}
