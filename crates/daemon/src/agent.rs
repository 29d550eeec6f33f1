//! The Delivery Optimization agent: a loopback REST door for clients of the open SDK, which find it in place of the agent that they were
//! made for (spec/delivery-optimization-linux-agent.md, docs/decisions/0024).
//!
//! Requests and answers are [`openbits_core::delivery`]; downloads are ordinary jobs of the caller, done with the rights of the agent's
//! account where the caller has them, too. The command line or the policy opens the door ([`Switch`]).

mod calls;
mod config;
mod log;
mod place;
mod port;
mod program;
mod serve;
mod switch;

use anyhow::{Context, Result};
use openbits_core::{Policy, Uid};
use std::path::PathBuf;

pub use config::Config;
pub use program::NAME as PROGRAM;
pub(crate) use program::{Called, called};
pub use serve::{Door, serve};
pub use switch::Switch;

/// Whether the door is open.
const AGENT: &str = "delivery_optimization.agent";
/// Account of the agent, unless the command line names another.
const ACCOUNT: &str = "delivery_optimization.agent_account";
/// Folder of the port file.
const RUN: &str = "/run/deliveryoptimization-agent";
/// Folder of the configuration.
const CONFIG: &str = "/etc/deliveryoptimization-agent";
/// Folder of the log files.
const LOG: &str = "/var/log/deliveryoptimization-agent";
/// First port that is tried.
const FIRST_PORT: u16 = 50_000;

/// Arguments of the service. They go before the policy's keys.
#[derive(Clone, Debug, clap::Args)]
pub struct AgentArguments {
    /// Also serve Delivery Optimization's clients, as its agent for Linux does [default: as the policy says, which is no]
    #[arg(long)]
    do_agent: bool,
    /// Account with whose rights its downloads are done (system's service) [default: as the policy says, which is do]
    #[arg(long, value_name = "NAME")]
    do_agent_account: Option<String>,
    /// Folder of its port file [default: /run/deliveryoptimization-agent]
    #[arg(long, value_name = "PATH")]
    do_agent_run: Option<PathBuf>,
    /// Folder of admin-config.json and sdk-config.json [default: /etc/deliveryoptimization-agent]
    #[arg(long, value_name = "PATH")]
    do_agent_config: Option<PathBuf>,
    /// Folder of its log files, do-agent.*.log [default: /var/log/deliveryoptimization-agent; none for a user's own service]
    #[arg(long, value_name = "PATH")]
    do_agent_log: Option<PathBuf>,
    /// First port that it tries [default: 50000]
    #[arg(long, value_name = "PORT", hide = true)]
    do_agent_port: Option<u16>,
}

/// With whose rights downloads are done.
#[derive(Clone, PartialEq, Eq, Debug)]
enum RunsAs {
    /// With their caller's: a user's own service.
    Caller,
    /// With this account's.
    Account(String),
}

impl RunsAs {
    /// Looks the account up, which may take a while.
    fn uid(&self) -> Result<Option<Uid>> {
        let Self::Account(name) = self else { return Ok(None) };
        let user =
            nix::unistd::User::from_name(name).with_context(|| format!("looking for the account {name}"))?;
        let user = user.with_context(|| {
            format!("there is no account {name} for the Delivery Optimization agent: make it, or name another with --do-agent-account or {ACCOUNT}")
        })?;
        anyhow::ensure!(
            !user.uid.is_root(),
            "the Delivery Optimization agent does not work with root's rights: {name} is root"
        );
        Ok(Some(Uid(user.uid.as_raw())))
    }
}

impl AgentArguments {
    /// The same with whole paths: a later change of the working directory is nobody's business.
    ///
    /// # Errors
    /// An account for a user's own service; no working directory.
    pub fn checked(self, system: bool) -> Result<Self> {
        anyhow::ensure!(
            system || self.do_agent_account.is_none(),
            "--do-agent-account is for the system's service"
        );
        let whole = |path: Option<PathBuf>| path.map(std::path::absolute).transpose();
        Ok(Self {
            do_agent_run: whole(self.do_agent_run)?,
            do_agent_config: whole(self.do_agent_config)?,
            do_agent_log: whole(self.do_agent_log)?,
            ..self
        })
    }

    /// True if the command line opens the door, whatever the policy says.
    pub const fn insist(&self) -> bool {
        self.do_agent
    }

    fn runs_as(&self, system: bool, policy: &Policy) -> RunsAs {
        let named = self.do_agent_account.as_deref().or_else(|| policy.text(ACCOUNT));
        match (system, named) {
            (true, Some(name)) => RunsAs::Account(name.to_owned()),
            // An empty name is nobody's, and is refused as such.
            (true, None) => RunsAs::Account(String::new()),
            (false, _) => RunsAs::Caller,
        }
    }
}

#[cfg(test)]
mod tests {
    /// What packages put beside the service names the same account and the same folders.
    #[test]
    fn package_files_name_the_same_places() {
        let file = |name: &str| {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist").join(name);
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let account = openbits_core::policy::KEYS.iter().find(|key| key.name == super::ACCOUNT).unwrap();
        assert!(format!("{:?}", account.default).contains("\"do\""), "{:?}", account.default);
        let folders = file("tmpfiles.d/deliveryoptimization-agent.conf");
        let lines: Vec<&str> = folders.lines().filter(|line| line.starts_with('d')).collect();
        let expected = [
            format!("d {} 0775 do do -", super::CONFIG),
            format!("d {} 0755 do do -", super::LOG),
            format!("d {} 0755 root root -", super::RUN),
        ];
        assert_eq!(lines, expected);
        let accounts = file("sysusers.d/deliveryoptimization-agent.conf");
        assert!(accounts.lines().any(|line| line.starts_with("u do - ") && line.ends_with(" / /bin/false")));
        let alias = file(&format!("systemd/{}.service", super::PROGRAM));
        assert_eq!(alias, file("systemd/bitsd.service"), "another name of the same unit");
    }
}
