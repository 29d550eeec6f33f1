//! Pacing of background transfers: one controller for each path, shared by the path's connections (spec/politeness.md).
//!
//! The controller is `openbits_core::pace`. Here its samples are read from the kernel (`TCP_INFO`) and its window is applied
//! (`TCP_WINDOW_CLAMP` for what comes, a window of our own for what goes), every 10 ms and only while a background transfer is under way. It lives on the socket: TLS, HTTP/2 and
//! proxies make no difference.

mod sending;

use crate::protocol::Pace;
use crate::rate::Tap;
use crate::sys::{self, TcpFacts};
use openbits_core::Priority;
use openbits_core::pace::{Config, Controller, Mode, Sample, TICK_US};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

pub(crate) use sending::Sending;

/// Lower-effort per-hop behaviour (RFC 8622): what background sockets are marked with.
const LOWER_EFFORT: u8 = 1;
/// Window of a connection that is not paced any more: none.
const UNCLAMPED: u64 = i32::MAX as u64;
/// Times that a reader is woken in a round trip, about; and least and largest bytes that wake it.
const WAKES: u64 = 16;
const MARK_MIN: u32 = 3_000;
const MARK_MAX: u32 = 512 << 10;
/// Longest pause of the program in which the window stays as it is.
const PAUSE: Duration = Duration::from_secs(1);
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
    /// Nothing is asked for, or there is nothing to send, since then.
    idle_since: Cell<Option<Instant>>,
    /// No connection of the path has timestamps: the delay says little, and the window follows what is delivered.
    blind: Cell<bool>,
}

/// One connection.
#[derive(Debug)]
struct Member {
    socket: Rc<OwnedFd>,
    /// Bytes that had come, and that the peer had acknowledged, when it joined; and at the last step.
    before: (u64, u64),
    seen: Cell<(u64, u64)>,
    /// More goes out than comes in.
    sends: Cell<bool>,
    /// Its reader does not take what comes.
    held: Cell<bool>,
    /// What comes may wait for more of it, and how many bytes wake the reader now.
    batches: Cell<bool>,
    mark: Cell<u32>,
    /// Its limit of bandwidth.
    tap: Tap,
}

/// The state of a path.
#[derive(Debug)]
pub(crate) struct Watch(Rc<Path>);

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
        tap: &Tap,
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
        let member = Rc::new(Member {
            socket: socket.clone(),
            before: (facts.received, facts.acknowledged),
            seen: Cell::new((facts.received, facts.acknowledged)),
            sends: Cell::new(false),
            held: Cell::new(false),
            batches: Cell::new(false),
            mark: Cell::new(1),
            tap: tap.clone(),
        });
        tap.sending().begin();
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
            idle_since: Cell::new(None),
            blind: Cell::new(false),
        }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn state(&self) -> Pace {
        let view = self.controller.borrow().view();
        let now = self.now_us();
        Pace {
            mode: view.mode,
            for_ms: now.saturating_sub(view.since_us) / 1000,
            base_us: view.base_us,
            queue_us: view.queue_us,
            window_bytes: view.window_bytes,
            blind: self.blind.get(),
        }
    }

    /// One step: read the kernel, ask the controller, tell the kernel.
    fn step(&self) {
        let members = self.members.borrow();
        let (mut delivered, mut rtt_us, mut held, mut blind) = (self.earlier.get(), None::<u32>, false, true);
        let mut idle = true;
        for member in members.iter() {
            let facts = sys::tcp_facts(member.socket.as_fd()).unwrap_or_default();
            delivered += member.moved(&facts);
            let rtt = if member.sends.get() { facts.rtt_us } else { facts.receive_rtt_us };
            rtt_us = rtt_us.into_iter().chain(Some(rtt).filter(|rtt| *rtt > 0)).min();
            held |= member.held.get() || member.tap.is_held();
            idle &= member.is_idle(&facts);
            // A sender sees every acknowledgement, with or without timestamps.
            blind &= !facts.timestamps && !member.sends.get();
        }
        self.blind.set(blind);
        // Nothing is asked for, or nothing is there to send: that is not the path, and the window stays as it is for what comes next.
        // A path that is new has no window worth keeping.
        held |= self.pauses(idle) && self.controller.borrow().view().mode != Mode::Start;
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

    /// True while the program makes a pause that is too short to mean anything: a limit of bandwidth is one that does not end.
    fn pauses(&self, idle: bool) -> bool {
        let since = self.idle_since.get().filter(|_| idle).or_else(|| idle.then(Instant::now));
        self.idle_since.set(since);
        since.is_some_and(|since| since.elapsed() < PAUSE)
    }

    /// Between two steps: a sender hears what was acknowledged meanwhile, so that its window is used on short paths too.
    fn refill(&self) {
        for member in self.members.borrow().iter().filter(|member| member.sends.get()) {
            let facts = sys::tcp_facts(member.socket.as_fd()).unwrap_or_default();
            member.tap.sending().acknowledged(facts.acknowledged.saturating_sub(member.before.1));
            member.tap.sending().wake_if_room();
        }
    }

    /// Each connection gets its part. The kernel raises the limit by itself when it grows the buffer, so it is told every time.
    fn apply(&self, window: u64) {
        let members = self.members.borrow();
        let part = window / (members.len().max(1) as u64);
        let base_us = self.controller.borrow().view().base_us;
        for member in members.iter() {
            let window = member.tap.window().map_or(part, |most| part.min(most));
            sys::set_window_clamp(member.socket.as_fd(), window);
            member.fit_mark(window);
            member.tap.sending().allow(member.socket.as_fd(), part, base_us.filter(|_| member.sends.get()));
        }
    }

    fn leave(&self, member: &Rc<Member>) {
        let facts = sys::tcp_facts(member.socket.as_fd()).unwrap_or_default();
        self.earlier.set(self.earlier.get() + member.moved(&facts));
        member.tap.sending().free(member.socket.as_fd());
        member.batches.set(false);
        member.fit_mark(0);
        self.members.borrow_mut().retain(|other| !Rc::ptr_eq(other, member));
        self.used.set(Instant::now());
        sys::set_dscp(member.socket.as_fd(), 0);
        let window = member.tap.window().unwrap_or(UNCLAMPED);
        sys::set_window_clamp(member.socket.as_fd(), window);
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
        if path.members.borrow().iter().any(|member| member.sends.get()) {
            tokio::time::sleep(Duration::from_micros(TICK_US / 2)).await;
            path.refill();
        }
    }
}

