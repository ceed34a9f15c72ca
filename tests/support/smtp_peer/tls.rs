//! Certificates of a scripted server, made when it starts.

use std::io::Write as _;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

/// The certificate of a server.
#[derive(Debug, Clone)]
pub struct Certificate {
    names: Vec<String>,
    expired: bool,
    only_tls12: bool,
    /// Self-signed if set; the value says whether it may sign others.
    self_signed: Option<bool>,
}

impl Default for Certificate {
    fn default() -> Self {
        Self {
            names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
            expired: false,
            only_tls12: false,
            self_signed: None,
        }
    }
}

pub(super) struct Server {
    pub(super) acceptor: TlsAcceptor,
    pub(super) ca_file: Arc<tempfile::NamedTempFile>,
}

impl Certificate {
    /// A certificate for another name.
    pub fn named(name: &str) -> Self {
        Self {
            names: vec![name.to_owned()],
            ..Self::default()
        }
    }

    /// A certificate that expired in the year 2000.
    pub fn expired() -> Self {
        Self {
            expired: true,
            ..Self::default()
        }
    }

    /// A valid certificate, with TLS 1.2 only.
    pub fn over_tls12() -> Self {
        Self {
            only_tls12: true,
            ..Self::default()
        }
    }

    /// A self-signed certificate. `issuer` also marks it as a CA, like `openssl req -x509` does by
    /// default.
    pub fn self_signed(issuer: bool) -> Self {
        Self {
            self_signed: Some(issuer),
            ..Self::default()
        }
    }

    pub(super) fn server(&self) -> Server {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority
            .distinguished_name
            .push(DnType::CommonName, "peer.test CA");
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let mut leaf = CertificateParams::new(self.names.clone()).unwrap();
        if self.expired {
            leaf.not_after = date_time_ymd(2000, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        if self.self_signed == Some(true) {
            leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let leaf = if self.self_signed.is_some() {
            leaf.self_signed(&key).unwrap()
        } else {
            leaf.signed_by(&key, &authority).unwrap()
        };
        let versions: &[&rustls::SupportedProtocolVersion] = if self.only_tls12 {
            &[&rustls::version::TLS12]
        } else {
            rustls::ALL_VERSIONS
        };
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_protocol_versions(versions)
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(
                    vec![leaf.der().clone()],
                    PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
                )
                .unwrap();
        let mut ca_file = tempfile::NamedTempFile::new().unwrap();
        let root = if self.self_signed.is_some() {
            leaf.pem()
        } else {
            authority.pem()
        };
        ca_file.write_all(root.as_bytes()).unwrap();
        Server {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            ca_file: Arc::new(ca_file),
        }
    }
}
