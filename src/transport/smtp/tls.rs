//! TLS towards a server: whom we trust, the handshake, and what a failed one means.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, pem};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, Error as TlsError, PeerIncompatible,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::capturing_verifier::CapturingVerifier;
use super::trace::TraceRecorder;
use super::{Settings, Tls};
use crate::transport::explain::LocalError;
use crate::transport::oauth::TokenError;

/// Why a server's TLS, or the login by token, cannot be set up. Found at start, before anything is
/// sent.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The file of `tls_ca_file` cannot be read or is no PEM.
    #[error("cannot read the certificates in {}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: pem::Error,
    },
    /// The file of `tls_ca_file` holds no certificate.
    #[error("there is no certificate in {}: a PEM file with BEGIN CERTIFICATE is wanted", .0.display())]
    NoCertificate(PathBuf),
    /// The host is neither a domain name nor an address.
    #[error("{0:?} is not a host name that a certificate could be for")]
    Host(String),
    /// This machine's trusted certificates cannot be used.
    #[error(
        "cannot set up TLS: {0}; install the system's CA certificates, or name a root certificate in tls_ca_file"
    )]
    Roots(String),
    /// The token server's settings do not work.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// Whom to trust for one server: the system's roots and those of `tls_ca_file`. The system's are
/// read when they are first needed.
#[derive(Debug)]
pub struct Trust {
    host: String,
    name: Option<ServerName<'static>>,
    extra: Vec<CertificateDer<'static>>,
    connector: OnceLock<Result<Connector, String>>,
}

#[derive(Clone)]
struct Connector {
    tls: TlsConnector,
    verifier: Arc<dyn ServerCertVerifier>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

impl Trust {
    /// Reads `tls_ca_file`; where TLS is certain to be used, makes sure that it can be.
    ///
    /// # Errors
    /// See [`SetupError`].
    pub fn new(settings: &Settings) -> Result<Self, SetupError> {
        let ascii = idna::domain_to_ascii(&settings.host).unwrap_or_else(|_| settings.host.clone());
        let trust = Self {
            host: settings.host.clone(),
            name: ServerName::try_from(settings.host.clone())
                .or_else(|_| ServerName::try_from(ascii))
                .ok(),
            extra: settings
                .tls_ca_file
                .as_deref()
                .map(certificates)
                .transpose()?
                .unwrap_or_default(),
            connector: OnceLock::new(),
        };
        if matches!(settings.tls, Tls::Implicit | Tls::Starttls) {
            trust
                .name
                .as_ref()
                .ok_or_else(|| SetupError::Host(settings.host.clone()))?;
            trust.connector().map_err(SetupError::Roots)?;
        }
        Ok(trust)
    }

    fn connector(&self) -> Result<Connector, String> {
        self.connector
            .get_or_init(|| self.connect_with_system_roots())
            .clone()
    }

    fn connect_with_system_roots(&self) -> Result<Connector, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(
            self.extra.iter().cloned(),
            Arc::clone(&provider),
        )
        .map_err(|error| error.to_string())?;
        let verifier: Arc<dyn ServerCertVerifier> = Arc::new(verifier);
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier))
            .with_no_client_auth();
        Ok(Connector {
            tls: TlsConnector::from(Arc::new(config)),
            verifier,
        })
    }

    /// Shakes hands; on failure says which trouble it is and, in one sentence, what to do. A
    /// recorder that keeps a transcript gets the certificate in either case.
    pub(super) async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        recorder: &TraceRecorder,
    ) -> Result<TlsStream<S>, (LocalError, String)> {
        let not_set_up = |why: SetupError| (LocalError::TlsCertificate, why.to_string());
        let name = self
            .name
            .clone()
            .ok_or_else(|| not_set_up(SetupError::Host(self.host.clone())))?;
        let connector = self
            .connector()
            .map_err(|why| not_set_up(SetupError::Roots(why)))?;
        if !recorder.keeps() {
            return connector
                .tls
                .connect(name, stream)
                .await
                .map_err(|error| self.explain(&error));
        }
        let capturing_verifier = Arc::new(CapturingVerifier::beside(connector.verifier));
        let mut config = ClientConfig::clone(connector.tls.config());
        config
            .dangerous()
            .set_certificate_verifier(Arc::<CapturingVerifier>::clone(&capturing_verifier));
        // A session taken up again shows no certificate.
        config.resumption = Resumption::disabled();
        let shaken = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await;
        recorder.note_certificate(capturing_verifier.seen());
        shaken.map_err(|error| self.explain(&error))
    }

    fn explain(&self, error: &io::Error) -> (LocalError, String) {
        explain(&self.host, error)
    }
}

