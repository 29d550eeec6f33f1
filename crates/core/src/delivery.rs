//! Delivery Optimization as its clients see it: codes, states, values of properties, and the loopback REST contract of the Linux agent
//! (spec/delivery-optimization-com.md, spec/delivery-optimization-linux-agent.md). No sockets here: bytes in, values out.

pub mod cache;
pub mod certificate;
pub mod codes;
pub mod cost;
pub mod download;
pub mod headers;
pub mod integrity;
pub mod mode;
pub mod reply;
pub mod request;
pub mod route;
pub mod security;
pub mod status;
