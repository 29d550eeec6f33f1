//! Measures the service with 1,000, 10,000 and 100,000 jobs in its queue. `bench/README.md` says how to run it.

mod caller;
mod machine;
mod process;
mod queue;
mod service;

use clap::Parser;
use std::path::PathBuf;

/// Measures creates, lists, restarts, memory and idle cost of a service with a long queue.
#[derive(Debug, Parser)]
struct Arguments {
    /// The program (built with --release).
    #[arg(long, default_value = "target/release/bits")]
    bits: PathBuf,
    /// Folder on the disk to measure; a new folder is made in it and removed.
    #[arg(long, default_value = "/var/tmp")]
    folder: PathBuf,
    /// Lengths of the queue, ascending.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    sizes: Vec<usize>,
    /// Seconds over which the idle service is watched.
    #[arg(long, default_value_t = 10)]
    idle_s: u64,
    /// Where the numbers go, as JSON.
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let bits = arguments.bits.canonicalize()?;
    let folder = arguments.folder.join(format!("openbits-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let result = queue::run(&bits, &folder, &arguments.sizes, arguments.idle_s);
    std::fs::remove_dir_all(&folder)?;
    let text = serde_json::to_string_pretty(&result?)?;
    println!("{text}");
    if let Some(out) = arguments.out {
        std::fs::write(out, text + "\n")?;
    }
    Ok(())
}
