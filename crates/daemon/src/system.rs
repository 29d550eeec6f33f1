//! What only the operating system can say or do: identities, sockets, signals.

pub mod identity;
pub mod paths;
pub mod socket;
