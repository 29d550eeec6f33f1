//! `key=value` of `bits set`.

use super::http;
use crate::failure::Failure;
use crate::text;
use openbits_api::{NotifyCommandView, ProxyRequest, SetClientCertificate, SetProperties};
use openbits_core::ProxyUsage;
use openbits_core::policy::cost;

/// What is to be set.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) properties: SetProperties,
    /// A client certificate, or none any more.
    pub(super) certificate: Option<Option<SetClientCertificate>>,
    /// No program has to accept servers any more.
    pub(super) no_validation: bool,
}

/// Reads all pairs; a key may come once.
pub(super) fn changes(pairs: &[String]) -> Result<Changes, Failure> {
    let mut changes = Changes::default();
    let (set, certificate) = (&mut changes.properties, &mut changes.certificate);
    for pair in pairs {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(Failure::Usage(format!("`{pair}` is not KEY=VALUE")));
        };
        let bad = |why: &str| Failure::Usage(format!("{key}: {why}"));
        let once = match key {
            "name" => put(&mut set.display_name, value.to_owned()),
            "description" => put(&mut set.description, value.to_owned()),
            "priority" => {
                let priority = value.parse().map_err(|_| bad("FOREGROUND, HIGH, NORMAL or LOW"))?;
                put(&mut set.priority, priority)
            }
            "notify-flags" => {
                put(&mut set.notify_flags, flags(value).ok_or_else(|| bad("a number, 0 to 63"))?)
            }
            "retry-delay" => put(&mut set.minimum_retry_delay_s, text::seconds(value).map_err(|e| bad(&e))?),
            "no-progress-timeout" => {
                put(&mut set.no_progress_timeout_s, text::seconds(value).map_err(|e| bad(&e))?)
            }
            "proxy" => put(&mut set.proxy, proxy(value).map_err(|e| bad(&e))?),
            "auto-complete" => put(&mut set.auto_complete, switch(value).ok_or_else(|| bad("yes or no"))?),
            "bind" => put(&mut set.bind, value.to_owned()),
            "upload-protocol" => {
                let protocol = value.parse().map_err(|_| bad("auto, bits, tus, ietf, s3 or put"))?;
                put(&mut set.upload_protocol, protocol)
            }
            "reply-file" => put(&mut set.reply_file_name, value.to_owned()),
            "notify-command" => put(&mut set.notify_command, command(value)),
            "headers" => put(&mut set.custom_headers, http::headers(value)?),
            "headers-write-only" => match switch(value) {
                Some(true) => put(&mut set.custom_headers_write_only, true),
                _ => return Err(bad("yes; it cannot be taken back")),
            },
            "http-method" => put(&mut set.http_method, value.to_owned()),
            "security-flags" => {
                let flags = http::security_flags(value).ok_or_else(|| bad(http::SECURITY_FLAGS))?;
                put(&mut set.security_flags, flags)
            }
            "client-certificate" => put(certificate, http::certificate(value)),
            "certificate-validation" => match switch(value) {
                Some(false) => !std::mem::replace(&mut changes.no_validation, true),
                _ => return Err(bad("no; a program sets it by listening")),
            },
            _ if let Some(once) = later(set, key, value).map_err(|e| bad(&e))? => once,
            _ => {
                return Err(Failure::Usage(format!(
                    "unknown property `{key}`; there are name, description, priority, notify-flags, retry-delay, \
                     no-progress-timeout, proxy, auto-complete, bind, upload-protocol, reply-file, notify-command, acl-flags, peer-caching-flags, \
                     max-download-time, cost, cellular, notification-clsid, dynamic, high-performance, max-download-size, \
                     stored-credentials, notification-interval, on-demand, helper-token-flags, headers, headers-write-only, \
                     http-method, security-flags, client-certificate and certificate-validation"
                )));
            }
        };
        if !once {
            return Err(bad("given twice"));
        }
    }
    Ok(changes)
}

