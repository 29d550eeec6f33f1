//! Opens and closes the door as the command line and the policy say, while the service runs.
//!
//! What cannot be done (no such account, no port, a folder that others may write to) is told, and leaves the door as it is.

use super::log::{Lines, Log};
use super::{
    ACCOUNT, AGENT, AgentArguments, CONFIG, Config, Door, FIRST_PORT, LOG, RUN, RunsAs, config, port, serve,
};
use crate::http::App;
use crate::http::server::Admission;
use anyhow::{Context, Result};
use openbits_core::policy::{About, Finding, Severity};
use openbits_core::{Policy, Uid};
use std::path::PathBuf;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};

/// The door's switch. Dropped, it closes the door.
pub struct Switch {
    arguments: AgentArguments,
    system: bool,
    app: App,
    admission: Admission,
    open: Option<Open>,
}

/// An open door.
struct Open {
    address: std::net::SocketAddr,
    runs_as: watch::Sender<Option<Uid>>,
    /// Dropped, it tells the door to close.
    until: watch::Sender<()>,
    file: port::Published,
    task: JoinHandle<()>,
    /// The last to go: it has the door's last lines.
    log: Option<Log>,
}

impl Open {
    /// Clients find it no more, then it is shut.
    async fn close(self) {
        let Self { file, until, task, address, log, .. } = self;
        drop(file);
        drop(until);
        if let Err(error) = task.await {
            tracing::error!(%error, "the Delivery Optimization agent's door ended badly");
        }
        tracing::info!(%address, "Delivery Optimization's clients are served no more");
        // The disk may take its time; nobody else has to.
        let _ = spawn_blocking(move || drop(log)).await;
    }
}

impl Switch {
    /// A closed door.
    pub const fn new(arguments: AgentArguments, system: bool, app: App, admission: Admission) -> Self {
        Self { arguments, system, app, admission, open: None }
    }

    /// The start: what the command line asks for has to be done, what the policy asks for is tried.
    ///
    /// # Errors
    /// `--do-agent`, and no account, no port, or a folder that others could put a file into.
    pub async fn begin(&mut self, policy: &Policy) -> Result<()> {
        if self.arguments.insist() {
            let runs_as = self.arguments.runs_as(self.system, policy);
            return self.set(Some(runs_as)).await.context("opening the Delivery Optimization agent");
        }
        for finding in self.follow(policy).await {
            tracing::error!("policy: {finding}");
        }
        Ok(())
    }

    /// Does what a new policy says. What it finds is for whoever made the policy; then the door is as it was.
    pub async fn follow(&mut self, policy: &Policy) -> Vec<Finding> {
        if let Some(key) = self.unusable(policy) {
            return vec![self.kept(key, "the value cannot be used")];
        }
        let insist = self.arguments.insist();
        if policy.flag(AGENT) && !insist && !self.system && self.arguments.do_agent_run.is_none() {
            // The machine's folder is for the system's service: a user cannot write there, and root would take its clients away.
            let text = "a user's own service serves these clients only with --do-agent-run";
            return vec![finding(Severity::Note, AGENT, text.to_owned())];
        }
        let wanted = policy.flag(AGENT) || insist;
        let wanted = wanted.then(|| self.arguments.runs_as(self.system, policy));
        match self.set(wanted).await {
            Ok(()) => Vec::new(),
            Err(error) => vec![self.kept(AGENT, &format!("{error:#}"))],
        }
    }

    /// A key that counts and has a bad value. Its default is not what anybody asked for.
    fn unusable(&self, policy: &Policy) -> Option<&'static str> {
        let counts = [
            (AGENT, !self.arguments.insist()),
            (ACCOUNT, self.system && self.arguments.do_agent_account.is_none()),
        ];
        let is_bad = |key: &str| {
            let mut findings = policy.findings().iter();
            findings.any(|finding| finding.about == About::BadValue && finding.key.as_deref() == Some(key))
        };
        counts.into_iter().find(|(key, counts)| *counts && is_bad(key)).map(|(key, _)| key)
    }

    fn kept(&self, key: &str, why: &str) -> Finding {
        let stays = match &self.open {
            Some(open) => format!("stays open at {}", open.address),
            None => "stays closed".to_owned(),
        };
        finding(Severity::Error, key, format!("{why}; the door for Delivery Optimization's clients {stays}"))
    }

    /// Opens or closes; all or nothing.
    async fn set(&mut self, wanted: Option<RunsAs>) -> Result<()> {
        let Some(runs_as) = wanted else {
            if let Some(open) = self.open.take() {
                open.close().await;
            }
            return Ok(());
        };
        // Names may be asked of a server.
        let uid = spawn_blocking(move || runs_as.uid()).await??;
        match &self.open {
            // Its connections stay; downloads that exist keep their account.
            Some(open) => drop(open.runs_as.send_replace(uid)),
            None => self.open = Some(self.opened(uid).await?),
        }
        Ok(())
    }

    async fn opened(&self, uid: Option<Uid>) -> Result<Open> {
        let first = self.arguments.do_agent_port.unwrap_or(FIRST_PORT);
        let of = |named: &Option<PathBuf>, usual: &str| named.clone().unwrap_or_else(|| usual.into());
        let folder = of(&self.arguments.do_agent_run, RUN);
        let config_folder = of(&self.arguments.do_agent_config, CONFIG);
        let config = Config::of(&config_folder);
        let logs = self.arguments.do_agent_log.clone().or_else(|| self.system.then(|| LOG.into()));
        let prepared = spawn_blocking(move || {
            let listener = port::listen(first)?;
            let address = listener.local_addr()?;
            let file = port::publish(&folder, address.port())?;
            // Neither of them keeps a door closed.
            config::begin(&config_folder, uid);
            let log = logs.and_then(|folder| match Log::open(&folder, uid) {
                Ok(log) => Some(log),
                Err(error) => {
                    tracing::warn!("no log of the Delivery Optimization agent: {error}");
                    None
                }
            });
            anyhow::Ok((listener, address, file, log))
        });
        let (listener, address, file, log) = prepared.await??;
        let lines = log.as_ref().map_or_else(Lines::default, Log::lines);
        lines.write('I', &format!("{} serves at {address}", super::program::VERSION));
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (runs_as, told) = watch::channel(uid);
        let (until, mut ended) = watch::channel(());
        let mut closing = self.app.closing.clone();
        let door = Door::new(self.app.clone(), self.admission.clone(), told, config, lines);
        let task = tokio::spawn(serve(listener, door, async move {
            tokio::select! {
                _ = closing.changed() => {}
                _ = ended.changed() => {}
            }
        }));
        tracing::info!(%address, "Delivery Optimization's clients are served");
        Ok(Open { address, runs_as, until, file, task, log })
    }
}

fn finding(severity: Severity, key: &str, text: String) -> Finding {
    Finding { severity, about: About::NotDone, key: Some(key.to_owned()), file: None, text }
}
