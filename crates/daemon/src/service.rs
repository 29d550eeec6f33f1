//! Arguments, start and stop of the service.

use crate::agent;
use crate::brain::{Brain, Parts};
use crate::clock::Clock;
use crate::http::server::{Admission, serve};
use crate::http::{App, openapi, router};
use crate::hub::Hub;
use crate::journal::Journal;
use crate::policy::Settings;
use crate::policy::files::{Sources, Trust};
use crate::policy::keeper::Keeper;
use crate::rows;
use crate::secrets::{self, Vault};
use crate::system::paths::Paths;
use crate::system::socket::{Access, Origin, listen};
use crate::workers::{Mode, Workers};
use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use openbits_core::events_log::Record;
use openbits_core::queue::Queue;
use openbits_core::{Job, Uid};
use openbits_link::Watcher;
use openbits_store::{Finding, Op, OpenError, Opened, Store};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// The background transfer service.
#[derive(Debug, Parser)]
#[command(name = "bitsd", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Special>,
    #[command(flatten)]
    run: Run,
}

#[derive(Debug, Args)]
struct Run {
    /// Serve all users of this machine (started as root).
    #[arg(long, conflicts_with = "user")]
    system: bool,
    /// Serve the user who starts it (the default).
    #[arg(long)]
    user: bool,
    /// Socket of the API [default: /run/openbits/bitsd.sock, or openbits/bitsd.sock in XDG_RUNTIME_DIR]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Database of the queue [default: /var/lib/openbits/queue.db, or openbits/queue.db in XDG_STATE_HOME]
    #[arg(long, value_name = "PATH")]
    database: Option<PathBuf>,
    /// Policy file in place of the administrator's; drop-ins are read from policy.d beside it [default: /etc/openbits/policy.toml]
    #[arg(long, value_name = "PATH")]
    policy: Option<PathBuf>,
    /// Socket of the journal for the service's events [default: the system's, if stderr leads there]
    #[arg(long, value_name = "PATH")]
    journal: Option<PathBuf>,
    /// Also serve the metrics of all jobs at this address, which has to be one of this machine's own (127.0.0.1:PORT) [default: no]
    #[arg(long, value_name = "ADDRESS")]
    metrics_address: Option<SocketAddr>,
    #[command(flatten)]
    agent: agent::AgentArguments,
}

#[derive(Debug, Subcommand)]
enum Special {
    /// Transfer for one user (started by the service itself).
    #[command(hide = true)]
    Worker,
    /// Print the OpenAPI document.
    Openapi,
    /// Print the reference of the policy's keys.
    PolicyReference,
    /// Print the reference of the events.
    EventsReference,
}

/// Runs the program with these arguments (the first is its own name; [`agent::PROGRAM`] is another one that it has).
pub fn main_with_args(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let root = rustix::process::geteuid().is_root();
    let arguments = match agent::called(arguments.into_iter().collect(), root) {
        agent::Called::Service(arguments) => arguments,
        agent::Called::Version(line) => {
            let said = print(&format!("{line}\n"));
            return said.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
        }
    };
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    let result = match arguments.command {
        Some(Special::Worker) => crate::workers::process::run_here(),
        Some(Special::Openapi) => print(&openapi::text()),
        Some(Special::EventsReference) => print(&openbits_core::events_log::reference()),
        Some(Special::PolicyReference) => print(&openbits_core::policy::reference::markdown()),
        None => run(arguments.run),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            eprintln!("bitsd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) -> Result<()> {
    use std::io::Write;
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// Log lines go to stderr; `OPENBITS_LOG` chooses what (default `info`).
pub(crate) fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("OPENBITS_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init();
}

fn run(arguments: Run) -> Result<()> {
    start_log();
    // `bits` runs this code too (docs/decisions/0001); in lists of processes it is the service.
    let _ = rustix::thread::set_name(c"bitsd");
    keep_memory_private();
    raise_descriptor_limit();
    let uid = rustix::process::geteuid().as_raw();
    if arguments.system && uid != 0 {
        bail!(
            "--system has to be started as root, so that it can take on each job owner's identity; without it the service is your own"
        );
    }
    let defaults = if arguments.system { Paths::system() } else { Paths::user() };
    let paths = Paths {
        socket: std::path::absolute(arguments.socket.unwrap_or(defaults.socket))?,
        database: std::path::absolute(arguments.database.unwrap_or(defaults.database))?,
        config: defaults.config,
    };
    if arguments.metrics_address.is_some_and(|address| !address.ip().is_loopback()) {
        bail!("--metrics-address takes a loopback address only: whoever reaches it needs no right");
    }
    // Its folder is watched; the working directory is not what it was then.
    let policy =
        arguments.policy.map(std::path::absolute).transpose().context("the path of the policy file")?;
    let sources = sources(policy.as_deref(), &paths);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    let agent = arguments.agent.checked(arguments.system)?;
    let result = runtime.block_on(async {
        let metrics = match arguments.metrics_address {
            Some(address) => Some(
                tokio::net::TcpListener::bind(address).await.context("opening the port of the metrics")?,
            ),
            None => None,
        };
        let edges = Edges { journal: Journal::find(arguments.journal.as_deref()), metrics, agent };
        main(arguments.system, uid, paths, sources, edges).await
    });
    runtime.shutdown_timeout(Duration::from_millis(200));
    result
}

/// Secrets pass through this process: no other of the user's programs may look into it, and no core dump is written.
fn keep_memory_private() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "the service's memory could not be closed to other programs");
    }
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        tracing::warn!(%error, "core dumps could not be switched off");
    }
}

