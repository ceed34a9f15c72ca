//! One mail: its views as tabs, and its parts as they are.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use super::{Finding, GonePage, PART_POLICY, Pages, mark, moment, page, part, picture_path, words};
use crate::mail_catcher::mime::Mail;
use crate::mail_catcher::words::Words;
use crate::mail_catcher::{Store, Stored};

/// For a mail's HTML: its own styles and any picture, as a mail program would show it; nothing
/// runs, nothing is sent, links open in a new tab. It keeps our origin so that our page can measure
/// its height.
const MAIL_POLICY: &str = "default-src 'none'; img-src *; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox";
/// The same for a mail program that shows no pictures.
const MAIL_POLICY_WITHOUT_PICTURES: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox";
/// The most characters of a text or source that stand on a page; the part's own link has all of it.
const MAX_SHOWN: usize = 200_000;

pub(super) fn routes() -> Router<Pages> {
    Router::new()
        .route("/mailbox/{number}", get(mail))
        .route("/mailbox/{number}/html", get(html))
        .route("/mailbox/{number}/text", get(text))
        .route("/mailbox/{number}/source", get(source))
        .route("/mailbox/{number}/picture/{place}", get(picture))
}

#[derive(Template)]
#[template(path = "admin/mail_catcher_mail.html")]
struct MailPage<'a> {
    words: &'a Words,
    number: u64,
    mail: &'a Mail,
    mark: &'static str,
    kind: &'static str,
    at: String,
    envelope: String,
    size: String,
    attachments: Vec<Attachment>,
    tabs: Vec<Tab>,
    switches: Vec<Switch>,
    alone: String,
    view: View,
    body: Body<'a>,
    is_cut: bool,
}

/// What stands under the tabs.
enum Body<'a> {
    /// A frame with this address.
    Frame(String),
    Text(&'a str),
    Headers(&'a [(String, String)]),
    Findings(&'a [Finding]),
    /// The mail has no such part.
    Missing,
}

struct Attachment {
    name: String,
    about: String,
    href: String,
}

struct Tab {
    name: &'static str,
    label: &'static str,
    count: usize,
    is_current: bool,
}

/// A choice of how the HTML is shown.
struct Switch {
    href: String,
    label: &'static str,
    is_current: bool,
}

/// How a mail is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum View {
    Html,
    Phone,
    Text,
    Headers,
    Check,
    Source,
}

impl View {
    const fn name(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Phone => "phone",
            Self::Text => "text",
            Self::Headers => "headers",
            Self::Check => "check",
            Self::Source => "source",
        }
    }
}

/// Which colours a mail program is set to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scheme {
    /// Those of the browser.
    #[default]
    Auto,
    Light,
    Dark,
}

impl Scheme {
    const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The HTML as if the browser had this scheme: its condition always holds, or never.
    fn applied(self, html: &str) -> String {
        let (condition, scheme) = match self {
            Self::Auto => return html.to_owned(),
            Self::Light => ("(max-width:0)", "light"),
            Self::Dark => ("(min-width:0)", "dark"),
        };
        let html = [
            "(prefers-color-scheme:dark)",
            "(prefers-color-scheme: dark)",
        ]
        .iter()
        .fold(html.to_owned(), |html, from| html.replace(from, condition));
        html.replace("color-scheme:light dark", &format!("color-scheme:{scheme}"))
            .replace("content=\"light dark\"", &format!("content=\"{scheme}\""))
    }
}

#[derive(Default, Clone, Copy, Deserialize)]
#[serde(default)]
struct Choice {
    view: Option<View>,
    scheme: Scheme,
    #[serde(deserialize_with = "is_off")]
    pictures: bool,
}

/// Whether pictures are off, as `pictures=off`.
fn is_off<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(String::deserialize(deserializer)? == "off")
}

async fn mail(
    State(pages): State<Pages>,
    Path(number): Path<String>,
    choice: Result<Query<Choice>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let words = words(&headers);
    let Some(stored) = find(&pages.store, &number) else {
        return page(StatusCode::NOT_FOUND, &GonePage { words });
    };
    stored.mark_opened();
    let mail = Mail::read(&stored.raw);
    let choice = choice.map(|Query(choice)| choice).unwrap_or_default();
    let view = choice.view.unwrap_or(if mail.html.is_some() {
        View::Html
    } else {
        View::Text
    });
    let findings = pages.tools.linter.map(|linter| linter(&mail, &stored.raw));
    let source = String::from_utf8_lossy(&stored.raw);
    let (body, is_cut) = body(view, choice, &stored, &mail, &source, findings.as_deref());
    let (mark, kind) = mark(&mail);
    page(
        StatusCode::OK,
        &MailPage {
            words,
            number: stored.number,
            mark,
            kind,
            at: moment(&stored),
            envelope: format!("<{}> → {}", stored.mail_from, stored.rcpts.join(", ")),
            size: size(stored.raw.len()),
            attachments: attachments(&stored, &mail),
            tabs: tabs(words, view, findings.as_deref()),
            switches: if matches!(body, Body::Frame(_)) {
                switches(words, stored.number, view, choice)
            } else {
                Vec::new()
            },
            alone: match view {
                View::Html | View::Phone => html_path(stored.number, choice),
                View::Text | View::Source => format!("/mailbox/{}/{}", stored.number, view.name()),
                View::Headers | View::Check => String::new(),
            },
            view,
            body,
            is_cut,
            mail: &mail,
        },
    )
}

