//! Developer commands of openbits: `cargo xtask help`.
#![forbid(unsafe_code)]

mod fuzz;
mod generate;
mod headers;
mod long;
mod run;
mod test;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask <command>

  test                 everything that must pass before a change lands; installs what it needs
  generate [--check]   write (or compare) every generated source and document
  headers              compilers prove include/openbits against the tables of the specification
  install-lib --prefix DIR   libopenbits.so (release), headers, pkg-config files and CMake package below DIR
  com-stress [CYCLES]  the library under AddressSanitizer and valgrind: create and cancel (default 10000), races, a service that is killed
  generate headers     write include/openbits only, which needs no build of the service
  crash [KILLS [MIB]]  the long crash loop: random SIGKILLs over one download (default 300 kills, 512 MiB)
  uploads [KILLS [MIB]] the same for one upload: service, server and connection (default 300 kills, 512 MiB)
  hostile              every misbehaviour of the hostile origin against the service, release build
  apifuzz [SECS]       the API's own description drives a fuzzer against the running service (default 600 s)
  users                two ordinary users and root against the system's service, with the slow cases (needs root)
  bench NAME [ARGS]    a benchmark: com, queue, rate, transfer, upload (see bench/README.md)
  fuzz [TARGET [SECS]] feed the parsers with anything (default: every target of fuzz/targets, 60 s each); see docs/fuzzing.md
  fuzz check           every fuzz target compiles; `test` asks for that too
  deny                 licences, bans and sources of all dependencies (installs cargo-deny)
";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test"] => test::run(),
        ["generate"] => generate::run(generate::Mode::Write),
        ["generate", "headers"] => generate::headers(generate::Mode::Write).map(drop),
        ["generate", "--check"] => generate::run(generate::Mode::Check),
        ["install-lib", "--prefix", prefix] => headers::install(prefix),
        ["com-stress"] => long::com("10000"),
        ["com-stress", cycles] => long::com(cycles),
        ["headers"] => headers::prove(),
        ["crash"] => long::crash("300", "512"),
        ["crash", kills] => long::crash(kills, "512"),
        ["crash", kills, mib] => long::crash(kills, mib),
        ["uploads"] => long::uploads("300", "512"),
        ["uploads", kills] => long::uploads(kills, "512"),
        ["uploads", kills, mib] => long::uploads(kills, mib),
        ["hostile"] => long::hostile(),
        ["apifuzz"] => long::apifuzz("600"),
        ["apifuzz", seconds] => long::apifuzz(seconds),
        ["users"] => long::users(),
        ["bench", name, rest @ ..] => long::bench(name, rest),
        ["fuzz"] => fuzz::run(None, "60"),
        ["fuzz", "check"] => fuzz::check(),
        ["fuzz", target] => fuzz::run(Some(target), "60"),
        ["fuzz", target, seconds] => fuzz::run(Some(target), seconds),
        ["deny"] => test::deny(),
        ["help" | "--help" | "-h"] | [] => {
            print!("{HELP}");
            Ok(())
        }
        other => bail!("unknown command {other:?}\n\n{HELP}"),
    }
}
