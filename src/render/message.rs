//! What the templates of a message may use: [`MessageView`], one serialisable value, its texts
//! cleaned and bounded but not escaped.

use std::borrow::Cow;

use serde::Serialize;

use super::facts::Fact;
use super::locale::{Words, around, fill, words};
use super::output::{is_output, kept_lines};
use super::phrases::{Phrases, phrases};
use super::text::{block, columns, line, shorten, visible};
use super::theme::Theme;
use super::{MailContext, Renderer, facts, html_to_text};
use crate::domain::{Code, Link, Locale, MessageContent, MessageRequest};

/// The columns that the subject of a notice keeps to; the mail has the whole title.
const SUBJECT: usize = 78;
/// The columns of the line that inboxes show beside the subject.
const PREHEADER: usize = 100;
/// The most characters of a name, and the columns that it gets in a subject.
const MAX_NAME: (usize, usize) = (100, 40);
/// The most characters of a subject or title.
const MAX_TITLE: usize = 500;
/// The most characters of a notice.
const MAX_MESSAGE: usize = 20_000;
/// A code of at most so many characters is written large.
const LARGE_CODE: usize = 12;

/// All that the templates of a message know, under the name `mail`; the names that
/// [`super::view::View`] has too mean the same.
#[derive(Debug, Serialize)]
pub struct MessageView<'a> {
    /// The words of the reader's language.
    pub words: &'static Words,
    /// Name, logo, colours and footer of whoever speaks: `app`, where it is named, else as for
    /// every mail.
    pub look: Cow<'a, Theme>,
    /// Put before the subject; empty, or ends with a blank.
    pub subject_prefix: &'a str,
    /// The subject.
    pub subject: String,
    /// What the mail is, in a few words.
    pub headline: Cow<'a, str>,
    /// The title of a notice.
    pub title: Option<Cow<'a, str>>,
    /// Facts for the line under the headline; a message has none.
    pub summary: Vec<String>,
    /// What inboxes show beside the subject.
    pub preheader: String,
    /// To the reader by name.
    pub greeting: Option<String>,
    /// What the mail is about, a sentence.
    pub lead: Option<String>,
    /// The code, as it was given.
    pub code: Option<&'a str>,
    /// The same in the groups in which it is shown: `483` and `921`.
    pub code_groups: Vec<&'a str>,
    /// Whether there is room to write it large.
    pub large_code: bool,
    /// The button.
    pub button: Option<Button<'a>>,
    /// For how long and until when it is valid, where the producer said so.
    pub validity: Option<String>,
    /// The words of a notice or of a plain mail, lines ended by `\n`.
    pub body: Option<Cow<'a, str>>,
    /// Whether those words are set in columns, so that they need a fixed pitch.
    pub is_output: bool,
    /// A plain mail's HTML, as it was given: not to be escaped.
    pub html: Option<&'a str>,
    /// The whole HTML part of a plain mail: its HTML in a document where it is a fragment, or its
    /// text as HTML.
    pub document: Option<String>,
    /// What to mind, sentences.
    pub notes: Vec<&'static str>,
    /// The table of facts; only test mails have some.
    pub facts: Vec<Fact<'a>>,
    /// Footer: why it went to this address.
    pub sent_to: String,
    /// The message's id; empty on mails of codes and links, whose readers have no use for it.
    pub event_id: &'a str,
}

/// The button of a message.
#[derive(Debug, Serialize)]
pub struct Button<'a> {
    /// The link, http or https, not yet escaped.
    pub href: &'a str,
    /// What it says.
    pub label: &'static str,
    /// Stands before the link where it is written out.
    pub or_copy: &'static str,
}

impl<'a> MessageView<'a> {
    /// Gathers what a message's mail shows.
    pub fn of(
        renderer: &'a Renderer,
        message: &'a MessageRequest,
        context: &MailContext<'a>,
    ) -> Self {
        let locale = message.locale.unwrap_or(renderer.settings.locale);
        let (words, phrases) = (words(locale), phrases(locale));
        let names = message.content.names();
        let app = names.app.as_deref().and_then(|app| line(app, MAX_NAME.0));
        let look = app.map_or(Cow::Borrowed(&renderer.look), |app| {
            Cow::Owned(renderer.look.named(&app))
        });
        let mut view = Self {
            greeting: names
                .user
                .as_deref()
                .and_then(|user| line(user, MAX_NAME.0))
                .map(|user| fill(phrases.greeting, &user)),
            validity: validity(renderer, message, context, phrases, locale),
            sent_to: fill(phrases.sent_to, context.recipient.as_str()),
            event_id: message.id.as_str(),
            ..Self::empty(words, look, &renderer.subject_prefix)
        };
        view.fill(&message.content, phrases, context, locale);
        if let Some(life) = message.expires_in.filter(|_| view.validity.is_some()) {
            view.preheader = [
                view.preheader.trim_end_matches(['.', '。']),
                " · ",
                &phrases.valid_for(life.duration()),
            ]
            .concat();
        }
        view.preheader = shorten(&view.preheader, PREHEADER).into_owned();
        view
    }

