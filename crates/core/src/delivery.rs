//! Delivery Optimization as its clients see it: codes, states, and the loopback REST contract of the Linux agent
//! (spec/delivery-optimization-linux-agent.md). No sockets here: bytes in, values out.

pub mod cache;
pub mod codes;
pub mod integrity;
pub mod reply;
pub mod request;
pub mod route;
pub mod status;
