//! What the policy means for the brain: limits, levels that are held, jobs that are forbidden (spec/policy.md C6).

use super::Brain;
use crate::policy::Settings;
use openbits_core::events_log::Record;
use openbits_core::hresult as h;
use openbits_core::job::property::Property;
use openbits_core::job::{File, NewFile};
use openbits_core::policy::Rate;
use openbits_core::policy::security::{Forbidden, Security};
use openbits_core::queue::{Call, Failure, NewJob, PolicyBlocks};
use openbits_core::{Caller, Job, JobId, JobState, Mono, Now, Priority, Uid, names};
use std::sync::Arc;

/// Seconds since 1970 on the clock that the schedule follows, and the way back to the timers' clock.
#[derive(Clone, Copy)]
pub struct ScheduleClock {
    unix_ms: i64,
    mono: Mono,
}

impl ScheduleClock {
    /// The wall clock; or, where changes of it are ignored, the clock that was laid over it when the service started.
    pub fn of(settings: &Settings, now: Now) -> Self {
        let unix_ms = if settings.follows_wall_clock() { now.wall.unix_ms() } else { now.mono.0 };
        Self { unix_ms, mono: now.mono }
    }

    /// Now, in seconds since 1970.
    pub const fn unix_s(self) -> i64 {
        self.unix_ms.div_euclid(1000)
    }

    /// An instant of the schedule on the timers' clock.
    pub const fn mono(self, unix_s: i64) -> Mono {
        self.mono.plus_ms(unix_s.saturating_mul(1000).saturating_sub(self.unix_ms))
    }
}

pub(super) fn refused(forbidden: &Forbidden) -> Failure {
    Failure::new(h::E_ACCESSDENIED, forbidden.to_string())
}

/// The first file that is still to be transferred and that the policy forbids now.
pub fn forbidden(security: &Security, job: &Job) -> Option<Forbidden> {
    // One that has no place yet cannot be resumed, and is looked at when it gets one.
    let files = job.files.iter().filter(|file| !file.transferred && !file.local.is_empty());
    let check = |file: &File| {
        security.check(&file.remote, &file.local)?;
        file.expect().locations().try_for_each(|name| security.check_remote(name))
    };
    files.map(check).find_map(Result::err)
}

impl Brain {
    /// Another policy: swapped as a whole, then everything that follows from it.
    pub(super) fn set_settings(&mut self, settings: Arc<Settings>) {
        let now = self.clock.now();
        let old = std::mem::replace(&mut self.settings, settings);
        if old.limits != self.settings.limits {
            self.queue.set_limits(self.settings.limits.clone(), now);
        }
        self.review_bandwidth();
        self.review_machine();
        if old.security != self.settings.security {
            self.suspend_forbidden();
        }
    }

    /// Who must be logged on to use the service, and is not.
    fn check_presence(&self, uid: Uid) -> Result<(), Failure> {
        if self.queue.machine().is_present(uid) {
            return Ok(());
        }
        let detail = "owner.presence in the policy lets only people who are logged on create and resume jobs";
        Err(Failure::new(h::ERROR_NOT_LOGGED_ON, detail))
    }

    /// Holds and releases priority levels, and limits them, by the schedule as it is now, and sets the time of the next look.
    pub(super) fn review_bandwidth(&mut self) {
        let now = self.clock.now();
        let clock = ScheduleClock::of(&self.settings, now);
        let mut blocks = PolicyBlocks::NONE;
        let mut review: Option<Mono> = None;
        for &priority in Priority::ALL {
            let [far, near] = [false, true].map(|on_lan| {
                self.settings.policy.rate(&self.settings.zone, clock.unix_s(), priority, on_lan)
            });
            let until = far.until.map(|at| clock.mono(at));
            if far.rate == Rate::Blocked {
                blocks = blocks.hold(priority, until);
                if near.rate != Rate::Blocked {
                    blocks = blocks.spare_near(priority);
                }
            }
            let (delivery, _) = self.settings.policy.delivery_rate(priority);
            self.sharing.set(priority, &far, &near, delivery);
            let near_until = near.until.map(|at| clock.mono(at));
            review = [review, until, near_until].into_iter().flatten().min();
        }
        if blocks != self.queue.policy_blocks() {
            let record = Record::new(205).with("profileType", "schedule");
            self.log(&record.with("blocked", format!("{blocks:?}")));
        }
        self.queue.set_policy_blocks(blocks, review, now);
    }

