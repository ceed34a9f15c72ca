//! TLS towards HTTP services: one way to set it up, for every room that calls out by HTTP.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file with a further root certificate cannot be read.
    #[error("cannot read the root certificates in {path}: {source}")]
    ExtraRoot {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// The file holds no certificate.
    #[error("no certificate in {0}")]
    NoCertificate(String),
    /// The library refuses its settings.
    #[error("cannot set up TLS: {0}")]
    Setup(#[from] rustls::Error),
}

/// TLS 1.2 or later by ring, without a certificate of our own. Servers are verified against the
/// system's roots and, when given, those of the PEM file `extra_root`. Handed to the HTTP library
/// ready-made, which panics when it is to set it up itself and the process has no default provider.
///
/// # Errors
/// When `extra_root` cannot be read or holds no certificate, or TLS cannot be set up.
pub fn client_config(extra_root: Option<&Path>) -> Result<rustls::ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = extra_root.map(read_roots).transpose()?.unwrap_or_default();
    let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = match rustls_platform_verifier::Verifier::new_with_extra_roots(
        roots.iter().cloned(),
        provider,
    ) {
        Ok(verifier) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier)),
        Err(error) if roots.is_empty() => {
            // A machine without root certificates can still talk to a service on its own loopback;
            // any other certificate is refused.
            tracing::warn!(%error, "no root certificates on this machine: every https address will be refused");
            builder.with_root_certificates(rustls::RootCertStore::empty())
        }
        Err(error) => return Err(error.into()),
    };
    Ok(builder.with_no_client_auth())
}

fn read_roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let shown = || path.display().to_string();
    let unreadable = |source| TlsError::ExtraRoot {
        path: shown(),
        source,
    };
    let roots = CertificateDer::pem_file_iter(path)
        .map_err(unreadable)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    if roots.is_empty() {
        Err(TlsError::NoCertificate(shown()))
    } else {
        Ok(roots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_set_up_in_a_process_without_a_default_provider() {
        client_config(None).unwrap();
    }

    #[test]
    fn a_root_file_that_is_missing_or_empty_is_named() {
        let missing = client_config(Some(Path::new("/nonexistent/ca.pem"))).unwrap_err();
        assert!(
            missing.to_string().contains("/nonexistent/ca.pem"),
            "{missing}"
        );
        let empty = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(
            client_config(Some(empty.path())),
            Err(TlsError::NoCertificate(_))
        ));
    }
}
