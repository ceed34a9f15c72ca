//! The one shape of every refusal: `application/problem+json` (RFC 9457).

use std::borrow::Cow;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Why;
use super::refusals::TokenName;
use crate::telemetry::terminal::escaped;

/// `Retry-After` in seconds of a 503 whose handler named no other.
const RETRY: u16 = 5;

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Fault {
    /// Where: a JSON pointer in URI form into the body (`#/images/0/url`), `?name` for a query
    /// parameter, or the name of a header.
    pub pointer: String,
    /// What is wrong and what to write instead.
    pub detail: String,
}

/// A refusal on its way to the client.
#[derive(Debug)]
pub struct Problem(Box<Refusal>);

/// Boxed, because every handler's result has room for one and nearly none carries it.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    detail: Cow<'static, str>,
    errors: Vec<Fault>,
    headers: HeaderMap,
    why: Option<Why>,
    token: Option<String>,
}

/// What a refusal looks like (RFC 9457).
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// Always `about:blank`: the status says what kind of problem it is.
    r#type: &'static str,
    /// The status in words.
    title: &'a str,
    /// The status code again.
    status: u16,
    /// What is wrong with this request and what to do.
    detail: &'a str,
    /// Each thing that is wrong, where there are several or where the place matters.
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'a [Fault],
}

impl Problem {
    /// A refusal with this status; `detail` says what is wrong and what to do, without secrets and
    /// full addresses.
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

    /// 422 with each field that is wrong.
    pub fn invalid(errors: Vec<Fault>) -> Self {
        let detail = match errors.as_slice() {
            [one] => format!("{} {}", one.pointer, one.detail),
            many => format!("{} things are wrong; see errors", many.len()),
        };
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
        problem.0.errors = errors;
        problem
    }

    /// 403 with each thing that a token may not post.
    pub fn forbidden(errors: Vec<Fault>) -> Self {
        let mut problem = Self::invalid(errors);
        problem.0.status = StatusCode::FORBIDDEN;
        problem.because(Why::Scope)
    }

    /// 404 for whatever is not there.
    pub fn not_found(detail: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 503 with `Retry-After` in seconds; nothing was taken.
    pub fn unavailable(detail: impl Into<Cow<'static, str>>, retry_after: u16) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            .with_header(RETRY_AFTER, retry_after.into())
    }

    /// 500 that tells the client nothing of the inside.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "something went wrong inside; the log of the daemon says more",
        )
    }

    /// The same refusal with one more header (`WWW-Authenticate`, `Retry-After`, `Connection`).
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// The same refusal with its reason, by which it is counted and logged.
    #[must_use]
    pub fn because(mut self, why: Why) -> Self {
        self.0.why = Some(why);
        self
    }

    /// The same refusal with the name of the token that was refused, for the log.
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
        // A struct of texts and numbers always serializes.
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

/// Answers with JSON.
pub fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_string(value) {
        // Answers are read at terminals, too.
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
            tracing::error!(%error, "an answer could not be written as JSON");
            Problem::internal().into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_503_says_when_to_come_back_whatever_other_headers_it_has() {
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
