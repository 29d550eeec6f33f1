//! The pure brain of openbits: words and decisions, without I/O, clock or randomness.
//!
//! Time, ids and facts come in as values; commands go out as values (DESIGN section 3).
#![forbid(unsafe_code)]

pub mod caller;
pub mod classify;
pub mod delivery;
pub mod enumerate;
pub mod enums;
pub mod events_log;
pub mod gate;
pub mod group;
pub mod hresult;
pub mod id;
pub mod integrity;
pub mod job;
pub mod layout;
pub mod limits;
pub mod names;
pub mod notify;
pub mod pace;
pub mod peer_cache;
pub mod plan;
pub mod policy;
pub mod queue;
pub mod range_set;
pub mod rate;
pub mod remote;
pub mod schedule;
pub mod secret;
pub mod subnet;
pub mod time;
pub mod upload;

pub use caller::Caller;
pub use enums::{AuthScheme, AuthTarget, ErrorContext, JobState, JobType, Priority, ProxyUsage};
pub use hresult::HResult;
pub use id::{AttemptId, ClassId, JobId, Ticket, Uid};
pub use job::Job;
pub use layout::{FileRange, Layout};
pub use limits::Limits;
pub use policy::Policy;
pub use queue::Queue;
pub use range_set::RangeSet;
pub use secret::{Sealed, Secret, Slot};
pub use time::{FileTime, Mono, Now};