/// Properties that came after BITS 1.5. `None`: the key is none of them.
fn later(set: &mut SetProperties, key: &str, value: &str) -> Result<Option<bool>, String> {
    let on_off = || switch(value).ok_or_else(|| "yes or no".to_owned());
    Ok(Some(match key {
        "acl-flags" => put(&mut set.acl_flags, acl_flags(value).ok_or("letters of OGDS, or a number")?),
        "peer-caching-flags" => put(&mut set.peer_caching_flags, flags(value).ok_or("a number, 0 to 7")?),
        "max-download-time" => put(&mut set.maximum_download_time_s, text::seconds(value)?),
        "cost" => put(
            &mut set.cost_flags,
            cost_mask(value).ok_or(
                "always, unless-roaming, unless-surcharge, unless-near-limit, unconstrained, or a mask",
            )?,
        ),
        "cellular" => put(&mut set.disallow_cellular, !on_off()?),
        "notification-clsid" => put(&mut set.notification_clsid, value.to_owned()),
        "dynamic" => put(&mut set.dynamic_content, on_off()?),
        "high-performance" => put(&mut set.high_performance, on_off()?),
        "max-download-size" => {
            put(&mut set.max_download_size, value.parse().map_err(|_| "a number of bytes")?)
        }
        "stored-credentials" => put(&mut set.use_stored_credentials, value.to_ascii_uppercase()),
        "notification-interval" => put(
            &mut set.minimum_notification_interval_ms,
            value.parse().map_err(|_| "a number of milliseconds")?,
        ),
        "on-demand" => put(&mut set.on_demand_mode, on_off()?),
        "helper-token-flags" => put(&mut set.helper_token_flags, flags(value).ok_or("a number, 0 to 3")?),
        _ => return Ok(None),
    }))
}

/// A name of the policy file, or a mask.
fn cost_mask(text: &str) -> Option<u32> {
    let named = cost::NAMED.iter().find(|(name, _)| *name == text);
    named.map(|(_, mask)| *mask).or_else(|| flags(text))
}

/// Letters, as bitsadmin takes them, or a number.
fn acl_flags(text: &str) -> Option<u32> {
    use openbits_core::job::options::acl;
    let bit = |c: char| match c.to_ascii_uppercase() {
        'O' => Some(acl::OWNER),
        'G' => Some(acl::GROUP),
        'D' => Some(acl::DACL),
        'S' => Some(acl::SACL),
        _ => None,
    };
    flags(text).or_else(|| text.chars().map(bit).try_fold(0, |sum, bit| Some(sum | bit?)))
}

fn put<T>(slot: &mut Option<T>, value: T) -> bool {
    slot.replace(value).is_none()
}

