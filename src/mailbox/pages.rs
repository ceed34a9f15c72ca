//! The mailbox as pages: a list, one mail in several views, and the parts of a mail as they are.
//!
//! A mail is hostile input. Its HTML is shown in a frame without any rights and with a policy that runs nothing; everything else
//! is escaped text. No page of ours has a script.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::{ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use super::mime::{Mail, Shown};
use super::words::Words;
use super::{Store, Stored};

/// For our own pages: our style sheet, a mail in a frame, and the pictures that mails link to.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; img-src *; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// For a mail's HTML: its own styles and any picture, as a mail program would show it; nothing runs, nothing is sent.
const MAIL_POLICY: &str = "default-src 'none'; img-src *; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox";
/// For parts that are only to be read.
const PART_POLICY: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";

/// The most characters of a text or source that stand on a page; the part's own link has all of it.
const MAX_SHOWN: usize = 200_000;

/// The routes `GET /mailbox`, `/mailbox/{n}`, `/mailbox/{n}/html`, `/text`, `/source` and `/picture/{place}` over a store's mails.
pub fn router(store: Store) -> Router {
    Router::new()
        .route("/mailbox", get(list))
        .route("/mailbox/style.css", get(async || part("text/css; charset=utf-8", PART_POLICY, include_str!("../../templates/admin/mailbox.css"))))
        .route("/mailbox/icon.svg", get(async || part("image/svg+xml", PART_POLICY, include_str!("../../templates/admin/mailbox.svg"))))
        .route("/mailbox/{number}", get(mail))
        .route("/mailbox/{number}/html", get(html))
        .route("/mailbox/{number}/text", get(text))
        .route("/mailbox/{number}/source", get(source))
        .route("/mailbox/{number}/picture/{place}", get(picture))
        .with_state(store)
}

#[derive(Template)]
#[template(path = "admin/mailbox_list.html")]
struct ListPage<'a> {
    words: &'a Words,
    rows: Vec<Row>,
}

/// One mail in the list.
struct Row {
    number: u64,
    subject: String,
    to: String,
    snippet: String,
    picture: Option<String>,
    ago: String,
    at: String,
    is_new: bool,
}

#[derive(Template)]
#[template(path = "admin/mailbox_mail.html")]
struct MailPage<'a> {
    words: &'a Words,
    number: u64,
    mail: &'a Mail,
    envelope: String,
    size: String,
    tabs: Vec<Tab>,
    view: View,
    body: Option<&'a str>,
    is_cut: bool,
}

struct Tab {
    name: &'static str,
    label: &'static str,
    is_current: bool,
}

#[derive(Template)]
#[template(path = "admin/mailbox_gone.html")]
struct GonePage<'a> {
    words: &'a Words,
}

/// How a mail is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum View {
    Html,
    Phone,
    Text,
    Source,
}

#[derive(Deserialize)]
struct Choice {
    view: Option<View>,
}

async fn list(State(store): State<Store>, headers: HeaderMap) -> Response {
    let words = words(&headers);
    let now = store.now_ms();
    let rows = store.list().iter().map(|stored| row(stored, words, now)).collect();
    page(StatusCode::OK, &ListPage { words, rows })
}

fn row(stored: &Stored, words: &Words, now: i64) -> Row {
    let mail = Mail::read(&stored.raw);
    Row {
        number: stored.number,
        picture: mail.first_picture().map(|shown| match shown {
            Shown::Link(link) => link,
            Shown::Inside(place) => picture_path(stored.number, place),
        }),
        snippet: mail.snippet(),
        subject: if mail.subject.is_empty() { words.no_subject.to_owned() } else { mail.subject },
        to: if mail.to.is_empty() { stored.rcpts.join(", ") } else { mail.to },
        ago: words.ago(now.saturating_sub(stored.received_at_ms)),
        at: jiff::Timestamp::from_millisecond(stored.received_at_ms).map(|at| at.to_string()).unwrap_or_default(),
        is_new: !stored.is_opened(),
    }
}

