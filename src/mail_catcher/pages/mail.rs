//! The page of one mail, with its views as tabs.

use askama::Template;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;

use super::parts::{find, gone, html_path};
use super::view::{Choice, Scheme, View};
use super::{Finding, Pages, mark, moment, page, picture_path, words};
use crate::mail_catcher::Stored;
use crate::mail_catcher::mime::Mail;
use crate::mail_catcher::words::Words;

/// Maximum characters of a text or source shown on a page; the part's own link has all of it.
const MAX_SHOWN: usize = 200_000;

pub(super) fn routes() -> Router<Pages> {
    Router::new().route("/mailbox/{number}", get(mail))
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

/// Content below the tabs.
enum Body<'a> {
    /// A frame with this URL.
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

/// A display option of the HTML view.
struct Switch {
    href: String,
    label: &'static str,
    is_current: bool,
}

async fn mail(
    State(pages): State<Pages>,
    Path(number): Path<String>,
    choice: Result<Query<Choice>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let words = words(&headers);
    let Some(stored) = find(&pages.store, &number) else {
        return gone(&headers);
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

/// The content below the tabs, and whether it is truncated.
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

/// Links to the same view with other colours, with and without images.
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
        href: link(scheme, choice.without_pictures),
        label,
        is_current: scheme == choice.scheme,
    });
    let pictures = Switch {
        href: link(choice.scheme, !choice.without_pictures),
        label: words.no_pictures,
        is_current: choice.without_pictures,
    };
    schemes.into_iter().chain([pictures]).collect()
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

/// The beginning of a text, at most [`MAX_SHOWN`] characters.
fn shortened(text: &str) -> &str {
    text.char_indices()
        .nth(MAX_SHOWN)
        .and_then(|(at, _)| text.get(..at))
        .unwrap_or(text)
}

/// A size for people, in decimal units as in the mails, with one decimal place below 100.
fn size(bytes: usize) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..100_000 => format!("{}.{} KB", bytes / 1_000, bytes % 1_000 / 100),
        100_000..1_000_000 => format!("{} KB", bytes / 1_000),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}
