//! HTTPS and HTTP/2 of the origin.
#![cfg(feature = "h2")]
#![allow(clippy::unwrap_used)] // helpers of tests, which the lint does not know as tests

mod raw;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openbits_testkit::{Behaviour, Certificate, Content, Door, Origin, OriginFile, OriginOptions};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

fn origin(certificate: Certificate) -> Origin {
    let options = OriginOptions { https: Some(certificate), http2: true, ..OriginOptions::default() };
    Origin::start_with(options).unwrap()
}

async fn connect(origin: &Origin, alpn: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(origin.ca_pem().unwrap().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let tcp = TcpStream::connect(origin.https_addr().unwrap()).await?;
    let name = ServerName::try_from("localhost").unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

/// What an HTTP/2 client sees of one request.
#[derive(Debug)]
struct Seen {
    status: u16,
    has_length: bool,
    body: Vec<u8>,
    /// It broke off; the code of RST_STREAM when that was why.
    broken: Option<Option<h2::Reason>>,
    /// The code of the GOAWAY that ended the connection.
    goaway: Option<h2::Reason>,
}

async fn get(origin: &Origin, name: &str) -> Result<Seen, h2::Error> {
    let tls = connect(origin, "h2").await.unwrap();
    let (mut send, connection) = h2::client::handshake(tls).await?;
    let connection = tokio::spawn(connection);
    let request = http::Request::get(format!("https://localhost/{name}")).body(()).unwrap();
    let (response, _) = send.send_request(request, true)?;
    let response = response.await?;
    let has_length = response.headers().contains_key("content-length");
    let status = response.status().as_u16();
    let mut body = response.into_body();
    let mut seen = Seen { status, has_length, body: Vec::new(), broken: None, goaway: None };
    while let Some(piece) = body.data().await {
        match piece {
            Ok(piece) => {
                let piece: Bytes = piece;
                body.flow_control().release_capacity(piece.len())?;
                seen.body.extend_from_slice(&piece);
            }
            Err(error) => {
                seen.broken = Some(error.reason());
                break;
            }
        }
    }
    drop((send, body));
    if let Err(error) = connection.await.expect("the connection's task does not panic")
        && error.is_go_away()
        && error.is_remote()
    {
        seen.goaway = error.reason();
    }
    Ok(seen)
}

fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(10), test).await.expect("in time") });
}

#[test]
fn http1_over_tls() {
    run(async {
        let origin = origin(Certificate::Good);
        origin.put("f", Content::new(1, 10));
        let mut tls = connect(&origin, "http/1.1").await.unwrap();
        tls.write_all(b"GET /f HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut got = Vec::new();
        tls.read_to_end(&mut got).await.unwrap();
        assert!(
            got.starts_with(b"HTTP/1.1 200 OK\r\n") && got.ends_with(&Content::new(1, 10).byte_range(0, 10))
        );
        assert_eq!((origin.log()[0].door, origin.log()[0].version), (Door::Tls, 11));
    });
}

#[test]
fn wrong_certificates_are_wrong() {
    run(async {
        for (certificate, word) in [
            (Certificate::Expired, "Expired"),
            (Certificate::NotYetValid, "NotValidYet"),
            (Certificate::WrongName, "NotValidForName"),
            (Certificate::WrongUsage, "Purpose"),
        ] {
            let error = connect(&origin(certificate), "h2").await.unwrap_err();
            assert!(format!("{error:?}").contains(word), "{error:?}");
        }
    });
}

#[test]
fn http2_is_good_and_has_its_faults() {
    run(async {
        let origin = origin(Certificate::Good);
        let content = Content::new(1, 300_000);
        let put = |behaviour| {
            origin.put("f", OriginFile::new(content.clone()).at(100_000).behaviour(behaviour));
        };
        put(Behaviour::Good);
        let seen = get(&origin, "f").await.unwrap();
        assert!(seen.status == 200 && seen.has_length && seen.broken.is_none());
        assert_eq!((seen.body.len(), content.first_difference(0, &seen.body)), (300_000, None));
        assert_eq!((origin.log()[0].version, origin.sent("f")), (20, 300_000));

        put(Behaviour::NoContentLength);
        let seen = get(&origin, "f").await.unwrap();
        assert!(!seen.has_length && seen.body.len() == 300_000 && seen.broken.is_none());

        put(Behaviour::ShortReset);
        let seen = get(&origin, "f").await.unwrap();
        assert_eq!((seen.broken, seen.goaway), (Some(Some(h2::Reason::INTERNAL_ERROR)), None));

        put(Behaviour::Goaway);
        // On a busy machine the end of the connection may be seen before the frame that came ahead of it.
        let mut seen = get(&origin, "f").await.unwrap();
        for _ in 0..5 {
            if seen.goaway.is_none() {
                seen = get(&origin, "f").await.unwrap();
            }
        }
        // The stream is below the GOAWAY's last one: what breaks it is the end of the connection after it.
        assert_eq!((seen.broken, seen.goaway), (Some(None), Some(h2::Reason::INTERNAL_ERROR)));
        assert_eq!(seen.body.len(), 100_000);

        put(Behaviour::GarbageStatus);
        let error = get(&origin, "f").await.unwrap_err();
        assert_eq!(error.reason(), Some(h2::Reason::HTTP_1_1_REQUIRED));
    });
}