    /// A mail that says nothing yet.
    pub(super) fn empty(
        words: &'static Words,
        look: Cow<'a, Theme>,
        subject_prefix: &'a str,
    ) -> Self {
        Self {
            words,
            look,
            subject_prefix,
            subject: String::new(),
            headline: Cow::Borrowed(""),
            title: None,
            summary: Vec::new(),
            preheader: String::new(),
            greeting: None,
            lead: None,
            code: None,
            code_groups: Vec::new(),
            large_code: true,
            button: None,
            validity: None,
            body: None,
            is_output: false,
            html: None,
            document: None,
            notes: Vec::new(),
            facts: Vec::new(),
            sent_to: String::new(),
            event_id: "",
        }
    }

    /// What each mail says for itself.
    fn fill(
        &mut self,
        content: &'a MessageContent,
        phrases: &'static Phrases,
        context: &MailContext<'_>,
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
                self.entrusted(phrases, context);
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
                self.entrusted(phrases, context);
            }
            MessageContent::VerifyLink { url, .. } => {
                self.headline = phrases.verify.into();
                self.subject = fill(phrases.verify_subject, &name);
                self.lead = Some(fill(phrases.verify_lead, &brand));
                self.button(Some(url), phrases.verify_button, phrases);
                self.entrusted(phrases, context);
            }
            MessageContent::SystemNotice {
                title,
                message,
                url,
                ..
            } => {
                self.headline = fill(phrases.notice, &brand).into();
                self.title = line(title, MAX_TITLE);
                let room = SUBJECT.saturating_sub(columns(self.subject_prefix));
                self.subject =
                    shorten(self.title.as_deref().unwrap_or_default(), room).into_owned();
                self.body(message, MAX_MESSAGE);
                self.preheader = self
                    .body
                    .as_deref()
                    .and_then(|body| line(body, PREHEADER * 2))
                    .unwrap_or_default()
                    .into_owned();
                self.button(url.as_ref(), phrases.notice_button, phrases);
            }
            MessageContent::Plain {
                subject,
                text,
                html,
                ..
            } => {
                self.headline = line(subject, MAX_TITLE).unwrap_or_default();
                self.subject = self.headline.clone().into_owned();
                self.greeting = None;
                self.html = html.as_deref();
                self.body = match (text, html) {
                    (Some(text), _) => Some(visible(text)),
                    (None, html) => html
                        .as_deref()
                        .map(|html| Cow::Owned(html_to_text::text(html) + "\n")),
                };
                self.document = match (text, html) {
                    (_, Some(html)) => Some(html_to_text::document(html, Some(locale))),
                    (text, None) => text
                        .as_deref()
                        .map(|text| html_to_text::html(&visible(text), Some(locale))),
                };
            }
        }
    }

    fn code(&mut self, code: Option<&'a Code>) {
        self.code = code.map(Code::expose);
        self.large_code = self.code.is_none_or(|code| code.len() <= LARGE_CODE);
        self.code_groups = self.code.map(groups).unwrap_or_default();
    }

    /// Lines of text; in columns, where its author has set it in columns.
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

    /// What is said where somebody entered an address, perhaps another's.
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

/// Only where the producer said how long: how long its code really lives, nobody else knows.
fn validity(
    renderer: &Renderer,
    message: &MessageRequest,
    context: &MailContext<'_>,
    phrases: &Phrases,
    locale: Locale,
) -> Option<String> {
    let is_entrusted = !matches!(
        message.content,
        MessageContent::SystemNotice { .. } | MessageContent::Plain { .. }
    );
    let life = message.expires_in.filter(|_| is_entrusted)?.duration();
    let (now, zone) = (context.created_at, &renderer.settings.timezone);
    let until = facts::soon_text(now.after(life), now, locale, zone);
    Some([phrases.valid_for(life), fill(phrases.valid_until, &until)].concat())
}

/// A code of six to eight digits in two groups, as people read it out; any other as it is.
fn groups(code: &str) -> Vec<&str> {
    if !(6..=8).contains(&code.len()) || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return vec![code];
    }
    let (head, tail) = code.split_at(code.len() / 2);
    vec![head, tail]
}
