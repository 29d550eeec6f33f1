//! The job and file model through the service's door: one test for each method of the specification.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod cache_host;
mod common;
mod delivery;
mod download;
mod error;
mod extended;
mod file;
mod getters;
mod group;
mod job;
mod job5;
mod manager;
#[path = "../common/mod.rs"]
mod process;
mod setters;
mod tokens;
