//! The agent's configuration files (section 9): read at most once a minute, and at once on SIGHUP.

use openbits_core::delivery::cache::{CacheHosts, CachePolicy, gateway_of, hosts_of_list};
use rustix::fs::{Mode, OFlags};
use serde_json::{Map, Value};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longest file that is read, in bytes.
const FILE_MAX: u64 = 64 * 1024;
/// Age from which a file is read again.
const FRESH: Duration = Duration::from_secs(60);

/// One file and what it said when it was read last.
#[derive(Debug)]
struct Source {
    path: PathBuf,
    read: Option<Instant>,
    values: Map<String, Value>,
}

impl Source {
    fn new(path: PathBuf) -> Self {
        Self { path, read: None, values: Map::new() }
    }

    /// A file that is gone sets nothing; one that cannot be understood changes nothing.
    fn values(&mut self) -> &Map<String, Value> {
        if self.read.is_none_or(|at| at.elapsed() >= FRESH) {
            self.read = Some(Instant::now());
            match read(&self.path) {
                Ok(Some(Value::Object(values))) => self.values = values,
                Ok(Some(_)) => {
                    tracing::warn!(path = %self.path.display(), "no JSON object: the old values stay");
                }
                Ok(None) => self.values = Map::new(),
                Err(error) => tracing::warn!(path = %self.path.display(), %error, "the old values stay"),
            }
        }
        &self.values
    }
}

/// Members of the agent's group may write in that folder: no link is followed, and nothing but a file of sane length is read.
fn read(path: &Path) -> std::io::Result<Option<Value>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => std::fs::File::from(fd),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let about = file.metadata()?;
    if !about.is_file() || about.len() > FILE_MAX {
        return Err(std::io::Error::other("no file, or too long"));
    }
    let mut text = String::new();
    file.take(FILE_MAX).read_to_string(&mut text)?;
    serde_json::from_str(&text).map(Some).map_err(std::io::Error::other)
}

/// The configuration; cheap to clone.
#[derive(Clone, Debug)]
pub struct Config(Arc<Mutex<[Source; 2]>>);

impl Config {
    /// The files of a folder.
    pub fn of(folder: &Path) -> Self {
        let source = |name: &str| Source::new(folder.join(name));
        Self(Arc::new(Mutex::new([source("admin-config.json"), source("sdk-config.json")])))
    }

    fn with<T>(&self, look: impl FnOnce(&Map<String, Value>, &Map<String, Value>) -> T) -> T {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let [admin, sdk] = &mut *sources;
        look(admin.values(), sdk.values())
    }

    /// The administrator's file is read again with the next look; the SDK's is not affected.
    pub fn reload(&self) {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sources[0].read = None;
    }

    /// Peers have to come from an address of the loopback.
    pub fn validates_peers(&self) -> bool {
        self.with(|admin, _| match admin.get("RestControllerValidateRemoteAddr") {
            Some(Value::Bool(value)) => *value,
            Some(Value::String(text)) => text != "false",
            _ => true,
        })
    }

