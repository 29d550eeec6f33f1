//! Support of the process tests. They start the real program and use its doors only: command line, socket, files.
//!
//! `OPENBITS_BIN` names another program to test (e.g. a release build). The long suites are the short ones with larger numbers:
//! `OPENBITS_KILLS`, `OPENBITS_CRASH_MIB`, `OPENBITS_SEED`; all are printed, so that a run can be repeated.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "support of tests: a panic is how it reports"
)]

mod accounts;
mod asking;
mod door;
mod files;
mod jobs;
mod knobs;
mod native;
mod processes;
mod system;
mod upload_server;
mod user;

pub use accounts::{Account, accounts, is_root, skip};
pub use asking::{FOR_CLIENTS, asking, served};
pub use door::{Callbacks, Door, Events, Reply};
pub use files::{assert_is, difference, leftovers, names};
pub use jobs::{Job, NewJob};
pub use knobs::{knob, program};
pub use native::{Prefix, repository};
pub use processes::{gone, kill, kill_group_of_environment, signal};
pub use system::{Options, System};
pub use upload_server::{Backend, UploadServer, write_content};
pub use user::User;
