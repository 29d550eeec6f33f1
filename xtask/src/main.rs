//! Developer commands of openbits: `cargo xtask help`.
#![forbid(unsafe_code)]

mod generate;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask <command>

  generate [--check]   write (or compare) every generated source file
";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["generate"] => generate::run(generate::Mode::Write),
        ["generate", "--check"] => generate::run(generate::Mode::Check),
        ["help" | "--help" | "-h"] | [] => {
            print!("{HELP}");
            Ok(())
        }
        other => bail!("unknown command {other:?}\n\n{HELP}"),
    }
}