    /// The cache hosts in force: those of the administrator's file, else of the machine's policy, else of the SDK's file.
    pub fn cache_hosts(&self, policy: &CachePolicy) -> Option<CacheHosts> {
        self.with(|admin, sdk| {
            let text = |map: &Map<String, Value>, key: &str| map.get(key)?.as_str().map(str::to_owned);
            // A key that is present wins, also when it is empty.
            let hosts = match (admin.contains_key("DOCacheHost"), &policy.hosts) {
                (true, _) => hosts_of_list(&text(admin, "DOCacheHost")?),
                (false, Some(hosts)) => hosts.clone(),
                (false, None) => hosts_of_list(gateway_of(&text(sdk, "ADUC_IoTConnectionString")?)?),
            };
            let number = |key: &str| match admin.get(key)? {
                Value::Number(number) => number.as_i64(),
                Value::String(text) => text.trim().parse().ok(),
                _ => None,
            };
            let delay_s = number("DODelayCacheServerFallbackBackground")
                .or_else(|| number("DODelayCacheServerFallbackForeground"))
                .or(policy.background_s);
            (!hosts.is_empty()).then_some(CacheHosts { hosts, delay_s })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDK: &str = r#"{"ADUC_IoTConnectionString":"HostName=h;GatewayHostName=10.0.0.9"}"#;

    fn config(admin: Option<&str>, sdk: Option<&str>) -> (tempfile::TempDir, Config) {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: Option<&str>| {
            if let Some(text) = text {
                std::fs::write(folder.path().join(name), text).unwrap();
            }
        };
        put("admin-config.json", admin);
        put("sdk-config.json", sdk);
        let config = Config::of(folder.path());
        (folder, config)
    }

    fn host(admin: Option<&str>, sdk: Option<&str>) -> Option<(String, Option<i64>)> {
        let cache = config(admin, sdk).1.cache_hosts(&CachePolicy::default());
        cache.map(|cache| (cache.hosts.join(" "), cache.delay_s))
    }

    #[test]
    fn mcc_manager_parse_iot_connection_string() {
        assert_eq!(host(None, Some(SDK)), Some(("10.0.0.9".to_owned(), None)));
        assert_eq!(host(None, None), None);
        assert_eq!(host(None, Some(r#"{"ADUC_IoTConnectionString":"HostName=h"}"#)), None);
    }

    #[test]
    fn mcc_manager_admin_config_override() {
        let admin = r#"{"DOCacheHost":"mcc","DODelayCacheServerFallbackBackground":"30","Unknown":[]}"#;
        assert_eq!(host(Some(admin), Some(SDK)), Some(("mcc".to_owned(), Some(30))));
        let delay = r#"{"DODelayCacheServerFallbackForeground":-1}"#;
        assert_eq!(host(Some(delay), Some(SDK)), Some(("10.0.0.9".to_owned(), Some(-1))));
        let both = r#"{"DODelayCacheServerFallbackForeground":1,"DODelayCacheServerFallbackBackground":2}"#;
        assert_eq!(host(Some(both), Some(SDK)).unwrap().1, Some(2));
    }

    #[test]
    fn mcc_manager_admin_config_empty_string() {
        assert_eq!(host(Some(r#"{"DOCacheHost":""}"#), Some(SDK)), None);
    }

    /// Ambiguity 9: several are asked in turn.
    #[test]
    fn mcc_manager_admin_config_list() {
        let admin = r#"{"DOCacheHost":"mcc1:80, u@h, mcc2"}"#;
        assert_eq!(host(Some(admin), Some(SDK)), Some(("mcc1 mcc2".to_owned(), None)));
        assert_eq!(host(Some(r#"{"DOCacheHost":"u@h,"}"#), Some(SDK)), None, "it is set");
    }

    #[test]
    fn the_machines_policy_comes_between_the_two_files() {
        let hosts = |hosts: &[&str]| Some(hosts.iter().map(|host| (*host).to_owned()).collect());
        let policy = CachePolicy {
            hosts: hosts(&["mcc3:8080"]),
            foreground_s: Some(1),
            background_s: Some(9),
            off_on_vpn: false,
        };
        let of = |admin: Option<&str>, policy: &CachePolicy| {
            config(admin, Some(SDK)).1.cache_hosts(policy).map(|cache| (cache.hosts.join(" "), cache.delay_s))
        };
        assert_eq!(of(None, &policy), Some(("mcc3:8080".to_owned(), Some(9))));
        let admin = r#"{"DOCacheHost":"mcc","DODelayCacheServerFallbackForeground":0}"#;
        assert_eq!(of(Some(admin), &policy), Some(("mcc".to_owned(), Some(0))));
        assert_eq!(of(Some(r#"{"DOCacheHost":""}"#), &policy), None);
        assert_eq!(of(None, &CachePolicy { hosts: hosts(&[]), ..policy.clone() }), None, "switched off");
        assert_eq!(of(None, &CachePolicy { hosts: None, ..policy }), Some(("10.0.0.9".to_owned(), Some(9))));
    }

    #[test]
    fn json_parser_read_non_existent_config_file() {
        let (_folder, config) = config(None, None);
        assert!(config.validates_peers() && config.cache_hosts(&CachePolicy::default()).is_none());
    }

    #[test]
    fn json_parser_read_configs_with_updates() {
        let (folder, config) = config(Some(r#"{"RestControllerValidateRemoteAddr":"false"}"#), None);
        assert!(!config.validates_peers());
        let path = folder.path().join("admin-config.json");
        std::fs::write(&path, r#"{"RestControllerValidateRemoteAddr":true}"#).unwrap();
        assert!(!config.validates_peers(), "not before its time");
        config.reload();
        assert!(config.validates_peers());
        std::fs::write(&path, "nonsense").unwrap();
        std::fs::write(folder.path().join("sdk-config.json"), SDK).unwrap();
        config.reload();
        assert!(config.validates_peers(), "a file that cannot be read changes nothing");
        assert_eq!(
            config.cache_hosts(&CachePolicy::default()),
            None,
            "the SDK's file is read when its time has come"
        );
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        config.reload();
        assert!(config.validates_peers(), "no link is followed");
    }
}
