//! A transport that keeps mails in memory, for tests of the dispatcher.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::permits::ConnectionPermits;
use crate::clock::Fence;
use crate::domain::{Email, Failure, Receipt, Reply, ServerName, Stage};

/// How many mails can be sent at a time.
pub(crate) const MAX_CONNECTIONS: usize = 64;

#[derive(Debug, Default)]
struct Kept {
    mails: Vec<Email>,
    next: VecDeque<Failure>,
    always: Option<Box<Failure>>,
}

/// Keeps mails, and fails on request.
#[derive(Debug)]
pub struct Memory {
    name: ServerName,
    permits: ConnectionPermits,
    kept: Mutex<Kept>,
}

impl Memory {
    /// A transport that accepts every mail.
    pub fn new(name: impl Into<ServerName>) -> Self {
        Self {
            name: name.into(),
            permits: ConnectionPermits::new(MAX_CONNECTIONS),
            kept: Mutex::default(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name.
    pub const fn name(&self) -> &ServerName {
        &self.name
    }

    pub(super) const fn permits(&self) -> &ConnectionPermits {
        &self.permits
    }

    /// The mails accepted so far.
    pub fn mails(&self) -> Vec<Email> {
        self.kept().mails.clone()
    }

    /// Adds a failure for one of the next mails.
    pub fn fail_next(&self, failure: Failure) {
        self.kept().next.push_back(failure);
    }

    /// Fails every mail from now on, or none.
    pub fn fail_always(&self, failure: Option<Failure>) {
        self.kept().always = failure.map(Box::new);
    }

    /// Keeps the mail, or fails as requested.
    ///
    /// # Errors
    /// The requested failure, or that the fence is over.
    pub fn send(&self, email: &Email, fence: &Fence) -> Result<Receipt, Failure> {
        fence
            .check()
            .map_err(|_| Failure::lease_over(Stage::Mail))?;
        let mut kept = self.kept();
        if let Some(failure) = kept
            .next
            .pop_front()
            .or_else(|| kept.always.as_deref().cloned())
        {
            return Err(failure);
        }
        kept.mails.push(email.clone());
        Ok(Receipt {
            reply: Reply {
                code: 250,
                enhanced: Some("2.0.0".to_owned()),
                text: format!("kept as {}", kept.mails.len()),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{DeliveryId, FailureKind, Mailbox, Recipient, Timestamp};

    #[test]
    fn mails_are_kept_and_requested_failures_returned() {
        let mail = Email {
            delivery: DeliveryId::new(Timestamp::from_millis(0)),
            message_id: "a@example.com".to_owned(),
            date: Timestamp::from_millis(0),
            from: Mailbox::parse("notify@example.com").unwrap(),
            reply_to: Vec::new(),
            to: Recipient::parse("reader@example.org").unwrap(),
            subject: "Hello".to_owned(),
            text: String::new(),
            html: String::new(),
            inline: Vec::new(),
            headers: Vec::new(),
        };
        let failure = |stage| Failure {
            kind: FailureKind::Misconfigured,
            stage,
            reply: None,
            detail: String::new(),
            explanation: None,
        };
        let memory = Memory::new("memory");
        memory.fail_next(failure(Stage::Auth));
        memory.fail_always(Some(failure(Stage::Mail)));
        assert_eq!(
            memory.send(&mail, &Fence::none()).unwrap_err().stage,
            Stage::Auth
        );
        assert_eq!(
            memory.send(&mail, &Fence::none()).unwrap_err().stage,
            Stage::Mail
        );
        memory.fail_always(None);
        assert_eq!(memory.send(&mail, &Fence::none()).unwrap().reply.code, 250);
        assert_eq!(memory.mails(), [mail]);
    }
}
