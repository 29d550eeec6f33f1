//! Limits of bandwidth: connections ask before they take bytes from the socket, so that TCP itself slows the sender down.
//!
//! The limit is on what crosses the socket, TLS and HTTP framing included, in both directions. Everything here lives on the worker's
//! thread.

use crate::pace::Sending;
use crate::protocol::Rates;
use crate::sys;
use openbits_core::Priority;
use openbits_core::rate::Bucket;
use openbits_core::subnet::Subnets;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Longest sleep before a connection looks whether its limit has changed.
const LOOK: Duration = Duration::from_millis(250);
/// The receive window holds what comes in so long, so that the sender keeps to the limit and does not send ahead of it.
const WINDOW_MS: u64 = 500;
/// Least receive window, in bytes.
const WINDOW_MIN: u64 = 64 << 10;

/// The limits of a worker, shared by all its connections.
#[derive(Debug)]
pub(crate) struct Limiter {
    began: Instant,
    state: RefCell<State>,
    /// Changes with the limits: reservations of before are void.
    generation: Cell<u64>,
}

#[derive(Debug, Default)]
struct State {
    buckets: [Option<Bucket>; 4],
    near_free: [bool; 4],
    subnets: Subnets,
    moved: [u64; 4],
    /// Of jobs of Delivery Optimization, beside: FOREGROUND ones, and all others.
    delivery: [Option<Bucket>; 2],
    delivered: [u64; 2],
    reported: Option<Instant>,
    report: bool,
}

impl Default for Limiter {
    fn default() -> Self {
        Self { began: Instant::now(), state: RefCell::default(), generation: Cell::new(0) }
    }
}

impl Limiter {
    /// Other limits, in force at the next read of every connection.
    pub(crate) fn set(&self, rates: Rates) {
        let now_us = self.now_us();
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let buckets = state.buckets.iter_mut().chain(&mut state.delivery);
        for (bucket, rate) in buckets.zip(rates.levels.into_iter().chain(rates.delivery)) {
            match (bucket.as_mut(), rate) {
                (Some(bucket), Some(rate)) if bucket.rate() == rate => {}
                (Some(bucket), Some(rate)) => bucket.set_rate(now_us, rate),
                (_, rate) => *bucket = rate.map(Bucket::new),
            }
        }
        state.near_free = rates.near_free;
        state.subnets = Subnets::new(rates.subnets);
        state.report = rates.report;
        self.generation.set(self.generation.get() + 1);
    }

    /// True if somebody wants to know what moves.
    pub(crate) fn reports(&self) -> bool {
        self.state.borrow().report
    }

    /// What moved under limits since the last report, and in how many milliseconds.
    pub(crate) fn report(&self) -> ([u64; 4], [u64; 2], u64) {
        let mut state = self.state.borrow_mut();
        let now = Instant::now();
        let since = state.reported.replace(now).unwrap_or(self.began);
        let ms = u64::try_from(now.duration_since(since).as_millis()).unwrap_or(u64::MAX);
        (std::mem::take(&mut state.moved), std::mem::take(&mut state.delivered), ms)
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn is_near(&self, peer: SocketAddr) -> bool {
        self.state.borrow().subnets.contains(peer.ip())
    }
}

/// Whose limits hold: a priority that may change, and whether those of Delivery Optimization hold beside.
#[derive(Debug)]
pub(crate) struct Level {
    priority: Cell<Priority>,
    delivery: bool,
}

impl Level {
    pub(crate) const fn new(priority: Priority, delivery: bool) -> Self {
        Self { priority: Cell::new(priority), delivery }
    }

    pub(crate) fn set(&self, priority: Priority) {
        self.priority.set(priority);
    }

    fn get(&self) -> Priority {
        self.priority.get()
    }
}

/// Who uses a connection now: the limits, his level, and whether the server is a neighbour.
#[derive(Clone, Debug)]
struct User {
    limiter: Rc<Limiter>,
    level: Rc<Level>,
    peer: Option<SocketAddr>,
}

impl User {
    /// Works with the buckets of the user: that of his level, and that of Delivery Optimization. False if he has no limit.
    fn buckets(&self, mut work: impl FnMut(&mut Bucket, &mut u64)) -> bool {
        let priority = self.level.get();
        let level = priority as usize;
        let free = self.limiter.state.borrow().near_free[level];
        let spared = free && self.peer.is_some_and(|peer| self.limiter.is_near(peer));
        let state = &mut *self.limiter.state.borrow_mut();
        let mut limited = false;
        if let Some(bucket) = state.buckets[level].as_mut().filter(|_| !spared) {
            work(bucket, &mut state.moved[level]);
            limited = true;
        }
        let class = usize::from(priority != Priority::Foreground);
        if let Some(bucket) = state.delivery[class].as_mut().filter(|_| self.level.delivery) {
            work(bucket, &mut state.delivered[class]);
            limited = true;
        }
        limited
    }

