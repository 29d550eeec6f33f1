//! The pure brain of openbits.
#![forbid(unsafe_code)]