/// Connections and running jobs each need descriptors; the usual soft limit of 1,024 is for programs that use select(2).
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(65_536, |most| most.min(65_536));
    if limit.current.is_some_and(|current| current < wanted)
        && let Err(error) =
            setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum })
    {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

/// The machine's files; for a user's own service also his. A file named on the command line is taken from whoever gives it to his
/// own service, but has to be root's for the system's.
fn sources(named: Option<&Path>, paths: &Paths) -> Sources {
    let trust = if named.is_some() && paths.config.is_some() { Trust::Anybody } else { Trust::RootOnly };
    let sources = Sources::of_machine(named, trust);
    match &paths.config {
        Some(folder) => sources.with_user(folder, named.is_none()),
        None => sources,
    }
}

/// Where numbers and events go besides the socket.
struct Edges {
    journal: Journal,
    metrics: Option<tokio::net::TcpListener>,
    agent: agent::AgentArguments,
}

async fn main(system: bool, uid: u32, paths: Paths, sources: Sources, edges: Edges) -> Result<()> {
    let Edges { journal, metrics, agent: agent_arguments } = edges;
    let begun = std::time::Instant::now();
    let clock = Clock::start();
    let settings = Arc::new(Settings::at_start(&sources, clock.now().wall.unix_ms()));
    settings.log().iter().for_each(|record| journal.write(record));
    let Opened { store, loaded, findings } = open_queue(&paths).await.context("opening the queue")?;
    let mut notes = describe(&findings);
    for finding in &findings {
        if let Finding::DamagedKeptAside { reason, .. } = finding {
            journal.write(&Record::new(16_391).with("Reason", reason));
        }
    }
    let event_seq = loaded.last_event_seq;
    let (mut jobs, complaints) = rows::jobs(loaded);
    notes.extend(complaints);
    let state = paths.database.parent().context("the folder of the queue")?;
    let secrets::Opened { vault, findings } = Vault::open(state)?;
    notes.extend(findings);
    if seal_old_rows(&vault, &mut jobs, &store).await? {
        notes.push("passwords that an earlier version had stored in the clear are sealed now".to_owned());
    }
    let vault = Arc::new(vault);
    if !system {
        // Whatever is in the queue is done with this user's rights.
        let before = jobs.len();
        jobs.retain(|job| job.owner == Uid(uid));
        if jobs.len() < before {
            notes.push(format!(
                "{} jobs of other users are in this queue and are left alone",
                before - jobs.len()
            ));
        }
    }
    for note in &notes {
        tracing::warn!("{note}");
    }
    journal.write(&Record::new(306).with("seconds", begun.elapsed().as_secs_f32()));
    let count = jobs.len();
    let queue = Queue::load(settings.limits.clone(), jobs, clock.now());
    // The lock of the store is held: from here on this is the only service of this queue.
    let access = if system { Access::Everybody } else { Access::Owner };
    let (listener, origin) = listen(&paths.socket, access)?;
    let listener = tokio::net::UnixListener::from_std(listener)?;
    let (sender, worker_messages) = mpsc::channel(64);
    let mode =
        if system { Mode::Process { program: "/proc/self/exe".into() } } else { Mode::Thread(Uid(uid)) };
    let store = Arc::new(store);
    // A user's own service belongs to his session; the system's to none.
    let machine = Watcher::start(openbits_link::Options { session_bus: !system });
    let (brain, handle) = Brain::new(Parts {
        clock,
        store: Arc::clone(&store),
        queue,
        event_seq,
        vault: Arc::clone(&vault),
        workers: Workers::new(mode, sender),
        worker_messages,
        hub: Hub::default(),
        findings: notes,
        journal,
        notify: crate::notify::Settings { system, socket: paths.socket.clone() },
        settings: Arc::clone(&settings),
        facts: machine.facts(),
    })?;
    let now_ms = Box::new(move || clock.now().wall.unix_ms());
    let (keeper, reloads, current) = Keeper::new(sources, Arc::clone(&settings), handle.clone(), now_ms)?;
    let mut brain = tokio::spawn(brain.run());
    let (close, closing) = watch::channel(false);
    let mode = if system { "system" } else { "user" };
    let app = App { brain: handle.clone(), vault, reloads, mode, closing: closing.clone() };
    if let Some(listener) = metrics {
        let app = app.clone();
        let mut closing = closing.clone();
        tokio::spawn(async move {
            let ended = async move { drop(closing.changed().await) };
            let router = crate::http::metrics::port_router(app);
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(ended).await {
                tracing::error!(%error, "the metrics are served no more");
            }
        });
    }
    let admission = Admission { only: (!system).then_some(Uid(uid)), settings: current };
    // The queue's lock is held: no other service of this queue has a port file.
    let mut agent = agent::Switch::new(agent_arguments, system, app.clone(), admission.clone());
    agent.begin(&settings.policy).await?;
    let keeper = tokio::spawn(keeper.run(agent));
    let mut server = tokio::spawn(serve(listener, router(app), admission, closing));
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready, sd_notify::NotifyState::Status("serving")]);
    let seconds = begun.elapsed().as_secs_f32();
    handle.log(Record::new(if seconds > SLOW_S { 302 } else { 301 }).with("seconds", seconds)).await;
    tracing::info!(jobs = count, socket = %paths.socket.display(), "ready");
    // A service without its brain or its door is worse than none: whoever manages it starts it again.
    tokio::select! {
        signal = wait_for_signal() => signal?,
        ended = &mut brain => bail!("the brain ended by itself: {ended:?}"),
        ended = &mut server => bail!("the API server ended by itself: {ended:?}"),
    }
    tracing::info!("stopping");
    let stopping = std::time::Instant::now();
    handle.log(Record::new(304).with("seconds", begun.elapsed().as_secs())).await;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    // It keeps the agent's door, whose port file goes first; and it holds the brain and through it the store.
    keeper.abort();
    let _ = keeper.await;
    let _ = close.send(true);
    // Two seconds at most, with nothing lost: whatever is not stored by then was never reported as stored.
    let _ = tokio::time::timeout(Duration::from_millis(1500), async {
        handle.close().await;
        let _ = (&mut server).await;
    })
    .await;
    drop(handle);
    let _ = tokio::time::timeout(Duration::from_millis(300), brain).await;
    if origin == Origin::Made {
        let _ = std::fs::remove_file(&paths.socket);
    }
    if let Ok(store) = Arc::try_unwrap(store) {
        store.close();
    }
    tracing::info!(seconds = stopping.elapsed().as_secs_f32(), "stopped");
    Ok(())
}

