//! How often listeners hear that a job changed (spec/bits-extended.md 6.3, id 9).

use super::{NoticeKind, Queue};
use crate::id::JobId;
use crate::time::{Mono, Now};

/// What listeners were told of a job, and when.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    modified: Option<Mono>,
    progress: Option<Mono>,
    /// There is a change that they have not heard of.
    held: bool,
}

impl Queue {
    /// Tells a change at once, or when the job's interval since the last one is over. What is held back is one notice, of the state as
    /// it is then.
    pub(super) fn modified(&mut self, id: JobId, now: Now) {
        match self.next_modified(id) {
            Some(at) if at > now.mono => {
                self.told.entry(id).or_default().held = true;
                // A callback has a pace of its own: its listener may have come after the last notice.
                self.notify.mark_modified(id);
                self.timers.arm(id, super::timers::Kind::Notice, at);
            }
            _ => self.tell_modified(id, now),
        }
    }

    fn tell_modified(&mut self, id: JobId, now: Now) {
        let told = self.told.entry(id).or_default();
        (told.modified, told.held) = (Some(now.mono), false);
        self.notice(id, NoticeKind::Modified, now.wall);
    }

    fn next_modified(&self, id: JobId) -> Option<Mono> {
        let interval_ms = self.jobs.get(&id)?.options().notification_interval_ms();
        self.told.get(&id)?.modified.map(|last| last.plus_ms(interval_ms.into()))
    }

    /// When a notice that is held back is due.
    pub(super) fn held_until(&self, id: JobId) -> Option<Mono> {
        self.told.get(&id).filter(|told| told.held)?;
        self.next_modified(id)
    }

    /// The interval is over.
    pub(super) fn release(&mut self, id: JobId, now: Now) {
        self.tell_modified(id, now);
    }

    /// A notice that says more than "changed" leaves: what was held back is told by it.
    pub(super) fn supersede(&mut self, id: JobId) {
        if let Some(told) = self.told.get_mut(&id) {
            told.held = false;
        }
    }

    /// Progress is told as workers report it; a job with an interval of its own is told so often at most.
    pub(super) fn may_tell_progress(&mut self, id: JobId, now: Now) -> bool {
        let own = self.jobs.get(&id).and_then(|job| job.options().notification_interval_ms);
        let Some(interval_ms) = own else { return true };
        let told = self.told.entry(id).or_default();
        if told.progress.is_some_and(|last| now.mono < last.plus_ms(interval_ms.into())) {
            return false;
        }
        told.progress = Some(now.mono);
        true
    }
}
