//! Renders an event as a mail: subject, text and HTML in the reader's language. Pure.
//!
//! [`view::View`] and [`message::MessageView`] collect the content, cleaned and bounded; the
//! templates under `templates/email/` lay it out; `filters` escape, wrap and break long words. The
//! layout uses only what mail clients support: tables, inline styles, one column of 600 pixels. Its
//! single `<style>` block adds the dark scheme and narrower margins. To change a mail, edit its
//! templates, run `JOBBELL_UPDATE_GOLDEN=1 cargo test --test it render`, then review
//! `tests/it/golden/*.html`.

mod advice;
pub mod buttons;
pub mod colour;
pub mod facts;
mod failure;
mod filters;
pub mod format;
pub mod gallery;
mod headers;
pub(crate) mod html_to_text;
mod links;
pub mod lint;
pub mod locale;
pub mod message;
mod output;
mod passages;
mod phrases;
pub mod privacy;
mod prompt_redactor;
mod subject;
mod templates;
mod test_mail;
pub mod text;
pub mod theme;
#[cfg(feature = "user-templates")]
pub mod user_templates;
#[cfg(not(feature = "user-templates"))]
#[path = "user_templates_stub.rs"]
pub mod user_templates;
pub mod view;

use tracing::warn;

pub use test_mail::TestMail;
pub use theme::Brand;

use crate::domain::{
    DeliveryId, Email, Event, Link, Locale, MailKind, Mailbox, Recipient, ThumbnailResult,
    Timestamp,
};

/// Settings of the renderer.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The language of events that name none.
    pub locale: Locale,
    /// The time zone in which times are shown.
    pub timezone: jiff::tz::TimeZone,
    /// Base of links to local paths of images.
    pub public_url: Option<Link>,
    /// Prefix of every subject.
    pub subject_prefix: String,
    /// Name, logo, colour and footer.
    pub brand: Brand,
    /// How much of the prompts is shown.
    pub privacy: privacy::Privacy,
    /// The operator's own templates.
    pub user_templates: Option<user_templates::UserTemplates>,
    /// The sender.
    pub from: Mailbox,
    /// Where replies go, if not to `from`.
    pub reply_to: Vec<Mailbox>,
}

/// The facts of a delivery that its mail needs.
#[derive(Debug, Clone, Copy)]
pub struct MailContext<'a> {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Its Message-ID without angle brackets.
    pub message_id: &'a str,
    /// The recipient.
    pub recipient: &'a Recipient,
    /// The kind of mail.
    pub kind: MailKind,
    /// When it was accepted; the mail's Date.
    pub created_at: Timestamp,
    /// Thumbnails of the event's images, if enabled.
    pub pictures: Option<&'a [ThumbnailResult]>,
}

/// The mail cannot be rendered; the delivery ends as unrenderable.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A template failed.
    #[error("cannot fill a template")]
    Template(#[source] askama::Error),
}

/// Renders mails according to its settings.
#[derive(Debug, Clone)]
pub struct Renderer {
    settings: Settings,
    look: theme::Theme,
    subject_prefix: String,
    /// The event at which it panics, in tests.
    #[cfg(test)]
    breaks_at: Option<&'static str>,
}

impl Renderer {
    /// Creates a renderer; cleans the configured texts once.
    pub fn new(settings: Settings) -> Self {
        let look = theme::Theme::new(&settings.brand, settings.from.name.as_deref());
        let subject_prefix = text::line(&settings.subject_prefix, 60)
            .map(|prefix| [&prefix, " "].concat())
            .unwrap_or_default();
        Self {
            settings,
            look,
            subject_prefix,
            #[cfg(test)]
            breaks_at: None,
        }
    }

    /// Whether rendering may block: user templates are filled by a child process.
    pub const fn may_block(&self) -> bool {
        self.settings.user_templates.is_some()
    }

    /// A renderer that panics at one event.
    #[cfg(test)]
    pub(crate) fn breaking_at(self, event: &'static str) -> Self {
        Self {
            breaks_at: Some(event),
            ..self
        }
    }

    #[cfg(test)]
    fn break_down_at(&self, event: &Event) {
        assert_ne!(self.breaks_at, Some(event.id().as_str()), "on purpose");
    }

    /// Renders the mail to one recipient of an event, in the event's language or the configured
    /// one. Equal arguments give identical mails; the HTML part stays below 60 kB for any event,
    /// except for plain mails written by the producer.
    ///
    /// # Errors
    /// If a template fails; the built-in ones do not.
    pub fn render(&self, event: &Event, context: &MailContext<'_>) -> Result<Email, RenderError> {
        #[cfg(test)]
        self.break_down_at(event);
        let (email, fault) = self.render_checked(event, context)?;
        if let Some(fault) = fault {
            warn!(event = %event.id(), "user template failed; sending the built-in mail instead: {fault}");
        }
        Ok(email)
    }

    /// Renders the mail, and returns the error of the user templates if the built-in mail replaced
    /// them.
    ///
    /// # Errors
    /// As [`Renderer::render`].
    pub fn render_checked(
        &self,
        event: &Event,
        context: &MailContext<'_>,
    ) -> Result<(Email, Option<user_templates::TemplateError>), RenderError> {
        let own = self.settings.user_templates.as_ref();
        let (parts, fault, inline) = match event {
            Event::Job(job) => {
                let view = view::View::of_job(self, job, context);
                let mut parts =
                    templates::fill_job(job.status, &view).map_err(RenderError::Template)?;
                let fault =
                    own.and_then(|own| own.overlay(context.kind.as_str(), &view, &mut parts).err());
                (
                    parts,
                    fault,
                    view.gallery
                        .inline
                        .iter()
                        .map(gallery::Inline::part)
                        .collect(),
                )
            }
            Event::Message(message) => {
                let view = message::MessageView::of(self, message, context);
                let mut parts = templates::fill_message(&message.content, &view)
                    .map_err(RenderError::Template)?;
                let fault =
                    own.and_then(|own| own.overlay(context.kind.as_str(), &view, &mut parts).err());
                (parts, fault, Vec::new())
            }
        };
        let email = Email {
            delivery: context.delivery,
            message_id: context.message_id.to_owned(),
            date: context.created_at,
            from: self.settings.from.clone(),
            reply_to: self.settings.reply_to.clone(),
            to: context.recipient.clone(),
            subject: parts.subject,
            text: parts.text,
            html: parts.html,
            inline,
            headers: headers::headers(event, context),
        };
        Ok((email, fault))
    }
}
