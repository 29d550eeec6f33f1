//! Tools of the tests and benches: a hostile HTTP origin on loopback ([`Origin`]), a proxy that cuts connections
//! ([`Cutter`]), a harness that starts, kills and measures processes ([`process`]) in a home of their own ([`Sandbox`]).
#![forbid(unsafe_code)]

#[cfg(feature = "tls")]
pub mod authority;
mod background;
mod behaviour;
#[cfg(feature = "bus")]
pub mod bus;
mod content;
mod cutter;
mod nginx;
mod origin;
pub mod process;
mod rng;
mod sandbox;
mod servers;
mod wait;

pub use behaviour::{Behaviour, UnknownBehaviour};
pub use content::{Content, hex};
pub use cutter::{CutHow, CutPlan, Cutter};
pub use nginx::Nginx;
#[cfg(feature = "tls")]
pub use origin::Certificate;
pub use origin::{Door, Etag, Exchange, OnAccept, Origin, OriginFile, OriginOptions, Outcome};
pub use rng::Rng;
pub use sandbox::Sandbox;
pub use servers::{ServerFolder, Servers};
pub use wait::{sha256_file, wait_until};
