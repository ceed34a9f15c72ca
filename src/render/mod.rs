//! From an event to a mail: subject, text and HTML in the reader's language. Pure.
//!
//! [`view::View`] and [`message::MessageView`] gather what a mail shows, cleaned and bounded; the
//! templates under `templates/email/` place it; `filters` escape, wrap and let words break on the
//! way out. The look keeps to what mail programs understand: tables, inline styles, one column of
//! 600 pixels. Its one `<style>` block only adds dark colours and narrower margins for those that
//! read it. To change a mail, change its templates and run `JOBBELL_UPDATE_GOLDEN=1 cargo test
//! --test it render`, then look at `tests/it/golden/*.html`.

mod advice;
pub mod buttons;
pub mod colour;
pub mod facts;
mod failure;
mod filters;
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

/// What rendering needs of the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The language of events that name none.
    pub locale: Locale,
    /// How times are shown.
    pub timezone: jiff::tz::TimeZone,
    /// Makes a link of an image's local path.
    pub public_url: Option<Link>,
    /// Put before every subject.
    pub subject_prefix: String,
    /// Name, logo, colour and footer.
    pub brand: Brand,
    /// How much of the prompts is shown.
    pub privacy: privacy::Privacy,
    /// Templates of the operator's own.
    pub user_templates: Option<user_templates::UserTemplates>,
    /// Whom mails come from.
    pub from: Mailbox,
    /// Where answers go, when not to `from`.
    pub reply_to: Vec<Mailbox>,
}

/// The facts of a delivery that its mail needs, borrowed from whoever holds the lease.
#[derive(Debug, Clone, Copy)]
pub struct MailContext<'a> {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Its Message-ID without angle brackets.
    pub message_id: &'a str,
    /// Where the mail goes.
    pub recipient: &'a Recipient,
    /// Which mail.
    pub kind: MailKind,
    /// When it was accepted; the mail's Date.
    pub created_at: Timestamp,
    /// What became of the event's pictures, where small copies of them were asked for.
    pub pictures: Option<&'a [ThumbnailResult]>,
}

/// The mail could not be rendered; the delivery ends as unrenderable.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A template failed.
    #[error("a template could not be filled")]
    Template(#[source] askama::Error),
}

/// Renders mails by the configuration that it was made with.
#[derive(Debug, Clone)]
pub struct Renderer {
    settings: Settings,
    look: theme::Theme,
    subject_prefix: String,
    /// The event at which it breaks down, for tests of what becomes of the others.
    #[cfg(test)]
    breaks_at: Option<&'static str>,
}

impl Renderer {
    /// A renderer for these settings; texts of the configuration are cleaned once, here.
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

    /// Whether rendering may block for a while: templates of the operator's own are filled by a
    /// child process.
    pub const fn may_block(&self) -> bool {
        self.settings.user_templates.is_some()
    }

    /// The same, but that it breaks down at one event.
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

    /// Renders the mail that tells one recipient of an event, in the event's language or the
    /// configured one. The same arguments give the same mail, byte for byte; the HTML part stays
    /// below 60 kB whatever the event holds, except where a producer wrote a plain mail itself.
    ///
    /// # Errors
    /// When a template fails; the built-in ones do not.
    pub fn render(&self, event: &Event, context: &MailContext<'_>) -> Result<Email, RenderError> {
        #[cfg(test)]
        self.break_down_at(event);
        let (email, fault) = self.render_checked(event, context)?;
        if let Some(fault) = fault {
            warn!(event = %event.id(), "the built-in mail goes out in the place of the one of your own templates: {fault}");
        }
        Ok(email)
    }

    /// The same, with what is wrong with the operator's own templates where the mail had to do
    /// without them.
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
