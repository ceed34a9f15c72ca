//! Fills the view with the content of each template.

use std::borrow::Cow;

use super::{Button, MAX_NAME, MessageView, PREHEADER};
use crate::domain::{Code, Link, Locale, MessageContent};
use crate::render::locale::{around, fill};
use crate::render::output::{is_output, kept_lines};
use crate::render::phrases::Phrases;
use crate::render::text::{block, columns, line, shorten, visible};
use crate::render::{MailContext, html_to_text};

/// Maximum width of a notice's subject; the mail contains the whole title.
const SUBJECT: usize = 78;
/// Maximum characters of a subject or title.
const MAX_TITLE: usize = 500;
/// Maximum characters of a notice.
const MAX_MESSAGE: usize = 20_000;
/// Codes up to this many characters are displayed large.
const LARGE_CODE: usize = 12;

impl<'a> MessageView<'a> {
    /// Fills in the parts specific to each template.
    pub(super) fn fill(
        &mut self,
        content: &'a MessageContent,
        phrases: &'static Phrases,
        mail: &MailContext<'_>,
        locale: Locale,
    ) {
        let brand = self.look.brand.clone();
        let name = shorten(&brand, MAX_NAME.1);
        match content {
            MessageContent::VerificationCode { code, purpose, .. } => {
                let purpose = purpose
                    .as_deref()
                    .and_then(|purpose| line(purpose, MAX_NAME.0));
                self.headline = phrases.code_headline(purpose.as_deref());
                self.subject = around(phrases.code_subject, code.expose(), &name);
                self.lead = Some(fill(phrases.code_lead, &brand));
                self.code(Some(code));
                self.entrusted(phrases, mail);
            }
            MessageContent::PasswordReset { code, url, .. } => {
                self.headline = phrases.reset.into();
                self.subject = match code {
                    Some(code) => around(phrases.reset_code_subject, code.expose(), &name),
                    None => fill(phrases.reset_subject, &name),
                };
                self.lead = Some(fill(phrases.reset_lead, &brand));
                self.code(code.as_ref());
                self.button(url.as_ref(), phrases.reset_button, phrases);
                self.entrusted(phrases, mail);
            }
            MessageContent::VerifyLink { url, .. } => {
                self.headline = phrases.verify.into();
                self.subject = fill(phrases.verify_subject, &name);
                self.lead = Some(fill(phrases.verify_lead, &brand));
                self.button(Some(url), phrases.verify_button, phrases);
                self.entrusted(phrases, mail);
            }
            MessageContent::SystemNotice {
                title,
                message,
                url,
                ..
            } => {
                self.notice(title, message, phrases);
                self.button(url.as_ref(), phrases.notice_button, phrases);
            }
            MessageContent::Plain {
                subject,
                text,
                html,
                ..
            } => {
                self.plain(subject, text.as_deref(), html.as_deref(), locale);
            }
        }
    }

    fn notice(&mut self, title: &'a str, message: &'a str, phrases: &'static Phrases) {
        self.headline = fill(phrases.notice, &self.look.brand).into();
        self.title = line(title, MAX_TITLE);
        let room = SUBJECT.saturating_sub(columns(self.subject_prefix));
        self.subject = shorten(self.title.as_deref().unwrap_or_default(), room).into_owned();
        self.body(message, MAX_MESSAGE);
        self.preheader = self
            .body
            .as_deref()
            .and_then(|body| line(body, PREHEADER * 2))
            .unwrap_or_default()
            .into_owned();
    }

    fn plain(
        &mut self,
        subject: &'a str,
        text: Option<&'a str>,
        html: Option<&'a str>,
        locale: Locale,
    ) {
        self.headline = line(subject, MAX_TITLE).unwrap_or_default();
        self.subject = self.headline.clone().into_owned();
        self.greeting = None;
        self.html = html;
        self.body = match (text, html) {
            (Some(text), _) => Some(visible(text)),
            (None, html) => html.map(|html| Cow::Owned(html_to_text::text(html) + "\n")),
        };
        self.document = match (text, html) {
            (_, Some(html)) => Some(html_to_text::document(html, Some(locale))),
            (text, None) => text.map(|text| html_to_text::html(&visible(text), Some(locale))),
        };
    }

    fn code(&mut self, code: Option<&'a Code>) {
        self.code = code.map(Code::expose);
        self.large_code = self.code.is_none_or(|code| code.len() <= LARGE_CODE);
        self.code_groups = self.code.map(groups).unwrap_or_default();
    }

    /// Sets the body, and whether its lines form columns.
    fn body(&mut self, text: &'a str, limit: usize) {
        self.is_output = is_output(text);
        self.body = match block(text, limit) {
            Some((_, 0)) if self.is_output => Some(Cow::Owned(kept_lines(text))),
            block => block.map(|(text, _)| text),
        };
    }

    fn button(&mut self, link: Option<&'a Link>, label: &'static str, phrases: &'static Phrases) {
        self.button = link.map(|link| Button {
            href: link.as_str(),
            label,
            or_copy: phrases.or_copy,
        });
    }

    /// Notes and footer for mails to an address that someone entered, possibly by mistake.
    fn entrusted(&mut self, phrases: &'static Phrases, context: &MailContext<'_>) {
        self.preheader = self.lead.clone().unwrap_or_default();
        self.notes = if self.code.is_some() {
            vec![phrases.secret, phrases.ignore]
        } else {
            vec![phrases.ignore]
        };
        self.event_id = "";
        self.sent_to = around(
            phrases.entered,
            context.recipient.as_str(),
            &self.look.brand,
        );
    }
}

/// Splits a code of six to eight digits into two groups, for reading it out.
fn groups(code: &str) -> Vec<&str> {
    if !(6..=8).contains(&code.len()) || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return vec![code];
    }
    let (head, tail) = code.split_at(code.len() / 2);
    vec![head, tail]
}