    /// Reserves a slice: bytes, and from when on they may move. What has two limits keeps both.
    fn reserve(&self, now_us: u64) -> Option<(u64, u64)> {
        let (mut bytes, mut at_us) = (u64::MAX, 0);
        if !self.buckets(|bucket, _| bytes = bytes.min(bucket.slice())) {
            return None;
        }
        self.buckets(|bucket, _| at_us = at_us.max(bucket.reserve(now_us, bytes)));
        Some((bytes, at_us))
    }
}

/// Tells a connection who uses it. Clones belong to the same connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tap {
    user: Rc<RefCell<Option<User>>>,
    held: Rc<Cell<bool>>,
    window: Rc<Cell<Option<u64>>>,
    sending: Rc<Sending>,
}

impl Tap {
    /// From now on the connection is used at this level. `peer`: the server itself, if no proxy is in between.
    pub(crate) fn open(&self, limiter: &Rc<Limiter>, level: &Rc<Level>, peer: Option<SocketAddr>) {
        *self.user.borrow_mut() = Some(User { limiter: limiter.clone(), level: level.clone(), peer });
    }

    /// Nobody uses it.
    pub(crate) fn close(&self) {
        *self.user.borrow_mut() = None;
        self.held.set(false);
        self.window.set(None);
    }

    /// Largest receive window that the limit has a use for, in bytes.
    pub(crate) fn window(&self) -> Option<u64> {
        self.window.get()
    }

    /// The writing side under pacing.
    pub(crate) fn sending(&self) -> &Sending {
        &self.sending
    }

    /// True while the limit, and not the server, lets us wait.
    pub(crate) fn is_held(&self) -> bool {
        self.held.get()
    }
}

/// Bytes that may move, and from when on.
#[derive(Clone, Copy, Debug)]
struct Held {
    bytes: u64,
    at_us: u64,
    generation: u64,
    level: Priority,
}

/// One direction of a connection.
#[derive(Debug, Default)]
struct Direction {
    held: Option<Held>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Direction {
    /// Bytes that may move now; `Ready(None)`: as many as there are.
    fn poll(&mut self, user: &User, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        loop {
            let generation = user.limiter.generation.get();
            let level = user.level.get();
            let fresh = |held: &Held| held.generation == generation && held.level == level && held.bytes > 0;
            if self.held.filter(fresh).is_none() {
                let reserved = user.reserve(user.limiter.now_us());
                self.held = reserved.map(|(bytes, at_us)| Held { bytes, at_us, generation, level });
                self.sleep = None;
            }
            let Some(held) = self.held else { return Poll::Ready(None) };
            let wait_us = held.at_us.saturating_sub(user.limiter.now_us());
            if wait_us == 0 {
                self.sleep = None;
                return Poll::Ready(Some(usize::try_from(held.bytes).unwrap_or(usize::MAX)));
            }
            let wait = Duration::from_micros(wait_us).min(LOOK);
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(wait)));
            match sleep.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) => self.sleep = None,
            }
        }
    }

    /// So many bytes moved.
    fn moved(&mut self, user: &User, bytes: usize) {
        if let Some(held) = &mut self.held {
            held.bytes = held.bytes.saturating_sub(bytes as u64);
            user.buckets(|_, moved| *moved += bytes as u64);
        }
    }

    /// What was reserved goes back.
    fn let_go(&mut self, user: Option<&User>) {
        let held = self.held.take();
        self.sleep = None;
        if let (Some(held), Some(user)) = (held, user)
            && held.generation == user.limiter.generation.get()
            && held.level == user.level.get()
        {
            user.buckets(|bucket, _| bucket.give_back(held.bytes));
        }
    }
}

/// A stream that moves bytes only as its tap allows.
#[derive(Debug)]
pub(crate) struct Shaped<S> {
    stream: S,
    tap: Tap,
    /// Who used it last: what he reserved is his.
    user: Option<User>,
    read: Direction,
    write: Direction,
    window: Option<u64>,
}

impl<S: AsFd> Shaped<S> {
    /// A stream and its tap, closed: no limit.
    pub(crate) fn new(stream: S) -> (Self, Tap) {
        let tap = Tap::default();
        let (read, write) = (Direction::default(), Direction::default());
        (Self { stream, tap: tap.clone(), user: None, read, write, window: None }, tap)
    }

