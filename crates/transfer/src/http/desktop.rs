//! The proxy of the owner's desktop (spec/behaviour.md 20, PRECONFIG on Linux): KDE's settings file, GNOME's settings.
//!
//! Both are read with the owner's rights. A desktop that wants a script (PAC, WPAD) says nothing here: docs/decisions/0014.

use crate::protocol::Proxy;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Settings are looked at again after this time.
const MAX_AGE: Duration = Duration::from_secs(60);
/// Longest file that is read, in bytes.
const MAX_FILE: u64 = 256 << 10;
/// Longest time for GNOME's program.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the desktop says, if there is one and it names proxies.
#[derive(Debug, Default)]
pub(crate) struct Desktop(RefCell<Option<(Instant, Option<Proxy>)>>);

impl Desktop {
    /// The settings now.
    pub(crate) async fn proxy(&self) -> Option<Proxy> {
        if let Some((since, proxy)) = &*self.0.borrow()
            && since.elapsed() < MAX_AGE
        {
            return proxy.clone();
        }
        let found = look(&config_folder()?).await;
        *self.0.borrow_mut() = Some((Instant::now(), found.clone()));
        found
    }
}

fn config_folder() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")))
}

async fn look(config: &Path) -> Option<Proxy> {
    let mut text = String::new();
    let read = std::fs::File::open(config.join("kioslaverc"))
        .and_then(|file| file.take(MAX_FILE).read_to_string(&mut text));
    if read.is_ok()
        && let Some(proxy) = kde(&text)
    {
        return Some(proxy);
    }
    // Without this file GNOME has its defaults: no proxy. It is a binary form that only GNOME's own program reads.
    if !config.join("dconf/user").exists() {
        return None;
    }
    let run = tokio::task::spawn_blocking(|| {
        std::process::Command::new("gsettings")
            .args(["list-recursively", "org.gnome.system.proxy"])
            .stdin(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .output()
    });
    let output = tokio::time::timeout(PATIENCE, run).await.ok()?.ok()?.ok()?;
    gnome(&String::from_utf8_lossy(&output.stdout))
}

fn of(http: Option<String>, https: Option<String>, no: Option<String>) -> Option<Proxy> {
    (http.is_some() || https.is_some()).then_some(Proxy::Environment { http, https, all: None, no })
}

/// `kioslaverc`, group `Proxy Settings`; only type 1 names proxies.
pub(crate) fn kde(text: &str) -> Option<Proxy> {
    let mut settings = HashMap::new();
    let mut here = false;
    for line in text.lines().map(str::trim) {
        if let Some(group) = line.strip_prefix('[') {
            here = group.trim_end_matches(']') == "Proxy Settings";
        } else if here && let Some((key, value)) = line.split_once('=') {
            settings.insert(key.split('[').next().unwrap_or(key).trim(), value.trim());
        }
    }
    if settings.get("ProxyType") != Some(&"1") || settings.get("ReversedException") == Some(&"true") {
        return None;
    }
    // `http://host 8080` and `http://host:8080` are both found.
    let server = |key: &str| {
        let value = settings.get(key).filter(|value| !value.is_empty())?;
        Some(value.split_whitespace().collect::<Vec<_>>().join(":"))
    };
    let no = settings.get("NoProxyFor").filter(|value| !value.is_empty()).map(|value| (*value).to_owned());
    of(server("httpProxy"), server("httpsProxy"), no)
}

/// What `gsettings list-recursively org.gnome.system.proxy` prints: `schema key value`.
pub(crate) fn gnome(text: &str) -> Option<Proxy> {
    let mut settings = HashMap::new();
    for line in text.lines() {
        let mut words = line.splitn(3, ' ');
        if let (Some(schema), Some(key), Some(value)) = (words.next(), words.next(), words.next()) {
            let schema = schema.strip_prefix("org.gnome.system.proxy").unwrap_or(schema);
            settings.insert((schema.trim_start_matches('.'), key), value.trim());
        }
    }
    let get = |schema: &'static str, key: &'static str| {
        settings.get(&(schema, key)).map(|value| value.trim_matches('\'').to_owned())
    };
    if get("", "mode").as_deref() != Some("manual") {
        return None;
    }
    let server = |schema: &'static str| {
        let host = get(schema, "host").filter(|host| !host.is_empty())?;
        let port = get(schema, "port").filter(|port| port != "0")?;
        Some(format!("http://{host}:{port}"))
    };
    let no = settings.get(&("", "ignore-hosts")).map(|list| {
        let hosts = list.trim_matches(['[', ']']).split(',').map(|host| host.trim().trim_matches('\''));
        hosts.collect::<Vec<_>>().join(",")
    });
    of(server("http"), server("https"), no)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(http: &str, https: Option<&str>, no: Option<&str>) -> Option<Proxy> {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Some(Proxy::Environment { http: own(Some(http)), https: own(https), all: None, no: own(no) })
    }

    #[test]
    fn kdes_file() {
        let file = "[Other]\nProxyType=2\n[Proxy Settings]\nNoProxyFor=localhost,.corp\nProxyType=1\n\
                    httpProxy=http://p.corp 3128\nhttpsProxy=http://q:1\nReversedException=false\n[More]\nhttpProxy=x\n";
        assert_eq!(kde(file), environment("http://p.corp:3128", Some("http://q:1"), Some("localhost,.corp")));
        for other in [
            "",
            "[Proxy Settings]\nProxyType=0\nhttpProxy=http://p 1\n",
            "[Proxy Settings]\nProxyType=1\n",
            "[Proxy Settings]\nProxyType=1\nReversedException=true\nhttpProxy=http://p 1\n",
        ] {
            assert_eq!(kde(other), None, "{other}");
        }
    }

    #[test]
    fn gnomes_settings() {
        let text = |mode: &str| {
            format!(
                "org.gnome.system.proxy autoconfig-url ''\norg.gnome.system.proxy ignore-hosts ['localhost', '127.0.0.0/8']\n\
             org.gnome.system.proxy mode '{mode}'\norg.gnome.system.proxy.http host 'p'\norg.gnome.system.proxy.http port 8080\n\
             org.gnome.system.proxy.https host ''\norg.gnome.system.proxy.https port 0\n"
            )
        };
        assert_eq!(gnome(&text("manual")), environment("http://p:8080", None, Some("localhost,127.0.0.0/8")));
        assert_eq!(gnome(&text("auto")), None);
        assert_eq!(gnome(&text("none")), None);
        assert_eq!(gnome("nonsense"), None);
    }

    #[tokio::test]
    async fn a_home_without_a_desktop_says_nothing() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(look(home.path()).await, None);
        std::fs::write(
            home.path().join("kioslaverc"),
            "[Proxy Settings]\nProxyType=1\nhttpProxy=http://p 1\n",
        )
        .unwrap();
        assert_eq!(look(home.path()).await, environment("http://p:1", None, None));
    }
}
