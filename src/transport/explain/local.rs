//! Troubles in which no server said anything, or that are seen before one is asked.

/// Defines the troubles with the key under which the table has their row.
macro_rules! troubles {
    ($($(#[$doc:meta])* $variant:ident = $key:literal,)+) => {
        /// What can go wrong without a reply, or instead of one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum LocalError { $($(#[$doc])* $variant,)+ }

        impl LocalError {
            /// Every trouble, in the order of the definition.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its key in the table, also its name in JSON and logs.
            pub const fn key(self) -> &'static str {
                match self { $(Self::$variant => $key,)+ }
            }
        }
    };
}

troubles! {
    /// The host name does not exist.
    DnsNotFound = "dns_not_found",
    /// The name server does not answer.
    DnsTemporary = "dns_temporary",
    /// Nothing listens on that port.
    ConnectRefused = "connect_refused",
    /// No answer to the connection attempt.
    ConnectTimeout = "connect_timeout",
    /// No route to the host or its network.
    NetworkUnreachable = "network_unreachable",
    /// TLS on a plain port, or the other way round.
    TlsWrongVersion = "tls_wrong_version",
    /// The certificate is not accepted, for a reason without a name of its own.
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
    /// The server speaks nothing newer than TLS 1.1.
    TlsTooOld = "tls_too_old",
    /// No common cipher suite.
    TlsNoCipher = "tls_no_cipher",
    /// The handshake broke off.
    TlsHandshake = "tls_handshake",
    /// STARTTLS is required and not offered.
    StarttlsNotOffered = "starttls_not_offered",
    /// STARTTLS is offered and then refused.
    StarttlsRefused = "starttls_refused",
    /// Bytes stood behind the 220 to STARTTLS.
    StarttlsResidue = "starttls_residue",
    /// No TLS, and a password that may only travel encrypted.
    PasswordNeedsTls = "password_needs_tls",
    /// A login is configured, AUTH is not offered.
    AuthNotOffered = "auth_not_offered",
    /// None of the login methods offered is spoken here.
    AuthMechanism = "auth_mechanism",
    /// The provider wants the login as `from`, and it is another address.
    FromRefused = "from_refused",
    /// No 220 in time.
    GreetingTimeout = "greeting_timeout",
    /// No reply in time, after the greeting and before the final dot.
    ReplyTimeout = "reply_timeout",
    /// The server closed the connection before the payload without a reply.
    ClosedWithoutReply = "closed_without_reply",
    /// The server closed the connection after refusing the login.
    ClosedAfterAuth = "closed_after_535",
    /// What came is no line of SMTP.
    NotSmtp = "not_smtp",
    /// The server answered before it was asked.
    OutOfStep = "out_of_step",
    /// The address needs SMTPUTF8, which is not offered.
    Smtputf8NotOffered = "smtputf8_not_offered",
    /// The mail is larger than the SIZE that the server announced.
    TooLarge = "too_large",
    /// The connection was lost before the final dot was written.
    ClosedBeforeDataEnd = "closed_before_data_end",
    /// The connection was lost, or silent, after the final dot.
    LostAfterFinalDot = "lost_after_final_dot",
    /// The connection broke after the server had taken the mail.
    ErrorAfterAccepted = "error_after_250",
    /// The token server takes the refresh token no more (`invalid_grant`).
    OauthConsentGone = "oauth_consent_gone",
    /// The token server refuses the client (`invalid_client`).
    OauthClientRefused = "oauth_client_refused",
    /// The token server grants no right to send.
    OauthScope = "oauth_scope",
    /// The token server's answer is no JSON.
    OauthNotJson = "oauth_not_json",
    /// The token server is out of reach or out of order.
    OauthUnreachable = "oauth_unreachable",
    /// The mail service's answer is no JSON.
    ApiNotJson = "api_not_json",
}

impl LocalError {
    /// Whether it concerns the whole server and not just one mail.
    pub(super) const fn is_server_wide(self) -> bool {
        !matches!(
            self,
            Self::Smtputf8NotOffered
                | Self::TooLarge
                | Self::ClosedBeforeDataEnd
                | Self::LostAfterFinalDot
                | Self::ErrorAfterAccepted
        )
    }
}
