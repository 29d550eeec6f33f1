//! Files, protocols and the worker of openbits: everything that runs with the job owner's rights.
//!
//! The service sends [`protocol::Command`]s and hears [`protocol::Event`]s, over a channel in user mode and over a socket
//! pair in system mode; what happens in between is the same code.
#![deny(unsafe_code)]

mod auth;
mod certificates;
mod failure;
mod file;
mod http;
mod pace;
pub mod protocol;
pub mod pump;
mod rate;
pub mod sandbox;
pub mod share;
mod source;
mod sys;
mod upload;
pub mod worker;

pub use certificates::thumbprint;

/// Ways in for the fuzz targets (docs/fuzzing.md); not there in any other build.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