    fn user(&mut self) -> Option<User> {
        let user = self.tap.user.borrow().clone();
        let same = match (&user, &self.user) {
            (Some(a), Some(b)) => Rc::ptr_eq(&a.level, &b.level),
            (None, None) => true,
            _ => false,
        };
        if !same {
            self.read.let_go(self.user.as_ref());
            self.write.let_go(self.user.as_ref());
            self.user.clone_from(&user);
        }
        self.fit_window();
        user
    }

    /// Keeps the receive window as small as the limit needs it.
    fn fit_window(&mut self) {
        let mut rate: Option<u64> = None;
        if let Some(user) = &self.user {
            user.buckets(|bucket, _| rate = Some(rate.map_or(bucket.rate(), |rate| rate.min(bucket.rate()))));
        }
        let window = rate.map(|rate| (rate.saturating_mul(WINDOW_MS) / 1000).max(WINDOW_MIN));
        if window != self.window {
            self.window = window;
            // Whoever paces the path looks at the tap; for the others it is set here.
            self.tap.window.set(window);
            sys::set_window_clamp(self.stream.as_fd(), window.unwrap_or(u64::MAX));
        }
    }
}

impl<S> Drop for Shaped<S> {
    fn drop(&mut self) {
        let user = self.user.take();
        self.read.let_go(user.as_ref());
        self.write.let_go(user.as_ref());
    }
}

impl<S: AsyncRead + AsFd + Unpin> AsyncRead for Shaped<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(user) = this.user() else { return Pin::new(&mut this.stream).poll_read(cx, buf) };
        let allowed = match this.read.poll(&user, cx) {
            Poll::Ready(None) => return Pin::new(&mut this.stream).poll_read(cx, buf),
            Poll::Ready(Some(bytes)) => bytes,
            Poll::Pending => {
                this.tap.held.set(true);
                return Poll::Pending;
            }
        };
        this.tap.held.set(false);
        let room = buf.remaining().min(allowed);
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(room));
        std::task::ready!(Pin::new(&mut this.stream).poll_read(cx, &mut part))?;
        let got = part.filled().len();
        buf.advance(got);
        this.read.moved(&user, got);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + AsFd + Unpin> AsyncWrite for Shaped<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let room = std::task::ready!(this.tap.sending.poll_room(cx));
        let user = this.user();
        let allowed = match &user {
            Some(user) => std::task::ready!(this.write.poll(user, cx)).unwrap_or(usize::MAX),
            None => usize::MAX,
        };
        let part = &buf[..buf.len().min(allowed).min(room)];
        let written = std::task::ready!(Pin::new(&mut this.stream).poll_write(cx, part))?;
        if let Some(user) = &user {
            this.write.moved(user, written);
        }
        this.tap.sending.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let limited =
            this.tap.sending.is_limited() || this.user().is_some_and(|user| user.buckets(|_, _| ()));
        if !limited {
            return Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        }
        let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        Pin::new(this).poll_write(cx, first)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// The limit for bytes that come by other ways than a socket of ours: from a reader of files. The reader waits when nobody takes its
/// pieces, so what is taken at the limit is read at the limit.
#[derive(Debug)]
pub(crate) struct Meter {
    user: User,
    direction: Direction,
    held: Cell<bool>,
}

impl Meter {
    /// `peer`: the server, if it is known by address.
    pub(crate) fn new(limiter: &Rc<Limiter>, level: &Rc<Level>, peer: Option<SocketAddr>) -> Self {
        let user = User { limiter: limiter.clone(), level: level.clone(), peer };
        Self { user, direction: Direction::default(), held: Cell::new(false) }
    }

    /// Waits until bytes may move, and says how many at most. Dropping the future loses nothing.
    pub(crate) async fn allowed(&mut self) -> usize {
        std::future::poll_fn(|cx| {
            let allowed = self.direction.poll(&self.user, cx);
            self.held.set(allowed.is_pending());
            allowed.map(|bytes| bytes.unwrap_or(usize::MAX))
        })
        .await
    }

    /// So many bytes were taken.
    pub(crate) fn moved(&mut self, bytes: usize) {
        self.direction.moved(&self.user, bytes);
    }

    /// True while the limit, and not the source, lets us wait.
    pub(crate) fn is_held(&self) -> bool {
        self.held.get()
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.direction.let_go(Some(&self.user));
    }
}

#[cfg(test)]
mod tests;
