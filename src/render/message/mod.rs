//! The data of a message's templates: [`MessageView`], one serialisable value with texts cleaned
//! and bounded, but not escaped.

mod content;

use std::borrow::Cow;

use serde::Serialize;

use super::facts::Fact;
use super::locale::{Words, fill, words};
use super::phrases::{Phrases, phrases};
use super::text::{line, shorten};
use super::theme::Theme;
use super::{MailContext, Renderer, format};
use crate::domain::{Locale, MessageContent, MessageRequest};

/// Maximum width of the preview line that inboxes show.
const PREHEADER: usize = 100;
/// Maximum characters of a name, and its maximum width in a subject.
const MAX_NAME: (usize, usize) = (100, 40);

/// The data of a message's templates, named `mail`. Fields that [`super::view::View`] has too mean
/// the same.
#[derive(Debug, Serialize)]
pub struct MessageView<'a> {
    /// The words of the reader's language.
    pub words: &'static Words,
    /// Name, logo, colours and footer of the sender: those of `app` if given, else the configured
    /// ones. Named `look` because user templates refer to it.
    pub look: Cow<'a, Theme>,
    /// Prefix of the subject; empty, or ends with a space.
    pub subject_prefix: &'a str,
    /// The subject.
    pub subject: String,
    /// A few words about the mail.
    pub headline: Cow<'a, str>,
    /// The title of a notice.
    pub title: Option<Cow<'a, str>>,
    /// Facts below the headline; empty for messages.
    pub summary: Vec<String>,
    /// Preview line shown beside the subject.
    pub preheader: String,
    /// Greeting by name.
    pub greeting: Option<String>,
    /// The purpose of the mail, one sentence.
    pub lead: Option<String>,
    /// The code as given.
    pub code: Option<&'a str>,
    /// The code in the groups in which it is displayed: `483` and `921`.
    pub code_groups: Vec<&'a str>,
    /// Whether the code is short enough to display large.
    pub large_code: bool,
    /// The button.
    pub button: Option<Button<'a>>,
    /// How long the code or link is valid, if given by the producer.
    pub validity: Option<String>,
    /// Text of a notice or a plain mail, with `\n` line ends.
    pub body: Option<Cow<'a, str>>,
    /// Whether that text is set in columns and needs monospace.
    pub is_output: bool,
    /// HTML of a plain mail as given; must not be escaped.
    pub html: Option<&'a str>,
    /// The whole HTML part of a plain mail: a document around a fragment, or the text as HTML.
    pub document: Option<String>,
    /// Notes, one sentence each.
    pub notes: Vec<&'static str>,
    /// The table of facts; only for test mails.
    pub facts: Vec<Fact<'a>>,
    /// Footer: why it was sent to this address.
    pub sent_to: String,
    /// The message's ID; empty for codes and links.
    pub event_id: &'a str,
}

/// The button of a message.
#[derive(Debug, Serialize)]
pub struct Button<'a> {
    /// The link, http or https, not yet escaped.
    pub href: &'a str,
    /// Its text.
    pub label: &'static str,
    /// Text before the written-out link.
    pub or_copy: &'static str,
}

impl<'a> MessageView<'a> {
    /// Builds the view of a message.
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

    /// An empty view.
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
}

/// Shown only if the producer sent it: only the producer knows how long the code is valid.
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
    let until = format::soon_text(now.after(life), now, locale, zone);
    Some([phrases.valid_for(life), fill(phrases.valid_until, &until)].concat())
}
