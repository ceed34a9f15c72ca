//! TLS settings of every HTTP client.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// An error while setting up TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file with additional root certificates cannot be read.
    #[error("cannot read the root certificates in {path}: {source}")]
    ExtraRoot {
        /// The file.
        path: String,
        /// The reason.
        source: rustls::pki_types::pem::Error,
    },
    /// The file contains no certificate.
    #[error("no certificate in {0}")]
    NoCertificate(String),
    /// rustls rejects the settings.
    #[error("cannot set up TLS: {0}")]
    Setup(#[from] rustls::Error),
}

/// TLS 1.2 or later with ring, without a client certificate. Servers are verified against the
/// system's root certificates and those of the PEM file `extra_root`. The HTTP client gets a complete
/// configuration, because reqwest panics if it has to build one without a default provider.
///
/// # Errors
/// If `extra_root` cannot be read or contains no certificate, or rustls rejects the settings.
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
            // Without root certificates, plain HTTP to a local service still works.
            tracing::warn!(%error, "this system has no root certificates; all HTTPS requests will fail");
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
    fn config_needs_no_default_provider() {
        client_config(None).unwrap();
    }

    #[test]
    fn missing_or_empty_root_file_is_named() {
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