/// A start or stop that takes longer is a slow one, in seconds.
const SLOW_S: f32 = 10.0;
/// Seals what earlier versions stored in the clear, in memory and on disk, and wipes what the database still has of it. True if there
/// was anything.
async fn seal_old_rows(vault: &Vault, jobs: &mut [Job], store: &Store) -> Result<bool> {
    let mut operations = Vec::new();
    for job in jobs {
        let changed = secrets::migrate::seal(vault, job)?;
        if changed.job {
            operations.push(Op::PutJob(rows::job_row(job)));
        }
        operations
            .extend(changed.files.iter().filter_map(|index| rows::file_row(job, *index)).map(Op::PutFile));
    }
    if operations.is_empty() {
        return Ok(false);
    }
    let (sender, stored) = tokio::sync::oneshot::channel();
    store.submit(operations, Box::new(move |result| drop(sender.send(result))))?;
    stored.await?.context("sealing passwords of an earlier version")?;
    if let Err(error) = store.wipe_deleted() {
        tracing::warn!(%error, "sealed, but what was deleted could not be wiped from the database file");
    }
    Ok(true)
}

/// How long a service that is on its way out may hold the queue.
const SUCCESSION: Duration = Duration::from_secs(5);

/// Opens the queue. A service that was killed or stopped a moment ago may hold it still, until its last write is through: as long
/// as nobody answers at the socket, its end is waited for.
async fn open_queue(paths: &Paths) -> Result<Opened, OpenError> {
    let end = tokio::time::Instant::now() + SUCCESSION;
    loop {
        match Store::open(&paths.database, openbits_store::Options::default()) {
            Err(OpenError::InUse { .. })
                if tokio::time::Instant::now() < end
                    && tokio::net::UnixStream::connect(&paths.socket).await.is_err() =>
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            result => return result,
        }
    }
}

