//! The page at `/` of a running daemon, for browsers.

use axum::Router;
use axum::http::HeaderMap;
use axum::http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// Allows only the page's inline styles.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /`: shows the running version and where to look next. It shows nothing that needs a token.
pub(super) fn routes() -> Router {
    Router::new().route("/", get(home))
}

async fn home(headers: HeaderMap) -> Response {
    let wanted = headers
        .get(ACCEPT_LANGUAGE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let html = if crate::mail_catcher::pages::language(wanted) == "en" {
        include_str!("../../templates/admin/home.en.html")
    } else {
        include_str!("../../templates/admin/home.zh.html")
    };
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, html).into_response()
}
