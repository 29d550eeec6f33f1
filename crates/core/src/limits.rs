//! Limits and settings that steer the queue (spec/policy.md A3, C3, C4).

use crate::delivery::cache::CachePolicy;
use crate::job::retry::RetryRules;
use crate::job::{DEFAULT_NO_PROGRESS_TIMEOUT_S, DEFAULT_RETRY_DELAY_S};
use crate::notify;
use crate::policy::cost::Masks;

/// Values in force; the defaults are those of the policy pages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Jobs of one user (exempt callers excluded).
    pub jobs_per_user: u32,
    /// Jobs of all users together (those of exempt callers do not count).
    pub jobs_per_machine: u32,
    /// Files of one job.
    pub files_per_job: u32,
    /// Ranges of one file.
    pub ranges_per_file: u32,
    /// Seconds of active transfer after which a job fails.
    pub max_download_s: u64,
    /// Seconds without activity after which a job is cancelled.
    pub job_inactivity_s: u64,
    /// Seconds of a background job's turn while others of its level wait.
    pub time_slice_s: u64,
    /// Foreground jobs at once; 0 = no cap.
    pub max_foreground: u32,
    /// Background jobs at once.
    pub max_background: u32,
    /// Owners take turns; otherwise all jobs of a level are one queue.
    pub per_user_fairness: bool,
    /// MAX_PATH 260 and no wildcards in local names.
    pub strict_names: bool,
    /// Minimum retry delay of a new job, in seconds.
    pub default_retry_delay_s: u32,
    /// No-progress timeout of a new job, in seconds.
    pub default_no_progress_s: u32,
    /// Network costs for jobs that say nothing themselves.
    pub cost_masks: Masks,
    /// Rules for retries of all jobs.
    pub retry: RetryRules,
    /// Rules for notification programs.
    pub notify: notify::Rules,
    /// Cache hosts of jobs of Delivery Optimization.
    pub cache: CachePolicy,
}

impl Default for Limits {
    fn default() -> Self {
        const DAY_S: u64 = 86_400;
        Self {
            jobs_per_user: 60,
            jobs_per_machine: 300,
            files_per_job: 200,
            ranges_per_file: 500,
            max_download_s: 90 * DAY_S,
            job_inactivity_s: 90 * DAY_S,
            time_slice_s: 120,
            max_foreground: 0,
            max_background: 1,
            per_user_fairness: true,
            strict_names: false,
            default_retry_delay_s: DEFAULT_RETRY_DELAY_S,
            default_no_progress_s: DEFAULT_NO_PROGRESS_TIMEOUT_S,
            cost_masks: Masks::DEFAULT,
            retry: RetryRules::default(),
            notify: notify::Rules::default(),
            cache: CachePolicy::default(),
        }
    }
}

/// Most files in a job of an exempt caller: a bound where the original has none. The order for so many files, each with the longest
/// names, must fit into one message to a worker.
pub const FILES_PER_JOB_EXEMPT: u32 = 10_000;
/// Most ranges of a file of an exempt caller, and most separate pieces of any file: a bound where the original has none.
pub const RANGES_PER_FILE_EXEMPT: u32 = 10_000;
/// Most files in one call.
pub const FILES_PER_CALL: usize = 10_000;
