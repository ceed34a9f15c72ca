//! The built-in mails: templates under `templates/email/`, compiled in. `.html` files escape their
//! output, `.txt` files do not.

use askama::Template;

use super::filters;
use super::message::MessageView;
use super::view::View;
use crate::domain::{JobStatus, MessageContent};

/// Initial capacity for an HTML part.
const HTML_ROOM: usize = 12 * 1_024;
/// Initial capacity for a text part.
const TEXT_ROOM: usize = 2 * 1_024;
/// Initial capacity for a subject.
const SUBJECT_ROOM: usize = 128;

macro_rules! templates {
    ($view:ident: $($name:ident = $path:literal,)+) => {$(
        #[derive(Template)]
        #[template(path = $path)]
        struct $name<'v> {
            mail: &'v $view<'v>,
        }
    )+};
}

templates! { View:
    SuccessSubject = "email/success/subject.txt",
    SuccessText = "email/success/body.txt",
    SuccessHtml = "email/success/body.html",
    FailureSubject = "email/failure/subject.txt",
    FailureText = "email/failure/body.txt",
    FailureHtml = "email/failure/body.html",
}

templates! { MessageView:
    CodeSubject = "email/verification_code/subject.txt",
    CodeText = "email/verification_code/body.txt",
    CodeHtml = "email/verification_code/body.html",
    ResetSubject = "email/password_reset/subject.txt",
    ResetText = "email/password_reset/body.txt",
    ResetHtml = "email/password_reset/body.html",
    VerifySubject = "email/verify_link/subject.txt",
    VerifyText = "email/verify_link/body.txt",
    VerifyHtml = "email/verify_link/body.html",
    NoticeSubject = "email/system_notice/subject.txt",
    NoticeText = "email/system_notice/body.txt",
    NoticeHtml = "email/system_notice/body.html",
    PlainSubject = "email/plain/subject.txt",
    PlainText = "email/plain/body.txt",
    PlainHtml = "email/plain/body.html",
}

/// Subject, text and HTML of one mail.
pub(super) struct Parts {
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: String,
}

/// Fills the templates of a job's mail.
pub(super) fn fill_job(status: JobStatus, mail: &View<'_>) -> askama::Result<Parts> {
    match status {
        JobStatus::Succeeded => parts(
            &SuccessSubject { mail },
            &SuccessText { mail },
            &SuccessHtml { mail },
        ),
        JobStatus::Failed => parts(
            &FailureSubject { mail },
            &FailureText { mail },
            &FailureHtml { mail },
        ),
    }
}

/// Fills the templates of a message.
pub(super) fn fill_message(
    content: &MessageContent,
    mail: &MessageView<'_>,
) -> askama::Result<Parts> {
    match content {
        MessageContent::VerificationCode { .. } => parts(
            &CodeSubject { mail },
            &CodeText { mail },
            &CodeHtml { mail },
        ),
        MessageContent::PasswordReset { .. } => parts(
            &ResetSubject { mail },
            &ResetText { mail },
            &ResetHtml { mail },
        ),
        MessageContent::VerifyLink { .. } => parts(
            &VerifySubject { mail },
            &VerifyText { mail },
            &VerifyHtml { mail },
        ),
        MessageContent::SystemNotice { .. } => fill_notice(mail),
        MessageContent::Plain { .. } => parts(
            &PlainSubject { mail },
            &PlainText { mail },
            &PlainHtml { mail },
        ),
    }
}

/// Fills the templates of a notice.
pub(super) fn fill_notice(mail: &MessageView<'_>) -> askama::Result<Parts> {
    parts(
        &NoticeSubject { mail },
        &NoticeText { mail },
        &NoticeHtml { mail },
    )
}

fn parts(
    subject: &impl Template,
    text: &impl Template,
    html: &impl Template,
) -> askama::Result<Parts> {
    Ok(Parts {
        subject: written(subject, SUBJECT_ROOM)?,
        text: written(text, TEXT_ROOM)?,
        html: written(html, HTML_ROOM)?,
    })
}

fn written(template: &impl Template, capacity: usize) -> askama::Result<String> {
    let mut out = String::with_capacity(capacity);
    template.render_into(&mut out)?;
    Ok(out)
}
