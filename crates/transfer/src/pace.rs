//! Pacing of background transfers: one controller for each path, shared by the path's connections (spec/politeness.md).
//!
//! The controller is `openbits_core::pace`. Here its samples are read from the kernel (`TCP_INFO`) and its window is applied
//! (`TCP_WINDOW_CLAMP`), every 10 ms and only while a background transfer is under way. It lives on the socket: TLS, HTTP/2 and
//! proxies make no difference.

use crate::protocol::Pace;
use crate::sys::{self, TcpFacts};
use openbits_core::Priority;
use openbits_core::pace::{Config, Controller, Sample, TICK_US};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

/// Lower-effort per-hop behaviour (RFC 8622): what background sockets are marked with.
const LOWER_EFFORT: u8 = 1;
/// Window of a connection that is not paced any more: none.
const UNCLAMPED: u64 = i32::MAX as u64;
/// Paths remembered after their last transfer, and for how long.
const PATHS: usize = 64;
const REMEMBERED: Duration = Duration::from_secs(300);

/// The paths of a worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pacers {
    paths: Rc<RefCell<HashMap<IpAddr, Rc<Path>>>>,
}

/// One path, told apart by the peer's address.
#[derive(Debug)]
struct Path {
    epoch: Instant,
    controller: RefCell<Controller>,
    members: RefCell<Vec<Rc<Member>>>,
    /// Bytes delivered over connections that left.
    earlier: Cell<u64>,
    ticking: Cell<bool>,
    used: Cell<Instant>,
    /// No connection of the path has timestamps: the delay says little, and the window follows what is delivered.
    blind: Cell<bool>,
}

/// One connection.
#[derive(Debug)]
struct Member {
    socket: Rc<OwnedFd>,
    /// Bytes it had received when it joined.
    before: u64,
    /// Its reader does not take what comes.
    held: Cell<bool>,
    /// Largest window that a limit of bandwidth wants; zero: any.
    limit: Rc<Cell<u64>>,
}

/// A connection under pacing; dropping it sets the connection free.
#[derive(Debug)]
pub(crate) struct Paced {
    path: Rc<Path>,
    member: Rc<Member>,
}

impl Pacers {
    /// Puts a connection under the controller of its path. Nothing for FOREGROUND, for peers on this machine, and for sockets that the
    /// kernel tells nothing about.
    pub(crate) fn join(
        &self,
        peer: IpAddr,
        socket: &Rc<OwnedFd>,
        limit: Rc<Cell<u64>>,
        priority: Priority,
    ) -> Option<Paced> {
        if priority == Priority::Foreground || peer.to_canonical().is_loopback() {
            return None;
        }
        let facts = sys::tcp_facts(socket.as_fd())?;
        let path = self.path(peer, priority);
        if facts.rtt_us > 0 && facts.received < 10_000 {
            path.controller.borrow_mut().handshake(path.now_us(), facts.rtt_us);
        }
        let member =
            Rc::new(Member { socket: socket.clone(), before: facts.received, held: Cell::new(false), limit });
        path.members.borrow_mut().push(member.clone());
        sys::set_dscp(socket.as_fd(), LOWER_EFFORT);
        path.apply(path.controller.borrow().view().window_bytes);
        if !path.ticking.replace(true) {
            tokio::task::spawn_local(tick(path.clone()));
        }
        Some(Paced { path, member })
    }

    fn path(&self, peer: IpAddr, priority: Priority) -> Rc<Path> {
        let config = Config::for_priority(priority);
        let mut paths = self.paths.borrow_mut();
        if !paths.contains_key(&peer) {
            paths.retain(|_, path| path.ticking.get() || path.used.get().elapsed() < REMEMBERED);
            if paths.len() >= PATHS {
                let oldest = paths
                    .iter()
                    .filter(|(_, path)| !path.ticking.get())
                    .min_by_key(|(_, path)| path.used.get());
                if let Some(address) = oldest.map(|(address, _)| *address) {
                    paths.remove(&address);
                }
            }
        }
        let path = paths.entry(peer).or_insert_with(|| Rc::new(Path::new(config)));
        path.used.set(Instant::now());
        path.controller.borrow_mut().set_config(config);
        path.clone()
    }
}

impl Path {
    fn new(config: Config) -> Self {
        Self {
            epoch: Instant::now(),
            controller: RefCell::new(Controller::new(config)),
            members: RefCell::default(),
            earlier: Cell::new(0),
            ticking: Cell::new(false),
            used: Cell::new(Instant::now()),
            blind: Cell::new(false),
        }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// One step: read the kernel, ask the controller, tell the kernel.
    fn step(&self) {
        let members = self.members.borrow();
        let (mut delivered, mut rtt_us, mut held, mut blind) = (self.earlier.get(), None::<u32>, false, true);
        for member in members.iter() {
            let facts = sys::tcp_facts(member.socket.as_fd()).unwrap_or_default();
            delivered += facts.received.saturating_sub(member.before);
            let rtt = Some(facts.receive_rtt_us).filter(|rtt| *rtt > 0);
            rtt_us = rtt_us.into_iter().chain(rtt).min();
            held |= member.held.get();
            blind &= !facts.timestamps;
        }
        self.blind.set(blind);
        let sample = Sample {
            now_us: self.now_us(),
            delivered,
            rtt_us,
            connections: u32::try_from(members.len()).unwrap_or(u32::MAX),
            others: None,
            held,
        };
        let window = self.controller.borrow_mut().tick(&sample);
        drop(members);
        self.apply(window);
    }

    /// Each connection gets its part. The kernel raises the limit by itself when it grows the buffer, so it is told every time.
    fn apply(&self, window: u64) {
        let members = self.members.borrow();
        let part = window / (members.len().max(1) as u64);
        for member in members.iter() {
            let limit = member.limit.get();
            let part = if limit > 0 { part.min(limit) } else { part };
            sys::set_window_clamp(member.socket.as_fd(), part);
        }
    }

    fn leave(&self, member: &Rc<Member>) {
        let TcpFacts { received, .. } = sys::tcp_facts(member.socket.as_fd()).unwrap_or_default();
        self.earlier.set(self.earlier.get() + received.saturating_sub(member.before));
        self.members.borrow_mut().retain(|other| !Rc::ptr_eq(other, member));
        self.used.set(Instant::now());
        sys::set_dscp(member.socket.as_fd(), 0);
        let limit = member.limit.get();
        sys::set_window_clamp(member.socket.as_fd(), if limit > 0 { limit } else { UNCLAMPED });
    }
}

/// Steps as long as the path has connections: an idle worker has no timers.
async fn tick(path: Rc<Path>) {
    let mut beat = tokio::time::interval(Duration::from_micros(TICK_US));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        if path.members.borrow().is_empty() {
            path.ticking.set(false);
            return;
        }
        path.step();
    }
}

impl Paced {
    /// The reader does not take what comes (its disk is behind), or takes it again: what is measured meanwhile is not the path.
    pub(crate) fn hold(&self, held: bool) {
        self.member.held.set(held);
    }

    /// The state for people.
    pub(crate) fn state(&self) -> Pace {
        let view = self.path.controller.borrow().view();
        let now = self.path.now_us();
        Pace {
            mode: view.mode,
            for_ms: now.saturating_sub(view.since_us) / 1000,
            base_us: view.base_us,
            queue_us: view.queue_us,
            window_bytes: view.window_bytes,
            blind: self.path.blind.get(),
        }
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        self.path.leave(&self.member);
    }
}
