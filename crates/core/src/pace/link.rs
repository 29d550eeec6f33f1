//! A simulated path for the controller's tests: one bottleneck with a drop-tail buffer, packet by packet, in steps of 0.1 ms.
//!
//! A receiver-paced flow may send up to the right edge of the window it was told, which never moves back. Its delay signal behaves as
//! the kernel's: it falls at once and rises by an eighth of the difference with each packet. Foreground flows are AIMD with slow start.

use super::{Config, Controller, MSS, Mode, Sample, TICK_US};
use std::collections::VecDeque;

/// Step of the simulation, in microseconds.
const STEP_US: u64 = 100;

/// The path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) mbit: f64,
    pub(super) rtt_ms: f64,
    pub(super) buffer_ms: f64,
    /// Delay that each packet has by itself, on each of the two ways, up to this many milliseconds (order is kept).
    pub(super) jitter_ms: f64,
    /// Own ticks that are lost, one in so many; 0: none.
    pub(super) stalls: u64,
    pub(super) seed: u64,
}

impl Link {
    pub(super) const fn new(mbit: f64, rtt_ms: f64) -> Self {
        Self { mbit, rtt_ms, buffer_ms: 200.0, jitter_ms: 0.0, stalls: 0, seed: 1 }
    }

    fn rate(&self) -> f64 {
        self.mbit * 1e6 / 8.0
    }
}

/// Who sends.
enum Kind {
    /// Paced by its own controller.
    /// `server`: bytes per second that the server has, and bytes of it that are due.
    Scavenger {
        controller: Box<Controller>,
        window: f64,
        right_edge: f64,
        next_tick: u64,
        server: Option<(f64, f64)>,
    },
    /// Ordinary TCP; `pause_ms` > 0: bursts of `burst` bytes with pauses between them.
    Ordinary { window: f64, threshold: f64, recover: u64, burst: f64, pause_ms: f64, left: f64, resume: u64 },
}

struct Flow {
    kind: Kind,
    from: u64,
    until: u64,
    sent: f64,
    acked: f64,
    delivered: f64,
    /// Smoothed receiver RTT in microseconds; 0 = none yet.
    signal: f64,
    seen: u64,
}

struct Packet {
    flow: usize,
    sent_at: u64,
    arrives: u64,
    lost: bool,
}

/// A run.
pub(super) struct World {
    link: Link,
    flows: Vec<Flow>,
    now: u64,
    base_us: u64,
    queue: VecDeque<Packet>,
    queued: f64,
    credit: f64,
    /// Packets behind the bottleneck, on their way to the receiver and back as acknowledgement.
    returning: VecDeque<Packet>,
    random: u64,
    last_forward: u64,
    last_return: u64,
    pub(super) delays: Vec<(u64, f64)>,
}

impl World {
    pub(super) fn new(link: Link) -> Self {
        let base_us = ms(link.rtt_ms);
        Self {
            link,
            flows: Vec::new(),
            now: 1_000_000,
            base_us,
            queue: VecDeque::new(),
            queued: 0.0,
            credit: 0.0,
            returning: VecDeque::new(),
            random: link.seed | 1,
            last_forward: 0,
            last_return: 0,
            delays: Vec::new(),
        }
    }

    fn add(&mut self, kind: Kind, from_s: f64, until_s: f64) -> usize {
        let at = |s: f64| self.now.saturating_add(ms((s * 1000.0).min(1e12)));
        let (from, until) = (at(from_s), at(until_s));
        self.flows.push(Flow {
            kind,
            from,
            until,
            sent: 0.0,
            acked: 0.0,
            delivered: 0.0,
            signal: 0.0,
            seen: 0,
        });
        self.flows.len() - 1
    }

    pub(super) fn scavenger(&mut self, config: Config, from_s: f64) -> usize {
        let controller = Box::new(Controller::new(config));
        let kind =
            Kind::Scavenger { controller, window: 0.0, right_edge: 10.0 * MSS, next_tick: 0, server: None };
        self.add(kind, from_s, f64::INFINITY)
    }

