//! The Delivery Optimization agent, as its clients meet it: a client that sends exactly what the open SDK sends, against a local origin
//! (spec/delivery-optimization-linux-agent.md 14).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap fails the test")]

mod cache_host;
mod downloads;
mod logs;
mod network;
mod policy;
mod program;
mod raw;
mod reference;
mod sdk;
mod service;
mod statuses;
mod users;
mod wire;
