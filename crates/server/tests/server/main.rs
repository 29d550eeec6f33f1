//! bits-server from outside: a real process, raw sockets, other people's clients.

mod auth;
mod backend;
mod bench;
mod download;
mod golden;
mod hostile;
mod kill;
mod packets;
mod process;
mod raw;
mod settings;
mod tus;