/// What a failed handshake with `host` means, without the words of the TLS library, which are for
/// its own developers.
fn explain(host: &str, error: &io::Error) -> (LocalError, String) {
    use AlertDescription::{HandshakeFailure, InsufficientSecurity, ProtocolVersion};
    let too_old = || {
        (
            LocalError::TlsTooOld,
            format!(
                "{host} speaks nothing newer than TLS 1.1; TLS 1.2 is the oldest version that is safe"
            ),
        )
    };
    match error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<TlsError>())
    {
        Some(TlsError::InvalidCertificate(fault)) => certificate_advice(host, fault),
        Some(TlsError::InvalidMessage(_)) => {
            let why = format!(
                "{host} does not speak TLS at once on this port: tls = \"starttls\", or another port, may be right"
            );
            (LocalError::TlsWrongVersion, why)
        }
        Some(
            TlsError::AlertReceived(ProtocolVersion)
            | TlsError::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
        ) => too_old(),
        Some(
            TlsError::PeerIncompatible(_)
            | TlsError::AlertReceived(HandshakeFailure | InsufficientSecurity),
        ) => {
            let why = format!(
                "{host} and Jobbell have no cipher suite in common: the server probably offers only the RSA key exchange or other suites without forward secrecy (ECDHE)"
            );
            (LocalError::TlsNoCipher, why)
        }
        Some(TlsError::AlertReceived(alert)) => (
            LocalError::TlsHandshake,
            format!("{host} broke off the TLS handshake with the alert {alert:?}"),
        ),
        Some(TlsError::PeerMisbehaved(_)) => (
            LocalError::TlsHandshake,
            format!("{host} broke the rules of TLS during the handshake"),
        ),
        Some(other) => (
            LocalError::TlsHandshake,
            format!("the TLS handshake with {host} failed: {}", variant(other)),
        ),
        None if error.kind() == io::ErrorKind::UnexpectedEof => (
            LocalError::TlsHandshake,
            "the server closed the connection during the TLS handshake".to_owned(),
        ),
        None => (
            LocalError::TlsHandshake,
            format!("the TLS handshake failed: {error}"),
        ),
    }
}

/// The name of an error of the TLS library, as a last resort: its fields are left out.
fn variant(error: &impl std::fmt::Debug) -> String {
    let text = format!("{error:?}");
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let fault = |source| SetupError::CaFile {
        path: path.to_owned(),
        source,
    };
    let list: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(fault)?
        .collect();
    let list = list.map_err(fault)?;
    if list.is_empty() {
        Err(SetupError::NoCertificate(path.to_owned()))
    } else {
        Ok(list)
    }
}

fn certificate_advice(host: &str, fault: &CertificateError) -> (LocalError, String) {
    let weak = |what: &str| {
        (
            LocalError::CertificateWeak,
            format!("the certificate of {host} {what}: it cannot be used"),
        )
    };
    match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            let why = format!(
                "the certificate of {host} has expired: its operator must renew it, unless this machine's clock is wrong"
            );
            (LocalError::CertificateExpired, why)
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
            LocalError::CertificateNotYetValid,
            format!(
                "the certificate of {host} is not valid yet: this machine's clock may be wrong"
            ),
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            LocalError::CertificateName,
            format!(
                "the certificate is not for {host}: set host to the name that the certificate is for"
            ),
        ),
        CertificateError::UnknownIssuer => {
            let why = format!(
                "the certificate of {host} is signed by nobody known here: if it is your own server's, put its root certificate into a PEM file and name that in tls_ca_file"
            );
            (LocalError::CertificateSelfSigned, why)
        }
        // What `openssl req -x509` makes by default; no root store helps there.
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            let why = format!(
                "the certificate of {host} is self-signed and marked as an issuer's (CA:TRUE), which no server's may be: make one with basicConstraints = CA:FALSE, \
                 and name it in tls_ca_file"
            );
            (LocalError::CertificateSelfSigned, why)
        }
        other if format!("{other:?}").contains("UnsupportedCertVersion") => {
            weak("is of X.509 version 1 or 2; only version 3 names the host that it is for")
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            weak("or one that signs it uses a signature that is no longer safe, such as SHA-1")
        }
        // The verifier takes a key that is too short for one that does not fit the signature.
        CertificateError::BadSignature => weak(
            "or one that signs it does not fit its signature; mostly its RSA key is shorter than 2048 bits",
        ),
        CertificateError::Revoked => (
            LocalError::TlsCertificate,
            format!("the certificate of {host} has been revoked by its issuer"),
        ),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => (
            LocalError::TlsCertificate,
            format!(
                "the certificate of {host} is not for servers (its extended key usage lacks serverAuth)"
            ),
        ),
        other => (
            LocalError::TlsCertificate,
            format!(
                "the certificate of {host} is not accepted: {}",
                variant(other)
            ),
        ),
    }
}

/// A connection, in clear or encrypted.
#[derive(Debug)]
pub(super) enum Channel<S> {
    Plain(S),
    Encrypted(Box<TlsStream<S>>),
}

impl<S> Channel<S> {
    /// `TLSv1_3` and the cipher, for a transcript; empty in clear.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Plain(_) => String::new(),
            Self::Encrypted(stream) => {
                let connection = stream.get_ref().1;
                let version = connection
                    .protocol_version()
                    .map(|version| format!("{version:?}"))
                    .unwrap_or_default();
                let cipher = connection
                    .negotiated_cipher_suite()
                    .map(|suite| format!("{:?}", suite.suite()))
                    .unwrap_or_default();
                format!("{version} {cipher}")
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Channel<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Encrypted(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Channel<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Encrypted(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Encrypted(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Encrypted(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls::{OtherError, PeerMisbehaved};

    use super::*;

    fn explained(error: TlsError) -> (LocalError, String) {
        explain(
            "mail.example.com",
            &io::Error::new(io::ErrorKind::InvalidData, error),
        )
    }

    /// Stands for `webpki::Error::UnsupportedCertVersion`, whose crate is no dependency of ours.
    #[derive(Debug, thiserror::Error)]
    #[error("UnsupportedCertVersion")]
    struct UnsupportedCertVersion;

    #[test]
    fn certificates_too_old_to_be_safe_are_named() {
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
            let (trouble, why) = explained(fault.into());
            assert_eq!(trouble, LocalError::CertificateWeak);
            assert!(
                why.contains(words) && !why.contains('{') && !why.contains("Error"),
                "{why}"
            );
        }
    }

    #[test]
    fn missing_ciphers_and_old_versions_are_told_apart() {
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
            let (trouble, why) = explained(error);
            assert_eq!(trouble, expected, "{why}");
            assert!(!why.contains('{'), "{why}");
        }
    }
}
