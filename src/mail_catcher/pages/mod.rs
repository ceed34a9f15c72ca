//! The web pages: a list, one mail in several views, and the raw parts of a mail.
//!
//! Mails are hostile input. Their HTML is shown in a frame without scripts and forms; everything
//! else is escaped text. The pages work without their one script, and load nothing from other hosts
//! except the images that mails link to.

mod mail;
mod parts;
mod tools;
mod view;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRef, Query, State};
use axum::http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;

pub use tools::{Finding, Guard, Linter, Sample, Tools};

use super::mime::{Mail, Shown};
use super::words::Words;
use super::{Store, Stored};

/// Policy of the pages: own style sheet, script and forms, a mail in a frame, and linked images.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src *; frame-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/// Policy of raw parts.
const PART_POLICY: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";
/// Maximum characters of a search.
const MAX_QUERY: usize = 200;

#[derive(Debug, Clone)]
struct Pages {
    store: Store,
    tools: Arc<Tools>,
}

impl FromRef<Pages> for Store {
    fn from_ref(pages: &Pages) -> Self {
        pages.store.clone()
    }
}

/// The routes `GET /mailbox`, `/mailbox/{n}`, `/mailbox/{n}/html`, `/text`, `/source` and
/// `/picture/{place}` for a store's mails, and `POST /mailbox/clear`.
pub fn router(store: Store, tools: Tools) -> Router {
    let asset = |kind, text: &'static str| get(async move || part(kind, PART_POLICY, text));
    Router::new()
        .route("/mailbox", get(list))
        .route("/mailbox/clear", post(clear))
        .route(
            "/mailbox/style.css",
            asset(
                "text/css; charset=utf-8",
                include_str!("../../../templates/admin/mail_catcher.css"),
            ),
        )
        .route(
            "/mailbox/script.js",
            asset(
                "text/javascript; charset=utf-8",
                include_str!("../../../templates/admin/mail_catcher.js"),
            ),
        )
        .route(
            "/mailbox/icon.svg",
            asset(
                "image/svg+xml",
                include_str!("../../../templates/admin/mail_catcher.svg"),
            ),
        )
        .merge(mail::routes())
        .merge(parts::routes())
        .with_state(Pages {
            store,
            tools: Arc::new(tools),
        })
}

#[derive(Template)]
#[template(path = "admin/mail_catcher_list.html")]
struct ListPage<'a> {
    words: &'a Words,
    tools: &'a Tools,
    query: &'a str,
    /// Changes with the list; used by the script that refreshes it.
    state: String,
    rows: Vec<Row>,
}

/// One mail in the list.
struct Row {
    number: u64,
    mark: &'static str,
    kind: &'static str,
    subject: String,
    from: String,
    to: String,
    snippet: String,
    picture: Option<String>,
    ago: String,
    at: String,
    is_new: bool,
}

#[derive(Template)]
#[template(path = "admin/mail_catcher_gone.html")]
struct GonePage<'a> {
    words: &'a Words,
}

#[derive(Deserialize)]
struct Search {
    q: Option<String>,
}

async fn list(
    State(pages): State<Pages>,
    search: Result<Query<Search>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let words = words(&headers);
    let query: String = search
        .ok()
        .and_then(|Query(search)| search.q)
        .unwrap_or_default()
        .trim()
        .chars()
        .take(MAX_QUERY)
        .collect();
    let wanted = query.to_lowercase();
    let now = pages.store.now_ms();
    let read = pages
        .store
        .list()
        .into_iter()
        .map(|stored| (Mail::read(&stored.raw), stored));
    let found = read.filter(|(mail, stored)| wanted.is_empty() || contains(mail, stored, &wanted));
    let rows: Vec<Row> = found
        .map(|(mail, stored)| row(&stored, mail, words, now))
        .collect();
    let unread = rows.iter().filter(|row| row.is_new).count();
    let state = format!("{}-{}-{unread}", pages.store.total(), rows.len());
    page(
        StatusCode::OK,
        &ListPage {
            words,
            tools: &pages.tools,
            query: &query,
            state,
            rows,
        },
    )
}

/// Whether a mail's subject, addresses or text contain the words.
fn contains(mail: &Mail, stored: &Stored, wanted: &str) -> bool {
    let texts = [&mail.subject, &mail.from, &mail.to]
        .into_iter()
        .chain(&mail.text)
        .chain(&stored.rcpts);
    texts
        .into_iter()
        .any(|text| text.to_lowercase().contains(wanted))
}

async fn clear(State(pages): State<Pages>, parts: Parts) -> Response {
    if !pages
        .tools
        .guard
        .as_ref()
        .is_some_and(|guard| guard(&parts))
    {
        return StatusCode::FORBIDDEN.into_response();
    }
    pages.store.clear();
    Redirect::to("/mailbox").into_response()
}

fn row(stored: &Stored, mail: Mail, words: &Words, now: i64) -> Row {
    let (mark, kind) = mark(&mail);
    Row {
        number: stored.number,
        mark,
        kind,
        picture: mail.first_picture().map(|shown| match shown {
            Shown::Link(link) => link,
            Shown::Inside(place) => picture_path(stored.number, place),
        }),
        snippet: mail.snippet(),
        subject: if mail.subject.is_empty() {
            words.no_subject.to_owned()
        } else {
            mail.subject
        },
        from: if mail.from.is_empty() {
            stored.mail_from.clone()
        } else {
            mail.from
        },
        to: if mail.to.is_empty() {
            stored.rcpts.join(", ")
        } else {
            mail.to
        },
        ago: words.ago(now.saturating_sub(stored.received_at_ms)),
        at: moment(stored),
        is_new: !stored.is_opened(),
    }
}

/// The symbol and colour class of a mail about a job's result.
fn mark(mail: &Mail) -> (&'static str, &'static str) {
    match mail.header("X-Jobbell-Kind") {
        Some("success") => ("✓", "success"),
        Some("failure") => ("✕", "failure"),
        _ => ("", ""),
    }
}

fn moment(stored: &Stored) -> String {
    jiff::Timestamp::from_millisecond(stored.received_at_ms)
        .map(|at| at.to_string())
        .unwrap_or_default()
}

fn picture_path(number: u64, place: usize) -> String {
    format!("/mailbox/{number}/picture/{place}")
}

fn words(headers: &HeaderMap) -> &'static Words {
    Words::choose(
        headers
            .get(ACCEPT_LANGUAGE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default(),
    )
}

/// The page language for an `Accept-Language` header: `zh-CN` or `en`.
pub fn language(accept_language: &str) -> &'static str {
    Words::choose(accept_language).lang
}

fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, part("text/html; charset=utf-8", PAGE_POLICY, html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot render an inbox page");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
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
