//! The raw parts of a mail: HTML, text, source and inline images.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::view::Choice;
use super::{GonePage, PART_POLICY, Pages, page, part, picture_path, words};
use crate::mail_catcher::mime::Mail;
use crate::mail_catcher::{Store, Stored};

/// Policy for a mail's HTML: inline styles and any image, as a mail client would show it; no
/// scripts, no forms, links open in a new tab. It keeps our origin so that our page can measure its
/// height.
const MAIL_POLICY: &str = "default-src 'none'; img-src *; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox";
/// The same without images.
const MAIL_POLICY_WITHOUT_PICTURES: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox";

pub(super) fn routes() -> Router<Pages> {
    Router::new()
        .route("/mailbox/{number}/html", get(html))
        .route("/mailbox/{number}/text", get(text))
        .route("/mailbox/{number}/source", get(source))
        .route("/mailbox/{number}/picture/{place}", get(picture))
}

pub(super) fn html_path(number: u64, choice: Choice) -> String {
    format!(
        "/mailbox/{number}/html?scheme={}{}",
        choice.scheme.name(),
        if choice.without_pictures {
            "&pictures=off"
        } else {
            ""
        }
    )
}

async fn html(
    State(store): State<Store>,
    Path(number): Path<String>,
    choice: Result<Query<Choice>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let Some(stored) = find(&store, &number) else {
        return gone(&headers);
    };
    let choice = choice.map(|Query(choice)| choice).unwrap_or_default();
    let policy = if choice.without_pictures {
        MAIL_POLICY_WITHOUT_PICTURES
    } else {
        MAIL_POLICY
    };
    match Mail::read(&stored.raw).html_with(|place| picture_path(stored.number, place)) {
        // Links in the mail open in a new tab rather than in the frame.
        Some(html) => part(
            "text/html; charset=utf-8",
            policy,
            choice
                .scheme
                .applied(&html)
                .replacen("<head>", "<head><base target=\"_blank\">", 1),
        ),
        None => missing(&headers),
    }
}

async fn text(
    State(store): State<Store>,
    Path(number): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(stored) = find(&store, &number) else {
        return gone(&headers);
    };
    match Mail::read(&stored.raw).text {
        Some(text) => part("text/plain; charset=utf-8", PART_POLICY, text),
        None => missing(&headers),
    }
}

async fn source(
    State(store): State<Store>,
    Path(number): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(stored) = find(&store, &number) else {
        return gone(&headers);
    };
    part("text/plain; charset=utf-8", PART_POLICY, stored.raw.clone())
}

async fn picture(
    State(store): State<Store>,
    Path((number, place)): Path<(String, usize)>,
    headers: HeaderMap,
) -> Response {
    let found = find(&store, &number)
        .and_then(|stored| Mail::read(&stored.raw).pictures.into_iter().nth(place));
    found.map_or_else(
        || missing(&headers),
        |picture| part(picture.content_type, PART_POLICY, picture.bytes),
    )
}

/// The mail with this number, if it is still kept.
pub(super) fn find(store: &Store, number: &str) -> Option<Arc<Stored>> {
    store.get(number.parse().ok()?)
}

/// The page for a mail that is not kept.
pub(super) fn gone(headers: &HeaderMap) -> Response {
    page(
        StatusCode::NOT_FOUND,
        &GonePage {
            words: words(headers),
        },
    )
}

fn missing(headers: &HeaderMap) -> Response {
    (
        StatusCode::NOT_FOUND,
        part(
            "text/plain; charset=utf-8",
            PART_POLICY,
            words(headers).missing_part,
        ),
    )
        .into_response()
}
