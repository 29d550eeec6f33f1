//! The hostile origin: an HTTP server on loopback that answers as badly as it is told to.

mod bad;
mod conn;
mod file;
mod good;
#[cfg(feature = "h2")]
mod h2;
mod log;
mod plan;
mod request;
mod send;
mod serve;
mod state;
mod throttle;
#[cfg(feature = "tls")]
mod tls;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::background::Background;
use crate::behaviour::Behaviour;
use crate::content::Content;
use crate::wait::wait_until;
pub(crate) use conn::reset;
pub use file::{Etag, OriginFile};
pub use log::{Door, Exchange, Outcome};
pub use state::OnAccept;
use state::Shared;
pub(crate) use throttle::Throttle;
#[cfg(feature = "tls")]
pub use tls::Certificate;

/// How to start an [`Origin`].
#[derive(Debug, Clone)]
pub struct OriginOptions {
    /// Address of the main port; port 0 lets the kernel choose. Default 127.0.0.1:0.
    pub listen: SocketAddr,
    /// Connections served at once; further ones are reset. Default 1024.
    pub max_connections: usize,
    /// How long an idle connection is kept. Default 60 s.
    pub idle: Duration,
    /// Serve HTTPS on a port of its own with this certificate. Default none.
    #[cfg(feature = "tls")]
    pub https: Option<Certificate>,
    /// Offer HTTP/2 there, by ALPN. Default no.
    #[cfg(feature = "h2")]
    pub http2: bool,
}

impl Default for OriginOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            max_connections: 1024,
            idle: Duration::from_secs(60),
            #[cfg(feature = "tls")]
            https: None,
            #[cfg(feature = "h2")]
            http2: false,
        }
    }
}

/// A running origin. It has its own thread and stops, with all its connections, when dropped.
///
/// ```
/// use openbits_testkit::{Content, Origin};
/// let origin = Origin::start();
/// origin.put("file", Content::new(1, 5 << 20));
/// assert!(origin.url("file").starts_with("http://127.0.0.1:"));
/// ```
#[derive(Debug)]
pub struct Origin {
    shared: Arc<Shared>,
    ca_pem: Option<String>,
    _thread: Background,
}