fn flags(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// yes or no, in some spellings.
pub(super) fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" | "1" => Some(true),
        "no" | "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// `PRECONFIG`, `NO_PROXY`, `AUTODETECT`, or `OVERRIDE:list[;bypass]`; the lists are separated by commas or blanks.
pub(crate) fn proxy(text: &str) -> Result<ProxyRequest, String> {
    let (usage, lists) = text.split_once(':').map_or((text, None), |(u, l)| (u, Some(l)));
    let usage: ProxyUsage =
        usage.parse().map_err(|_| "PRECONFIG, NO_PROXY, AUTODETECT or OVERRIDE:list[;bypass]".to_owned())?;
    let blanks = |list: &str| {
        let words: Vec<&str> = list.split([',', ' ']).filter(|w| !w.is_empty()).collect();
        (!words.is_empty()).then(|| words.join(" "))
    };
    let (list, bypass) = match lists {
        None => (None, None),
        Some(lists) => {
            let (list, bypass) = lists.split_once(';').unwrap_or((lists, ""));
            (blanks(list), blanks(bypass))
        }
    };
    match (usage, &list) {
        (ProxyUsage::Override, None) => Err("OVERRIDE needs a list: OVERRIDE:host:8080".to_owned()),
        (ProxyUsage::Override, Some(_)) => Ok(ProxyRequest { usage, list, bypass }),
        _ if lists.is_some() => Err("a list goes with OVERRIDE only".to_owned()),
        _ => Ok(ProxyRequest { usage, list: None, bypass: None }),
    }
}

/// The program is the first word of the command line, which may be quoted; nothing clears it (spec/behaviour.md 16.4).
fn command(text: &str) -> NotifyCommandView {
    let words = openbits_core::notify::command_line::split(text);
    let Some(program) = words.first().cloned() else { return NotifyCommandView::default() };
    let parameters = (words.len() > 1).then(|| text.trim().to_owned());
    NotifyCommandView { program: Some(program), parameters, argv: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openbits_core::Priority;

    fn read(pairs: &[&str]) -> Result<SetProperties, Failure> {
        changes(&pairs.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>()).map(|changes| changes.properties)
    }

    #[test]
    fn every_key() {
        let set = read(&[
            "name=a=b",
            "description=",
            "priority=low",
            "notify-flags=0x3",
            "retry-delay=1m",
            "no-progress-timeout=0",
            "proxy=OVERRIDE:p1:80,p2;<local> *.x",
            "auto-complete=yes",
            "bind=eth0",
            "notify-command=/bin/x a b",
        ])
        .unwrap();
        let proxy = set.proxy.unwrap();
        let command = set.notify_command.unwrap();
        assert_eq!(set.display_name.as_deref(), Some("a=b"));
        assert_eq!(set.description.as_deref(), Some(""));
        assert_eq!((set.priority, set.notify_flags), (Some(Priority::Low), Some(3)));
        assert_eq!((set.minimum_retry_delay_s, set.no_progress_timeout_s), (Some(60), Some(0)));
        assert_eq!((proxy.list.as_deref(), proxy.bypass.as_deref()), (Some("p1:80 p2"), Some("<local> *.x")));
        assert_eq!((set.auto_complete, set.bind.as_deref()), (Some(true), Some("eth0")));
        assert_eq!(command.program.as_deref(), Some("/bin/x"));
        assert_eq!(command.parameters.as_deref(), Some("/bin/x a b"));
    }

    #[test]
    fn later_keys() {
        let set = read(&[
            "acl-flags=ogd",
            "peer-caching-flags=4",
            "max-download-time=1h",
            "cost=unless-roaming",
            "cellular=no",
            "notification-clsid={6D18AD12-BDE3-4393-B311-099C346E6DF9}",
            "dynamic=yes",
            "high-performance=no",
            "max-download-size=4294967296",
            "stored-credentials=proxy",
            "notification-interval=0",
            "on-demand=no",
            "helper-token-flags=0x3",
        ])
        .unwrap();
        assert_eq!(
            (set.acl_flags, set.peer_caching_flags, set.helper_token_flags),
            (Some(7), Some(4), Some(3))
        );
        assert_eq!((set.maximum_download_time_s, set.cost_flags), (Some(3600), Some(0x8000_007F)));
        assert_eq!(
            (set.dynamic_content, set.high_performance, set.on_demand_mode),
            (Some(true), Some(false), Some(false))
        );
        assert_eq!((set.max_download_size, set.minimum_notification_interval_ms), (Some(1 << 32), Some(0)));
        assert_eq!(set.use_stored_credentials.as_deref(), Some("PROXY"));
        assert_eq!(set.disallow_cellular, Some(true));
        assert_eq!(read(&["cellular=yes"]).unwrap().disallow_cellular, Some(false));
        assert_eq!(read(&["cost=0x67"]).unwrap().cost_flags, Some(0x67));
        assert_eq!(read(&["acl-flags="]).unwrap().acl_flags, Some(0));
        for bad in [
            "acl-flags=x",
            "cost=cheap",
            "cellular=5G",
            "dynamic=perhaps",
            "max-download-size=-1",
            "max-download-time=soon",
        ] {
            assert!(matches!(read(&[bad]), Err(Failure::Usage(_))), "{bad}");
        }
    }

    #[test]
    fn clearing() {
        assert_eq!(read(&["notify-command="]).unwrap().notify_command, Some(NotifyCommandView::default()));
        assert_eq!(read(&["bind="]).unwrap().bind.as_deref(), Some(""));
        assert_eq!(command("/bin/x").parameters, None);
        assert_eq!(read(&["proxy=no-proxy"]).unwrap().proxy.map(|p| p.usage), Some(ProxyUsage::NoProxy));
    }

    #[test]
    fn refused() {
        for bad in [
            &["name"][..],
            &["colour=red"],
            &["priority=urgent"],
            &["retry-delay=soon"],
            &["notify-flags=x"],
            &["auto-complete=maybe"],
            &["proxy=OVERRIDE"],
            &["proxy=OVERRIDE:;x"],
            &["proxy=NO_PROXY:x"],
            &["proxy=direct"],
            &["name=a", "name=b"],
        ] {
            assert!(matches!(read(bad), Err(Failure::Usage(_))), "{bad:?}");
        }
    }
}