async fn wait_for_signal() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn describe(findings: &[Finding]) -> Vec<String> {
    findings
        .iter()
        .filter_map(|finding| match finding {
            Finding::CreatedNew => None,
            Finding::Migrated { from, to } => Some(format!("the queue was brought from version {from} to version {to}")),
            Finding::DamagedKeptAside { path, reason, salvaged_jobs, salvaged_files, unusable_rows, .. } => Some(format!(
                "the queue was damaged ({reason}); it is kept at {}; {salvaged_jobs} jobs and {salvaged_files} files were saved, \
                 {unusable_rows} rows could not be used; temporary files of lost jobs (BIT*.tmp) may remain",
                path.display()
            )),
            Finding::NetworkFileSystem { kind } => {
                Some(format!("the queue is on a {kind} file system, where its locks cannot be trusted"))
            }
            other => Some(format!("{other:?}")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use openbits_core::job::File;
    use openbits_core::{FileTime, JobId, JobType, Mono, Now};

    /// A queue of an earlier version: after the first start of this one, no byte of the passwords is left in the state folder.
    #[tokio::test]
    async fn passwords_of_an_earlier_version_are_wiped_from_the_disk() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join("queue.db");
        let now = Now { mono: Mono(0), wall: FileTime::ZERO };
        let mut job = Job::new(JobId::from_bytes([3; 16]), Uid(7), JobType::Download, "x", now);
        job.files = (0..300)
            .map(|n| File {
                remote: format!("https://u:hunter2@h/{n}").into(),
                local: format!("/d/{n}").into(),
                ..File::default()
            })
            .collect();
        let found = |text: &[u8]| {
            std::fs::read_dir(state.path()).unwrap().any(|entry| {
                let bytes = std::fs::read(entry.unwrap().path()).unwrap();
                bytes.windows(text.len()).any(|window| window == text)
            })
        };
        {
            let Opened { store, .. } = Store::open(&path, openbits_store::Options::default()).unwrap();
            let mut rows = vec![Op::PutJob(rows::job_row(&job))];
            rows.extend((0..300).map(|n| Op::PutFile(rows::file_row(&job, n).unwrap())));
            let (sender, done) = tokio::sync::oneshot::channel();
            store.submit(rows, Box::new(move |result| drop(sender.send(result)))).unwrap();
            done.await.unwrap().unwrap();
            assert!(found(b"hunter2"), "that is how it was");
        }
        let Opened { store, loaded, .. } = Store::open(&path, openbits_store::Options::default()).unwrap();
        let (mut jobs, _) = rows::jobs(loaded);
        let vault = Vault::open(state.path()).unwrap().vault;
        assert!(seal_old_rows(&vault, &mut jobs, &store).await.unwrap());
        assert!(!found(b"hunter2"), "while the service runs");
        let (again, _) = rows::jobs(store.reload().unwrap());
        assert_eq!(again, jobs);
        assert_eq!(vault.remote(&again[0], 299, &again[0].files[299]).unwrap(), "https://u:hunter2@h/299");
        store.close();
        assert!(!found(b"hunter2"), "and after its end");
        let Opened { store, loaded, .. } = Store::open(&path, openbits_store::Options::default()).unwrap();
        assert!(!seal_old_rows(&vault, &mut rows::jobs(loaded).0, &store).await.unwrap(), "once");
    }
}
