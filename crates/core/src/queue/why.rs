//! Why a job does not move, until when, and what would change it.

use super::Queue;
use crate::enums::{JobState, Priority};
use crate::hresult::HResult;
use crate::id::JobId;
use crate::job::Wait;
use crate::time::Mono;

/// The one reason that holds a job now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// Nothing: bytes move, or a server is being contacted.
    Moving,
    /// New, and never resumed, with no file in it.
    Empty,
    /// A client suspended it (or never resumed it).
    Suspended,
    /// Background jobs of the same or a higher level are served first.
    WaitsForTurn,
    /// The cap on foreground jobs is reached.
    WaitsForForegroundSlot,
    /// The last run is being stopped before the next one begins.
    Stopping,
    /// The service takes no work because its store takes no writes.
    StoreUnavailable,
    /// No network.
    NoNetwork,
    /// The bandwidth policy allows jobs of this level nothing.
    BlockedByPolicy,
    /// The network costs what the job may not pay.
    BlockedByCost,
    /// The network is a cellular one, and the job stays away from those.
    BlockedByCellular,
    /// The machine runs on battery.
    OnBattery,
    /// The power saver is on.
    PowerSaver,
    /// A game runs.
    GameMode,
    /// The owner is not logged on, and the policy wants him to be.
    OwnerAbsent,
    /// The destination's volume is locked.
    VolumeLocked,
    /// A recoverable error: the next attempt is timed.
    WaitsForRetry,
    /// An error that needs somebody's help.
    Error,
    /// All data is there; the owner has to complete the job.
    WaitsForComplete,
    /// Files are being renamed into place or removed.
    Finishing,
    /// Completed.
    Acknowledged,
    /// Cancelled.
    Cancelled,
}

/// The answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Why {
    /// The reason.
    pub reason: Reason,
    /// When it ends by itself.
    pub until: Option<Mono>,
    /// Jobs that are served before.
    pub ahead: Option<u64>,
    /// Code of the error behind it.
    pub code: Option<HResult>,
}

impl Queue {
    /// Why the job does not move; `None` for an unknown job.
    pub fn why(&self, id: JobId) -> Option<Why> {
        let job = self.jobs.get(&id).or_else(|| self.finished.get(&id))?;
        let run = self.runs.get(&id);
        let reason = match job.state {
            JobState::Acknowledged => Reason::Acknowledged,
            JobState::Cancelled if job.finishing.is_none() => Reason::Cancelled,
            _ if job.finishing.is_some() => Reason::Finishing,
            JobState::Cancelled => Reason::Cancelled,
            JobState::Suspended if job.files.is_empty() => Reason::Empty,
            JobState::Suspended => Reason::Suspended,
            JobState::Connecting | JobState::Transferring => Reason::Moving,
            JobState::Queued if self.paused => Reason::StoreUnavailable,
            JobState::Queued if run.is_some() => Reason::Stopping,
            JobState::Queued if !self.machine.is_present(job.owner) => Reason::OwnerAbsent,
            JobState::Queued if job.priority == Priority::Foreground => Reason::WaitsForForegroundSlot,
            JobState::Queued => Reason::WaitsForTurn,
            JobState::TransientError => match job.wait {
                Some(Wait::Network) => Reason::NoNetwork,
                Some(Wait::Volume) => Reason::VolumeLocked,
                Some(Wait::Policy) => Reason::BlockedByPolicy,
                Some(Wait::Cost) => Reason::BlockedByCost,
                Some(Wait::Cellular) => Reason::BlockedByCellular,
                Some(Wait::Battery) => Reason::OnBattery,
                Some(Wait::Saver) => Reason::PowerSaver,
                Some(Wait::Game) => Reason::GameMode,
                Some(Wait::Retry { .. }) | None => Reason::WaitsForRetry,
            },
            JobState::Error => Reason::Error,
            JobState::Transferred => Reason::WaitsForComplete,
        };
        let until = match reason {
            Reason::WaitsForRetry => job.retry_at(&self.limits.retry),
            Reason::BlockedByPolicy => self.policy_blocks.until(job.priority),
            Reason::WaitsForComplete | Reason::Suspended | Reason::Empty | Reason::Error => {
                Some(job.last_activity.plus_s(self.limits.job_inactivity_s))
            }
            _ => None,
        };
        let failed = matches!(job.state, JobState::Error | JobState::TransientError);
        let code = job.error.as_deref().filter(|_| failed).map(|e| e.code);
        Some(Why { reason, until, ahead: self.scheduler.ahead(id), code })
    }
}
