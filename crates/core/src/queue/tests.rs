//! Tests of the queue through its own doors only; [`world`] is the machine around it.

mod clocks;
mod facts;
mod finish;
mod limits;
mod rights;
mod stops;
mod store;
mod world;