    /// Jobs with a file that is forbidden now are suspended, never deleted.
    pub(super) fn suspend_forbidden(&mut self) {
        let security = &self.settings.security;
        let Ok(jobs) = self.queue.all_jobs(Caller::root(), None) else { return };
        let waits = |job: &&Job| {
            matches!(job.state, JobState::Queued | JobState::TransientError) || job.state.is_running()
        };
        let found: Vec<(JobId, Forbidden)> = jobs
            .filter(waits)
            .filter_map(|job| forbidden(security, job).map(|forbidden| (job.id, forbidden)))
            .collect();
        for (id, forbidden) in found {
            tracing::warn!(job = %id, %forbidden, "the job is suspended");
            // Nobody waits for the answer.
            let _ = self.queue.call(Caller::root(), id, Call::Suspend, self.clock.now());
        }
    }

    pub(super) fn check_security(&self, remote: &str, local: &str) -> Result<(), Failure> {
        self.settings.security.check(remote, local).map_err(|forbidden| refused(&forbidden))
    }

    fn check_digests(&self, priority: Priority, digests: impl Iterator<Item = bool>) -> Result<(), Failure> {
        for has_digest in digests {
            self.settings.security.check_digest(priority, has_digest).map_err(|f| refused(&f))?;
        }
        Ok(())
    }

    /// Who creates it, and the digests of its files.
    pub(super) fn check_new_job(&self, caller: Caller, new: &NewJob) -> Result<(), Failure> {
        if let Some(key) = self.settings.people.forbids(caller.uid.0) {
            return Err(Failure::new(
                h::E_ACCESSDENIED,
                format!("{key} in the policy does not let you create jobs"),
            ));
        }
        self.check_presence(caller.uid)?;
        let priority = priority_of(&new.properties).unwrap_or(Priority::Normal);
        self.check_digests(priority, new.files.iter().map(NewFile::has_digest))
    }

    pub(super) fn check_added(&self, caller: Caller, id: JobId, files: &[NewFile]) -> Result<(), Failure> {
        // Whoever may not see the job is told so by the call itself.
        let Ok(job) = self.queue.job(caller, id) else { return Ok(()) };
        self.check_digests(job.priority, files.iter().map(NewFile::has_digest))
    }

    /// Another name for a file is as good as another file.
    pub(super) fn check_remote_name(
        &self,
        caller: Caller,
        id: JobId,
        file: u32,
        name: &str,
    ) -> Result<(), Failure> {
        let Ok(job) = self.queue.job(caller, id) else { return Ok(()) };
        // What is no name, or no file of the job, the call itself refuses.
        let file = job.files.get(file as usize).filter(|_| names::check_remote_name(name).is_ok());
        file.map_or(Ok(()), |file| self.check_security(name, &file.local))
    }

    pub(super) fn check_prefix(
        &self,
        caller: Caller,
        id: JobId,
        old: &str,
        new: &str,
    ) -> Result<(), Failure> {
        let Ok(job) = self.queue.job(caller, id) else { return Ok(()) };
        let renamed = job.files.iter().filter_map(|file| Some((file, file.remote.strip_prefix(old)?)));
        for (file, rest) in renamed {
            let name = format!("{new}{rest}");
            if names::check_remote_name(&name).is_ok() {
                self.check_security(&name, &file.local)?;
            }
        }
        Ok(())
    }

    pub(super) fn check_resume(&self, caller: Caller, id: JobId) -> Result<(), Failure> {
        let Ok(job) = self.queue.job(caller, id) else { return Ok(()) };
        self.check_presence(caller.uid)?;
        forbidden(&self.settings.security, job).map_or(Ok(()), |forbidden| Err(refused(&forbidden)))
    }

    /// A job without digests must not become one that needs them.
    pub(super) fn check_properties(
        &self,
        caller: Caller,
        id: JobId,
        properties: &[Property],
    ) -> Result<(), Failure> {
        let (Ok(job), Some(priority)) = (self.queue.job(caller, id), priority_of(properties)) else {
            return Ok(());
        };
        if priority == job.priority {
            return Ok(());
        }
        let files = job.files.iter().filter(|file| !file.transferred);
        self.check_digests(priority, files.map(File::has_digest))
    }
}

fn priority_of(properties: &[Property]) -> Option<Priority> {
    properties.iter().rev().find_map(|property| match property {
        Property::Priority(value) => Priority::from_value(*value),
        _ => None,
    })
}
