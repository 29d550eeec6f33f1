//! Tests of the queue through its own doors only; [`world`] is the machine around it.

mod agent;
mod clocks;
mod crash;
mod downloads;
mod errors;
mod facts;
mod finish;
mod gates;
mod groups;
mod helpers;
mod http;
mod limits;
mod model;
mod notify;
mod policy;
mod promises;
mod random;
mod ranges;
mod rights;
mod schedule;
mod states;
mod stops;
mod store;
mod uploads;
mod worker;
mod world;