impl Member {
    /// A reader that is woken for every packet costs a tenth of a core for each 100 Mbit/s without offloads; one that is woken [`WAKES`]
    /// times in a round trip still leaves enough moments with an empty queue, in which the kernel measures a longer delay.
    fn fit_mark(&self, window: u64) {
        let part = u32::try_from(window / WAKES).unwrap_or(u32::MAX).min(MARK_MAX);
        let wanted = if self.batches.get() && part >= MARK_MIN { part } else { 1 };
        if wanted.abs_diff(self.mark.get()) > self.mark.get() / 4 {
            sys::set_receive_low_water(self.socket.as_fd(), wanted);
            self.mark.set(wanted);
        }
    }

    /// It waits for an answer, or has nothing to send.
    fn is_idle(&self, facts: &TcpFacts) -> bool {
        if self.sends.get() {
            self.tap.sending().is_idle()
        } else {
            facts.received == self.before.0 && facts.acknowledged == self.before.1
        }
    }

    /// Bytes moved since it joined, both ways; notes which way most of them go.
    fn moved(&self, facts: &TcpFacts) -> u64 {
        let before = self.seen.replace((facts.received, facts.acknowledged));
        let (came, went) =
            (facts.received.saturating_sub(before.0), facts.acknowledged.saturating_sub(before.1));
        if came != went && self.sends.replace(went > came) != (went > came) && went > came {
            // The sender chooses: cubic takes a free path back sooner than BBR does (spec/politeness.md 8).
            sys::set_congestion_control(self.socket.as_fd(), c"cubic");
        }
        let acknowledged = facts.acknowledged.saturating_sub(self.before.1);
        self.tap.sending().acknowledged(acknowledged);
        facts.received.saturating_sub(self.before.0) + acknowledged
    }
}

impl Paced {
    /// The reader does not take what comes (its disk is behind), or takes it again: what is measured meanwhile is not the path.
    pub(crate) fn hold(&self, held: bool) {
        self.member.held.set(held);
    }

    /// Much is still to come, so the reader need not be woken for every packet; or every byte counts again.
    pub(crate) fn batch(&self, much: bool) {
        if self.member.batches.replace(much) && !much {
            self.member.fit_mark(0);
        }
    }

    /// The state for people.
    pub(crate) fn state(&self) -> Pace {
        self.path.state()
    }

    /// Something that tells the state while the connection is busy.
    pub(crate) fn watch(&self) -> Watch {
        Watch(self.path.clone())
    }
}

impl Watch {
    /// The state for people.
    pub(crate) fn state(&self) -> Pace {
        self.0.state()
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        self.path.leave(&self.member);
    }
}

#[cfg(test)]
mod tests;
