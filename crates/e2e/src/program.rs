//! `bits`, built for the tests of this package.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    openbits_cli::main()
}
