//! The measurements, for each length of the queue.

use crate::caller::Caller;
use crate::machine::{self, Machine};
use crate::process::{self, Memory};
use crate::service::Service;
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde::Serialize;
use serde_json::Value;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Restarts of each kind for each length.
const RESTARTS: usize = 3;
/// Single jobs read for each length.
const READS: usize = 2000;
/// Helper threads for file work end after this long without work; idle begins then.
const QUIET: Duration = Duration::from_secs(12);

/// All numbers.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    machine: Machine,
    empty: Memory,
    empty_start_s: f64,
    lengths: Vec<Length>,
}

/// Creates by some callers.
#[derive(Debug, Serialize)]
struct Creates {
    callers: usize,
    jobs: usize,
    per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    service_cpu_us_per_job: f64,
    client_cpu_us_per_job: f64,
}

/// Numbers at one length of the queue.
#[derive(Debug, Serialize)]
struct Length {
    jobs: usize,
    creates: Vec<Creates>,
    list_own_s: f64,
    list_own_bytes: usize,
    get_one_p50_us: f64,
    get_one_p99_us: f64,
    /// Since it was filled: with what callers and commits left behind.
    memory_filled: Memory,
    memory_restarted: Memory,
    bytes_per_job_filled: f64,
    bytes_per_job_restarted: f64,
    idle_filled: Idle,
    idle_restarted: Idle,
    database_bytes: u64,
    stop_s: Vec<f64>,
    start_after_term_s: Vec<f64>,
    start_after_kill_s: Vec<f64>,
}

/// The service with nothing to do.
#[derive(Debug, Serialize)]
struct Idle {
    seconds: f64,
    threads: u64,
    context_switches: u64,
    cpu_us: u64,
}

/// Runs everything.
pub(crate) fn run(bits: &Path, folder: &Path, sizes: &[usize], idle_s: u64) -> Result<Results> {
    let machine = machine::describe(folder)?;
    let (mut service, empty_start_s) = Service::start(bits, folder)?;
    let empty = process::memory(service.pid())?;
    let mut lengths = Vec::new();
    let mut have = 0;
    for &size in sizes {
        eprintln!("{size} jobs ...");
        lengths.push(length(&mut service, folder, have, size, empty, idle_s)?);
        have = size;
    }
    service.stop(Signal::TERM)?;
    Ok(Results { machine, empty, empty_start_s, lengths })
}

fn length(
    service: &mut Service,
    folder: &Path,
    have: usize,
    size: usize,
    empty: Memory,
    idle_s: u64,
) -> Result<Length> {
    let alone = ((size - have) / 4).min(4000);
    let creates = vec![
        create(service, folder, have, alone, 1)?,
        create(service, folder, have + alone, size - have - alone, 16)?,
    ];
    let (list_own_s, list_own_bytes, ids) = list(service)?;
    ensure!(ids.len() == size, "{} jobs are listed instead of {size}", ids.len());
    let (get_one_p50_us, get_one_p99_us) = get(service, &ids)?;
    sleep(QUIET);
    let memory_filled = process::memory(service.pid())?;
    let idle_filled = idle(service, idle_s)?;
    let (mut stop_s, mut start_after_term_s, mut start_after_kill_s) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RESTARTS {
        start_after_kill_s.push(service.restart(Signal::KILL)?.1);
    }
    for _ in 0..RESTARTS {
        let (stop, start) = service.restart(Signal::TERM)?;
        stop_s.push(stop);
        start_after_term_s.push(start);
    }
    sleep(QUIET);
    let memory_restarted = process::memory(service.pid())?;
    let idle_restarted = idle(service, idle_s)?;
    let per_job = |memory: Memory| (memory.rss_kib.saturating_sub(empty.rss_kib) * 1024) as f64 / size as f64;
    Ok(Length {
        jobs: size,
        creates,
        list_own_s,
        list_own_bytes,
        get_one_p50_us,
        get_one_p99_us,
        memory_filled,
        memory_restarted,
        bytes_per_job_filled: per_job(memory_filled).round(),
        bytes_per_job_restarted: per_job(memory_restarted).round(),
        idle_filled,
        idle_restarted,
        database_bytes: service.database_bytes(),
        stop_s,
        start_after_term_s,
        start_after_kill_s,
    })
}

