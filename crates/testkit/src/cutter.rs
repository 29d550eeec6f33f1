//! A TCP proxy that breaks what goes through it, for faults the server cannot know about.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::background::Background;
use crate::origin::Throttle;
use crate::rng::Rng;

/// Most connections through one cutter at a time; further ones are reset.
const CONNECTION_LIMIT: usize = 1024;
const PIECE_BYTES: usize = 64 * 1024;

/// When connections are cut, in bytes from the server to the client, counted per connection.
#[derive(Debug, Clone, Default)]
pub enum CutPlan {
    /// Never.
    #[default]
    Never,
    /// Each after this many bytes.
    After(u64),
    /// The first connection after the first number, and so on; those after the last are not cut.
    Each(Vec<u64>),
    /// Each after a number of bytes from the interval, by the generator.
    Random(Rng, u64, u64),
}

/// How a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CutHow {
    /// Reset towards both sides.
    #[default]
    Reset,
    /// Regular close.
    Close,
}

/// What happens to everything at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Mode {
    #[default]
    Forward,
    /// Nothing passes in either direction, nothing is closed.
    Blackhole,
    /// New connections are reset.
    Refuse,
}

/// A running cutter; stops, with all its connections, when dropped.
#[derive(Debug)]
pub struct Cutter {
    shared: Arc<Shared>,
    addr: SocketAddr,
    _thread: Background,
}

#[derive(Debug)]
struct Shared {
    to: SocketAddr,
    plan: Mutex<(CutPlan, CutHow)>,
    throttle: Throttle,
    mode: watch::Sender<Mode>,
    /// Counts up to cut all connections that are open.
    axe: watch::Sender<u64>,
    connections: AtomicU64,
    open: AtomicUsize,
    cuts: AtomicU64,
    bytes_down: AtomicU64,
    bytes_up: AtomicU64,
    throttle_up: Throttle,
}

