//! Keeps the policy current: reads the files when they change, when it is told to, and at SIGHUP; the brain takes the result at once.

use super::Settings;
use super::files::Sources;
use super::watch::{ClockWatch, FileWatch};
use crate::agent::Switch;
use crate::brain::Handle;
use openbits_core::policy::Finding;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};

/// Files that change together count as one change: it is over when nothing changed for so long.
const QUIET: Duration = Duration::from_millis(400);
/// Changes without a pause do not put the reading off for longer (spec/policy.md C1).
const DEBOUNCE: Duration = Duration::from_secs(2);

/// What a reload came to.
#[derive(Clone, Debug)]
pub struct Reloaded {
    /// The files are in force.
    pub usable: bool,
    /// What was noticed.
    pub findings: Vec<Finding>,
}

/// Asks for a reload; cheap to clone.
#[derive(Clone, Debug)]
pub struct Reloads(mpsc::Sender<oneshot::Sender<Reloaded>>);

impl Reloads {
    /// Reads the files now. `None` if the service is stopping.
    pub async fn reload(&self) -> Option<Reloaded> {
        let (sender, answer) = oneshot::channel();
        self.0.send(sender).await.ok()?;
        answer.await.ok()
    }
}

/// Reads the files again whenever there is a reason to.
pub struct Keeper {
    sources: Sources,
    settings: Arc<Settings>,
    current: watch::Sender<Arc<Settings>>,
    requests: mpsc::Receiver<oneshot::Sender<Reloaded>>,
    brain: Handle,
    now_ms: Box<dyn Fn() -> i64 + Send + Sync>,
    hang_up: Signal,
}

impl Keeper {
    /// A keeper of settings that are in force already, where to ask it, and who learns of others. From here on SIGHUP ends nothing.
    pub fn new(
        sources: Sources,
        settings: Arc<Settings>,
        brain: Handle,
        now_ms: Box<dyn Fn() -> i64 + Send + Sync>,
    ) -> io::Result<(Self, Reloads, watch::Receiver<Arc<Settings>>)> {
        let hang_up = signal(SignalKind::hangup())?;
        let (sender, requests) = mpsc::channel(16);
        let (current, listener) = watch::channel(Arc::clone(&settings));
        let keeper = Self { sources, settings, current, requests, brain, now_ms, hang_up };
        Ok((keeper, Reloads(sender), listener))
    }

    /// Runs until it is aborted. What cannot be watched is not noticed; being told works always.
    ///
    /// `agent` follows each policy before whoever asked for it is answered.
    pub async fn run(mut self, mut agent: Switch) {
        let mut clock = noticed("the wall clock", ClockWatch::new());
        let mut files = noticed("the policy's files", FileWatch::new(&self.sources));
        // When the present change began, and when its last part came.
        let mut changed_at: Option<(tokio::time::Instant, tokio::time::Instant)> = None;
        loop {
            let settled = async {
                match changed_at {
                    Some((first, last)) => {
                        tokio::time::sleep_until((last + QUIET).min(first + DEBOUNCE)).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                request = self.requests.recv() => {
                    let Some(answer) = request else { return };
                    let reloaded = self.reload(&mut agent).await;
                    let _ = answer.send(reloaded);
                }
                _ = self.hang_up.recv() => {
                    self.reload(&mut agent).await;
                    tracing::info!("the policy was read again");
                }
                () = set(clock.as_mut()) => self.brain.clock_was_set().await,
                () = changed(files.as_mut()) => {
                    let now = tokio::time::Instant::now();
                    changed_at = Some((changed_at.map_or(now, |(first, _)| first), now));
                }
                () = settled => {
                    changed_at = None;
                    // Folders may have come and gone.
                    files = noticed("the policy's files", FileWatch::new(&self.sources));
                    self.reload(&mut agent).await;
                }
            }
        }
    }

    async fn reload(&mut self, agent: &mut Switch) -> Reloaded {
        let (sources, at_ms) = (self.sources.clone(), (self.now_ms)());
        // Names of users and groups may be asked of a server.
        let read = tokio::task::spawn_blocking(move || Settings::read(&sources, at_ms)).await;
        let (settings, reloaded) = match read {
            Ok(Ok(mut settings)) => {
                if !settings.follows_wall_clock() && !self.settings.follows_wall_clock() {
                    settings.zone = self.settings.zone.clone();
                }
                for finding in agent.follow(&settings.policy).await {
                    settings.policy.notice(finding);
                }
                let findings = settings.policy.findings().to_vec();
                (settings, Reloaded { usable: true, findings })
            }
            Ok(Err(findings)) => {
                let mut settings = Settings::clone(&self.settings);
                settings.refused.clone_from(&findings);
                (settings, Reloaded { usable: false, findings })
            }
            Err(_) => return Reloaded { usable: false, findings: Vec::new() },
        };
        for record in settings.log() {
            self.brain.log(record).await;
        }
        self.settings = Arc::new(settings);
        let _ = self.current.send(Arc::clone(&self.settings));
        self.brain.set_settings(Arc::clone(&self.settings)).await;
        reloaded
    }
}

fn noticed<T>(what: &str, watch: io::Result<T>) -> Option<T> {
    watch.inspect_err(|error| tracing::warn!(%error, "changes of {what} are not noticed")).ok()
}

async fn set(clock: Option<&mut ClockWatch>) {
    match clock {
        Some(clock) => clock.set().await,
        None => std::future::pending().await,
    }
}

async fn changed(files: Option<&mut FileWatch>) {
    match files {
        Some(files) => files.changed().await,
        None => std::future::pending().await,
    }
}
