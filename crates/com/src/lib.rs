//! `libopenbits.so`: the interfaces of `bits.h` on Linux, binary compatible vtable by vtable (docs/decisions/0020).
//!
//! A program calls [`OpenbitsCreateInstance`] (the headers do it in CoCreateInstance) and gets a manager object. Objects are thin: each
//! method is a call of [`openbits_client`], on the calling thread. There are two sets of them, [`wide16`] and [`wide32`], from the same
//! sources, because `WCHAR` is the program's `wchar_t`: 4 bytes, or 2 with `-fshort-wchar` and for `char16_t`.
//!
//! The way of a call: vtable (`generated`) -> bridge (pointers, texts, panics) -> `objects` (what the reference says) -> `job` -> client.
#![allow(unsafe_code, reason = "an ABI of raw pointers; each place says why it is sound")]

mod bridge;
mod factory;
pub mod generated;
mod job;
mod notify;
#[allow(
    non_snake_case,
    missing_docs,
    clippy::upper_case_acronyms,
    clippy::too_many_arguments,
    reason = "as in the platform's headers"
)]
pub mod platform;
mod pool;
mod quiet;
mod start;
#[cfg(test)]
mod tests;
mod turns;

pub use factory::{OpenbitsCreateInstance, OpenbitsVersion};

macro_rules! flavour {
    ($(#[$meta:meta])* $name:ident, $unit:ty) => {
        $(#[$meta])*
        #[allow(
            clippy::duplicate_mod,
            reason = "the same sources for both widths is the point: one vtable, two types of characters"
        )]
        #[path = "."]
        pub mod $name {
            /// The program's `WCHAR`.
            pub type Wchar = $unit;

            pub(crate) use crate::bridge::*;
            pub use crate::generated::callbacks::*;
            pub use crate::generated::types::*;
            pub use crate::platform::*;
            pub use bits_core::*;
            pub use bits_extended::*;
            pub use deliveryoptimization::*;
            pub use qmgr::*;

            #[allow(missing_docs, non_snake_case, dead_code, clippy::missing_safety_doc, clippy::too_many_arguments)]
            #[path = "generated/bits_core.rs"]
            pub mod bits_core;
            #[allow(missing_docs, non_snake_case, dead_code, clippy::missing_safety_doc, clippy::too_many_arguments)]
            #[path = "generated/bits_extended.rs"]
            pub mod bits_extended;
            #[allow(missing_docs, non_snake_case, dead_code, clippy::missing_safety_doc, clippy::too_many_arguments)]
            #[path = "generated/qmgr.rs"]
            pub mod qmgr;
            #[allow(missing_docs, non_snake_case, dead_code, clippy::missing_safety_doc, clippy::too_many_arguments)]
            #[path = "generated/deliveryoptimization.rs"]
            pub mod deliveryoptimization;
            #[path = "objects/mod.rs"]
            pub(crate) mod objects;
        }
    };
}

flavour! {
    /// For programs whose `WCHAR` has 2 bytes.
    wide16, u16
}
flavour! {
    /// For programs whose `WCHAR` has 4 bytes.
    wide32, u32
}
