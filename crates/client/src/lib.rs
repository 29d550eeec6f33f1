//! Client of the openbits service: HTTP/1.1 with JSON over a Unix socket.
//!
//! [`Client`] is asynchronous (tokio); [`blocking::Client`] wraps it for callers without a runtime. [`openbits_api::socket`]
//! says where the service listens, for the client and the service alike. [`start`] starts the user's own service when none answers.

pub mod blocking;
pub mod callbacks;
mod calls;
mod checks;
mod connection;
mod downloads;
mod error;
mod events;
mod groups;
mod proxy;
pub mod sse;
pub mod start;
mod stream;

pub use callbacks::Callbacks;
pub use calls::{Action, Client, JobQuery, Timeouts, new_job_id};
pub use checks::CertificateChecks;
pub use downloads::DownloadAction;
pub use error::Error;
pub use events::{EventStream, Item, Scope};
pub use groups::GroupAction;
pub use openbits_api::socket::{Choice, Endpoint, Environment, Kind};
pub use proxy::environment_proxy;
pub use start::Starter;
