//! `bits-server`, built for the tests of this package.
#![forbid(unsafe_code)]

fn main() -> anyhow::Result<()> {
    openbits_server::program::main()
}
