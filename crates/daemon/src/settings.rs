//! Settings of the service: the policy file (spec/policy.md part C) as far as this version knows its keys.

use openbits_core::Limits;
use openbits_transfer::protocol::TransferOptions;
use serde::Deserialize;
use std::path::Path;

/// Values in force.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Limits of the queue.
    pub limits: Limits,
    /// Defaults of every transfer.
    pub transfer: TransferOptions,
    /// System accounts are exempt from the quotas (spec/policy.md C4).
    pub exempt_system_accounts: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PolicyFile {
    limits: LimitKeys,
    timeouts: TimeoutKeys,
    scheduler: SchedulerKeys,
    http: HttpKeys,
    tls: TlsKeys,
    disk: DiskKeys,
    network: NetworkKeys,
    compat: CompatKeys,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LimitKeys {
    jobs_per_machine: Option<u32>,
    jobs_per_user: Option<u32>,
    files_per_job: Option<u32>,
    exempt_system_accounts: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TimeoutKeys {
    job_inactivity: Option<Duration>,
    max_download: Option<Duration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SchedulerKeys {
    time_slice: Option<Duration>,
    max_foreground: Option<u32>,
    max_background: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct HttpKeys {
    connect_timeout: Option<Duration>,
    idle_timeout: Option<Duration>,
    max_redirects: Option<u32>,
    user_agent: Option<String>,
    versions: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TlsKeys {
    extra_ca: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DiskKeys {
    min_free: Option<Size>,
    preallocate: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NetworkKeys {
    bind: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CompatKeys {
    strict: Option<bool>,
}

/// Seconds, or a text such as `"10m"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Value")]
struct Duration(u64);

impl TryFrom<toml::Value> for Duration {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::Integer(n) => u64::try_from(n).map(Self).map_err(|_| "negative duration".to_owned()),
            toml::Value::String(text) => parse_units(
                &text,
                &[("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800), ("", 1)],
            )
            .map(Self),
            other => Err(format!("{other} is not a duration")),
        }
    }
}

/// Bytes, or a text such as `"500MiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Value")]
struct Size(u64);

impl TryFrom<toml::Value> for Size {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::Integer(n) => u64::try_from(n).map(Self).map_err(|_| "negative size".to_owned()),
            toml::Value::String(text) => parse_units(
                &text,
                &[
                    ("KiB", 1 << 10),
                    ("MiB", 1 << 20),
                    ("GiB", 1 << 30),
                    ("TiB", 1 << 40),
                    ("kB", 1000),
                    ("MB", 1_000_000),
                    ("GB", 1_000_000_000),
                    ("TB", 1_000_000_000_000),
                    ("B", 1),
                    ("", 1),
                ],
            )
            .map(Self),
            other => Err(format!("{other} is not a size")),
        }
    }
}

fn parse_units(text: &str, units: &[(&str, u64)]) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    let factor = units.iter().find(|u| u.0 == unit).ok_or_else(|| format!("unknown unit in {text:?}"))?.1;
    let number: u64 = digits.trim().parse().map_err(|_| format!("{text:?} is not a number with a unit"))?;
    number.checked_mul(factor).ok_or_else(|| format!("{text:?} is too large"))
}

impl Settings {
    /// Defaults, changed by the policy file if there is one. The second value are warnings; a file that cannot be read or
    /// parsed leaves the defaults in force.
    pub fn read(path: &Path) -> (Self, Vec<String>) {
        let mut settings = Self { exempt_system_accounts: true, ..Self::default() };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return (settings, Vec::new()),
            Err(error) => {
                return (
                    settings,
                    vec![format!("policy file {}: {error}; defaults are in force", path.display())],
                );
            }
        };
        match toml::from_str::<PolicyFile>(&text) {
            Ok(file) => {
                settings.apply(file);
                (settings, Vec::new())
            }
            Err(error) => {
                (settings, vec![format!("policy file {}: {error}; defaults are in force", path.display())])
            }
        }
    }

    fn apply(&mut self, file: PolicyFile) {
        fn set<T>(target: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *target = value;
            }
        }
        let limits = &mut self.limits;
        set(&mut limits.jobs_per_machine, file.limits.jobs_per_machine);
        set(&mut limits.jobs_per_user, file.limits.jobs_per_user);
        set(&mut limits.files_per_job, file.limits.files_per_job);
        set(
            &mut limits.job_inactivity_s,
            file.timeouts.job_inactivity.map(|d| d.0.clamp(86_400, 999 * 86_400)),
        );
        set(&mut limits.max_download_s, file.timeouts.max_download.map(|d| d.0.max(1)));
        set(&mut limits.time_slice_s, file.scheduler.time_slice.map(|d| d.0.clamp(5, 3600)));
        set(&mut limits.max_foreground, file.scheduler.max_foreground);
        set(&mut limits.max_background, file.scheduler.max_background.map(|n| n.clamp(1, 8)));
        set(&mut limits.strict_names, file.compat.strict);
        set(&mut self.exempt_system_accounts, file.limits.exempt_system_accounts);
        let transfer = &mut self.transfer;
        set(&mut transfer.connect_timeout_ms, file.http.connect_timeout.map(|d| d.0.saturating_mul(1000)));
        set(&mut transfer.idle_timeout_ms, file.http.idle_timeout.map(|d| d.0.saturating_mul(1000)));
        set(&mut transfer.max_redirects, file.http.max_redirects.map(|n| n.min(100)));
        set(
            &mut transfer.user_agent,
            file.http.user_agent.filter(|u| u.bytes().all(|b| (0x20..0x7f).contains(&b))),
        );
        set(&mut transfer.http2, file.http.versions.map(|v| v.iter().any(|v| v == "2")));
        set(&mut transfer.min_free_bytes, file.disk.min_free.map(|s| s.0));
        set(&mut transfer.preallocate, file.disk.preallocate);
        transfer.extra_ca = file.tls.extra_ca;
        transfer.bind = file.network.bind.filter(|b| !b.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_with_their_units_and_clamped_to_their_ranges() {
        let folder = std::env::temp_dir().join(format!("openbits-settings-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("policy.toml");
        let text = "[limits]\njobs_per_user = 7\n[timeouts]\njob_inactivity = \"30d\"\nmax_download = 60\n\
                    [scheduler]\ntime_slice = \"1s\"\nmax_background = 99\n[disk]\nmin_free = \"2GiB\"\n\
                    [network]\nbind = \"127.0.0.2\"\n[http]\nversions = [\"1.1\"]\n";
        std::fs::write(&path, text).unwrap();
        let (settings, warnings) = Settings::read(&path);
        assert_eq!(warnings, Vec::<String>::new());
        assert_eq!((settings.limits.jobs_per_user, settings.limits.jobs_per_machine), (7, 300));
        assert_eq!((settings.limits.job_inactivity_s, settings.limits.max_download_s), (30 * 86_400, 60));
        assert_eq!((settings.limits.time_slice_s, settings.limits.max_background), (5, 8));
        assert_eq!(settings.transfer.min_free_bytes, 2 << 30);
        assert_eq!(settings.transfer.bind.as_deref(), Some("127.0.0.2"));
        assert!(!settings.transfer.http2);
        for bad in ["[limits]\njobs_per_user = -1", "[timeouts]\njob_inactivity = \"3 parsecs\"", "[[["] {
            std::fs::write(&path, bad).unwrap();
            let (settings, warnings) = Settings::read(&path);
            assert_eq!(settings.limits, Limits::default(), "{bad}");
            assert_eq!(warnings.len(), 1, "{bad}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(Settings::read(&path).1.is_empty());
    }
}
