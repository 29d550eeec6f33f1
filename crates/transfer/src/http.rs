//! HTTP over connections of our own: one for each transfer, kept for the next file (research: hyper's `client::conn`).

mod connect;
mod link;
mod payload;
mod pool;
mod proxy;
mod request;
mod tls;
mod upload_request;

pub(crate) use link::{Link, Piece, Reply};
pub(crate) use payload::{Payload, Sent};
pub(crate) use pool::{Pool, Route};
#[cfg(fuzzing)]
pub(crate) use proxy::Via;
pub(crate) use proxy::routes;
pub(crate) use request::build;
pub(crate) use upload_request::build_upload;
