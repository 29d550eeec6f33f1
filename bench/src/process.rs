//! What the kernel knows about a process.

use anyhow::{Context, Result};
use serde::Serialize;
use std::fs;

/// Clock ticks a second of `/proc/PID/stat`, on every Linux that Rust runs on.
const TICKS: f64 = 100.0;

/// CPU seconds of all threads, ended ones included.
pub(crate) fn cpu_s(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(')').context("no name")?.1.split_whitespace().collect();
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / TICKS)
}

/// Resident memory.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Memory {
    pub(crate) rss_kib: u64,
    pub(crate) anonymous_kib: u64,
}

pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(Memory { rss_kib: field(&status, "VmRSS:")?, anonymous_kib: field(&status, "RssAnon:")? })
}

/// Sums over the threads that live now: how often one was switched to, and nanoseconds on a CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Activity {
    pub(crate) threads: u64,
    pub(crate) switches: u64,
    pub(crate) cpu_ns: u64,
}

pub(crate) fn activity(pid: u32) -> Result<Activity> {
    let mut sum = Activity::default();
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = thread?.path();
        let status = fs::read_to_string(path.join("status"))?;
        sum.threads += 1;
        sum.switches += field(&status, "voluntary_ctxt_switches:")?;
        sum.switches += field(&status, "nonvoluntary_ctxt_switches:")?;
        let schedule = fs::read_to_string(path.join("schedstat"))?;
        sum.cpu_ns += schedule.split_whitespace().next().context("empty schedstat")?.parse::<u64>()?;
    }
    Ok(sum)
}

fn field(status: &str, name: &str) -> Result<u64> {
    let line =
        status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    Ok(line.split_whitespace().next().context("empty field")?.parse()?)
}
