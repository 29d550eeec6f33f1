//! Facts about the machine that open and close the way for many jobs at once (spec/behaviour.md 5, 22).

use super::Queue;
use crate::enums::{JobState, Priority};
use crate::gate::{Gate, Machine, Rules};
use crate::id::JobId;
use crate::job::Job;
use crate::job::event::Event;
use crate::time::{Mono, Now};

/// For each priority level: nothing may be transferred, and until when (`None`: not known by time).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PolicyBlocks {
    held: [Option<Option<Mono>>; 4],
    /// Also from servers in the own subnets.
    near: [bool; 4],
}

impl PolicyBlocks {
    /// Nothing is held.
    pub const NONE: Self = Self { held: [None; 4], near: [false; 4] };

    /// The three background levels are held.
    pub const BACKGROUND: Self =
        Self { held: [None, Some(None), Some(None), Some(None)], near: [false, true, true, true] };

    /// Holds a level.
    #[must_use]
    pub const fn hold(mut self, priority: Priority, until: Option<Mono>) -> Self {
        self.held[priority as usize] = Some(until);
        self.near[priority as usize] = true;
        self
    }

    /// Servers in the own subnets are not concerned by the hold of a level.
    #[must_use]
    pub const fn spare_near(mut self, priority: Priority) -> Self {
        self.near[priority as usize] = false;
        self
    }

    /// True if the level is held.
    pub const fn holds(self, priority: Priority) -> bool {
        self.held[priority as usize].is_some()
    }

    /// When the hold ends.
    pub fn until(self, priority: Priority) -> Option<Mono> {
        self.held[priority as usize].flatten()
    }
}

impl Queue {
    /// The network is there, or not. Its return requeues every job in TRANSIENT_ERROR, whatever its error.
    pub fn set_network(&mut self, up: bool, now: Now) {
        self.set_machine(Machine { network: up, ..self.machine.clone() }, now);
    }

    /// True while the network is there.
    pub fn network(&self) -> bool {
        self.machine.network
    }

    /// What is known about the machine has changed: gates close and open at once.
    pub fn set_machine(&mut self, machine: Machine, now: Now) {
        if self.machine == machine {
            return;
        }
        let before = std::mem::replace(&mut self.machine, machine);
        for user in self.people_of_helpers() {
            if before.is_present(user) && !self.machine.is_present(user) {
                self.user_logged_off(user, now);
            }
        }
        if self.machine.network && !before.network {
            for id in self.ids_by_age(is_busy) {
                self.apply(id, Event::NetworkAvailable, now);
            }
        }
        // A helper token does not outlive its owner's session (spec/behaviour.md 7).
        let token_gone = |job: &Job| {
            job.options().helper_flags != 0 && !self.machine.is_present(job.owner) && is_busy(job)
        };
        for id in self.ids_by_age(token_gone) {
            self.apply(id, Event::TokenGone, now);
        }
        self.look_at_gates(now);
        self.reschedule(now);
    }

    /// What is known about the machine.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// What the policy makes of the machine.
    pub fn set_gate_rules(&mut self, rules: Rules, now: Now) {
        if std::mem::replace(&mut self.gate_rules, rules) != rules {
            self.look_at_gates(now);
            self.reschedule(now);
        }
    }

    /// Levels for which the bandwidth policy allows nothing now, and when to ask it again ([`Queue::policy_review`]).
    pub fn set_policy_blocks(&mut self, blocks: PolicyBlocks, review: Option<Mono>, now: Now) {
        self.policy_review = review;
        let before = std::mem::replace(&mut self.policy_blocks, blocks);
        let same = |p: &Priority| {
            before.holds(*p) == blocks.holds(*p) && before.near[*p as usize] == blocks.near[*p as usize]
        };
        if Priority::ALL.iter().all(same) {
            return;
        }
        self.look_at_gates(now);
        self.reschedule(now);
    }

    /// When [`Queue::set_policy_blocks`] has to be called again, because a window of the policy begins or ends.
    pub fn policy_review(&self) -> Option<Mono> {
        self.policy_review
    }

    /// Levels that the policy holds.
    pub fn policy_blocks(&self) -> PolicyBlocks {
        self.policy_blocks
    }

    /// The store takes no writes: nothing is started until [`Queue::start`].
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Brings a job in line with the gates: one that is ready waits before a closed gate, with that gate's code; one that waits
    /// before a gate that is open, or does not concern it any more, is ready. It makes no difference whether the job or the gate
    /// moved first.
    pub(super) fn pass_gates(&mut self, id: JobId, now: Now) {
        while let Some(event) = self.jobs.get(&id).and_then(|job| self.gate_event(job)) {
            if !self.change(id, event, now) {
                return;
            }
        }
    }

    fn gate_event(&self, job: &Job) -> Option<Event> {
        if job.finishing.is_some() {
            return None;
        }
        match job.wait {
            // What is known about the machine is not complete before the start.
            Some(wait) => {
                let gate = wait.gate().filter(|gate| !self.paused && !self.is_closed(*gate, job))?;
                Some(match gate {
                    Gate::Network => Event::NetworkAvailable,
                    Gate::Policy => Event::PolicyUnblocks,
                    gate => Event::GateOpens(gate),
                })
            }
            None if job.state.is_running() && !self.machine.is_present(job.owner) => {
                Some(Event::OwnerLoggedOff)
            }
            None if job.state != JobState::Queued && !job.state.is_running() => None,
            None => Gate::ALL.into_iter().find(|gate| self.is_closed(*gate, job)).map(|gate| match gate {
                Gate::Network => Event::NetworkLost,
                Gate::Policy => Event::PolicyBlocks,
                gate => Event::GateCloses(gate),
            }),
        }
    }

    /// True if the gate is closed for the job. What it needs from this machine alone needs no network, and costs nothing.
    pub(super) fn is_closed(&self, gate: Gate, job: &Job) -> bool {
        match gate {
            Gate::Policy if self.policy_blocks.holds(job.priority) => {
                self.policy_blocks.near[job.priority as usize]
                    || !job.comes_from(|address| self.machine.subnets.contains(address))
            }
            Gate::Policy => false,
            _ => {
                let rules = &self.gate_rules;
                rules.closes(gate, &self.machine, job.priority, job.networks(&self.limits))
                    && (!matches!(gate, Gate::Network | Gate::Cost | Gate::Cellular)
                        || !job.comes_from(|address| address.is_loopback()))
            }
        }
    }

    /// Every job that something may have changed for, in the order of their creation.
    pub(super) fn look_at_gates(&mut self, now: Now) {
        for id in self.ids_by_age(|job| is_busy(job) && self.moves_by_gates(job)) {
            self.settle(id, now);
        }
    }

    /// A gate, or the owner's presence, makes a difference for the job now.
    fn moves_by_gates(&self, job: &Job) -> bool {
        let queued = job.state == JobState::Queued;
        let has_place = self.scheduler.is_waiting(job.id);
        self.gate_event(job).is_some() || (queued && has_place != self.machine.is_present(job.owner))
    }
}

fn is_busy(job: &Job) -> bool {
    let waits = matches!(job.state, JobState::Queued | JobState::TransientError);
    (waits || job.state.is_running()) && job.finishing.is_none()
}
