//! `bits doctor`: everything that keeps transfers from going, looked at in one go, each with what to do about it.
//!
//! The service is asked, not started: a service that does not run is a finding. What follows from facts is decided in pure functions.

use crate::args::Doctor;
use crate::context::{Context, print, print_json};
use crate::failure::Failure;
use crate::text::clean;
use openbits_api::error::exit;
use openbits_api::{JobView, PolicyView, SCHEMA, ServiceInfo};
use openbits_client::{Client, Environment, JobQuery, Kind};
use openbits_core::JobState;
use serde::Serialize;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Free space below this is a warning, and below a tenth of it a failure, in bytes.
const FREE_LOW: u64 = 1 << 30;
/// A clock before this is wrong, in seconds since 1970: 2026-01-01.
const EARLIEST_S: u64 = 1_767_225_600;
/// Whether this machine uses TCP timestamps.
const TIMESTAMPS: &str = "/proc/sys/net/ipv4/tcp_timestamps";
/// Jobs that are named.
const JOBS_NAMED: usize = 20;

/// How one check went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Check {
    name: &'static str,
    verdict: Verdict,
    text: String,
    /// What to do; empty when nothing is.
    remedy: String,
}

/// `--json`.
#[derive(Serialize)]
struct Report {
    schema: u32,
    verdict: Verdict,
    checks: Vec<Check>,
}

fn check(name: &'static str, verdict: Verdict, text: impl Into<String>, remedy: impl Into<String>) -> Check {
    Check { name, verdict, text: text.into(), remedy: remedy.into() }
}

fn fine(name: &'static str, text: impl Into<String>) -> Check {
    check(name, Verdict::Ok, text, "")
}

/// Exit status: 0 nothing fails, 6 the service cannot be reached, 10 something else fails.
pub(super) async fn run(context: &Context, _: &Doctor) -> Result<u8, Failure> {
    let endpoint = context.client.endpoint().clone();
    // A client without a starter: looking starts nothing.
    let client = Client::new(endpoint.clone(), None, context.client.timeouts());
    let socket = endpoint.path.to_string_lossy().into_owned();
    let mut checks = Vec::new();
    let info = client.service_info().await;
    let reachable = info.is_ok();
    match &info {
        Ok(info) => {
            checks.extend(service_checks(info, &socket));
            match client.policy().await {
                Ok(policy) => checks.push(policy_check(&policy)),
                Err(e) => checks.push(check("policy", Verdict::Fail, e.to_string(), "bits policy show")),
            }
            let states = vec![JobState::Error, JobState::TransientError, JobState::Transferring];
            let query = JobQuery { states, ..JobQuery::default() };
            match client.jobs(&query).await {
                Ok(jobs) => {
                    let (moving, failed): (Vec<_>, Vec<_>) =
                        jobs.into_iter().partition(|job| job.state == JobState::Transferring);
                    checks.extend(job_checks(&failed));
                    checks.extend(blind_check(&moving));
                }
                Err(e) => checks.push(check("jobs", Verdict::Fail, e.to_string(), "")),
            }
        }
        Err(e) if endpoint.kind == Kind::User => {
            let text = format!("your own service does not answer at {socket}: {e}");
            checks.push(check(
                "service",
                Verdict::Warn,
                text,
                "any command that needs it starts it: `bits list`",
            ));
        }
        Err(e) => {
            let text = format!("no service answers at {socket}: {e}");
            checks.push(check("service", Verdict::Fail, text, "systemctl status bitsd"));
        }
    }
    let own = endpoint.kind == Kind::User;
    let state = if own { Environment::of_process().state_directory() } else { "/var/lib/openbits".into() };
    checks.push(state_check(&state));
    checks.push(clock_check(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())));
    checks.push(roots_check());
    checks.extend(timestamps_check(std::fs::read_to_string(TIMESTAMPS).ok().as_deref()));
    checks.push(proxy_check(|name| std::env::var(name).ok()));
    checks.push(journal_check(Path::new("/run/systemd/journal/socket").exists()));
    let verdict = worst(&checks);
    if context.json {
        print_json(&Report { schema: SCHEMA, verdict, checks })?;
    } else {
        for check in &checks {
            print(line(check))?;
        }
    }
    Ok(match verdict {
        Verdict::Fail if !reachable => exit::UNREACHABLE,
        Verdict::Fail => exit::OTHER,
        Verdict::Ok | Verdict::Warn => exit::OK,
    })
}

