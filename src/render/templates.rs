//! The built-in mails: files under `templates/email/`, compiled in. `.html` escapes what it prints, `.txt` must not.

use askama::Template;

use super::filters;
use super::view::View;
use crate::domain::MailKind;

/// Room for a usual HTML part, so that writing one seldom moves it.
const HTML_ROOM: usize = 12 * 1_024;
/// Room for a usual text part.
const TEXT_ROOM: usize = 2 * 1_024;
/// Room for a usual subject.
const SUBJECT_ROOM: usize = 128;

macro_rules! templates {
    ($($name:ident = $path:literal,)+) => {$(
        #[derive(Template)]
        #[template(path = $path)]
        struct $name<'v> {
            mail: &'v View<'v>,
        }
    )+};
}

templates! {
    SuccessSubject = "email/success/subject.txt",
    SuccessText = "email/success/body.txt",
    SuccessHtml = "email/success/body.html",
    FailureSubject = "email/failure/subject.txt",
    FailureText = "email/failure/body.txt",
    FailureHtml = "email/failure/body.html",
}

/// Subject, text and HTML of one mail.
pub(super) struct Parts {
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: String,
}

/// Fills the templates of one kind of mail.
pub(super) fn fill(kind: MailKind, mail: &View<'_>) -> askama::Result<Parts> {
    match kind {
        MailKind::Success => parts(&SuccessSubject { mail }, &SuccessText { mail }, &SuccessHtml { mail }),
        MailKind::Failure => parts(&FailureSubject { mail }, &FailureText { mail }, &FailureHtml { mail }),
    }
}

fn parts(subject: &impl Template, text: &impl Template, html: &impl Template) -> askama::Result<Parts> {
    Ok(Parts { subject: written(subject, SUBJECT_ROOM)?, text: written(text, TEXT_ROOM)?, html: written(html, HTML_ROOM)? })
}

fn written(template: &impl Template, room: usize) -> askama::Result<String> {
    let mut out = String::with_capacity(room);
    template.render_into(&mut out)?;
    Ok(out)
}
