//! A connection, plain or TLS, that can be closed well or badly.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

/// Bytes a client may send ahead while its answer stalls.
const STASH_LIMIT: usize = 64 * 1024;
/// How long a regular close waits for the client's own.
const LINGER: Duration = Duration::from_millis(300);
/// Time for sent bytes to arrive before a reset throws away what is still in the send buffer.
const BEFORE_RESET: Duration = Duration::from_millis(30);

/// A connection.
#[derive(Debug)]
pub(crate) struct Conn {
    io: Io,
    /// Bytes read while watching for the end of the connection.
    stash: Vec<u8>,
}

#[derive(Debug)]
enum Io {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}

impl Conn {
    pub(crate) fn plain(stream: TcpStream) -> Self {
        Self { io: Io::Plain(stream), stash: Vec::new() }
    }

    #[cfg(feature = "tls")]
    pub(crate) fn tls(stream: tokio_rustls::server::TlsStream<TcpStream>) -> Self {
        Self { io: Io::Tls(Box::new(stream)), stash: Vec::new() }
    }

    /// True when ALPN chose HTTP/2.
    #[cfg(feature = "h2")]
    pub(crate) fn speaks_h2(&self) -> bool {
        match &self.io {
            Io::Plain(_) => false,
            Io::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    fn tcp(&self) -> &TcpStream {
        match &self.io {
            Io::Plain(stream) => stream,
            #[cfg(feature = "tls")]
            Io::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Returns when the client has closed its side or the connection failed. What it sends is kept for later reads.
    pub(crate) async fn gone(&mut self) {
        let mut piece = [0; 4096];
        while self.stash.len() < STASH_LIMIT {
            let read = match &mut self.io {
                Io::Plain(stream) => stream.read(&mut piece).await,
                #[cfg(feature = "tls")]
                Io::Tls(stream) => stream.read(&mut piece).await,
            };
            match read {
                Ok(0) | Err(_) => return,
                Ok(got) => self.stash.extend_from_slice(&piece[..got]),
            }
        }
        std::future::pending::<()>().await;
    }

    /// Closes in the regular way: the client sees all bytes, then the end (with TLS, close_notify).
    pub(crate) async fn close(mut self) {
        // The client may be gone already; then there is nobody to tell.
        let _ = self.shutdown().await;
        self.drain().await;
    }

    /// Closes the TCP connection in the regular way, without the goodbye of TLS.
    pub(crate) async fn cut(mut self) {
        let _ = SockRef::from(self.tcp()).shutdown(Shutdown::Write);
        self.drain().await;
    }

    /// Resets the connection (RST).
    pub(crate) async fn reset(self) {
        tokio::time::sleep(BEFORE_RESET).await;
        reset(self.tcp());
    }

    /// Closing with unread bytes would send a reset: read until the client closes, for a while.
    async fn drain(&mut self) {
        self.stash.clear();
        let _ = tokio::time::timeout(LINGER, self.gone()).await;
    }
}

/// Makes the coming close of the socket a reset. Fails only for a socket that is not connected any more.
pub(crate) fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

impl AsyncRead for Conn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.stash.is_empty() {
            let len = self.stash.len().min(buf.remaining());
            buf.put_slice(&self.stash[..len]);
            self.stash.drain(..len);
            return Poll::Ready(Ok(()));
        }
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            #[cfg(feature = "tls")]
            Io::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Conn {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            #[cfg(feature = "tls")]
            Io::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_flush(cx),
            #[cfg(feature = "tls")]
            Io::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(feature = "tls")]
            Io::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
