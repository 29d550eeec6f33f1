//! One HTTP/1.1 connection over a Unix socket.

use crate::error::Error;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use openbits_api::socket::{Endpoint, SocketError};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::timeout;

pub(crate) type Request = http::Request<Full<Bytes>>;
pub(crate) type Response = http::Response<Incoming>;

/// Time for the kernel and the handshake: both are local.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// A connection that carries one request after another.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

/// How a request failed.
pub(crate) enum Failure {
    /// It never left: it may be sent again on another connection.
    NotSent,
    /// It left, and no answer came.
    Lost,
}

impl Connection {
    /// Connects, and checks who is behind the socket.
    pub(crate) async fn open(endpoint: &Endpoint) -> Result<Self, Error> {
        let unreachable = |source| Error::Unreachable { path: endpoint.path.clone(), source };
        let connect = async {
            let stream = UnixStream::connect(&endpoint.path).await.map_err(unreachable)?;
            if let Some(expected) = endpoint.owner {
                let found = stream.peer_cred().map_err(unreachable)?.uid();
                if found != expected {
                    return Err(SocketError::Owner { path: endpoint.path.clone(), expected, found }.into());
                }
            }
            // One write for each request, never writev: of the two only `write` tells the kernel to send no SIGPIPE, and the client
            // may be in a program that dies of one.
            let (sender, connection) = Builder::new()
                .writev(false)
                .handshake(TokioIo::new(stream))
                .await
                .map_err(|e| Error::Protocol(format!("no HTTP connection: {e}")))?;
            tokio::spawn(async move {
                // How the connection ended shows in the request that was under way.
                let _ = connection.await;
            });
            Ok(Self { sender })
        };
        timeout(CONNECT_TIME, connect).await.map_err(|_| Error::Timeout(CONNECT_TIME))?
    }

    /// Still fit for another request, as far as one can tell.
    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn send(&mut self, request: Request) -> Result<Response, Failure> {
        if self.sender.ready().await.is_err() {
            return Err(Failure::NotSent);
        }
        self.sender.try_send_request(request).await.map_err(|mut e| match e.take_message() {
            Some(_) => Failure::NotSent,
            None => Failure::Lost,
        })
    }
}
