//! The test mail, in the same layout as all others.

use std::borrow::Cow;

use super::facts::{Fact, Set};
use super::locale::{fill, words};
use super::message::MessageView;
use super::phrases::phrases;
use super::{RenderError, Renderer, templates};
use crate::domain::{Locale, Recipient};

/// Content of a test mail.
#[derive(Debug)]
pub struct TestMail {
    /// The result, in a few words.
    pub headline: String,
    /// Paragraphs.
    pub paragraphs: Vec<String>,
    /// Label and value of each fact.
    pub facts: Vec<(&'static str, String)>,
}

impl Renderer {
    /// Renders the text and the HTML part of a test mail.
    ///
    /// # Errors
    /// If a template fails; the built-in ones do not.
    pub fn test_mail(
        &self,
        mail: &TestMail,
        locale: Locale,
        to: &Recipient,
    ) -> Result<(String, String), RenderError> {
        let facts = mail
            .facts
            .iter()
            .map(|(label, value)| (*label, Cow::Borrowed(value.as_str()), Set::Wide));
        let view = MessageView {
            headline: Cow::Borrowed(&mail.headline),
            preheader: mail
                .paragraphs
                .first()
                .cloned()
                .unwrap_or_default()
                .chars()
                .take(100)
                .collect(),
            body: Some(mail.paragraphs.join("\n\n").into()),
            facts: Fact::table(facts),
            sent_to: fill(phrases(locale).sent_to, to.as_str()),
            ..MessageView::empty(
                words(locale),
                Cow::Borrowed(&self.look),
                &self.subject_prefix,
            )
        };
        templates::fill_notice(&view)
            .map(|parts| (parts.text, parts.html))
            .map_err(RenderError::Template)
    }
}
