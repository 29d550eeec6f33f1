//! The pacing controller: how large the window of background transfers on one path may be (spec/politeness.md 7).
//!
//! It is arithmetic only. Every [`TICK_US`] the edge gives a [`Sample`] (how much was delivered, which round-trip time the kernel
//! measured) and gets back the window in bytes that all connections of the path together may have in flight. The controller keeps a
//! queue of about [`Config::target_s`] at the bottleneck while it is alone, and leaves within a few round trips when somebody else
//! wants the link: sharing politely keeps a flow that has just begun slow, so it does not share.
//!
//! The states are those of [`Mode`]:
//!
//! ```text
//! START --queue seen, or no more rate--> FILL --others want the link--> YIELD --quiet for a while--> PROBE --alone--> FILL
//!                                                                        ^                             |
//!                                                                        +------- somebody is there ---+
//! ```

mod dips;
mod gaps;
mod history;

#[cfg(test)]
mod link;
#[cfg(test)]
mod tests;

use crate::enums::Priority;
use dips::Dips;
use gaps::Gaps;
use history::{Base, Deliveries, Recent};
use serde::{Deserialize, Serialize};

/// Time between two samples, in microseconds.
pub const TICK_US: u64 = 10_000;
/// Segment size that the arithmetic assumes, in bytes (Ethernet with TCP timestamps).
pub const MSS: f64 = 1448.0;
/// A tick that is later than this was held up by the own machine, in seconds.
const STALL_S: f64 = 0.015;
/// After a stall no sample counts for so long, in seconds; the second number after one of more than 40 ms.
const FREEZE_S: (f64, f64) = (0.08, 0.15);
/// The bandwidth estimate stays frozen for so much longer, in seconds: the burst after a stall is no bandwidth.
const FREEZE_BANDWIDTH_S: f64 = 0.45;
/// Part of the way to the window that the delay asks for, for each update.
const GAIN: f64 = 0.5;
/// Growth of the window for each round trip while no queue is seen.
const GROW: f64 = 1.5;
/// Part of the known bandwidth below which filling grows as fast as probing, as long as there is no queue.
const REGROW: f64 = 0.7;
/// Time without a queue after which a slow server, and nobody else, is the reason for a low rate, in seconds.
const STARVED_S: f64 = 0.5;
/// Delay above the base that nobody but a queue makes, in seconds.
const BUSY_S: f64 = 0.0015;
/// Windows are at most this many times what is delivered in a round trip, when filling and when starting.
const VALID: (f64, f64) = (1.3, 1.7);
/// Time of filling before the first dip, in seconds: the steps of growth are over.
const SETTLE_S: f64 = 0.5;
/// Time of undisturbed filling after which a hold is short again, in seconds.
const CALM_S: f64 = 5.0;
/// A yield after which a path with a steady delay has changed its route, in seconds; over how long the delay must be steady; and how
/// steady.
const ROUTE_S: (f64, f64, f64) = (8.0, 5.0, 0.002);
/// A delay that never rises above so much, in seconds, and is short in half of the updates, over the same time, is a path that jitters
/// and nobody's queue.
const JITTER_S: f64 = 0.012;
/// Time of filling among others of our kind after which they get a turn, and the length of the pause, in seconds.
const TURN_S: (f64, f64) = (15.0, 0.6);
/// A base nobody knows, in seconds.
const UNKNOWN_BASE_S: f64 = 0.05;

/// What the edge measured.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sample {
    /// A clock that never goes back, in microseconds.
    pub now_us: u64,
    /// Bytes delivered since the controller began, over all connections of the path, also closed ones.
    pub delivered: u64,
    /// The smallest round-trip time over the connections, as the kernel measured it, in microseconds: `tcpi_rcv_rtt` of a receiver,
    /// `tcpi_rtt` of a sender.
    pub rtt_us: Option<u32>,
    /// Connections that share the window; at least 1.
    pub connections: u32,
    /// Bytes per second of other traffic that this machine itself has on the same interface, where that is known.
    pub others: Option<f64>,
    /// The program itself does not take what arrives (its disk is slow): delay and rate mean nothing now.
    pub held: bool,
}

