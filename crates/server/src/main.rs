//! `bits-server`: BITS uploads, tus 1.0 and ranged downloads from one folder.
#![forbid(unsafe_code)]

fn main() -> anyhow::Result<()> {
    openbits_server::program::main()
}
