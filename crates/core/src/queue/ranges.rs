//! Ranges of files: what is wanted changes, and what came is told (spec/bits-extended.md 7.11, 7.12, 8.2).

use super::timers::Kind;
use super::{Effect, NoticeKind, Queue};
use crate::enums::notify;
use crate::hresult::{self as h, HResult};
use crate::id::JobId;
use crate::job::ErrorRecord;
use crate::job::random_access::as_ranges;
use crate::range_set::RangeSet;
use crate::time::{Mono, Now};
use std::collections::BTreeSet;

/// What came and was not told yet.
#[derive(Debug, Default)]
pub(super) struct Telling {
    files: BTreeSet<u32>,
    last: Option<Mono>,
}

impl Queue {
    /// What is wanted of a file is another now: it is stored, and the worker that has the job hears of it.
    pub(super) fn wants_changed(&mut self, id: JobId, file: u32) -> HResult {
        self.save(id);
        self.effects.push(Effect::SaveFile(id, file));
        if let Some(run) = self.runs.get_mut(&id).filter(|run| !run.stopping) {
            run.wants_changed = true;
            let (attempt, owner) = (run.attempt, run.owner);
            self.effects.push(Effect::Want { job: id, attempt, owner, file });
        }
        h::S_OK
    }

    /// A request that turned out to lie outside of the file would fail every further attempt.
    pub(super) fn forget_impossible(&mut self, id: JobId, error: &ErrorRecord) {
        let Some(index) = error.file.filter(|_| error.code == h::BG_E_INVALID_RANGE) else { return };
        let Some(file) = self.jobs.get_mut(&id).and_then(|job| job.files.get_mut(index as usize)) else {
            return;
        };
        if file.requested.is_empty() && file.position == 0 {
            return;
        }
        file.requested.clear();
        file.position = 0;
        self.effects.push(Effect::SaveFile(id, index));
    }

    /// Something of a file came. It is told at once, or at the end of the interval.
    pub(super) fn ranges_came(&mut self, id: JobId, file: u32, now: Now) {
        let Some(job) = self.jobs.get(&id) else { return };
        let listens = job.notify_flags & notify::FILE_RANGES_TRANSFERRED != 0
            && job.notify_flags & notify::DISABLE == 0
            && job.has_random_access(file);
        if !listens {
            return;
        }
        let interval_ms = i64::from(job.options().notification_interval_ms());
        let telling = self.telling.entry(id).or_default();
        telling.files.insert(file);
        match telling.last.map(|last| last.plus_ms(interval_ms)) {
            Some(at) if at > now.mono => self.timers.arm(id, Kind::Ranges, at),
            _ => self.tell_ranges(id, now),
        }
    }

    /// Tells what came since the last time.
    pub(super) fn tell_ranges(&mut self, id: JobId, now: Now) {
        let Some(telling) = self.telling.get_mut(&id) else { return };
        let files = std::mem::take(&mut telling.files);
        if files.is_empty() {
            return;
        }
        telling.last = Some(now.mono);
        for index in files {
            let Some(file) = self.jobs.get_mut(&id).and_then(|job| job.files.get_mut(index as usize)) else {
                continue;
            };
            let filled = file.filled();
            // What was told and is there no more (the file began again) may be told again.
            let told = std::mem::replace(&mut file.told, filled.clone());
            let fresh: RangeSet = filled.iter().flat_map(|range| told.gaps(range)).collect();
            if !fresh.is_empty() {
                let ranges = as_ranges(&fresh);
                self.notice_with(id, NoticeKind::FileRangesTransferred(index), ranges, now.wall);
            }
        }
    }
}
