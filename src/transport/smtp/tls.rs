//! TLS to a mail server: trusted certificates and the handshake.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, pem};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::capturing_verifier::CapturingVerifier;
use super::tls_errors::explain;
use super::trace::TraceRecorder;
use super::{Settings, Tls};
use crate::transport::explain::LocalError;
use crate::transport::oauth::TokenError;

/// Why TLS or the login by token cannot be set up. Reported at startup, before any mail is sent.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The file that `tls_ca_file` names cannot be read or is not PEM.
    #[error("cannot read the certificates in {}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: pem::Error,
    },
    /// The file that `tls_ca_file` names contains no certificate.
    #[error("there is no certificate in {}: expected a PEM file with BEGIN CERTIFICATE", .0.display())]
    NoCertificate(PathBuf),
    /// The host is neither a domain name nor an IP address.
    #[error("{0:?} is not a host name that a certificate could be issued for")]
    Host(String),
    /// The system's root certificates cannot be used.
    #[error(
        "cannot set up TLS: {0}; install the system's CA certificates, or set tls_ca_file to a root certificate"
    )]
    Roots(String),
    /// The settings of the token server are unusable.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// The certificates trusted for one server: the system's roots and those of `tls_ca_file`. The
/// system's roots are read on first use.
#[derive(Debug)]
pub struct Trust {
    host: String,
    name: Option<ServerName<'static>>,
    extra: Vec<CertificateDer<'static>>,
    connector: OnceLock<Result<Connector, String>>,
}

/// The configuration for one server, and the verifier in it.
#[derive(Debug, Clone)]
struct Connector {
    config: Arc<ClientConfig>,
    verifier: Arc<dyn ServerCertVerifier>,
}

/// The stream of a session: `Left` is not encrypted, `Right` is.
pub(super) type Channel<S> = Either<S, Box<TlsStream<S>>>;

impl Trust {
    /// Reads `tls_ca_file`, and if TLS is required, the system's roots.
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
            config: Arc::new(config),
            verifier,
        })
    }

    /// Performs the handshake. A failure comes with one sentence on what to do. If `recorder` keeps
    /// a transcript, it receives the server's certificate, trusted or not.
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
        let Connector {
            mut config,
            verifier,
        } = self
            .connector()
            .map_err(|why| not_set_up(SetupError::Roots(why)))?;
        let capturing = recorder
            .has_transcript()
            .then(|| Arc::new(CapturingVerifier::new(verifier)));
        if let Some(verifier) = &capturing {
            let verifier = Arc::<CapturingVerifier>::clone(verifier);
            let config = Arc::make_mut(&mut config);
            config.dangerous().set_certificate_verifier(verifier);
            // The server sends no certificate when a session is resumed.
            config.resumption = Resumption::disabled();
        }
        let connected = TlsConnector::from(config).connect(name, stream).await;
        if let Some(verifier) = capturing {
            recorder.record_certificate(verifier.take());
        }
        connected.map_err(|error| explain(&self.host, &error))
    }
}

/// TLS version and cipher suite of a stream.
pub(super) fn describe<S>(stream: &TlsStream<S>) -> String {
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
