//! The program `bits-server`. In the library, so that the process tests (crates/e2e) have the same program built with them.
use crate::settings::Settings;
use crate::storage::{Local, Storage};
use crate::{App, serve};
use anyhow::{Context, Result};
use clap::Parser;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Serves a folder: uploads by the BITS protocol and by tus 1.0, and ranged downloads.
#[derive(Parser)]
#[command(name = "bits-server", version)]
struct Arguments {
    /// Folder that is served.
    #[arg(long, required_unless_present = "storage")]
    root: Option<PathBuf>,
    /// `s3://bucket/prefix` instead of a folder: any number of servers share it. Credentials, region and endpoint
    /// come from the usual AWS_… variables.
    #[arg(long, conflicts_with_all = ["root", "state"])]
    storage: Option<String>,
    /// Address and port; port 0 picks a free one and prints it.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Folder for unfinished uploads, best on the same file system [default: ROOT/.bits-sessions].
    #[arg(long)]
    state: Option<PathBuf>,
    /// Settings; read again on SIGHUP. Without them anybody may upload, and nothing is ever replaced.
    #[arg(long)]
    config: Option<PathBuf>,
}

/// Runs the program with this process's arguments.
///
/// # Errors
/// It cannot start, or cannot go on.
pub fn main() -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("BITS_SERVER_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(arguments))
}

fn settings(arguments: &Arguments) -> Result<Settings> {
    Ok(match &arguments.config {
        Some(path) => Settings::read(path)?,
        None => Settings::open_to_all(),
    })
}

async fn run(arguments: Arguments) -> Result<()> {
    let settings = settings(&arguments)?;
    if arguments.config.is_none() && !arguments.listen.ip().is_loopback() {
        tracing::warn!("no --config: anybody who reaches {} may upload", arguments.listen);
    }
    match &arguments.storage {
        Some(address) => run_objects(address.clone(), arguments, settings).await,
        None => {
            let root = arguments.root.clone().context("--root is needed")?;
            let state = arguments.state.clone().unwrap_or_else(|| root.join(".bits-sessions"));
            let storage = Local::open(&root, &state, settings.mode()?)?;
            serve_storage(storage, arguments, settings).await
        }
    }
}

#[cfg(feature = "object-storage")]
async fn run_objects(address: String, arguments: Arguments, settings: Settings) -> Result<()> {
    let storage = crate::storage::Objects::open(&address)?;
    serve_storage(storage, arguments, settings).await
}

#[cfg(not(feature = "object-storage"))]
async fn run_objects(_address: String, _arguments: Arguments, _settings: Settings) -> Result<()> {
    anyhow::bail!("this bits-server was built without the feature object-storage")
}

async fn serve_storage<S: Storage>(storage: S, arguments: Arguments, settings: Settings) -> Result<()> {
    let app = App::new(storage, settings).await?;
    let listener = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}", arguments.listen))?;
    println!("listening on {}", listener.local_addr()?);
    tracing::info!(sessions = app.sessions(), "serving");
    tokio::spawn(Arc::clone(&app).sweep_forever());
    tokio::spawn(reload_on_hangup(Arc::clone(&app), arguments));
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    serve::run(app, listener, stop).await?;
    Ok(())
}

/// SIGHUP reads the settings again; bad ones are reported and change nothing. Listeners and TLS stay.
async fn reload_on_hangup<S: Storage>(app: Arc<App<S>>, arguments: Arguments) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    while hangup.recv().await.is_some() {
        let result = settings(&arguments).and_then(|settings| Ok(app.reload(settings)?));
        match result {
            Ok(()) => tracing::info!("settings read again"),
            Err(error) => tracing::error!(%error, "settings not changed"),
        }
    }
}