fn worst(checks: &[Check]) -> Verdict {
    let has = |verdict| checks.iter().any(|check| check.verdict == verdict);
    if has(Verdict::Fail) {
        Verdict::Fail
    } else if has(Verdict::Warn) {
        Verdict::Warn
    } else {
        Verdict::Ok
    }
}

fn line(check: &Check) -> String {
    let mark = match check.verdict {
        Verdict::Ok => "ok  ",
        Verdict::Warn => "warn",
        Verdict::Fail => "FAIL",
    };
    let mut line = format!("{mark}  {:<9} {}", check.name, clean(&check.text));
    if !check.remedy.is_empty() {
        line.push_str(&format!("\n                try: {}", clean(&check.remedy)));
    }
    line
}

fn service_checks(info: &ServiceInfo, socket: &str) -> Vec<Check> {
    let mut checks =
        vec![fine("service", format!("the {} service answers at {socket} (pid {})", info.mode, info.pid))];
    let own = env!("CARGO_PKG_VERSION");
    checks.push(if info.version == own {
        fine("version", format!("{own}, like the service"))
    } else {
        let text = format!("this is {own}, the service is {}", info.version);
        check("version", Verdict::Warn, text, "restart the service after an update")
    });
    checks.push(match &info.store_error {
        Some(error) => check(
            "queue",
            Verdict::Fail,
            format!("it cannot be written: {error}"),
            "free space, or make its folder writable",
        ),
        None if info.findings.is_empty() => fine("queue", "it is written and read"),
        None => check("queue", Verdict::Warn, info.findings.join("; "), "the log tells more"),
    });
    checks.push(if info.network {
        fine("network", "there is one")
    } else {
        check("network", Verdict::Warn, "there is none; jobs wait for it", "")
    });
    if let Some(most) = info.limits.jobs_per_user {
        let text = format!("{} of {most} jobs, {} files a job", info.jobs, info.limits.files_per_job);
        checks.push(if info.jobs >= u64::from(most) {
            check("limits", Verdict::Fail, text, "complete or cancel jobs that are over: `bits list`")
        } else if info.jobs * 10 >= u64::from(most) * 9 {
            check("limits", Verdict::Warn, text, "complete or cancel jobs that are over: `bits list`")
        } else {
            fine("limits", text)
        });
    }
    checks
}

fn policy_check(policy: &PolicyView) -> Check {
    let said = |findings: &[openbits_api::PolicyFinding]| {
        findings.iter().map(|f| f.text.clone()).collect::<Vec<_>>().join("; ")
    };
    let serious: Vec<_> = policy.findings.iter().filter(|f| f.severity != "note").cloned().collect();
    if !policy.refused.is_empty() {
        let text = format!("the files are not in force: {}", said(&policy.refused));
        check("policy", Verdict::Fail, text, "bits policy check FILE")
    } else if !serious.is_empty() {
        check("policy", Verdict::Warn, said(&serious), "bits policy show --origin")
    } else {
        fine("policy", format!("{} files, nothing to complain about", policy.files.len()))
    }
}

fn job_checks(jobs: &[JobView]) -> Vec<Check> {
    if jobs.is_empty() {
        return vec![fine("jobs", "none in error")];
    }
    jobs.iter()
        .take(JOBS_NAMED)
        .map(|job| {
            let verdict = if job.state == JobState::Error { Verdict::Fail } else { Verdict::Warn };
            let (code, remedy) = match &job.error {
                Some(error) => (format!("{} {}", error.name, error.detail), error.suggestion.clone()),
                None => (String::new(), format!("bits why {}", job.id)),
            };
            check(
                "job",
                verdict,
                format!("{} '{}' is {}: {code}", job.id, job.display_name, job.state),
                remedy,
            )
        })
        .collect()
}

