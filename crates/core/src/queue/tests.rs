//! Tests of the queue through its own doors only; [`world`] is the machine around it.

mod limits;
mod store;
mod world;
