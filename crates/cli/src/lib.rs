//! `bits`: the command line of openbits. Called as `bitsd`, the same program is the service.
//!
//! A library, so that the process tests (crates/e2e) have the same program built with them; `main.rs` only calls [`main`].
#![forbid(unsafe_code)]

mod args;
mod commands;
mod context;
mod create;
mod expect;
mod failure;
mod follow;
mod get;
mod input;
mod names;
mod password;
mod put;
mod resolve;
mod service;
mod show;
mod text;

use clap::Parser;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// Runs the program with this process's arguments.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some((name, rest)) = service_arguments(&arguments) {
        return service::run(name, rest);
    }
    match args::Cli::try_parse_from(&arguments) {
        Ok(cli) => run(cli),
        Err(e) => {
            // Help and version are data and a success; everything else is a usage error (spec/tools.md A1: 1, not clap's 2).
            let _ = e.print();
            ExitCode::from(if e.use_stderr() { openbits_api::error::exit::USAGE } else { 0 })
        }
    }
}

/// The service's name and arguments, if this call is one of the service: by one of its names, or by the hidden first word `service`.
fn service_arguments(arguments: &[OsString]) -> Option<(&'static str, &[OsString])> {
    let name = arguments.first().and_then(|a| Path::new(a).file_name());
    if let Some(own) =
        [SERVICE, openbits_daemon::agent::PROGRAM].into_iter().find(|own| name.is_some_and(|n| n == *own))
    {
        return Some((own, &arguments[1..]));
    }
    arguments.get(1).filter(|word| *word == "service").map(|_| (SERVICE, &arguments[2..]))
}

/// The service's name.
const SERVICE: &str = "bitsd";

fn run(cli: args::Cli) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("bits: cannot start: {e}");
            return ExitCode::from(openbits_api::error::exit::OTHER);
        }
    };
    let code = match runtime.block_on(commands::run(cli)) {
        Ok(code) => code,
        Err(failure) => {
            failure.report();
            failure.exit_code()
        }
    };
    // Reads of standard input cannot be interrupted; nobody waits for them now.
    runtime.shutdown_background();
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_is_called_by_name_or_by_word() {
        let call = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            service_arguments(&words).map(|(name, rest)| (name, rest.to_vec()))
        };
        assert_eq!(call(&["bitsd", "--user"]), Some(("bitsd", vec!["--user".into()])));
        assert_eq!(call(&["/usr/bin/bitsd"]), Some(("bitsd", vec![])));
        assert_eq!(call(&["bits", "service", "--user"]), Some(("bitsd", vec!["--user".into()])));
        let agent = "deliveryoptimization-agent";
        assert_eq!(
            call(&["/usr/local/bin/deliveryoptimization-agent", "-v"]),
            Some((agent, vec!["-v".into()]))
        );
        assert_eq!(call(&["bits", "list"]), None);
        assert_eq!(call(&["bits", "show", "service"]), None);
        assert_eq!(call(&[]), None);
    }
}