/// Background transfers notice others by the delay that TCP timestamps measure; without them, later and by the rate only.
fn timestamps_check(setting: Option<&str>) -> Option<Check> {
    (setting?.trim() == "0").then(|| {
        let text = "TCP timestamps are off: background transfers notice other traffic late";
        check("pacing", Verdict::Warn, text, "sysctl net.ipv4.tcp_timestamps=1")
    })
}

/// The same, seen at transfers that are under way: it may be the other end.
fn blind_check(moving: &[JobView]) -> Option<Check> {
    let blind = moving.iter().filter(|job| job.pace.is_some_and(|pace| pace.blind));
    let named: Vec<_> = blind.take(JOBS_NAMED).map(|job| job.id.to_string()).collect();
    (!named.is_empty()).then(|| {
        let text = format!("no TCP timestamps, so other traffic is noticed late: {}", named.join(", "));
        check("pacing", Verdict::Warn, text, "switch TCP timestamps on at the server or proxy, or wait")
    })
}

fn state_check(folder: &Path) -> Check {
    use std::os::unix::fs::MetadataExt as _;
    let shown = folder.display();
    let metadata = match std::fs::metadata(folder) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return check(
                "state",
                Verdict::Warn,
                format!("{shown} is not there yet"),
                "the service makes it when it starts",
            );
        }
        Err(e) => return check("state", Verdict::Warn, format!("{shown} cannot be looked at: {e}"), ""),
    };
    if metadata.mode() & 0o022 != 0 {
        let text = format!("{shown} can be changed by others (mode {:o})", metadata.mode() & 0o7777);
        return check("state", Verdict::Fail, text, format!("chmod go-w {shown}"));
    }
    match rustix::fs::statvfs(folder) {
        Ok(fs) => space_check(&shown.to_string(), fs.f_bavail.saturating_mul(fs.f_frsize)),
        Err(e) => check("state", Verdict::Warn, format!("{shown}: {e}"), ""),
    }
}

fn space_check(folder: &str, free: u64) -> Check {
    let text = format!("{folder}: {} MiB free", free >> 20);
    match free {
        _ if free < FREE_LOW / 10 => check("state", Verdict::Fail, text, "free space"),
        _ if free < FREE_LOW => check("state", Verdict::Warn, text, "free space"),
        _ => fine("state", text),
    }
}

fn clock_check(now_s: u64) -> Check {
    if now_s < EARLIEST_S {
        let text = "the clock is before this program was made: certificates will not be valid";
        check("clock", Verdict::Fail, text, "timedatectl set-ntp true")
    } else {
        fine("clock", "plausible")
    }
}

/// Where distributions keep the bundle of certificate authorities.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

fn roots_check() -> Check {
    let named = std::env::var("SSL_CERT_FILE").ok();
    let files = named.iter().map(String::as_str).chain(BUNDLES.iter().copied());
    for file in files {
        let Ok(text) = std::fs::read(file) else { continue };
        let mark = b"-----BEGIN CERTIFICATE-----";
        let count = text.windows(mark.len()).filter(|window| window == mark).count();
        if count > 0 {
            return fine("tls", format!("{count} certificate authorities in {file}"));
        }
    }
    check(
        "tls",
        Verdict::Fail,
        "no certificate authorities were found: https will fail",
        "install ca-certificates",
    )
}

