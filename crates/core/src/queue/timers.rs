//! Deadlines. An entry is only a reminder to look: the truth is in the job, so a deadline that moved costs one look more.

use super::{NoticeKind, Queue};
use crate::enums::JobState;
use crate::id::JobId;
use crate::job::delivery::RETENTION_S;
use crate::job::event::Event;
use crate::job::{Dialect, Finishing};
use crate::time::{Mono, Now};
use std::collections::{BTreeSet, HashMap};

/// Why to look. Of two that are due together the earlier in this list goes first: no last retry at the end of the period.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) enum Kind {
    NoProgress,
    Retry,
    DownloadTime,
    Inactivity,
    Notify,
    /// A notice was held back.
    Notice,
    Ranges,
    Farewell,
}

/// At most one entry for each job and kind.
#[derive(Debug, Default)]
pub(super) struct Timers {
    order: BTreeSet<(Mono, JobId, Kind)>,
    armed: HashMap<(JobId, Kind), Mono>,
}

impl Timers {
    /// Looks at the job not later than `at`.
    pub(super) fn arm(&mut self, job: JobId, kind: Kind, at: Mono) {
        match self.armed.get(&(job, kind)) {
            Some(&earlier) if earlier <= at => return,
            Some(&later) => drop(self.order.remove(&(later, job, kind))),
            None => {}
        }
        self.order.insert((at, job, kind));
        self.armed.insert((job, kind), at);
    }

    /// Forgets a job that is gone: nobody is woken for it.
    pub(super) fn forget(&mut self, job: JobId) {
        for kind in [
            Kind::NoProgress,
            Kind::Retry,
            Kind::DownloadTime,
            Kind::Inactivity,
            Kind::Notify,
            Kind::Notice,
            Kind::Ranges,
            Kind::Farewell,
        ] {
            if let Some(at) = self.armed.remove(&(job, kind)) {
                self.order.remove(&(at, job, kind));
            }
        }
    }

    fn first(&self) -> Option<Mono> {
        self.order.first().map(|entry| entry.0)
    }

    fn pop_due(&mut self, now: Mono) -> Option<(JobId, Kind)> {
        let &(at, job, kind) = self.order.first()?;
        if at > now {
            return None;
        }
        self.order.pop_first();
        self.armed.remove(&(job, kind));
        Some((job, kind))
    }
}

/// A job that is old enough to go but has a worker is looked at again after so many seconds.
const BUSY_S: u64 = 3_600;

/// A volatile download that nobody starts goes so many seconds after its creation: its client is gone, and it counts for the quotas.
pub(super) const UNUSED_S: u64 = 3_600;

impl Queue {
    /// When [`Queue::tick`] has to be called next; `None`: nothing waits for time.
    pub fn next_deadline(&self) -> Option<Mono> {
        [self.timers.first(), self.slice_end(), self.policy_review].into_iter().flatten().min()
    }

    /// Looks at everything that is due. A review of the policy is the caller's: see [`Queue::policy_review`].
    pub fn tick(&mut self, now: Now) {
        while let Some((id, kind)) = self.timers.pop_due(now.mono) {
            self.look(id, kind, now);
        }
        self.reschedule(now);
    }

    fn look(&mut self, id: JobId, kind: Kind, now: Now) {
        if kind == Kind::Notice {
            match self.held_until(id) {
                Some(at) if at > now.mono => self.timers.arm(id, kind, at),
                Some(_) => self.release(id, now),
                None => {}
            }
            return;
        }
        if kind == Kind::Ranges {
            return self.tell_ranges(id, now);
        }
        let Some(job) = self.jobs.get(&id) else { return };
        if kind == Kind::Notify {
            self.notify.touch(id);
            return;
        }
        if kind == Kind::Farewell {
            if job.finishing == Some(Finishing::Farewell) && !self.finishes.contains_key(&id) {
                self.finish_again(id, Finishing::Farewell, now);
            }
            return;
        }
        if job.finishing.is_some() && kind != Kind::Inactivity {
            return; // a Complete that fails arms them again
        }
        let (deadline, event) = match kind {
            Kind::Notice => return, // looked at above
            Kind::Retry => (job.retry_at(&self.limits.retry), Event::RetryDelayOver),
            Kind::NoProgress => {
                let waits = job.state == JobState::TransientError;
                (job.no_progress_at(&self.limits.retry).filter(|_| waits), Event::NoProgressOver)
            }
            Kind::DownloadTime => (self.download_time_over(id, now.mono), Event::DownloadTimeOver),
            Kind::Ranges => return,
            Kind::Inactivity => {
                // A job that a worker has, or that is being finished, is not abandoned.
                let busy = self.runs.contains_key(&id) || job.finishing.is_some();
                let at = match busy {
                    true if job.ages_from_creation() => {
                        job.last_activity.plus_s(self.inactivity_s(id)).max(now.mono.plus_s(BUSY_S))
                    }
                    true => job.last_activity.max(now.mono).plus_s(self.inactivity_s(id)),
                    false => job.last_activity.plus_s(self.inactivity_s(id)),
                };
                (Some(at), Event::Inactive)
            }
            Kind::Notify => return,
            Kind::Farewell => return,
        };
        let Some(deadline) = deadline else { return };
        if deadline > now.mono {
            self.timers.arm(id, kind, deadline);
        } else if kind == Kind::Inactivity {
            self.scavenge(id, now);
        } else {
            self.apply(id, event, now);
        }
    }

    /// Seconds without activity after which a job is cleaned up.
    fn inactivity_s(&self, id: JobId) -> u64 {
        let Some(job) = self.jobs.get(&id) else { return self.limits.job_inactivity_s };
        match job.dialect() {
            Dialect::DeliveryOptimization if job.is_unused() => UNUSED_S,
            Dialect::DeliveryOptimization => RETENTION_S,
            _ => self.limits.job_inactivity_s,
        }
    }

    fn download_time_over(&self, id: JobId, now: Mono) -> Option<Mono> {
        let job = self.jobs.get(&id).filter(|job| job.active_since.is_some())?;
        let most_s = job.maximum_download_time_s(&self.limits);
        let left_ms =
            i64::try_from(most_s.saturating_mul(1000)).unwrap_or(i64::MAX) - job.active_time_ms(now);
        Some(now.plus_ms(left_ms))
    }

    /// Inactivity clean-up: like Cancel, without a caller.
    fn scavenge(&mut self, id: JobId, now: Now) {
        if self.change(id, Event::Inactive, now) {
            let count =
                self.jobs.get(&id).filter(|job| job.delivery.is_some()).map_or(0, |job| job.files.len());
            self.save_files(id, 0..count);
            self.record_scavenged(id);
            self.notice(id, NoticeKind::Modified, now.wall);
            self.begin_cancel_files(id, None, now);
        }
    }

    pub(super) fn arm_inactivity(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let at = job.last_activity.plus_s(self.inactivity_s(id));
        self.timers.arm(id, Kind::Inactivity, at);
    }

    /// Arms what the job's present state calls for.
    pub(super) fn arm_for(&mut self, id: JobId, now: Now) {
        let Some(job) = self.jobs.get(&id) else { return };
        if job.state == JobState::TransientError {
            let (retry, no_progress) =
                (job.retry_at(&self.limits.retry), job.no_progress_at(&self.limits.retry));
            if let Some(at) = retry {
                self.timers.arm(id, Kind::Retry, at);
            }
            if let Some(at) = no_progress {
                self.timers.arm(id, Kind::NoProgress, at);
            }
        } else if let Some(at) = self.download_time_over(id, now.mono) {
            self.timers.arm(id, Kind::DownloadTime, at);
        }
    }
}
