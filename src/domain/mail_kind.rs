//! The kinds of mails.

use serde::{Deserialize, Serialize};

use super::named::named;

named! {
    /// The kind of a mail, which decides its template.
    MailKind {
        /// A job succeeded.
        Success = "success",
        /// A job failed.
        Failure = "failure",
        /// A code to type in.
        VerificationCode = "verification_code",
        /// A code or a link to set a new password.
        PasswordReset = "password_reset",
        /// A link that verifies an address.
        VerifyLink = "verify_link",
        /// A notice of the operator.
        SystemNotice = "system_notice",
        /// Subject and content from the producer.
        Plain = "plain",
    }
}

impl MailKind {
    /// Whether such a mail contains a code or a link that gives access to an account.
    pub const fn holds_secret(self) -> bool {
        matches!(
            self,
            Self::VerificationCode | Self::PasswordReset | Self::VerifyLink
        )
    }
}
