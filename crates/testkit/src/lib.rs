//! Tools of the tests and benches: a hostile HTTP origin on loopback.
#![forbid(unsafe_code)]

mod background;
mod behaviour;
mod content;
mod origin;
mod rng;
mod wait;

pub use behaviour::Behaviour;
pub use content::{Content, hex};
pub use origin::{Door, Etag, Exchange, OnAccept, Origin, OriginFile, OriginOptions, Outcome};
pub use rng::Rng;
pub use wait::wait_until;
