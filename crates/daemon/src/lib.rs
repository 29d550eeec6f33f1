//! `bitsd`: the background transfer service.
//!
//! The way of a command: [`http`] -> [`brain`] (decide, store, act) -> [`workers`]. The brain task owns the queue; the store's writer
//! thread makes batches durable; workers move bytes.

pub mod agent;
pub mod alarm;
pub mod brain;
pub mod clock;
pub mod http;
pub mod hub;
pub mod journal;
pub mod metrics;
pub mod notify;
pub mod order;
pub mod policy;
pub mod rows;
pub mod secrets;
pub mod service;
pub mod system;
pub mod views;
pub mod workers;

pub use service::main_with_args;