fn proxy_check(get: impl Fn(&str) -> Option<String>) -> Check {
    let Some(proxy) = openbits_client::environment_proxy(get) else {
        return fine("proxy", "none in the environment; jobs connect directly");
    };
    let shown = |name: &str, value: Option<String>| {
        value.map(|value| format!("{name}={}", openbits_core::events_log::redacted(&value)))
    };
    let all = [
        shown("http", proxy.http),
        shown("https", proxy.https),
        shown("all", proxy.all),
        shown("no", proxy.no),
    ];
    fine("proxy", format!("new jobs use {}", all.into_iter().flatten().collect::<Vec<_>>().join(" ")))
}

fn journal_check(there: bool) -> Check {
    if there {
        fine("journal", "events of the system's service: journalctl -u bitsd")
    } else {
        check("journal", Verdict::Warn, "there is no journal; events are lines in the service's log", "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> ServiceInfo {
        ServiceInfo {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mode: "user".to_owned(),
            pid: 7,
            jobs: 0,
            running: 0,
            network: true,
            store_error: None,
            findings: vec![],
            limits: openbits_api::ServiceLimits {
                files_per_job: 200,
                jobs_per_user: Some(10),
                jobs_per_machine: Some(300),
            },
            last_event: 0,
            download_mode: 99,
        }
    }

    fn verdict(checks: &[Check], name: &str) -> Verdict {
        checks.iter().find(|check| check.name == name).expect(name).verdict
    }

    #[test]
    fn missing_tcp_timestamps_are_a_warning() {
        assert_eq!(timestamps_check(Some("0\n")).expect("off").verdict, Verdict::Warn);
        assert!(timestamps_check(Some("1\n")).is_none() && timestamps_check(None).is_none());
        assert!(blind_check(&[]).is_none());
    }

    #[test]
    fn a_healthy_service_has_nothing_to_complain_about() {
        let checks = service_checks(&info(), "/s");
        assert_eq!(worst(&checks), Verdict::Ok, "{checks:?}");
        assert!(checks.iter().all(|check| check.remedy.is_empty()));
    }

    #[test]
    fn what_is_wrong_is_said_with_a_remedy() {
        let broken = ServiceInfo {
            version: "0.0.1".into(),
            network: false,
            store_error: Some("disk full".into()),
            jobs: 9,
            ..info()
        };
        let checks = service_checks(&broken, "/s");
        for (name, expected) in [
            ("version", Verdict::Warn),
            ("network", Verdict::Warn),
            ("queue", Verdict::Fail),
            ("limits", Verdict::Warn),
        ] {
            assert_eq!(verdict(&checks, name), expected, "{name}");
        }
        assert_eq!(
            verdict(&service_checks(&ServiceInfo { jobs: 10, ..info() }, "/s"), "limits"),
            Verdict::Fail
        );
        let found = ServiceInfo { findings: vec!["kept aside".into()], ..info() };
        assert_eq!(verdict(&service_checks(&found, "/s"), "queue"), Verdict::Warn);
    }

    #[test]
    fn facts_of_the_machine() {
        assert_eq!(clock_check(0).verdict, Verdict::Fail);
        assert_eq!(clock_check(EARLIEST_S).verdict, Verdict::Ok);
        for (free, expected) in [(0, Verdict::Fail), (FREE_LOW / 10, Verdict::Warn), (FREE_LOW, Verdict::Ok)]
        {
            assert_eq!(space_check("/d", free).verdict, expected, "{free}");
        }
        let proxy = proxy_check(|name| (name == "http_proxy").then(|| "http://u:secret@p:8080".to_owned()));
        assert!(proxy.text.contains("p:8080") && !proxy.text.contains("secret"), "{}", proxy.text);
        assert_eq!(journal_check(false).verdict, Verdict::Warn);
        let folder = tempfile::tempdir().unwrap();
        let mode = |mode| {
            std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(mode))
                .unwrap();
        };
        mode(0o777);
        assert_eq!(state_check(folder.path()).verdict, Verdict::Fail);
        mode(0o700);
        assert_ne!(state_check(&folder.path().join("no")).verdict, Verdict::Ok);
        assert!(line(&clock_check(0)).starts_with("FAIL  clock"));
    }
}
