//! One connection to the back-end: TCP, TLS or a Unix socket.

use super::Failure;
use super::target::{Target, Way};
use super::unreachable;
use crate::respond::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Makes connections; the certificates of the system are read when the first `https` back-end is told.
pub(super) struct Connector {
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl Connector {
    pub(super) fn new() -> Self {
        Self { tls: OnceLock::new() }
    }

    fn tls(&self) -> Result<TlsConnector, Failure> {
        let config = self.tls.get_or_init(|| {
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let builder = ClientConfig::builder_with_provider(provider);
            let builder = builder.with_safe_default_protocol_versions().map_err(|e| e.to_string())?;
            let builder = builder.with_platform_verifier().map_err(|e| e.to_string())?;
            Ok(Arc::new(builder.with_no_client_auth()))
        });
        config.clone().map(TlsConnector::from).map_err(Failure::Unreachable)
    }

    pub(super) async fn connect(
        &self,
        target: &Target,
        deadline: Duration,
    ) -> Result<SendRequest<Body>, Failure> {
        let connecting = async {
            match &target.way {
                Way::Unix(path) => open(UnixStream::connect(path).await.map_err(unreachable)?).await,
                Way::Tcp { host, port, tls } => {
                    let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(unreachable)?;
                    if !tls {
                        return open(stream).await;
                    }
                    let name = ServerName::try_from(host.clone()).map_err(unreachable)?;
                    open(self.tls()?.connect(name, stream).await.map_err(unreachable)?).await
                }
            }
        };
        timeout(deadline, connecting).await.map_err(|_| Failure::TimedOut)?
    }
}

async fn open(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<SendRequest<Body>, Failure> {
    let (sender, connection) = handshake(TokioIo::new(io)).await.map_err(unreachable)?;
    // Ends with the exchange: nothing keeps the sender.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to the back-end ended");
        }
    });
    Ok(sender)
}

/// Sends the request and waits for the answer's header. A large upload by value may take as long as it needs, as
/// long as it moves: the deadline counts from its last byte.
pub(super) async fn send(
    mut sender: SendRequest<Body>,
    request: Request<Body>,
    deadline: Duration,
) -> Result<Response<Incoming>, Failure> {
    let (body, mut progress) = watched(request);
    let mut answer = std::pin::pin!(sender.send_request(body));
    loop {
        tokio::select! {
            response = &mut answer => return response.map_err(unreachable),
            moved = timeout(deadline, progress.recv()) => match moved {
                Ok(Some(())) => {}
                Ok(None) => return timeout(deadline, answer).await.map_err(|_| Failure::TimedOut)?.map_err(unreachable),
                Err(_) => return Err(Failure::TimedOut),
            },
        }
    }
}

fn watched(request: Request<Body>) -> (Request<Body>, tokio::sync::mpsc::Receiver<()>) {
    use http_body_util::BodyExt;
    let (tell, hear) = tokio::sync::mpsc::channel(1);
    let request = request.map(|body| {
        body.map_frame(move |frame| {
            let _ = tell.try_send(());
            frame
        })
        .boxed_unsync()
    });
    (request, hear)
}