async fn mail(State(store): State<Store>, Path(number): Path<String>, choice: Result<Query<Choice>, QueryRejection>, headers: HeaderMap) -> Response {
    let words = words(&headers);
    let Some(stored) = find(&store, &number) else { return page(StatusCode::NOT_FOUND, &GonePage { words }) };
    stored.mark_opened();
    let mail = Mail::read(&stored.raw);
    let default = if mail.html.is_some() { View::Html } else { View::Text };
    let view = choice.ok().and_then(|Query(choice)| choice.view).unwrap_or(default);
    let source = String::from_utf8_lossy(&stored.raw);
    let whole = match view {
        View::Html | View::Phone => mail.html.as_deref(),
        View::Text => mail.text.as_deref(),
        View::Source => Some(&*source),
    };
    let body = whole.map(shortened);
    page(
        StatusCode::OK,
        &MailPage {
            words,
            number: stored.number,
            envelope: format!("<{}> → {}", stored.mail_from, stored.rcpts.join(", ")),
            size: size(stored.raw.len()),
            tabs: tabs(words, view),
            view,
            is_cut: body.map(str::len) < whole.map(str::len),
            body,
            mail: &mail,
        },
    )
}

fn tabs(words: &Words, view: View) -> Vec<Tab> {
    let tab = |name, label, of| Tab { name, label, is_current: of == view };
    vec![
        tab("html", words.html, View::Html),
        tab("phone", words.phone, View::Phone),
        tab("text", words.text, View::Text),
        tab("source", words.source, View::Source),
    ]
}

async fn html(State(store): State<Store>, Path(number): Path<String>, headers: HeaderMap) -> Response {
    let Some(stored) = find(&store, &number) else { return page(StatusCode::NOT_FOUND, &GonePage { words: words(&headers) }) };
    match Mail::read(&stored.raw).html_with(|place| picture_path(stored.number, place)) {
        Some(html) => part("text/html; charset=utf-8", MAIL_POLICY, html),
        None => missing(&headers),
    }
}

async fn text(State(store): State<Store>, Path(number): Path<String>, headers: HeaderMap) -> Response {
    let Some(stored) = find(&store, &number) else { return page(StatusCode::NOT_FOUND, &GonePage { words: words(&headers) }) };
    match Mail::read(&stored.raw).text {
        Some(text) => part("text/plain; charset=utf-8", PART_POLICY, text),
        None => missing(&headers),
    }
}

async fn source(State(store): State<Store>, Path(number): Path<String>, headers: HeaderMap) -> Response {
    let Some(stored) = find(&store, &number) else { return page(StatusCode::NOT_FOUND, &GonePage { words: words(&headers) }) };
    part("text/plain; charset=utf-8", PART_POLICY, stored.raw.clone())
}

async fn picture(State(store): State<Store>, Path((number, place)): Path<(String, usize)>, headers: HeaderMap) -> Response {
    let found = find(&store, &number).and_then(|stored| Mail::read(&stored.raw).pictures.into_iter().nth(place));
    found.map_or_else(|| missing(&headers), |picture| part(picture.content_type, PART_POLICY, picture.bytes))
}

fn find(store: &Store, number: &str) -> Option<Arc<Stored>> {
    store.get(number.parse().ok()?)
}

fn picture_path(number: u64, place: usize) -> String {
    format!("/mailbox/{number}/picture/{place}")
}

fn words(headers: &HeaderMap) -> &'static Words {
    Words::choose(headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default())
}

/// The beginning of a text, at most [`MAX_SHOWN`] characters.
fn shortened(text: &str) -> &str {
    text.char_indices().nth(MAX_SHOWN).and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}

/// A number of bytes for people, in KiB with one decimal from 1,024 on.
fn size(bytes: usize) -> String {
    if bytes < 1024 { format!("{bytes} B") } else { format!("{}.{} KiB", bytes / 1024, bytes % 1024 * 10 / 1024) }
}

fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, part("text/html; charset=utf-8", PAGE_POLICY, html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a mailbox page could not be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn missing(headers: &HeaderMap) -> Response {
    (StatusCode::NOT_FOUND, part("text/plain; charset=utf-8", PART_POLICY, words(headers).missing_part)).into_response()
}

fn part(content_type: &'static str, policy: &'static str, body: impl IntoResponse) -> Response {
    let headers = [
        (CONTENT_TYPE, content_type),
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, body).into_response()
}
