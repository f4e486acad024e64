//! TLS for the API: rustls with ring, HTTP/1.1, a certificate that the operator brings.

use std::{path::Path, sync::Arc};

use rustls::{
    ServerConfig, SupportedCipherSuite,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::serve::ServeError;
use crate::config::TlsFiles;

/// A server configuration, and the SHA-256 of the node's own certificate (lowercase hex), by which clients pin it.
pub(super) fn load(files: &TlsFiles) -> Result<(Arc<ServerConfig>, String), ServeError> {
    let cert_error = |error: &dyn std::fmt::Display| wrong(&files.cert, "certificate", error);
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(&files.cert).and_then(Iterator::collect).map_err(|error| cert_error(&error))?;
    let Some(own) = chain.first() else { return Err(cert_error(&"there is none in it")) };
    let fingerprint = fingerprint(own);
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| wrong(&files.key, "private key", &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| cert_error(&error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| cert_error(&error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((Arc::new(config), fingerprint))
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    // rustls brings SHA-256 for its cipher suites; another crate for one hash is not needed.
    let suite = match ring::cipher_suite::TLS13_AES_128_GCM_SHA256 {
        SupportedCipherSuite::Tls13(suite) => &suite.common,
        SupportedCipherSuite::Tls12(suite) => &suite.common,
    };
    data_encoding::HEXLOWER.encode(suite.hash_provider.hash(certificate).as_ref())
}

fn wrong(path: &Path, what: &str, error: &dyn std::fmt::Display) -> ServeError {
    ServeError::Tls(format!("{}: not a usable PEM {what}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_sha_256() {
        // FIPS 180-2, appendix B.1.
        let abc = CertificateDer::from(b"abc".to_vec());
        assert_eq!(fingerprint(&abc), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn bad_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
        std::fs::write(&cert, "no certificate").unwrap();
        std::fs::write(&key, "no key").unwrap();
        let error = load(&TlsFiles { cert, key }).unwrap_err().to_string();
        assert!(error.contains("c.pem") && error.contains("there is none"), "{error}");
    }
}
