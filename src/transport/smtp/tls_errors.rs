//! What a failed TLS handshake means, with advice for the operator. The messages of rustls, which
//! address developers, do not appear in it.

use std::io;

use rustls::{AlertDescription, CertificateError, Error as TlsError, PeerIncompatible};

use crate::transport::explain::LocalError;

/// Explains a failed handshake with `host`.
pub(super) fn explain(host: &str, error: &io::Error) -> (LocalError, String) {
    use AlertDescription::{HandshakeFailure, InsufficientSecurity, ProtocolVersion};
    let tls_error = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<TlsError>());
    match tls_error {
        Some(TlsError::InvalidCertificate(fault)) => explain_certificate(host, fault),
        Some(TlsError::InvalidMessage(_)) => (
            LocalError::TlsWrongVersion,
            format!(
                "{host} does not speak TLS at once on this port: tls = \"starttls\", or another port, may be right"
            ),
        ),
        Some(
            TlsError::AlertReceived(ProtocolVersion)
            | TlsError::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
        ) => (
            LocalError::TlsTooOld,
            format!(
                "{host} supports nothing newer than TLS 1.1; TLS 1.2 is the oldest version that is safe"
            ),
        ),
        Some(
            TlsError::PeerIncompatible(_)
            | TlsError::AlertReceived(HandshakeFailure | InsufficientSecurity),
        ) => (
            LocalError::TlsNoCipher,
            format!(
                "{host} and Jobbell have no cipher suite in common: the server probably offers only the RSA key exchange or other suites without forward secrecy (ECDHE)"
            ),
        ),
        other => (
            LocalError::TlsHandshake,
            match other {
                Some(TlsError::AlertReceived(alert)) => {
                    format!("{host} ended the TLS handshake with the alert {alert:?}")
                }
                Some(TlsError::PeerMisbehaved(_)) => {
                    format!("{host} violated the TLS protocol during the handshake")
                }
                Some(other) => {
                    format!("the TLS handshake with {host} failed: {}", variant(other))
                }
                None if error.kind() == io::ErrorKind::UnexpectedEof => {
                    "the server closed the connection during the TLS handshake".to_owned()
                }
                None => format!("the TLS handshake failed: {error}"),
            },
        ),
    }
}

fn explain_certificate(host: &str, fault: &CertificateError) -> (LocalError, String) {
    const WEAK: LocalError = LocalError::CertificateWeak;
    const SELF_SIGNED: LocalError = LocalError::CertificateSelfSigned;
    const OTHER: LocalError = LocalError::TlsCertificate;
    let unnamed;
    let (error, problem) = match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            LocalError::CertificateExpired,
            "has expired: its operator must renew it, unless this machine's clock is wrong",
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
            LocalError::CertificateNotYetValid,
            "is not valid yet: this machine's clock may be wrong",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            LocalError::CertificateName,
            "is not valid for that name: set host to the name that the certificate is for",
        ),
        CertificateError::UnknownIssuer => (
            SELF_SIGNED,
            "has an unknown issuer: if the server is your own, save its root certificate as a PEM file and set tls_ca_file to that path",
        ),
        // The default of `openssl req -x509`. Adding it to the roots does not help.
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => (
            SELF_SIGNED,
            "is self-signed and marked as an issuer's (CA:TRUE), which a server certificate must not be: \
             make one with basicConstraints = CA:FALSE, and set tls_ca_file to it",
        ),
        other if format!("{other:?}").contains("UnsupportedCertVersion") => (
            WEAK,
            "cannot be used: it is of X.509 version 1 or 2; only version 3 names the host that it is for",
        ),
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => (
            WEAK,
            "cannot be used: it or one of its issuers has a signature that is no longer safe, such as SHA-1",
        ),
        // The verifier reports a key that is too short as a bad signature.
        CertificateError::BadSignature => (
            WEAK,
            "cannot be used: its signature or that of an issuer is invalid; usually an RSA key is shorter than 2048 bits",
        ),
        CertificateError::Revoked => (OTHER, "has been revoked by its issuer"),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => (
            OTHER,
            "is not for servers (its extended key usage lacks serverAuth)",
        ),
        other => {
            unnamed = format!("is not accepted: {}", variant(other));
            (OTHER, unnamed.as_str())
        }
    };
    (error, format!("the certificate of {host} {problem}"))
}

/// The name of an error variant of rustls, without its fields.
fn variant(error: &impl std::fmt::Debug) -> String {
    let text = format!("{error:?}");
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{OtherError, PeerMisbehaved};

    use super::*;

    fn explained(error: TlsError) -> (LocalError, String) {
        explain(
            "mail.example.com",
            &io::Error::new(io::ErrorKind::InvalidData, error),
        )
    }

    /// Replaces `webpki::Error::UnsupportedCertVersion`; we do not depend on that crate.
    #[derive(Debug, thiserror::Error)]
    #[error("UnsupportedCertVersion")]
    struct UnsupportedCertVersion;

    #[test]
    fn weak_certificates_get_an_explanation_of_their_own() {
        let version = CertificateError::Other(OtherError(Arc::new(UnsupportedCertVersion)));
        let sha1 = CertificateError::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: vec![6, 9],
            supported_algorithms: Vec::new(),
        };
        for (fault, words) in [
            (version, "X.509 version 1"),
            (sha1, "SHA-1"),
            (CertificateError::BadSignature, "2048 bits"),
        ] {
            let (found, why) = explained(fault.into());
            assert_eq!(found, LocalError::CertificateWeak);
            assert!(
                why.contains(words) && !why.contains('{') && !why.contains("Error"),
                "{why}"
            );
        }
    }

    #[test]
    fn handshake_failures_are_told_apart() {
        let cases = [
            (
                TlsError::AlertReceived(AlertDescription::HandshakeFailure),
                LocalError::TlsNoCipher,
            ),
            (
                TlsError::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
                LocalError::TlsNoCipher,
            ),
            (
                TlsError::AlertReceived(AlertDescription::ProtocolVersion),
                LocalError::TlsTooOld,
            ),
            (
                TlsError::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
                LocalError::TlsTooOld,
            ),
            (
                TlsError::AlertReceived(AlertDescription::InternalError),
                LocalError::TlsHandshake,
            ),
            (
                TlsError::PeerMisbehaved(PeerMisbehaved::TooMuchEarlyDataReceived),
                LocalError::TlsHandshake,
            ),
            (
                TlsError::General("a { b }".to_owned()),
                LocalError::TlsHandshake,
            ),
        ];
        for (error, expected) in cases {
            let (found, why) = explained(error);
            assert_eq!(found, expected, "{why}");
            assert!(!why.contains('{'), "{why}");
        }
    }
}