    pub(super) fn ordinary(&mut self, from_s: f64, until_s: f64) -> usize {
        self.bursty(from_s, until_s, f64::INFINITY, 0.0)
    }

    pub(super) fn bursty(&mut self, from_s: f64, until_s: f64, burst: f64, pause_ms: f64) -> usize {
        let kind = Kind::Ordinary {
            window: 10.0 * MSS,
            threshold: f64::INFINITY,
            recover: 0,
            burst,
            pause_ms,
            left: burst,
            resume: 0,
        };
        self.add(kind, from_s, until_s)
    }

    /// From now on the server has only so many Mbit/s.
    pub(super) fn serve(&mut self, flow: usize, mbit: Option<f64>) {
        if let Kind::Scavenger { server, .. } = &mut self.flows[flow].kind {
            *server = mbit.map(|mbit| (mbit * 1e6 / 8.0, 0.0));
        }
    }

    /// The route changes: another base delay from now on.
    pub(super) fn reroute(&mut self, rtt_ms: f64) {
        self.base_us = ms(rtt_ms);
    }

    pub(super) fn mode(&self, flow: usize) -> Mode {
        match &self.flows[flow].kind {
            Kind::Scavenger { controller, .. } => controller.view().mode,
            Kind::Ordinary { .. } => panic!("flow {flow} has no controller"),
        }
    }

    pub(super) fn view(&self, flow: usize) -> super::View {
        match &self.flows[flow].kind {
            Kind::Scavenger { controller, .. } => controller.view(),
            Kind::Ordinary { .. } => panic!("flow {flow} has no controller"),
        }
    }

    /// Runs for so many seconds; the share of the link that each flow got.
    pub(super) fn run(&mut self, seconds: f64) -> Vec<f64> {
        let before: Vec<f64> = self.flows.iter().map(|flow| flow.delivered).collect();
        let end = self.now + ms(seconds * 1000.0);
        while self.now < end {
            self.now += STEP_US;
            self.step();
        }
        let all = self.link.rate() * seconds;
        self.flows.iter().zip(before).map(|(flow, before)| (flow.delivered - before) / all).collect()
    }

    /// Queueing delays of the last seconds in milliseconds: median and 95th percentile.
    pub(super) fn queue_ms(&self, seconds: f64) -> (f64, f64) {
        let from = self.now - ms(seconds * 1000.0);
        let mut delays: Vec<f64> =
            self.delays.iter().filter(|(at, _)| *at >= from).map(|(_, delay)| *delay).collect();
        delays.sort_by(f64::total_cmp);
        let at = |part: usize| delays.get(delays.len() * part / 100).copied().unwrap_or(0.0);
        (at(50), at(95))
    }