/// What stands under the tabs, and whether it is only the beginning.
fn body<'a>(
    view: View,
    choice: Choice,
    stored: &Stored,
    mail: &'a Mail,
    source: &'a str,
    findings: Option<&'a [Finding]>,
) -> (Body<'a>, bool) {
    let text = |whole: Option<&'a str>| {
        whole.map_or((Body::Missing, false), |whole| {
            (
                Body::Text(shortened(whole)),
                shortened(whole).len() < whole.len(),
            )
        })
    };
    match view {
        View::Html | View::Phone if mail.html.is_some() => {
            (Body::Frame(html_path(stored.number, choice)), false)
        }
        View::Html | View::Phone => (Body::Missing, false),
        View::Text => text(mail.text.as_deref()),
        View::Source => text(Some(source)),
        View::Headers => (Body::Headers(&mail.headers), false),
        View::Check => (findings.map_or(Body::Missing, Body::Findings), false),
    }
}

fn tabs(words: &Words, view: View, findings: Option<&[Finding]>) -> Vec<Tab> {
    let tab = |of: View, label| Tab {
        name: of.name(),
        label,
        count: 0,
        is_current: of == view,
    };
    let mut tabs = vec![
        tab(View::Html, words.html),
        tab(View::Phone, words.phone),
        tab(View::Text, words.text),
        tab(View::Headers, words.headers),
        tab(View::Source, words.source),
    ];
    if let Some(findings) = findings {
        let count = findings.iter().filter(|finding| finding.is_error).count();
        tabs.insert(
            4,
            Tab {
                count,
                ..tab(View::Check, words.check)
            },
        );
    }
    tabs
}

/// Links to the same view in other colours, with and without pictures.
fn switches(words: &Words, number: u64, view: View, choice: Choice) -> Vec<Switch> {
    let link = |scheme: Scheme, without: bool| {
        format!(
            "/mailbox/{number}?view={}&scheme={}{}",
            view.name(),
            scheme.name(),
            if without { "&pictures=off" } else { "" }
        )
    };
    let schemes = [
        (Scheme::Auto, words.auto),
        (Scheme::Light, words.light),
        (Scheme::Dark, words.dark),
    ];
    let schemes = schemes.map(|(scheme, label)| Switch {
        href: link(scheme, choice.pictures),
        label,
        is_current: scheme == choice.scheme,
    });
    let pictures = Switch {
        href: link(choice.scheme, !choice.pictures),
        label: words.no_pictures,
        is_current: choice.pictures,
    };
    schemes.into_iter().chain([pictures]).collect()
}

fn html_path(number: u64, choice: Choice) -> String {
    format!(
        "/mailbox/{number}/html?scheme={}{}",
        choice.scheme.name(),
        if choice.pictures { "&pictures=off" } else { "" }
    )
}

fn attachments(stored: &Stored, mail: &Mail) -> Vec<Attachment> {
    let attachment = |(place, picture): (usize, &crate::mail_catcher::Picture)| Attachment {
        name: if picture.name.is_empty() {
            format!("#{}", place + 1)
        } else {
            picture.name.clone()
        },
        about: format!("{} · {}", picture.content_type, size(picture.bytes.len())),
        href: picture_path(stored.number, place),
    };
    mail.pictures.iter().enumerate().map(attachment).collect()
}

async fn html(
    State(store): State<Store>,
    Path(number): Path<String>,
    choice: Result<Query<Choice>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let Some(stored) = find(&store, &number) else {
        return page(
            StatusCode::NOT_FOUND,
            &GonePage {
                words: words(&headers),
            },
        );
    };
    let choice = choice.map(|Query(choice)| choice).unwrap_or_default();
    let policy = if choice.pictures {
        MAIL_POLICY_WITHOUT_PICTURES
    } else {
        MAIL_POLICY
    };
    match Mail::read(&stored.raw).html_with(|place| picture_path(stored.number, place)) {
        // Links of the mail open beside the page, not in the frame.
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
        return page(
            StatusCode::NOT_FOUND,
            &GonePage {
                words: words(&headers),
            },
        );
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
        return page(
            StatusCode::NOT_FOUND,
            &GonePage {
                words: words(&headers),
            },
        );
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

fn find(store: &Store, number: &str) -> Option<Arc<Stored>> {
    store.get(number.parse().ok()?)
}

/// The beginning of a text, at most [`MAX_SHOWN`] characters.
fn shortened(text: &str) -> &str {
    text.char_indices()
        .nth(MAX_SHOWN)
        .and_then(|(at, _)| text.get(..at))
        .unwrap_or(text)
}

/// A number of bytes for people, in steps of 1,000 as the mails write them, with one decimal below
/// 100.
fn size(bytes: usize) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..100_000 => format!("{}.{} KB", bytes / 1_000, bytes % 1_000 / 100),
        100_000..1_000_000 => format!("{} KB", bytes / 1_000),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
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
