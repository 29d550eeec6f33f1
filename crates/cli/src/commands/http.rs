//! HTTP options on the command line. Header values are secrets: they come from a file or from standard input, never as an argument,
//! which everybody could read in the list of processes.

use crate::failure::Failure;
use openbits_api::SetClientCertificate;
use openbits_core::Secret;
use openbits_core::job::http::security;
use std::io::Read as _;

/// Longest file of headers that is read, in bytes.
const HEADERS_BYTES_MAX: u64 = 64 << 10;

/// What security flags look like.
pub(crate) const SECURITY_FLAGS: &str = "a number, or names separated by commas: crl-check, ignore-name, ignore-date, ignore-ca, \
     ignore-usage, redirect-report, redirect-disallow, https-to-http, none";

/// `@FILE` or `-`: lines `Name: value`; nothing removes them.
pub(crate) fn headers(value: &str) -> Result<Secret, Failure> {
    let unreadable = |e: std::io::Error| Failure::Usage(format!("headers: {value}: {e}"));
    let mut text = String::new();
    match value.strip_prefix('@') {
        _ if value.is_empty() => {}
        Some(path) => {
            let file = std::fs::File::open(path).map_err(unreadable)?;
            file.take(HEADERS_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
        }
        None if value == "-" => {
            std::io::stdin().take(HEADERS_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
        }
        None => {
            return Err(Failure::Usage(
                "headers: name a file (`headers=@FILE`) or `-` for standard input; an argument can be read by everybody"
                    .to_owned(),
            ));
        }
    }
    let lines = text.lines().filter(|line| !line.is_empty());
    Ok(Secret::new(lines.map(|line| format!("{line}\r\n")).collect::<String>()))
}

/// The names and bits of security flags.
const NAMES: &[(&str, u32)] = &[
    ("crl-check", security::CRL_CHECK),
    ("ignore-name", security::IGNORE_NAME),
    ("ignore-date", security::IGNORE_DATE),
    ("ignore-ca", security::IGNORE_CA),
    ("ignore-usage", security::IGNORE_USAGE),
    ("redirect-report", security::REDIRECT_REPORT),
    ("redirect-disallow", security::REDIRECT_DISALLOW),
    ("https-to-http", security::ALLOW_HTTPS_TO_HTTP),
];

/// A number, or names.
pub(crate) fn security_flags(text: &str) -> Option<u32> {
    if text == "none" {
        return Some(0);
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return u32::from_str_radix(hex, 16).ok();
    }
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let bit = |name: &str| NAMES.iter().find(|(known, _)| *known == name).map(|(_, bit)| *bit);
    text.split(',').try_fold(0, |flags, name| Some(flags | bit(name.trim())?))
}

/// The flags as names, for people.
pub(crate) fn security_names(flags: u32) -> String {
    let names: Vec<&str> = NAMES.iter().filter(|(_, bit)| flags & bit != 0).map(|(name, _)| *name).collect();
    if names.is_empty() { "none".to_owned() } else { format!("{} ({flags:#06x})", names.join(",")) }
}

/// `[LOCATION,][STORE,]HASH` or `[LOCATION,][STORE,]subject:TEXT`; nothing removes it.
pub(crate) fn certificate(value: &str) -> Option<SetClientCertificate> {
    if value.is_empty() {
        return None;
    }
    let (places, hash, subject) = match value.split_once("subject:") {
        Some((places, subject)) => (places.trim_end_matches(','), None, Some(subject.to_owned())),
        None => {
            let (places, hash) = value.rsplit_once(',').unwrap_or(("", value));
            (places, Some(hash.replace(':', "")), None)
        }
    };
    let mut certificate = SetClientCertificate {
        location: "CURRENT_USER".to_owned(),
        store: "MY".to_owned(),
        hash,
        subject,
        context: None,
    };
    for place in places.split(',').filter(|place| !place.is_empty()) {
        match place.to_ascii_uppercase().replace('-', "_").as_str() {
            location @ ("CURRENT_USER" | "LOCAL_MACHINE") => certificate.location = location.to_owned(),
            _ => certificate.store = place.to_owned(),
        }
    }
    Some(certificate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_from_a_file_and_never_from_the_command_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "X-A: 1\n\nX-B: 2\r\n").unwrap();
        let read = headers(&format!("@{}", file.path().display())).unwrap();
        assert_eq!(read.reveal(), "X-A: 1\r\nX-B: 2\r\n");
        assert_eq!(headers("").unwrap().reveal(), "");
        assert!(headers("X-A: 1").is_err());
        assert!(headers("@/nowhere/at/all").is_err());
    }

    #[test]
    fn flags_are_numbers_or_names() {
        assert_eq!(security_flags("0x801"), Some(0x801));
        assert_eq!(security_flags("5"), Some(5));
        assert_eq!(security_flags("ignore-ca,redirect-report"), Some(0x108));
        assert_eq!(security_flags("none"), Some(0));
        assert_eq!(security_flags("insecure"), None);
        assert_eq!(security_names(0x801), "crl-check,https-to-http (0x0801)");
        assert_eq!(security_names(0), "none");
    }

    #[test]
    fn certificates_by_hash_and_by_subject() {
        assert_eq!(certificate(""), None);
        let read = certificate("AB:CD").unwrap();
        assert_eq!((read.location.as_str(), read.store.as_str()), ("CURRENT_USER", "MY"));
        assert_eq!(read.hash.as_deref(), Some("ABCD"));
        let read = certificate("local-machine,/etc/x.p12,subject:example, build, alice").unwrap();
        assert_eq!((read.location.as_str(), read.store.as_str()), ("LOCAL_MACHINE", "/etc/x.p12"));
        assert_eq!(read.subject.as_deref(), Some("example, build, alice"));
    }
}
