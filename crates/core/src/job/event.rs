//! What happens to a job from inside: scheduler, worker, clocks, network, policy (spec/bits-core.md 8.4).

use super::{Change, ErrorRecord, Finishing, Job, Notice, Wait};
use crate::enums::{ErrorContext, JobState};
use crate::gate::Gate;
use crate::hresult::{self as h, HResult};
use crate::time::Now;

/// An internal event. What is not listed for a state in the specification is ignored there.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// The scheduler gives the job a turn.
    Turn,
    /// The server answered: a transfer is possible.
    Answered,
    /// At least one byte arrived.
    BytesMoved,
    /// One file is finished, more remain.
    FileFinished,
    /// Everything that was asked for is there, but not the whole of every file (ON_DEMAND_MODE).
    RequestsFilled,
    /// The last file (and the reply) is finished.
    AllFinished,
    /// The time slice is over, or the job is pre-empted.
    Preempted,
    /// An error that trying again may cure.
    Recoverable {
        /// What is remembered of it.
        error: ErrorRecord,
        /// What the server asked for.
        retry_after_ms: u64,
    },
    /// An error that another server may not have: its turn is next, at once.
    Elsewhere(ErrorRecord),
    /// An error that needs somebody's help.
    Fatal(ErrorRecord),
    /// A helper is to be used and is not there (any more).
    TokenRequired(ErrorRecord),
    /// The retry delay is over.
    RetryDelayOver,
    /// The no-progress period is over.
    NoProgressOver,
    /// No network any more.
    NetworkLost,
    /// A network is there (again).
    NetworkAvailable,
    /// The owner is not present any more.
    OwnerLoggedOff,
    /// The helper token of the job ended with its owner's session.
    TokenGone,
    /// The bandwidth policy allows jobs of this level nothing.
    PolicyBlocks,
    /// It allows something again.
    PolicyUnblocks,
    /// Cost, battery, power saver or a game hold the job.
    GateCloses(Gate),
    /// That gate is open again.
    GateOpens(Gate),
    /// The destination's volume is locked.
    VolumeLocked,
    /// The remote file changed: that file begins again.
    RemoteChanged {
        /// Position in the file list.
        file: u32,
    },
    /// Active transfer time is over its maximum.
    DownloadTimeOver,
    /// Nobody touched the job for the inactivity timeout.
    Inactive,
    /// The service started.
    ServiceRestarted,
}