/// Creates `count` jobs of one file each, numbered from `first`; every answer means that the job is on disk.
fn create(service: &Service, folder: &Path, first: usize, count: usize, callers: usize) -> Result<Creates> {
    let next = AtomicUsize::new(first);
    let body = |n: usize| {
        format!(
            r#"{{"display_name":"job {n}","type":"DOWNLOAD","files":[{{"remote_name":"http://downloads.example.org/project/releases/{n}/artifact.tar.zst","local_name":"{}/artifact-{n}.tar.zst"}}],"resume":false}}"#,
            folder.display()
        )
    };
    let (cpu_service, cpu_client) = (process::cpu_s(service.pid())?, process::cpu_s(std::process::id())?);
    let begin = Instant::now();
    let mut times = std::thread::scope(|scope| {
        let caller = || -> Result<Vec<Duration>> {
            let mut caller = Caller::connect(&service.socket())?;
            let mut times = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= first + count {
                    return Ok(times);
                }
                let begin = Instant::now();
                caller.ask("POST", "/v1/jobs", &body(n))?;
                times.push(begin.elapsed());
            }
        };
        let threads: Vec<_> = (0..callers).map(|_| scope.spawn(caller)).collect();
        let mut times = Vec::new();
        for thread in threads {
            times.extend(thread.join().expect("callers do not panic")?);
        }
        anyhow::Ok(times)
    })?;
    let seconds = begin.elapsed().as_secs_f64();
    let per_job = |cpu_s: f64| (cpu_s * 1e6 / count as f64).round();
    times.sort_unstable();
    Ok(Creates {
        callers,
        jobs: count,
        per_s: (count as f64 / seconds).round(),
        p50_ms: percentile(&times, 50).as_secs_f64() * 1e3,
        p99_ms: percentile(&times, 99).as_secs_f64() * 1e3,
        service_cpu_us_per_job: per_job(process::cpu_s(service.pid())? - cpu_service),
        client_cpu_us_per_job: per_job(process::cpu_s(std::process::id())? - cpu_client),
    })
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

/// All own jobs, page by page: seconds, bytes, ids. The parsing of the answers does not count.
fn list(service: &Service) -> Result<(f64, usize, Vec<String>)> {
    let mut caller = Caller::connect(&service.socket())?;
    let (mut ids, mut bytes, mut seconds) = (Vec::new(), 0, 0.0);
    let mut after = String::new();
    loop {
        let begin = Instant::now();
        let page = caller.ask("GET", &format!("/v1/jobs{after}"), "")?;
        seconds += begin.elapsed().as_secs_f64();
        bytes += page.len();
        let page: Value = serde_json::from_slice(page)?;
        let jobs = page["jobs"].as_array().context("a page has jobs")?;
        ids.extend(jobs.iter().filter_map(|job| Some(job["id"].as_str()?.to_owned())));
        match page["next"].as_str() {
            Some(next) => after = format!("?after={next}"),
            None => return Ok((seconds, bytes, ids)),
        }
    }
}

/// Single jobs, spread over the queue: median and 99th percentile in microseconds.
fn get(service: &Service, ids: &[String]) -> Result<(f64, f64)> {
    let mut caller = Caller::connect(&service.socket())?;
    let mut times = Vec::with_capacity(READS);
    for n in 0..READS {
        let id = &ids[n * 7919 % ids.len()];
        let begin = Instant::now();
        caller.ask("GET", &format!("/v1/jobs/{id}?files=true"), "")?;
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    let micros = |percent| percentile(&times, percent).as_secs_f64() * 1e6;
    Ok((micros(50).round(), micros(99).round()))
}

fn idle(service: &Service, seconds: u64) -> Result<Idle> {
    let (before, begin) = (process::activity(service.pid())?, Instant::now());
    sleep(Duration::from_secs(seconds));
    let (after, elapsed) = (process::activity(service.pid())?, begin.elapsed());
    Ok(Idle {
        seconds: elapsed.as_secs_f64(),
        threads: after.threads,
        context_switches: after.switches.saturating_sub(before.switches),
        cpu_us: after.cpu_ns.saturating_sub(before.cpu_ns) / 1000,
    })
}
