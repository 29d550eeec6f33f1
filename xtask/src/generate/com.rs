//! `crates/com/src/generated/`: the interfaces of the COM library, from the constants files.
//!
//! For each interface that the library implements three things are written: the vtable with its IID (`#[interface]`), a trait of safe
//! methods with Rust arguments, and the bridge from the one to the other. The bridge checks pointers, empties what is handed out, decodes
//! texts, and keeps panics inside. So an object is a struct with safe methods, and a new vtable is another entry in [`FILES`].

mod model;
mod write;

use super::constants;
use anyhow::Result;
use model::Model;

/// Constants files, in the order in which their names may build on each other.
const FILES: &[&str] = &["bits-core", "bits-extended", "qmgr", "deliveryoptimization"];

/// Every generated file: path, text.
pub(crate) fn generate() -> Result<Vec<(String, String)>> {
    let mut model = Model::default();
    for name in FILES {
        model.read(name, &constants(&format!("{name}.json"))?)?;
    }
    let path = |name: &str| format!("crates/com/src/generated/{name}.rs");
    let mut files =
        vec![(path("types"), write::types(&model)?), (path("callbacks"), write::callbacks(&model)?)];
    for name in FILES {
        let module = name.replace('-', "_");
        files.push((path(&module), write::interfaces(&model, name)?));
    }
    Ok(files)
}
