//! HTTP over connections of our own: one for each transfer, kept for the next file (research: hyper's `client::conn`).

mod connect;
mod desktop;
mod link;
mod payload;
mod pool;
mod proxy;
mod request;
mod tls;
mod upload_request;

#[cfg(feature = "fuzzing")]
pub(crate) use desktop::{gnome, kde};
pub(crate) use link::{Link, Opening, Piece, Reply};
pub(crate) use payload::{Payload, Sent};
pub(crate) use pool::{Pool, Route};
pub(crate) use proxy::{Via, routes};
pub(crate) use request::{build, put};
pub(crate) use upload_request::build_upload;
