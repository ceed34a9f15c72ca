//! A record of every message that a scripted server has seen, for an oracle to compare with what was
//! promised.

use std::time::Instant;

use super::Mail;

/// The result for a message whose final dot arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Kept, and answered with 2xx.
    Taken,
    /// Kept, but not answered with 2xx.
    Kept,
    /// Not kept, without a reply.
    Dropped,
    /// Not kept, and rejected.
    Refused,
}

impl Fate {
    /// Whether the recipient has the message.
    pub fn is_kept(self) -> bool {
        matches!(self, Self::Taken | Self::Kept)
    }

    pub(super) fn kept(self) -> Self {
        if self == Self::Taken {
            Self::Taken
        } else {
            Self::Kept
        }
    }
}

/// One final dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `X-Jobbell-Event`; empty if the message has none.
    pub event: String,
    /// `Message-ID`; empty if the message has none.
    pub message_id: String,
    /// The addresses of RCPT TO that were accepted.
    pub to: Vec<String>,
    /// The client's life in which the connection was opened, from 0.
    pub life: usize,
    /// The time of the final dot.
    pub at: Instant,
    /// The result.
    pub fate: Fate,
}

impl Entry {
    pub(super) fn of(mail: &Mail, life: usize, fate: Fate) -> Self {
        let head = mail
            .data
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .map_or(&*mail.data, |end| &mail.data[..end]);
        let head = String::from_utf8_lossy(head);
        let header = |name: &str| {
            head.lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        Self {
            event: header("X-Jobbell-Event:"),
            message_id: header("Message-ID:"),
            to: mail.to.clone(),
            life,
            at: Instant::now(),
            fate,
        }
    }
}
