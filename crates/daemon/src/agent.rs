//! The Delivery Optimization agent: a loopback REST door for clients of the open SDK, which find it in place of the agent that they were
//! made for (spec/delivery-optimization-linux-agent.md, docs/decisions/0024).
//!
//! Requests and answers are [`openbits_core::delivery`]; downloads are ordinary jobs of the caller, done with the rights of the agent's
//! account where the caller has them, too.

mod calls;
mod config;
mod port;
mod serve;

use anyhow::{Context, Result};
use openbits_core::Uid;
use std::path::PathBuf;

pub use config::Config;
pub use serve::{Door, serve};

/// Account of the agent, unless another is named.
const ACCOUNT: &str = "do";
/// Folder of the port file.
const RUN: &str = "/run/deliveryoptimization-agent";
/// Folder of the configuration.
const CONFIG: &str = "/etc/deliveryoptimization-agent";
/// First port that is tried.
const FIRST_PORT: u16 = 50_000;

/// Arguments of the service.
#[derive(Clone, Debug, clap::Args)]
pub struct AgentArguments {
    /// Also serve Delivery Optimization's clients, as its agent for Linux does [default: no]
    #[arg(long)]
    do_agent: bool,
    /// Account with whose rights its downloads are done (system's service) [default: do]
    #[arg(long, value_name = "NAME", requires = "do_agent")]
    do_agent_account: Option<String>,
    /// Folder of its port file [default: /run/deliveryoptimization-agent]
    #[arg(long, value_name = "PATH", requires = "do_agent")]
    do_agent_run: Option<PathBuf>,
    /// Folder of admin-config.json and sdk-config.json [default: /etc/deliveryoptimization-agent]
    #[arg(long, value_name = "PATH", requires = "do_agent")]
    do_agent_config: Option<PathBuf>,
    /// First port that it tries [default: 50000]
    #[arg(long, value_name = "PORT", requires = "do_agent", hide = true)]
    do_agent_port: Option<u16>,
}

/// An open door, not served yet.
#[derive(Debug)]
pub struct Opened {
    /// Where clients connect.
    pub listener: std::net::TcpListener,
    /// With whose rights downloads are done; `None`: with the caller's.
    pub runs_as: Option<Uid>,
    /// Cache host and more.
    pub config: Config,
}

impl AgentArguments {
    /// Opens the port and writes its file, if the agent is wanted. In a user's own service downloads are done as this user.
    ///
    /// # Errors
    /// No account, no port, or a folder that others could put a file into.
    pub fn open(&self, system: bool) -> Result<Option<Opened>> {
        if !self.do_agent {
            return Ok(None);
        }
        let runs_as = match (system, self.do_agent_account.as_deref()) {
            (false, Some(_)) => anyhow::bail!("--do-agent-account is for the system's service"),
            (false, None) => None,
            (true, name) => Some(account(name.unwrap_or(ACCOUNT))?),
        };
        let listener = port::listen(self.do_agent_port.unwrap_or(FIRST_PORT))?;
        let folder = self.do_agent_run.clone().unwrap_or_else(|| RUN.into());
        port::publish(&std::path::absolute(folder)?, listener.local_addr()?.port())?;
        let config = self.do_agent_config.clone().unwrap_or_else(|| CONFIG.into());
        Ok(Some(Opened { listener, runs_as, config: Config::of(&std::path::absolute(config)?) }))
    }
}

/// An account without root's rights.
fn account(name: &str) -> Result<Uid> {
    let user =
        nix::unistd::User::from_name(name).with_context(|| format!("looking for the account {name}"))?;
    let user = user.with_context(|| {
        format!("there is no account {name} for the Delivery Optimization agent: make it, or name another with --do-agent-account")
    })?;
    anyhow::ensure!(!user.uid.is_root(), "the Delivery Optimization agent does not work with root's rights");
    Ok(Uid(user.uid.as_raw()))
}
