//! libopenbits.so against a running service, loaded and called as a program does it; every test in both widths of characters.
//!
//! The library finds its service by the environment, and is one per process: each test runs its body in a process of its own.
#![allow(unsafe_code, reason = "the interfaces of a shared library")]
#![allow(clippy::unwrap_used, reason = "a test")]

#[macro_use]
mod session;

macro_rules! flavour {
    ($name:ident, $bytes:literal) => {
        #[allow(clippy::duplicate_mod, reason = "the same tests for both widths")]
        #[path = "."]
        mod $name {
            /// The interfaces, as a program sees them.
            use openbits::$name as api;
            /// `sizeof(WCHAR)` of the program.
            const WCHAR_BYTES: u32 = $bytes;

            #[path = "suite/mod.rs"]
            mod suite;
        }
    };
}

flavour!(wide16, 2);
flavour!(wide32, 4);
