//! The API over TLS, with the node's own certificate pinned.

use std::sync::Arc;

use super::daemon::{Daemon, exchange};
use axum::body::Body;
use griot_node::config::TlsFiles;
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName};
use tokio_rustls::TlsConnector;

#[tokio::test]
async fn a_pinned_certificate_is_spoken_to_and_another_is_not() {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let files = tempfile::tempdir().unwrap();
    let tls = TlsFiles { cert: files.path().join("api.crt"), key: files.path().join("api.key") };
    std::fs::write(&tls.cert, own.cert.pem()).unwrap();
    std::fs::write(&tls.key, own.signing_key.serialize_pem()).unwrap();
    let daemon = Daemon::start(|config| config.api.tls = Some(tls)).await;
    assert_eq!(daemon.server.fingerprint().unwrap().len(), 64);

    let connect = async |trusted: &rcgen::Certificate| {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, daemon.tcp().await).await
    };
    let request = || hyper::Request::get("/health/live").header("host", "any.example").body(Body::empty()).unwrap();
    assert_eq!(exchange(connect(&own.cert).await.unwrap(), request()).await.status, 200);
    assert!(connect(&other.cert).await.is_err());
    // Plain HTTP on the TLS port gets no answer.
    let plain = hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(daemon.tcp().await)).await;
    let (mut sender, connection) = plain.unwrap();
    let connection = tokio::spawn(connection);
    assert!(sender.send_request(request()).await.is_err());
    drop(sender);
    connection.abort();
    daemon.stop().await;
}