impl Cutter {
    /// Listens on a free port of loopback and forwards to `to`.
    ///
    /// # Errors
    /// When no port can be bound or no thread started.
    pub fn start(to: SocketAddr) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            to,
            plan: Mutex::default(),
            throttle: Throttle::default(),
            mode: watch::Sender::default(),
            axe: watch::Sender::default(),
            connections: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            cuts: AtomicU64::new(0),
            bytes_down: AtomicU64::new(0),
            bytes_up: AtomicU64::new(0),
            throttle_up: Throttle::default(),
        });
        let state = Arc::clone(&shared);
        let thread = Background::start("cutter", move || async move {
            let listener =
                TcpListener::from_std(listener).expect("a bound, non-blocking socket can be registered");
            accept(state, listener).await;
        })?;
        Ok(Self { shared, addr, _thread: thread })
    }

    /// Where clients connect.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// URL of a file of an origin behind it.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.addr)
    }

    /// Decides when new connections are cut, and how.
    pub fn cut(&self, plan: CutPlan, how: CutHow) {
        *self.shared.plan.lock().expect("no code panics while it holds the plan") = (plan, how);
    }

    /// Cuts all connections that are open now.
    pub fn cut_now(&self) {
        self.shared.axe.send_modify(|count| *count += 1);
    }

    /// Lets nothing pass in either direction (new connections are accepted by the kernel still), or everything again.
    pub fn blackhole(&self, on: bool) {
        self.shared.mode.send_replace(if on { Mode::Blackhole } else { Mode::Forward });
    }

    /// Resets new connections, or serves them again.
    pub fn refuse(&self, on: bool) {
        self.shared.mode.send_replace(if on { Mode::Refuse } else { Mode::Forward });
    }

    /// Limits the bytes per second from the server to all clients together.
    pub fn throttle(&self, bytes_per_s: Option<u64>) {
        self.shared.throttle.set(bytes_per_s);
    }

    /// Limits the bytes per second from all clients together to the server.
    pub fn throttle_up(&self, bytes_per_s: Option<u64>) {
        self.shared.throttle_up.set(bytes_per_s);
    }

    /// Bytes passed from clients to the server so far.
    #[must_use]
    pub fn bytes_up(&self) -> u64 {
        self.shared.bytes_up.load(Ordering::SeqCst)
    }

    /// Connections so far, refused ones not counted.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Connections cut so far.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::SeqCst)
    }

    /// Bytes passed from the server to clients so far.
    #[must_use]
    pub fn bytes_down(&self) -> u64 {
        self.shared.bytes_down.load(Ordering::SeqCst)
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        let refuse = *shared.mode.borrow() == Mode::Refuse;
        if refuse || shared.open.load(Ordering::SeqCst) >= CONNECTION_LIMIT {
            reset(&client);
            continue;
        }
        let number = shared.connections.fetch_add(1, Ordering::SeqCst);
        shared.open.fetch_add(1, Ordering::SeqCst);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // An error of either side ends the pair: what a proxy cannot pass on otherwise.
            let _ = forward(&shared, client, number).await;
            shared.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

async fn forward(shared: &Shared, client: TcpStream, number: u64) -> io::Result<()> {
    let (limit, how) = {
        let mut guard = shared.plan.lock().expect("no code panics while it holds the plan");
        let limit = match &mut guard.0 {
            CutPlan::Never => None,
            CutPlan::After(bytes) => Some(*bytes),
            CutPlan::Each(list) => usize::try_from(number).ok().and_then(|at| list.get(at).copied()),
            CutPlan::Random(rng, low, high) => Some(rng.between(*low, *high)),
        };
        (limit, guard.1)
    };
    let mut axe = shared.axe.subscribe();
    let server = TcpStream::connect(shared.to).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let cut = tokio::select! {
        done = both(
            up(shared, &mut from_client, &mut to_server),
            down(shared, &mut from_server, &mut to_client, limit),
        ) => done?,
        // The sender lives in `shared`.
        _ = axe.changed() => true,
    };
    if cut {
        shared.cuts.fetch_add(1, Ordering::SeqCst);
        if how == CutHow::Reset {
            // Let what was sent arrive: a reset throws the send buffer away.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            reset(to_client.as_ref());
            reset(to_server.as_ref());
            // Dropped in the usual way, a write half says a regular goodbye first.
            to_client.forget();
            to_server.forget();
        }
    }
    Ok(())
}

/// Runs both directions; ends when both have ended, or when the way down was cut (true).
async fn both(
    up: impl Future<Output = io::Result<()>>,
    down: impl Future<Output = io::Result<bool>>,
) -> io::Result<bool> {
    tokio::pin!(up, down);
    tokio::select! {
        cut = &mut down => cut,
        sent = &mut up => {
            sent?;
            down.await
        }
    }
}

async fn up(shared: &Shared, from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) -> io::Result<()> {
    let mut mode = shared.mode.subscribe();
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        let most = u64::try_from(PIECE_BYTES).expect("a constant");
        let want = usize::try_from(shared.throttle_up.grant(most)).expect("at most a piece");
        let got = from.read(&mut buffer[..want]).await?;
        passable(&mut mode).await;
        if got == 0 {
            return to.shutdown().await;
        }
        let bytes = u64::try_from(got).expect("at most a piece");
        tokio::time::sleep(shared.throttle_up.book(bytes, Instant::now())).await;
        to.write_all(&buffer[..got]).await?;
        shared.bytes_up.fetch_add(bytes, Ordering::SeqCst);
    }
}

/// True when it stopped because the limit was reached.
async fn down(
    shared: &Shared,
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    limit: Option<u64>,
) -> io::Result<bool> {
    let mut mode = shared.mode.subscribe();
    let mut buffer = vec![0; PIECE_BYTES];
    let mut left = limit;
    loop {
        if left == Some(0) {
            return Ok(true);
        }
        passable(&mut mode).await;
        let most = u64::try_from(PIECE_BYTES).expect("a constant").min(left.unwrap_or(u64::MAX));
        let want = shared.throttle.grant(most);
        let got = from.read(&mut buffer[..usize::try_from(want).expect("at most a piece")]).await?;
        if got == 0 {
            to.shutdown().await?;
            return Ok(false);
        }
        let bytes = u64::try_from(got).expect("at most a piece");
        tokio::time::sleep(shared.throttle.book(bytes, Instant::now())).await;
        passable(&mut mode).await;
        to.write_all(&buffer[..got]).await?;
        shared.bytes_down.fetch_add(bytes, Ordering::SeqCst);
        left = left.map(|left| left - bytes);
    }
}

async fn passable(mode: &mut watch::Receiver<Mode>) {
    // An error would mean that the sender is gone, which lives as long as the connection.
    let _ = mode.wait_for(|mode| *mode != Mode::Blackhole).await;
}

fn reset(stream: &TcpStream) {
    crate::origin::reset(stream);
}
