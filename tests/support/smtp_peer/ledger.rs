//! What a scripted server writes down of every message, for an oracle to hold against what was
//! promised.

use std::time::Instant;

use super::Mail;

/// What became of a message whose final dot the server saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Kept, and a 2xx was answered.
    Taken,
    /// Kept, but the yes was withheld.
    Kept,
    /// Not kept, and nothing was answered.
    Dropped,
    /// Not kept, and that was answered.
    Refused,
}

impl Fate {
    /// Whether the recipient has it.
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
    /// `X-Jobbell-Event`; empty when the message had none.
    pub event: String,
    /// `Message-ID`; empty when the message had none.
    pub message_id: String,
    /// The addresses of RCPT TO that were accepted.
    pub to: Vec<String>,
    /// In which life of the client the connection was opened, counted from 0.
    pub life: usize,
    /// When.
    pub at: Instant,
    /// What became of it.
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
