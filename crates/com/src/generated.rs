//! Declarations from spec/constants: `cargo xtask generate`. The files with texts in them belong to [`crate::wide16`] and
//! [`crate::wide32`].

#[allow(missing_docs, non_snake_case, clippy::missing_safety_doc, clippy::too_many_arguments)]
pub mod callbacks;
#[allow(non_snake_case, non_upper_case_globals, reason = "names of bits.h")]
pub mod types;
