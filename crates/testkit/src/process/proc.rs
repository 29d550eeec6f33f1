//! Numbers about processes, from /proc (proc(5)).

use std::fs;
use std::io;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

/// Some fields of `/proc/<pid>/stat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcStat {
    /// Name of the program, at most 15 bytes.
    pub name: String,
    /// `R`unning, `S`leeping, `D`isk wait, s`T`opped, `Z`ombie, ...
    pub state: char,
    /// Process id of the parent.
    pub parent: u32,
    /// CPU time in user mode, all threads, in clock ticks.
    pub user_ticks: u64,
    /// CPU time in the kernel, all threads, in clock ticks.
    pub system_ticks: u64,
}

/// Context switches, all living threads together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Switches {
    /// It waited for something: for an idle service, wake-ups.
    pub voluntary: u64,
    /// Its time was up.
    pub involuntary: u64,
}

/// Reads `/proc/<pid>/stat`.
///
/// # Errors
/// When there is no such process.
pub fn stat(pid: u32) -> io::Result<ProcStat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parse_stat(text: &str) -> Option<ProcStat> {
    // The name stands in parentheses and may contain any byte, parentheses too.
    let (start, rest) = text.rsplit_once(')')?;
    let (_, name) = start.split_once('(')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Some(ProcStat {
        name: name.to_owned(),
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        user_ticks: fields.get(11)?.parse().ok()?,
        system_ticks: fields.get(12)?.parse().ok()?,
    })
}

/// CPU time used so far, user and kernel, all threads. Its resolution is the kernel's tick (10 ms as a rule).
///
/// # Errors
/// When there is no such process.
pub fn cpu_time(pid: u32) -> io::Result<Duration> {
    let stat = stat(pid)?;
    let per_s =
        sysconf(SysconfVar::CLK_TCK)?.and_then(|ticks| u64::try_from(ticks).ok()).unwrap_or(100).max(1);
    Ok(Duration::from_nanos((stat.user_ticks + stat.system_ticks).saturating_mul(1_000_000_000 / per_s)))
}

/// Resident memory in bytes (`VmRSS`).
///
/// # Errors
/// When there is no such process, or it is a zombie.
pub fn rss_bytes(pid: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(field(&text, "VmRSS:").ok_or(io::ErrorKind::NotFound)? * 1024)
}

/// Context switches of all its threads; those of threads that ended are lost.
///
/// # Errors
/// When there is no such process.
pub fn context_switches(pid: u32) -> io::Result<Switches> {
    let mut sum = Switches::default();
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // It may have ended since.
        if let Ok(text) = fs::read_to_string(thread?.path().join("status")) {
            sum.voluntary += field(&text, "voluntary_ctxt_switches:").unwrap_or(0);
            sum.involuntary += field(&text, "nonvoluntary_ctxt_switches:").unwrap_or(0);
        }
    }
    Ok(sum)
}

/// Ids of the processes whose parent is `pid`; zombies count.
#[must_use]
pub fn children(pid: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|id| stat(*id).is_ok_and(|stat| stat.parent == pid))
        .collect()
}

/// Children, their children, and so on.
#[must_use]
pub fn descendants(pid: u32) -> Vec<u32> {
    let mut found = children(pid);
    let mut at = 0;
    while let Some(id) = found.get(at).copied() {
        found.extend(children(id));
        at += 1;
    }
    found
}

/// The number after `name` at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_parentheses_are_read() {
        let stat = parse_stat("7 (a) b) S 3 7 7 0 -1 4194560 1 2 3 4 55 66 0 0 20 0 1 0").unwrap();
        assert_eq!((stat.name.as_str(), stat.state, stat.parent), ("a) b", 'S', 3));
        assert_eq!((stat.user_ticks, stat.system_ticks), (55, 66));
    }
}