/// How a controller behaves; see [`Config::for_priority`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Config {
    /// Queue at the bottleneck that is aimed at, in seconds.
    pub target_s: f64,
    /// First and longest time to stay away after others were noticed, in seconds.
    pub hold_s: (f64, f64),
    /// Time without a queue that ends a hold, in seconds.
    pub idle_s: f64,
    /// Updates in a row that must look like somebody else before the link is left.
    pub patience: u32,
}

impl Config {
    /// HIGH comes back sooner, LOW later and only after a longer silence. All of them leave the link to others; none of them holds a
    /// larger queue, since that is what others feel.
    ///
    /// | | stays away | silence before it comes back | updates before it leaves |
    /// |---|---|---|---|
    /// | HIGH | 0.5 to 1.5 s | 0.15 s | 4 |
    /// | NORMAL | 1 to 2.5 s | 0.25 s | 3 |
    /// | LOW | 2 to 6 s | 0.75 s | 2 |
    ///
    /// FOREGROUND is not paced at all; the controller for it is NORMAL's.
    pub const fn for_priority(priority: Priority) -> Self {
        let (hold_s, idle_s, patience) = match priority {
            Priority::High => ((0.5, 1.5), 0.15, 4),
            Priority::Normal | Priority::Foreground => ((1.0, 2.5), 0.25, 3),
            Priority::Low => ((2.0, 6.0), 0.75, 2),
        };
        Self { target_s: 0.005, hold_s, idle_s, patience }
    }
}

/// What the controller is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Growing fast: nothing is known of the path yet.
    Start,
    /// Using what nobody else wants.
    Fill,
    /// Somebody else wants the link.
    Yield,
    /// Looking whether the link is free again.
    Probe,
}

/// The state for people: `bits show` and events.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct View {
    /// What it is doing.
    pub mode: Mode,
    /// Since when, on the clock of the samples, in microseconds.
    pub since_us: u64,
    /// Delay of the path without a queue, in microseconds; `None` before the first sample.
    pub base_us: Option<u64>,
    /// Delay by the queue now, in microseconds.
    pub queue_us: u64,
    /// Window of all connections together, in bytes.
    pub window_bytes: u64,
    /// Delivery rate now, in bytes per second.
    pub rate: u64,
}

/// The controller of one path.
#[derive(Clone, Debug)]
pub struct Controller {
    config: Config,
    mode: Mode,
    since: f64,
    born: Option<f64>,
    now: f64,
    window: f64,
    base: Base,
    recent: Recent,
    deliveries: Deliveries,
    /// Bandwidth that the path had when it was free, bytes per second, and when it was last reached.
    bandwidth: f64,
    bandwidth_at: f64,
    frozen_until: f64,
    updated: f64,
    /// Updates in a row: queue far too long; rate lost while there is a queue; queue while probing; no growth while starting.
    hot: u32,
    bad: u32,
    low: u32,
    flat: u32,
    start_rate: f64,
    hold: f64,
    /// Last time a queue was seen while yielding.
    queue_at: f64,
    dips: Dips,
    gaps: Gaps,
    steady: Steady,
    /// Less came than the window let through: the server, not the path, was slow.
    starved: bool,
    /// Last time a queue was seen, our own or another.
    busy_at: f64,
    /// Others of our kind came by while we filled.
    intruded: bool,
    rate: f64,
}

/// Extremes of the delay over a period.
#[derive(Clone, Copy, Debug)]
struct Steady {
    since: f64,
    low: f64,
    high: f64,
    /// Updates, and those of them without a queue.
    all: u32,
    calm: u32,
}

