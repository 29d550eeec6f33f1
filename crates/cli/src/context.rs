//! What every command needs: the service, and where output goes.

use crate::args::Global;
use crate::failure::Failure;
use crate::text;
use openbits_client::{Client, Environment, Starter, Timeouts};
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

/// The service and the manner of output.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) json: bool,
    pub(crate) quiet: bool,
}

impl Context {
    pub(crate) fn new(global: &Global) -> Result<Self, Failure> {
        let environment = Environment::of_process();
        let endpoint = environment.find(&global.choice()).map_err(openbits_client::Error::from)?;
        let program = global.service_program.clone().unwrap_or_else(own_program);
        let starter = Starter::new(program, environment);
        let client = Client::new(endpoint, Some(starter), Timeouts::default());
        Ok(Self { client, json: global.json, quiet: global.quiet })
    }

    /// Says something on standard error, unless the user wants quiet.
    pub(crate) fn note(&self, line: impl AsRef<str>) {
        if !self.quiet {
            text::note([line]);
        }
    }
}

/// Writes one line of data.
pub(crate) fn print(line: impl AsRef<str>) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", line.as_ref())?;
    Ok(out.flush()?)
}

/// Writes one value as a line of JSON.
pub(crate) fn print_json<T: Serialize>(value: &T) -> Result<(), Failure> {
    print(serde_json::to_string(value).map_err(std::io::Error::other)?)
}

/// Standard output is a terminal.
pub(crate) fn on_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Standard error is a terminal.
pub(crate) fn stderr_is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// The running program: by its path, or by the kernel's handle when an update has replaced the file meanwhile.
fn own_program() -> PathBuf {
    std::env::current_exe().ok().filter(|p| p.exists()).unwrap_or_else(|| "/proc/self/exe".into())
}