impl Job {
    /// Applies an event. `None`: it means nothing in this state, and nothing changed.
    pub fn apply(&mut self, event: Event, now: Now) -> Option<Change> {
        use JobState as S;
        match (event, self.state) {
            (Event::Turn, S::Queued) => self.moved(S::Connecting, now),
            (Event::Answered, S::Connecting) => {
                self.error = None;
                self.moved(S::Transferring, now)
            }
            (Event::BytesMoved, S::Transferring) => {
                self.no_progress_since = None;
                self.delivery.iter_mut().for_each(|delivery| delivery.begin_afresh());
                self.route.iter_mut().for_each(|route| route.moved());
                self.touch(now);
                Some(Change::ok(Notice::Modification))
            }
            (Event::FileFinished, S::Transferring) => {
                self.no_progress_since = None;
                self.touch(now);
                Some(Change::ok(Notice::Modification))
            }
            (Event::AllFinished, S::Connecting | S::Transferring) => {
                self.error = None;
                self.no_progress_since = None;
                self.touch(now);
                self.transferred_at = now.wall;
                self.enter(S::Transferred, now);
                Some(Change::ok(Notice::Transferred))
            }
            (Event::RequestsFilled, S::Connecting | S::Transferring) => {
                self.error = None;
                self.no_progress_since = None;
                self.moved(S::Suspended, now)
            }
            (Event::Preempted | Event::OwnerLoggedOff, S::Connecting | S::Transferring) => {
                self.moved(S::Queued, now)
            }
            (Event::Recoverable { error, retry_after_ms }, S::Connecting | S::Transferring) => {
                self.error_count = self.error_count.saturating_add(1);
                if let Some(delivery) = self.delivery.as_deref_mut() {
                    delivery.failures = delivery.failures.saturating_add(1);
                }
                self.fail(error, Wait::Retry { since: now.mono, retry_after_ms }, now)
            }
            (Event::Elsewhere(error), S::Connecting | S::Transferring) => {
                self.error_count = self.error_count.saturating_add(1);
                self.error = Some(Box::new(error));
                if self.no_progress_since.is_none() {
                    self.begin_no_progress(now.mono);
                }
                self.moved(S::Queued, now)
            }
            (Event::Fatal(error), S::Queued | S::Connecting | S::Transferring) => {
                self.error_count = self.error_count.saturating_add(1);
                self.fatal(error, now)
            }
            (
                Event::TokenRequired(error),
                S::Queued | S::Connecting | S::Transferring | S::TransientError,
            ) => {
                self.error_count = self.error_count.saturating_add(1);
                self.fatal(error, now)
            }
            (Event::RetryDelayOver, S::TransientError) if matches!(self.wait, Some(Wait::Retry { .. })) => {
                self.moved(S::Queued, now)
            }
            (Event::NoProgressOver, S::TransientError) => {
                if let Some(delivery) = self.delivery.as_deref_mut() {
                    delivery.no_progress = true;
                }
                if let Some(download) = self.download.as_deref_mut() {
                    download.no_progress = true;
                }
                self.touch(now);
                self.enter(S::Error, now);
                Some(Change::ok(Notice::Error))
            }
            (Event::NetworkLost, S::Queued) => {
                let error = self.gate(h::BG_E_NETWORK_DISCONNECTED, now);
                self.park(error, Wait::Network, now)
            }
            (Event::NetworkLost, S::Connecting | S::Transferring) => {
                let error = self.gate(h::BG_E_NETWORK_DISCONNECTED, now);
                self.fail(error, Wait::Network, now)
            }
            (Event::NetworkAvailable, S::TransientError) => self.moved(S::Queued, now),
            (Event::TokenGone, S::Queued | S::Connecting | S::Transferring | S::TransientError) => {
                let error = self.gate(h::BG_E_TOKEN_REQUIRED, now);
                self.fatal(error, now)
            }
            (Event::PolicyBlocks, S::Queued | S::Connecting | S::Transferring) => {
                let error = self.gate(h::BG_E_BLOCKED_BY_POLICY, now);
                self.park(error, Wait::Policy, now)
            }
            (Event::PolicyUnblocks, S::TransientError) if self.wait == Some(Wait::Policy) => {
                self.moved(S::Queued, now)
            }
            (Event::GateCloses(gate), S::Queued | S::Connecting | S::Transferring) => {
                let error = self.gate(gate.code(), now);
                self.park(error, gate.into(), now)
            }
            (Event::GateOpens(gate), S::TransientError) if self.wait == Some(gate.into()) => {
                self.moved(S::Queued, now)
            }
            (Event::VolumeLocked, S::Transferring) => {
                let error = ErrorRecord::new(h::BG_E_DESTINATION_LOCKED, ErrorContext::LocalFile, now.wall);
                self.fail(error, Wait::Volume, now)
            }
            (Event::RemoteChanged { file }, S::Connecting | S::Transferring) => {
                let file = self.file_or_reply_mut(file)?;
                file.restart();
                file.restarts = file.restarts.saturating_add(1);
                self.ask_again();
                self.touch(now);
                Some(Change::ok(Notice::Modification))
            }
            (Event::DownloadTimeOver, S::Connecting | S::Transferring) => {
                self.error_count = self.error_count.saturating_add(1);
                self.fatal(self.gate(h::BG_E_MAXDOWNLOAD_TIMEOUT, now), now)
            }
            (Event::Inactive, state) if !state.is_final() => {
                // The finished file of an agent's download stands where its client has been using it all the time: it is only forgotten.
                if self.delivery.is_some() && state == S::Transferred {
                    self.files.iter_mut().for_each(|file| file.completed = true);
                }
                self.enter(S::Cancelled, now);
                self.finishing = Some(Finishing::Cancel);
                Some(Change::ok(Notice::None))
            }
            (Event::ServiceRestarted, S::Connecting | S::Transferring) => {
                self.enter(S::Queued, now);
                Some(Change::ok(Notice::None))
            }
            _ => None,
        }
    }

    /// Bytes became durable, in whatever state the job is: activity, and the end of a no-progress period. One that waits already
    /// waits from now on.
    pub(crate) fn bytes_stored(&mut self, now: Now) {
        let waits = self.state == JobState::TransientError;
        self.no_progress_since = None;
        if waits {
            self.begin_no_progress(now.mono);
        }
        self.touch(now);
        // The time of the present run is kept with the bytes, so that a crash does not forget it.
        if self.active_since.is_some() {
            self.active_ms = self.active_time_ms(now.mono);
            self.active_since = Some(now.mono);
        }
    }

    fn moved(&mut self, state: JobState, now: Now) -> Option<Change> {
        self.touch(now);
        self.enter(state, now);
        Some(Change::ok(Notice::Modification))
    }

    fn gate(&self, code: HResult, now: Now) -> ErrorRecord {
        ErrorRecord::new(code, ErrorContext::GeneralQueueManager, now.wall)
    }

    /// To TRANSIENT_ERROR, or to ERROR at once where no retry is allowed; a request with a method of the job's own is never repeated
    /// unasked (spec/bits-extended.md 9.2.1).
    fn fail(&mut self, error: ErrorRecord, wait: Wait, now: Now) -> Option<Change> {
        if self.may_retry() && !self.has_custom_method() {
            self.park(error, wait, now)
        } else {
            self.fatal(error, now)
        }
    }

    fn park(&mut self, error: ErrorRecord, wait: Wait, now: Now) -> Option<Change> {
        self.error = Some(Box::new(error));
        if self.no_progress_since.is_none() {
            self.begin_no_progress(now.mono);
        }
        self.touch(now);
        self.enter(JobState::TransientError, now);
        self.wait = Some(wait);
        match wait {
            Wait::Retry { .. } => self.leave_gate(now.mono),
            Wait::Network
            | Wait::Volume
            | Wait::Policy
            | Wait::Cost
            | Wait::Cellular
            | Wait::Battery
            | Wait::Saver
            | Wait::Game => self.enter_gate(now.mono),
        }
        Some(Change::ok(Notice::Modification))
    }

    fn fatal(&mut self, error: ErrorRecord, now: Now) -> Option<Change> {
        self.error = Some(Box::new(error));
        self.touch(now);
        self.enter(JobState::Error, now);
        Some(Change::ok(Notice::Error))
    }
}
