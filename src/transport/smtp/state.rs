//! The state of a session between mails, and the progress of the current one.

/// The state of a session between mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SessionState {
    /// Ready for the next mail.
    Ready,
    /// A transaction was refused, so RSET must be sent first.
    NeedsReset,
    /// The connection is lost, or replies and commands are out of step. It must be dropped.
    Broken,
}

/// How much of the current mail may have reached the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PayloadProgress {
    /// None of the payload.
    Envelope,
    /// Part of the payload.
    Payload,
    /// All of the payload. If the connection is lost now, it is unknown whether the mail was
    /// accepted.
    All,
}
