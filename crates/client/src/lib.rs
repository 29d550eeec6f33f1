//! Client of the openbits service: HTTP/1.1 with JSON over a Unix socket.
//!
//! [`Client`] is asynchronous (tokio); [`blocking::Client`] wraps it for callers without a runtime. [`socket`] says where the
//! service listens, for the client and the service alike. [`start`] starts the user's own service when none answers.

pub mod blocking;
mod calls;
mod connection;
mod error;
mod events;
pub mod socket;
pub mod sse;
pub mod start;

pub use calls::{Action, Client, ErrorText, JobQuery, Timeouts};
pub use error::Error;
pub use events::{EventStream, Item};
pub use socket::{Choice, Endpoint, Environment, Kind};
pub use start::Starter;
