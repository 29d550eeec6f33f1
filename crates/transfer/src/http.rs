//! HTTP over connections of our own: one for each transfer, kept for the next file (research: hyper's `client::conn`).

mod connect;
mod desktop;
mod link;
mod pool;
mod proxy;
mod request;
mod tls;

pub(crate) use link::{Link, Opening, Piece, Reply};
pub(crate) use pool::{Pool, Route};
pub(crate) use proxy::{Via, routes};
pub(crate) use request::build;
