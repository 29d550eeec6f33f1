//! bits-server: uploads by the BITS protocol and by tus 1.0, and ranged downloads, from one tree.
//!
//! The way of a request: [`serve`] (connection, TLS, limits) -> `route` (which door) -> `bits`, `tus` or `download`
//! -> [`storage`]. What a packet means is decided by `openbits_core::upload`; what is kept is in the storage, never
//! only in the process.
#![forbid(unsafe_code)]

mod app;
mod auth;
mod base;
mod bits;
mod complete;
mod download;
mod guard;
mod ledger;
mod locks;
mod names;
mod notify;
mod path;
pub mod program;
mod ranges;
mod receive;
mod reply;
mod respond;
mod route;
pub mod serve;
pub mod settings;
pub mod storage;
mod sweep;
mod tls;
mod tus;
mod tus_create;
mod tus_headers;

pub use app::App;
pub use path::{PathError, SafePath};
