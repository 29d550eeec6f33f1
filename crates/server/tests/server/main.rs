//! bits-server from outside: a real process, raw sockets, other people's clients.
#![allow(clippy::unwrap_used, reason = "all of it is test code")]

mod auth;
mod backend;
mod bench;
mod download;
mod extension_setup;
mod golden;
mod hostile;
mod kill;
mod packets;
mod process;
mod raw;
#[cfg(feature = "object-storage")]
mod replicas;
mod settings;
mod tus;