    fn chance(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn jitter(&mut self) -> u64 {
        match ms(self.link.jitter_ms) {
            0 => 0,
            span => self.chance() % span,
        }
    }

    fn step(&mut self) {
        let now = self.now;
        for index in 0..self.flows.len() {
            if let Kind::Scavenger { server: Some((rate, due)), .. } = &mut self.flows[index].kind {
                *due = (*due + *rate * f64::from(STEP_US as u32) / 1e6).min(16.0 * MSS);
            }
            self.tick(index);
            self.send(index);
        }
        // The bottleneck.
        self.credit = (self.credit + self.link.rate() * f64::from(STEP_US as u32) / 1e6).min(3.0 * MSS);
        while self.credit >= MSS
            && let Some(mut packet) = self.queue.pop_front()
        {
            self.credit -= MSS;
            self.queued -= MSS;
            // Order is kept on both ways; the whole path but the queue lies behind it.
            self.last_forward = (now + self.jitter()).max(self.last_forward);
            packet.arrives = (self.last_forward + self.base_us + self.jitter()).max(self.last_return);
            self.last_return = packet.arrives;
            self.returning.push_back(packet);
        }
        if now.is_multiple_of(10_000) {
            self.delays.push((now, self.queued / self.link.rate() * 1000.0));
        }
        while self.returning.front().is_some_and(|packet| packet.arrives <= now) {
            let packet = self.returning.pop_front().expect("just seen");
            self.arrive(&packet);
        }
    }

    /// The controller of a flow, every 10 ms.
    fn tick(&mut self, index: usize) {
        let stalls = self.link.stalls;
        let stalled = stalls > 0 && self.chance().is_multiple_of(stalls * 100);
        let now = self.now;
        let flow = &mut self.flows[index];
        if now < flow.from || now >= flow.until {
            return;
        }
        let Kind::Scavenger { controller, window, right_edge, next_tick, .. } = &mut flow.kind else {
            return;
        };
        if stalled {
            *next_tick = now + 60_000;
        }
        if now < *next_tick {
            return;
        }
        *next_tick = now + TICK_US;
        let sample = Sample {
            now_us: now,
            delivered: flow.delivered as u64,
            rtt_us: (flow.signal > 0.0).then_some(flow.signal as u32),
            connections: 1,
            others: None,
            held: false,
        };
        *window = controller.tick(&sample) as f64;
        *right_edge = right_edge.max(flow.delivered + *window);
    }

    fn send(&mut self, index: usize) {
        let now = self.now;
        loop {
            let limit = self.link.rate() * self.link.buffer_ms / 1000.0;
            let full = self.queued + MSS > limit.max(4.0 * MSS);
            let flow = &mut self.flows[index];
            if now < flow.from || now >= flow.until {
                return;
            }
            match &mut flow.kind {
                Kind::Scavenger { right_edge, server, .. } => {
                    if flow.sent + MSS > *right_edge || server.is_some_and(|(_, due)| due < MSS) {
                        return;
                    }
                    if let Some((_, due)) = server {
                        *due -= MSS;
                    }
                }
                Kind::Ordinary { window, left, resume, burst, pause_ms, .. } => {
                    if now < *resume || flow.sent - flow.acked + MSS > *window {
                        return;
                    }
                    *left -= MSS;
                    if *left <= 0.0 {
                        *left = *burst;
                        *resume = now + ms(*pause_ms);
                    }
                }
            }
            flow.sent += MSS;
            let lost = full;
            let packet = Packet { flow: index, sent_at: now, arrives: now + self.base_us, lost };
            if lost {
                // The sender hears of it a round trip later (through the packets behind it).
                let wait = self.base_us + (self.queued / self.link.rate() * 1e6) as u64;
                let arrives = (now + wait).max(self.last_return);
                self.returning.push_back(Packet { arrives, ..packet });
                self.last_return = arrives;
            } else {
                self.queued += MSS;
                self.queue.push_back(packet);
            }
        }
    }

    fn arrive(&mut self, packet: &Packet) {
        let now = self.now;
        let flow = &mut self.flows[packet.flow];
        flow.acked += MSS;
        if packet.lost {
            if let Kind::Ordinary { window, threshold, recover, .. } = &mut flow.kind
                && packet.sent_at >= *recover
            {
                *threshold = (*window * 0.7).max(2.0 * MSS);
                *window = *threshold;
                *recover = now;
            }
            // Lost data is sent again.
            flow.sent -= MSS;
            flow.acked -= MSS;
            return;
        }
        flow.delivered += MSS;
        let rtt = (now - packet.sent_at) as f64;
        flow.signal = if flow.signal == 0.0 || rtt < flow.signal {
            rtt
        } else if packet.sent_at >= flow.seen {
            flow.signal + (rtt - flow.signal) / 8.0
        } else {
            flow.signal
        };
        flow.seen = flow.seen.max(packet.sent_at);
        match &mut flow.kind {
            // Each acknowledgement tells the window anew.
            Kind::Scavenger { window, right_edge, .. } => {
                *right_edge = right_edge.max(flow.delivered + *window);
            }
            // Reno's increase, four times as fast: about what cubic does on such paths.
            Kind::Ordinary { window, threshold, .. } => {
                *window += if *window < *threshold { MSS } else { 4.0 * MSS * MSS / *window };
            }
        }
    }
}

fn ms(value: f64) -> u64 {
    (value * 1000.0).max(0.0) as u64
}
