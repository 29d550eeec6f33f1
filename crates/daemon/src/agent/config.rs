//! The agent's configuration files (section 9): read at most once a minute, and at once on SIGHUP.

use super::place::{Group, Place};
use openbits_core::Uid;
use openbits_core::delivery::cache::{CacheHosts, CachePolicy, gateway_of, hosts_of_list};
use rustix::fs::{Mode, OFlags};
use serde_json::{Map, Value};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longest file that is read, in bytes.
const FILE_MAX: u64 = 64 * 1024;
/// Age from which a file is read again.
const FRESH: Duration = Duration::from_secs(60);

/// Name of the administrator's file.
const ADMIN: &str = "admin-config.json";
/// Name of the SDK's file.
const SDK: &str = "sdk-config.json";

/// Lays an empty `admin-config.json` where there is none, if the folder is there and is ours or the account's. What is in the way (a link,
/// also one that leads nowhere) stays as it is.
pub(super) fn begin(folder: &Path, account: Option<Uid>) {
    let place = match Place::open(folder, account, Group::Writes) {
        Ok(place) => place,
        Err(error) => {
            tracing::debug!("no {ADMIN} is made: {error}");
            return;
        }
    };
    let made = place.as_owner(|place| {
        let mut file = place.create(ADMIN, 0o644)?;
        file.write_all(b"{}\n").inspect_err(|_| drop(place.remove(ADMIN)))
    });
    match made {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            tracing::debug!(folder = %folder.display(), %error, "no {ADMIN} is made");
        }
        _ => {}
    }
}

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
        Self(Arc::new(Mutex::new([source(ADMIN), source(SDK)])))
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

    const CONNECTION: &str = r#"{"ADUC_IoTConnectionString":"HostName=h;GatewayHostName=10.0.0.9"}"#;

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
        assert_eq!(host(None, Some(CONNECTION)), Some(("10.0.0.9".to_owned(), None)));
        assert_eq!(host(None, None), None);
        assert_eq!(host(None, Some(r#"{"ADUC_IoTConnectionString":"HostName=h"}"#)), None);
    }

    /// The last part, or one in the middle; no file, no host.
    #[test]
    fn mcc_manager_parse_iot_connection_string_parts() {
        for (connection, found) in [
            ("HostName=h;DeviceId=d;SharedAccessKey=k=;GatewayHostName=10.0.0.200", Some("10.0.0.200")),
            (
                "HostName=h;GatewayHostName=instance-company-op1.abcd.net;SharedAccessKey=k=",
                Some("instance-company-op1.abcd.net"),
            ),
            ("GATEWAYHOSTNAME=first;HostName=h", Some("first")),
            ("HostName=h;DeviceId=d", None),
        ] {
            let sdk = format!(r#"{{"ADUC_IoTConnectionString":"{connection}"}}"#);
            assert_eq!(host(None, Some(&sdk)).map(|(host, _)| host).as_deref(), found, "{connection}");
        }
    }

    /// Keys are read back, natively and as texts; a key that is missing is not set; a comma list of `host:port` gives its hosts.
    #[test]
    fn json_parser_read_configs() {
        let admin = r#"{"DOCacheHost":"10.130.48.179:8080,10.130.48.180:8080","DODelayCacheServerFallbackForeground":"12",
                        "RestControllerValidateRemoteAddr":false}"#;
        let (_folder, config) = config(Some(admin), None);
        assert!(!config.validates_peers());
        let cache = config.cache_hosts(&CachePolicy::default()).unwrap();
        assert_eq!(
            (cache.hosts.join(" ").as_str(), cache.delay_s),
            ("10.130.48.179 10.130.48.180", Some(12))
        );
        let (_folder, config) = self::config(Some(r#"{"DODelayCacheServerFallbackBackground":3}"#), None);
        assert!(config.validates_peers() && config.cache_hosts(&CachePolicy::default()).is_none());
    }

    /// Old values hold until their time is over, also of a file that is changed, made later, or removed.
    #[test]
    fn json_parser_read_configs_with_file_created_later() {
        let (folder, config) = config(None, None);
        let age = |by: Duration| {
            for source in config.0.lock().unwrap().iter_mut() {
                source.read = source.read.and_then(|at| at.checked_sub(by));
            }
        };
        let path = folder.path().join(ADMIN);
        let now = || config.cache_hosts(&CachePolicy::default()).map(|cache| cache.hosts.join(" "));
        assert_eq!(now(), None);
        std::fs::write(&path, r#"{"DOCacheHost":"one"}"#).unwrap();
        assert_eq!(now(), None, "not yet");
        age(FRESH);
        assert_eq!(now().as_deref(), Some("one"));
        std::fs::write(&path, r#"{"DOCacheHost":"two"}"#).unwrap();
        age(FRESH / 2);
        assert_eq!(now().as_deref(), Some("one"), "not yet");
        age(FRESH / 2);
        assert_eq!(now().as_deref(), Some("two"));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(now().as_deref(), Some("two"), "not yet");
        age(FRESH);
        assert_eq!(now(), None);
    }

    #[test]
    fn mcc_manager_admin_config_override() {
        let admin = r#"{"DOCacheHost":"mcc","DODelayCacheServerFallbackBackground":"30","Unknown":[]}"#;
        assert_eq!(host(Some(admin), Some(CONNECTION)), Some(("mcc".to_owned(), Some(30))));
        let delay = r#"{"DODelayCacheServerFallbackForeground":-1}"#;
        assert_eq!(host(Some(delay), Some(CONNECTION)), Some(("10.0.0.9".to_owned(), Some(-1))));
        let both = r#"{"DODelayCacheServerFallbackForeground":1,"DODelayCacheServerFallbackBackground":2}"#;
        assert_eq!(host(Some(both), Some(CONNECTION)).unwrap().1, Some(2));
    }

    #[test]
    fn mcc_manager_admin_config_empty_string() {
        assert_eq!(host(Some(r#"{"DOCacheHost":""}"#), Some(CONNECTION)), None);
    }

    /// Ambiguity 9: several are asked in turn.
    #[test]
    fn mcc_manager_admin_config_list() {
        let admin = r#"{"DOCacheHost":"mcc1:80, u@h, mcc2"}"#;
        assert_eq!(host(Some(admin), Some(CONNECTION)), Some(("mcc1 mcc2".to_owned(), None)));
        assert_eq!(host(Some(r#"{"DOCacheHost":"u@h,"}"#), Some(CONNECTION)), None, "it is set");
    }

    #[test]
    fn the_machines_policy_comes_between_the_two_files() {
        let hosts = |hosts: &[&str]| Some(hosts.iter().map(|host| (*host).to_owned()).collect());
        let policy = CachePolicy {
            hosts: hosts(&["mcc3:8080"]),
            foreground_s: Some(1),
            background_s: Some(9),
            off_on_vpn: false,
            off: false,
        };
        let of = |admin: Option<&str>, policy: &CachePolicy| {
            config(admin, Some(CONNECTION))
                .1
                .cache_hosts(policy)
                .map(|cache| (cache.hosts.join(" "), cache.delay_s))
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
        std::fs::write(folder.path().join("sdk-config.json"), CONNECTION).unwrap();
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

    #[test]
    fn an_empty_file_of_the_administrator_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(ADMIN);
        let text = || std::fs::read_to_string(&path).unwrap();
        begin(folder.path(), None);
        assert_eq!(text(), "{}\n");
        assert!(Config::of(folder.path()).cache_hosts(&CachePolicy::default()).is_none());
        std::fs::write(&path, "mine").unwrap();
        begin(folder.path(), None);
        assert_eq!(text(), "mine");
        // A folder that is missing stays so.
        let missing = folder.path().join("missing");
        begin(&missing, None);
        assert!(!missing.exists());
    }

    #[test]
    fn a_link_in_the_place_of_the_administrators_file_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (etc, target) = (folder.path().join("etc"), folder.path().join("target"));
        std::fs::create_dir(&etc).unwrap();
        std::os::unix::fs::symlink(&target, etc.join(ADMIN)).unwrap();
        begin(&etc, None);
        assert!(!target.exists());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&etc, &link).unwrap();
        std::fs::remove_file(etc.join(ADMIN)).unwrap();
        begin(&link, None);
        assert_eq!(std::fs::read_dir(&etc).unwrap().count(), 0, "nor one in the place of the folder");
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(&etc, open).unwrap();
        begin(&etc, None);
        assert_eq!(std::fs::read_dir(&etc).unwrap().count(), 0, "nor where everybody may write");
    }
}