impl Origin {
    /// Starts on free ports of loopback.
    ///
    /// # Panics
    /// When no port can be bound or no thread started.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(OriginOptions::default())
            .expect("loopback has a free port and the process a free thread")
    }

    /// Starts as told.
    ///
    /// # Errors
    /// When a port cannot be bound or the thread not be started.
    pub fn start_with(options: OriginOptions) -> io::Result<Self> {
        let main = listen(options.listen)?;
        let other = listen(SocketAddr::new(options.listen.ip(), 0))?;
        #[cfg_attr(not(feature = "tls"), allow(unused_mut))]
        let mut ca_pem = None;
        #[cfg_attr(not(feature = "tls"), allow(unused_mut))]
        let mut secure: Option<(TcpListener, serve::Greeting)> = None;
        #[cfg(feature = "tls")]
        if let Some(certificate) = options.https {
            let (acceptor, pem) = tls::acceptor(certificate, alpn(&options))?;
            ca_pem = Some(pem);
            let listener = listen(SocketAddr::new(options.listen.ip(), 0))?;
            secure = Some((listener, serve::Greeting::Tls(acceptor)));
        }
        let shared = Arc::new(Shared::new(
            main.local_addr()?,
            other.local_addr()?,
            secure.as_ref().map(|(listener, _)| listener.local_addr()).transpose()?,
            options.max_connections,
            options.idle,
        ));
        let state = Arc::clone(&shared);
        let thread = Background::start("hostile-origin", move || async move {
            let bound = "a bound, non-blocking socket can be registered";
            let main = tokio::net::TcpListener::from_std(main).expect(bound);
            let other = tokio::net::TcpListener::from_std(other).expect(bound);
            tokio::join!(
                serve::accept(Arc::clone(&state), main, Door::Main, serve::Greeting::Plain),
                serve::accept(Arc::clone(&state), other, Door::Other, serve::Greeting::Plain),
                async {
                    if let Some((listener, greeting)) = secure {
                        let listener = tokio::net::TcpListener::from_std(listener).expect(bound);
                        serve::accept(Arc::clone(&state), listener, Door::Tls, greeting).await;
                    }
                },
            );
        })?;
        Ok(Self { shared, ca_pem, _thread: thread })
    }

    /// Address of the main port.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.shared.main
    }

    /// Address of the second plain port.
    #[must_use]
    pub fn other_addr(&self) -> SocketAddr {
        self.shared.other
    }

    /// URL of a file at the main port.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.shared.main)
    }

    /// URL of the same file at the second port: another origin for credentials.
    #[must_use]
    pub fn other_url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.shared.other)
    }

    /// URL of the same file at the HTTPS port, with the host localhost; `None` when HTTPS was not asked for.
    #[must_use]
    pub fn https_url(&self, name: &str) -> Option<String> {
        self.shared.tls.map(|addr| format!("https://localhost:{}/{name}", addr.port()))
    }

    /// Address of the HTTPS port.
    #[must_use]
    pub fn https_addr(&self) -> Option<SocketAddr> {
        self.shared.tls
    }

    /// The authority that signed the HTTPS certificate, as PEM, for the client to trust.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// Puts a file there, with its counters at zero.
    ///
    /// # Panics
    /// When the origin already has 100,000 files.
    pub fn put(&self, name: &str, file: impl Into<OriginFile>) {
        assert!(self.shared.put(name, file.into()), "the origin is full");
    }

    /// Replaces the contents and validators of a file, keeping behaviour, counters and brakes; answers under way go on
    /// with the old ones. Given a plain [`Content`], the validators are those that follow from it. Returns false when
    /// there is no such file.
    pub fn replace(&self, name: &str, file: impl Into<OriginFile>) -> bool {
        let Some(entry) = self.shared.entry(name) else { return false };
        let fresh = file.into();
        let mut old = entry.file();
        old.content = fresh.content;
        old.etag = fresh.etag;
        old.last_modified = fresh.last_modified;
        true
    }

    /// Changes how a file behaves from the next request on; counting for [`OriginFile::times`] starts anew.
    pub fn set_behaviour(&self, name: &str, behaviour: Behaviour) -> bool {
        let Some(entry) = self.shared.entry(name) else { return false };
        entry.gets.store(0, Ordering::SeqCst);
        entry.file().set_behaviour(behaviour);
        true
    }

    /// Takes a file away: 404 from then on. Returns false when it was not there.
    pub fn remove(&self, name: &str) -> bool {
        self.shared.remove(name)
    }

    /// The contents a file has now (behaviours that change it in mid-download change this).
    #[must_use]
    pub fn content(&self, name: &str) -> Option<Content> {
        Some(self.shared.entry(name)?.file().content.clone())
    }

    /// All requests so far, in order of arrival; the last 100,000 are remembered.
    #[must_use]
    pub fn log(&self) -> Vec<Exchange> {
        self.shared.log.select(|_| true)
    }

    /// The requests for one file.
    #[must_use]
    pub fn requests(&self, name: &str) -> Vec<Exchange> {
        self.shared.log.select(|exchange| exchange.name == name)
    }

    /// Forgets all requests so far.
    pub fn clear_log(&self) {
        self.shared.log.clear();
    }

    /// Waits until `count` requests for a file have been answered to their end.
    #[must_use]
    pub fn wait_for_answers(&self, name: &str, count: usize, timeout: Duration) -> bool {
        wait_until(timeout, || {
            self.requests(name).iter().filter(|exchange| exchange.outcome != Outcome::Open).count() >= count
        })
    }

    /// Bytes of a file handed to the kernel so far, of all answers together; 0 for an unknown file. The client may have
    /// got less.
    #[must_use]
    pub fn sent(&self, name: &str) -> u64 {
        self.shared.entry(name).map_or(0, |entry| entry.sent.load(Ordering::SeqCst))
    }

    /// Sends no byte of the file at or beyond `offset` from now on, until [`Origin::release`].
    pub fn hold(&self, name: &str, offset: u64) -> bool {
        self.set_hold(name, Some(offset))
    }

    /// Ends the hold.
    pub fn release(&self, name: &str) -> bool {
        self.set_hold(name, None)
    }

    fn set_hold(&self, name: &str, hold: Option<u64>) -> bool {
        self.shared.entry(name).is_some_and(|entry| {
            entry.hold.send_replace(hold);
            true
        })
    }

    /// Answers that stand at the hold of a file now.
    #[must_use]
    pub fn held(&self, name: &str) -> usize {
        self.shared.entry(name).map_or(0, |entry| entry.held.load(Ordering::SeqCst))
    }

    /// Waits until an answer stands at the hold.
    #[must_use]
    pub fn wait_held(&self, name: &str, timeout: Duration) -> bool {
        wait_until(timeout, || self.held(name) > 0)
    }

    /// Limits all answers for a file together to this many bytes per second; `None` takes the limit off.
    pub fn throttle(&self, name: &str, bytes_per_s: Option<u64>) -> bool {
        self.shared.entry(name).is_some_and(|entry| {
            entry.throttle.set(bytes_per_s);
            true
        })
    }

    /// Limits all answers of this origin together.
    pub fn throttle_all(&self, bytes_per_s: Option<u64>) {
        self.shared.throttle.set(bytes_per_s);
    }

    /// What to do with new connections, at every door.
    pub fn on_accept(&self, what: OnAccept) {
        *self.shared.on_accept.lock().expect("no code panics while it holds this") = what;
    }

    /// Changes the number of connections served at once; further ones are reset.
    pub fn set_max_connections(&self, limit: usize) {
        self.shared.max_connections.store(limit, Ordering::SeqCst);
    }

    /// Connections now open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Most connections open at the same time so far.
    #[must_use]
    pub fn peak_connections(&self) -> usize {
        self.shared.peak_connections.load(Ordering::SeqCst)
    }

    /// Connections accepted so far, refused ones included.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Connections reset because of the limit so far.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::SeqCst)
    }
}

#[cfg(feature = "tls")]
fn alpn(options: &OriginOptions) -> &'static [&'static str] {
    #[cfg(feature = "h2")]
    if options.http2 {
        return &["h2", "http/1.1"];
    }
    let _ = options;
    &["http/1.1"]
}

fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(at)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
