//! Errors detected locally, without a reply from the server.

use serde::{Deserialize, Serialize};

use crate::domain::named::named;

named! {
    /// An error detected locally, without a reply or instead of one. Its name is the key of its row
    /// in the table.
    LocalError {
        /// The host name does not exist.
        DnsNotFound = "dns_not_found",
        /// The DNS server does not answer.
        DnsTemporary = "dns_temporary",
        /// Nothing listens on that port.
        ConnectRefused = "connect_refused",
        /// No answer to the connection attempt.
        ConnectTimeout = "connect_timeout",
        /// No route to the host or its network.
        NetworkUnreachable = "network_unreachable",
        /// TLS on a plain port or the reverse.
        TlsWrongVersion = "tls_wrong_version",
        /// The certificate is rejected for a reason not listed below.
        TlsCertificate = "tls_certificate",
        /// The certificate has expired.
        CertificateExpired = "certificate_expired",
        /// The certificate is not valid yet.
        CertificateNotYetValid = "certificate_not_yet_valid",
        /// The certificate is self-signed or of an unknown issuer.
        CertificateSelfSigned = "certificate_self_signed",
        /// The certificate is for another name.
        CertificateName = "certificate_name",
        /// The certificate's format, signature or key is too old to be safe.
        CertificateWeak = "certificate_weak",
        /// The server supports nothing newer than TLS 1.1.
        TlsTooOld = "tls_too_old",
        /// No common cipher suite.
        TlsNoCipher = "tls_no_cipher",
        /// The handshake failed for another reason.
        TlsHandshake = "tls_handshake",
        /// STARTTLS is required and not offered.
        StarttlsNotOffered = "starttls_not_offered",
        /// STARTTLS is offered and then refused.
        StarttlsRefused = "starttls_refused",
        /// Unencrypted bytes followed the 220 to STARTTLS.
        StarttlsResidue = "starttls_residue",
        /// No TLS, and the password may only be sent encrypted.
        PasswordNeedsTls = "password_needs_tls",
        /// A login is configured, but AUTH is not offered.
        AuthNotOffered = "auth_not_offered",
        /// None of the login methods offered is supported here.
        AuthMechanism = "auth_mechanism",
        /// The provider requires the login as `from`, which is another address.
        FromRefused = "from_refused",
        /// No 220 in time.
        GreetingTimeout = "greeting_timeout",
        /// No reply in time, after the greeting and before the final dot.
        ReplyTimeout = "reply_timeout",
        /// The server closed the connection before the payload without a reply.
        ClosedWithoutReply = "closed_without_reply",
        /// The server sent something that is not SMTP.
        NotSmtp = "not_smtp",
        /// The server sent a reply before the command.
        OutOfStep = "out_of_step",
        /// The address needs SMTPUTF8, which is not offered.
        Smtputf8NotOffered = "smtputf8_not_offered",
        /// The mail is larger than the SIZE that the server announced.
        TooLarge = "too_large",
        /// The connection was lost before the final dot was written.
        ClosedBeforeDataEnd = "closed_before_data_end",
        /// The connection was lost or timed out after the final dot.
        LostAfterFinalDot = "lost_after_final_dot",
        /// The response of the mail service's API is not JSON.
        ApiNotJson = "api_not_json",
    }
}

impl LocalError {
    /// Whether it affects the whole server and not just one mail.
    pub(super) const fn is_server_wide(self) -> bool {
        !matches!(
            self,
            Self::Smtputf8NotOffered
                | Self::TooLarge
                | Self::ClosedBeforeDataEnd
                | Self::LostAfterFinalDot
        )
    }
}
