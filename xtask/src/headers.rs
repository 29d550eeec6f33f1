//! The C and C++ headers under `include/openbits`: written from the tables of the specification, and proved by compilers.
//!
//! `model` and `emit` write them; `prove` reads the same tables by itself, so that a mistake of the writer is not repeated by
//! its judge.

mod emit;
mod install;
mod model;
mod prove;

pub(crate) use install::install;
pub(crate) use prove::run as prove;

use anyhow::Result;

/// Every generated header: path in the repository and text.
pub(crate) fn generate() -> Result<Vec<(String, String)>> {
    let model = model::Model::read()?;
    Ok(emit::files(&model)
        .into_iter()
        .map(|(name, text)| (format!("include/openbits/{name}"), text))
        .collect())
}