impl Steady {
    const fn from(now: f64) -> Self {
        Self { since: now, low: f64::INFINITY, high: 0.0, all: 0, calm: 0 }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "microseconds of a machine's life and bytes of a transfer fit 52 bits"
)]
const fn number(value: u64) -> f64 {
    value as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
fn whole(value: f64) -> u64 {
    value.clamp(0.0, 1e15) as u64
}

impl Controller {
    /// A controller of a path of which nothing is known.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            mode: Mode::Start,
            since: 0.0,
            born: None,
            now: 0.0,
            window: 10.0 * MSS,
            base: Base::default(),
            recent: Recent::default(),
            deliveries: Deliveries::default(),
            bandwidth: 0.0,
            bandwidth_at: 0.0,
            frozen_until: 0.0,
            updated: 0.0,
            hot: 0,
            bad: 0,
            low: 0,
            flat: 0,
            start_rate: 0.0,
            hold: config.hold_s.0,
            queue_at: 0.0,
            dips: Dips::default(),
            gaps: Gaps::default(),
            steady: Steady::from(0.0),
            starved: false,
            busy_at: 0.0,
            intruded: false,
            rate: 0.0,
        }
    }

    /// Another priority has the path now.
    pub fn set_config(&mut self, config: Config) {
        self.config = config;
        self.hold = self.hold.clamp(config.hold_s.0, config.hold_s.1);
    }

    /// The round-trip time of a handshake, as the kernel measured it: a good first value for the path's own delay.
    pub fn handshake(&mut self, now_us: u64, rtt_us: u32) {
        if rtt_us > 0 {
            self.base.add(number(now_us) / 1e6, f64::from(rtt_us) / 1e6);
        }
    }

    /// One step. Returns the window in bytes for all connections of the path together.
    pub fn tick(&mut self, sample: &Sample) -> u64 {
        let now = number(sample.now_us) / 1e6;
        if self.born.is_none() {
            (self.born, self.since, self.updated) = (Some(now), now, now);
            self.dips.forget(now);
        } else if now - self.now > number(TICK_US) / 1e6 + STALL_S {
            // The own machine stood still: what it measures now is not the path.
            let long = now - self.now > 0.05;
            let pause = if long { FREEZE_S.1 } else { FREEZE_S.0 };
            self.frozen_until = self.frozen_until.max(now + pause);
        }
        if sample.held {
            self.frozen_until = self.frozen_until.max(now + FREEZE_S.0);
        }
        self.now = now;
        let frozen = now < self.frozen_until;
        self.deliveries.add(now, number(sample.delivered));
        if let Some(rtt) = sample.rtt_us.filter(|rtt| *rtt > 0 && !frozen) {
            let rtt = f64::from(rtt) / 1e6;
            self.base.add(now, rtt);
            self.recent.add(now, rtt);
        }
        let connections = f64::from(sample.connections.max(1));
        self.control(now, frozen, connections, sample.others);
        self.window = self.window.max(2.0 * MSS * connections);
        whole(self.window)
    }

    /// The state for people.
    pub fn view(&self) -> View {
        let base = self.base.get();
        let delay = base.map_or(0.0, |base| self.recent.delay(self.now, base) - base);
        View {
            mode: self.mode,
            since_us: whole(self.since * 1e6),
            base_us: base.map(|base| whole(base * 1e6)),
            queue_us: whole(delay.max(0.0) * 1e6),
            window_bytes: whole(self.window),
            rate: whole(self.rate),
        }
    }

    /// True while the link is left to others: all but one connection should stop asking for more.
    pub fn yields(&self) -> bool {
        self.mode == Mode::Yield
    }

    fn enter(&mut self, mode: Mode) {
        self.mode = mode;
        self.since = self.now;
        (self.hot, self.bad, self.low, self.flat) = (0, 0, 0, 0);
        self.starved = false;
    }

    fn control(&mut self, now: f64, frozen: bool, connections: f64, others: Option<f64>) {
        let base = self.base.get().unwrap_or(UNKNOWN_BASE_S);
        let current = self.recent.delay(now, base);
        let queue = current - base;
        self.rate = self.deliveries.rate(now, current.max(0.03));
        if frozen {
            self.updated = now;
            (self.hot, self.bad) = (0, 0);
        }
        let path =
            Path { base, current, queue, rate: self.rate, connections, smallest: 2.0 * MSS * connections };
        if self.dips.is_on() {
            let target = self.target();
            if let Some(window) = self.dips.step(now, queue, base, target, frozen) {
                // For a round trip the rate is still that of the dip.
                (self.window, self.updated) = (window, now + base);
            }
            return;
        }
        if self.mode == Mode::Fill
            && now - self.since > SETTLE_S
            && !frozen
            && let Some(window) = self.dips.begin(now, queue, base, self.rate, self.window)
        {
            self.window = window.max(path.smallest);
            (self.hot, self.bad) = (0, 0);
            return;
        }
        let high = self.thresholds().1;
        if queue > BUSY_S + self.dips.noise() {
            self.busy_at = now;
        }
        if !frozen && queue > high + self.window / self.bandwidth.max(MSS) {
            // A burst may come and go between two updates. It is more than all that we let out at once.
            self.gaps.burst(now);
        }
        if now - self.updated < current.max(0.02) {
            return;
        }
        self.updated = now;
        self.learn_bandwidth(now);
        match self.mode {
            Mode::Start => self.start(&path),
            Mode::Probe => self.probe(&path),
            Mode::Fill => self.fill(&path, others),
            Mode::Yield => self.stay_away(&path),
        }
    }

    /// Longest queue that still looks like nobody, and shortest that is somebody for sure, in seconds.
    fn thresholds(&self) -> (f64, f64) {
        let (target, noise) = (self.config.target_s, self.dips.noise());
        // A burst of six packets is not a queue.
        let burst = if self.bandwidth > 0.0 { 6.0 * MSS / self.bandwidth } else { 0.0 };
        let low = burst.max(target * 0.5).max(0.004);
        let high = (2.0 * burst).max(target + 0.010).max(2.0 * target);
        (low + noise, high + noise)
    }

    /// The queue that is aimed at: on top of what the path's delay varies by itself, since that says nothing.
    fn target(&self) -> f64 {
        self.config.target_s + self.dips.noise()
    }

    fn learn_bandwidth(&mut self, now: f64) {
        if now < self.frozen_until + FREEZE_BANDWIDTH_S || self.mode == Mode::Yield {
            return;
        }
        let mut rate = self.deliveries.rate(now, 0.4);
        if self.born.is_some_and(|born| now - born < 1.0) {
            rate = rate.min(self.rate);
        }
        if rate > self.bandwidth {
            (self.bandwidth, self.bandwidth_at) = (rate, now);
        } else if rate > 0.9 * self.bandwidth {
            self.bandwidth_at = now;
        } else if now - self.bandwidth_at > 3.0 && self.mode == Mode::Fill {
            self.bandwidth *= 0.99;
        }
    }

    fn begin_fill(&mut self, window: f64, path: &Path) {
        self.window = self.window.min(window).max(path.smallest);
        self.enter(Mode::Fill);
    }

    fn start(&mut self, path: &Path) {
        let settled = path.rate * (path.base + self.target() * 0.5);
        if path.queue > self.thresholds().0 {
            self.begin_fill(settled, path);
            return;
        }
        if path.rate >= 1.1 * self.start_rate {
            self.flat = 0;
        } else if self.window > 12.0 * MSS * path.connections {
            self.flat += 1;
            if self.flat >= 3 {
                self.begin_fill(settled, path);
                return;
            }
        }
        self.start_rate = path.rate;
        self.grow(path);
    }

    fn grow(&mut self, path: &Path) {
        let valid = VALID.1 * path.rate * path.current + 4.0 * MSS * path.connections;
        self.window = (self.window * GROW).min(valid);
    }

    fn probe(&mut self, path: &Path) {
        // A sender that paces two segments at a low rate looks like delay.
        let paced = if path.rate > 0.0 { 2.0 * MSS * path.connections / path.rate } else { 1.0 };
        let quiet = path.queue <= self.thresholds().0.max(paced);
        let gap = self.gaps.step(self.now, quiet, path.current, path.base, self.bandwidth);
        if !quiet {
            self.low += 1;
            if self.low < 2 {
                return;
            }
            if path.rate < 0.7 * self.bandwidth {
                self.bandwidth *= 0.9;
                self.hold = (2.0 * self.hold).min(self.config.hold_s.1);
                self.leave(path);
            } else {
                (self.bandwidth, self.bandwidth_at) = (path.rate, self.now);
                self.begin_fill(path.rate * (path.base + self.target() * 0.5), path);
            }
            return;
        }
        self.low = 0;
        if let Some(window) = gap {
            self.window = window.max(path.smallest);
            return;
        }
        self.grow(path);
        // What the path carried before is enough to fill it again.
        self.window = self.window.min(self.bandwidth * (path.base + self.target())).max(path.smallest);
        if path.rate > 0.95 * self.bandwidth {
            (self.bandwidth, self.bandwidth_at) = (path.rate, self.now);
            self.begin_fill(path.rate * (path.base + self.target()), path);
        }
    }

    fn fill(&mut self, path: &Path, others: Option<f64>) {
        let (low, high) = self.thresholds();
        let valid = VALID.0 * path.rate * path.current + 2.0 * MSS * path.connections;
        let below = path.rate < REGROW * self.bandwidth;
        self.starved = below && path.queue <= low && (self.starved || self.window > 1.2 * valid);
        if self.starved && self.now - self.busy_at > STARVED_S {
            // The server had nothing to send for a while: the path is known, and it is free.
            self.grow(path);
            self.window = self.window.min(self.bandwidth * (path.base + self.target())).max(path.smallest);
            return;
        }
        let wanted = ((path.base + self.target()) / path.current).clamp(0.5, 1.5);
        self.window *= 1.0 + GAIN * (wanted - 1.0);
        self.window = self.window.min(valid);
        let filled = self.now - self.since;
        // The queue of one's own last steps of growth is gone after two round trips.
        let own = filled < 2.0 * path.current + 0.02;
        self.hot = if path.queue > high && !own { self.hot + 1 } else { 0 };
        let lost = path.queue > low && path.rate < 0.75 * self.bandwidth;
        self.bad = if lost { self.bad + 1 } else { 0 };
        self.intruded |= self.hot == 1 || self.bad == 1;
        let neighbour = others.is_some_and(|others| self.bandwidth > 0.0 && others > 0.4 * self.bandwidth);
        if filled > CALM_S {
            self.hold = self.config.hold_s.0;
        }
        if self.hot >= self.config.patience || self.bad >= self.config.patience || neighbour {
            self.leave(path);
        } else if self.intruded && filled > TURN_S.0 {
            // Somebody looks in now and then and goes again: one of our own kind, who waits for silence.
            self.intruded = false;
            self.leave(path);
            self.hold = TURN_S.1;
        }
    }

    fn leave(&mut self, path: &Path) {
        self.enter(Mode::Yield);
        self.queue_at = self.now;
        self.steady = Steady::from(self.now);
        self.window = path.smallest;
    }

    fn stay_away(&mut self, path: &Path) {
        let quiet = path.queue <= self.thresholds().0;
        if !quiet {
            self.queue_at = self.now;
        }
        let gap = self.gaps.step(self.now, quiet, path.current, path.base, self.bandwidth);
        self.window = gap.unwrap_or(path.smallest).max(path.smallest);
        let steady = &mut self.steady;
        steady.all += 1;
        steady.calm += u32::from(quiet);
        steady.low = steady.low.min(path.current);
        steady.high = steady.high.max(path.current);
        if self.now - steady.since > ROUTE_S.1 {
            // A delay that stays as it is for seconds is no queue: the route has changed.
            if self.now - self.since > ROUTE_S.0 && steady.high - steady.low < ROUTE_S.2 {
                self.base.reset(self.now, steady.low);
                self.dips.forget(self.now);
            } else if steady.high < path.base + JITTER_S && 2 * steady.calm > steady.all {
                self.dips.learn(steady.high - path.base);
                self.queue_at = self.now - self.config.idle_s - 0.1;
            }
            self.steady = Steady::from(self.now);
        }
        if self.now - self.since > self.hold && self.now - self.queue_at > self.config.idle_s {
            self.enter(Mode::Probe);
            self.intruded = false;
            self.window = 4.0 * MSS * path.connections;
        }
    }
}

/// What is known of the path at an update.
struct Path {
    base: f64,
    current: f64,
    queue: f64,
    rate: f64,
    connections: f64,
    smallest: f64,
}
