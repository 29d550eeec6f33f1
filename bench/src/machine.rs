//! Where and when the numbers arose.

use anyhow::Result;
use serde::Serialize;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The machine, and what its disk can do at best.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    date: String,
    commit: String,
    command: String,
    kernel: String,
    cpu: String,
    cpus: usize,
    load_1min: String,
    /// 4 KiB appended and synced, one after the other, a second.
    disk_syncs_per_s: f64,
}

pub(crate) fn describe(folder: &Path) -> Result<Machine> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let git = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let git = git.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    Ok(Machine {
        date: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
        commit: git.unwrap_or_default(),
        command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        cpu: cpu.trim_start_matches(['\t', ' ', ':']).to_owned(),
        cpus: std::thread::available_parallelism()?.get(),
        load_1min: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        disk_syncs_per_s: syncs(folder)?,
    })
}

fn syncs(folder: &Path) -> Result<f64> {
    let path = folder.join("syncs");
    let mut file = File::create(&path)?;
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < Duration::from_secs(2) {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        count += 1;
    }
    let rate = f64::from(count) / start.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate.round())
}
