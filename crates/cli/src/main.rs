//! `bits`: the command line of openbits.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    openbits_cli::main()
}
