//! Routing: plans the deliveries of an event. Pure.

use crate::domain::{
    Delivery, DeliveryId, Event, JobEvent, JobStatus, Lane, MailKind, Plan, Recipient,
    SuppressReason, Timestamp,
};
use std::time::Duration;

/// How deliveries are handled while `smtp.enable` is false.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Disabled {
    /// They are recorded as suppressed.
    #[default]
    Drop,
    /// They wait in the queue until sending is enabled.
    Hold,
}

/// One entry of `email.allowed_recipients`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// One address.
    Address(Recipient),
    /// Every mailbox of a domain (`*@example.com`), in ASCII and lower case, except for addresses
    /// that a server of the domain may relay elsewhere.
    Domain(String),
}

impl Allowed {
    /// Parses `boss@example.org` or `*@example.com`.
    ///
    /// # Errors
    /// If the text is neither.
    pub fn parse(text: &str) -> Result<Self, crate::domain::AddressError> {
        match text.trim().strip_prefix("*@") {
            Some(domain) => Recipient::parse(&format!("any@{domain}"))
                .map(|any| Self::Domain(any.domain().to_owned())),
            None => Recipient::parse(text).map(Self::Address),
        }
    }

    /// Whether it matches the recipient.
    pub fn covers(&self, recipient: &Recipient) -> bool {
        match self {
            Self::Address(address) => address.same_mailbox(recipient),
            Self::Domain(domain) => {
                recipient.domain() == domain && !may_be_forwarded(recipient.local())
            }
        }
    }
}

/// Whether a mail server may interpret a local part as another address (`victim%evil.org` and
/// `evil.org!victim`: Postfix's `allow_percent_hack` and `swap_bangpath`, both on by default), or as
/// a file or program (rejected by Exim's default configuration).
fn may_be_forwarded(local: &str) -> bool {
    local.contains(['%', '!', '/', '|', '@', ':', '"', '\\'])
}

/// The rules that turn an event into deliveries, from the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routes {
    /// `smtp.enable`.
    pub enabled: bool,
    /// How deliveries are handled while it is false.
    pub disabled: Disabled,
    /// Recipients of events that name none.
    pub default_to: Vec<Recipient>,
    /// Allowed recipients; empty means all.
    pub allowed: Vec<Allowed>,
    /// Whether success mails are sent.
    pub on_success: bool,
    /// Whether failure mails are sent.
    pub on_failure: bool,
    /// TTL of mails whose event sets none.
    pub expire_after: Duration,
    /// Domain of Message-IDs: that of `from`.
    pub message_id_domain: String,
    /// How long mails wait for their thumbnails; `None` means not at all.
    pub picture_wait: Option<Duration>,
}

/// Recipients and kind of the mails of an event.
struct Owed<'a> {
    to: &'a [Recipient],
    kind: MailKind,
    kind_on: bool,
    lane: Lane,
}

/// The event names no recipient and none is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no recipient: set `to` in the event, or smtp.to as the default")]
pub struct NoRecipient;

impl Routes {
    /// Plans one delivery for each recipient of the event.
    ///
    /// # Errors
    /// If neither the event nor the configuration names a recipient. Messages must name their own.
    pub fn plan(&self, event: &Event, now: Timestamp) -> Result<Vec<Delivery>, NoRecipient> {
        let owed = match event {
            Event::Job(job) => self.owed_for_job(job),
            Event::Message(message) => Owed {
                to: &message.to,
                kind: message.content.kind(),
                kind_on: true,
                lane: Lane::Urgent,
            },
        };
        if owed.to.is_empty() {
            return Err(NoRecipient);
        }
        let expires_at = now.after(event.ttl().unwrap_or(self.expire_after));
        let not_before = self.wait_of(event, now).unwrap_or(now);
        let deliver = |recipient: &Recipient| {
            let id = DeliveryId::new(now);
            Delivery {
                id,
                event: event.id().clone(),
                recipient: recipient.clone(),
                kind: owed.kind,
                lane: owed.lane,
                plan: self.verdict(owed.kind_on, recipient, not_before),
                expires_at,
                created_at: now,
                message_id: format!("{}@{}", id.0.simple(), self.message_id_domain),
            }
        };
        Ok(owed.to.iter().map(deliver).collect())
    }

    fn owed_for_job<'a>(&'a self, job: &'a JobEvent) -> Owed<'a> {
        let to = if job.to.is_empty() {
            &self.default_to
        } else {
            &job.to
        };
        let (kind, kind_on) = match job.status {
            JobStatus::Succeeded => (MailKind::Success, self.on_success),
            JobStatus::Failed => (MailKind::Failure, self.on_failure),
        };
        Owed {
            to,
            kind,
            kind_on,
            lane: Lane::Normal,
        }
    }

    /// How long these deliveries of an event wait for its thumbnails; `None` means not at all.
    pub fn thumbnails_until(
        &self,
        event: &Event,
        deliveries: &[Delivery],
        now: Timestamp,
    ) -> Option<Timestamp> {
        self.wait_of(event, now).filter(|_| {
            deliveries
                .iter()
                .any(|delivery| matches!(delivery.plan, Plan::Send(_)))
        })
    }

    fn wait_of(&self, event: &Event, now: Timestamp) -> Option<Timestamp> {
        let has_pictures = matches!(event, Event::Job(job) if !job.images.is_empty());
        self.picture_wait
            .filter(|_| has_pictures)
            .map(|wait| now.after(wait))
    }

    /// Whether mails to this recipient are allowed.
    pub fn allows(&self, recipient: &Recipient) -> bool {
        self.allowed.is_empty() || self.allowed.iter().any(|rule| rule.covers(recipient))
    }

    fn verdict(&self, kind_on: bool, recipient: &Recipient, not_before: Timestamp) -> Plan {
        if !kind_on {
            Plan::Suppress(SuppressReason::KindOff)
        } else if !self.allows(recipient) {
            Plan::Suppress(SuppressReason::NotAllowed)
        } else if !self.enabled && self.disabled == Disabled::Drop {
            Plan::Suppress(SuppressReason::Disabled)
        } else {
            Plan::Send(not_before)
        }
    }
}
