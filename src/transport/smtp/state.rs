//! How far a session is with a mail, and in what state the mail leaves it.

/// In what state a session is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SessionState {
    /// The next mail can start.
    Ready,
    /// A transaction was refused half way: RSET goes first.
    NeedsReset,
    /// The connection is lost, or nobody knows which answer belongs to what. Only dropping helps.
    Broken,
}

/// How much of the present mail may have reached the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PayloadProgress {
    /// Nothing of its payload.
    Envelope,
    /// Bytes of it.
    Payload,
    /// All of it, before its first answer: a loss leaves open whether it was taken.
    All,
}
