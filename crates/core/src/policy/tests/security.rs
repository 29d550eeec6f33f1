//! Schemes, hosts, destinations, digests.

use super::{list, policy, text};
use crate::Priority;
use crate::policy::security::{matches, matches_in};
use crate::policy::{Policy, Raw};

fn refused(p: &Policy, remote: &str, local: &str) -> Option<&'static str> {
    p.security().check(remote, local).err().map(|f| f.key)
}

#[test]
fn by_default_everything_may_be_fetched_anywhere() {
    assert_eq!(refused(&Policy::default(), "http://h/a", "/x/../y"), None);
    assert_eq!(Policy::default().security().check_digest(Priority::Low, false), Ok(()));
}

#[test]
fn hosts_and_schemes() {
    let p = policy(&[
        ("security.allowed_url_schemes", list(&["https"])),
        ("security.allowed_hosts", list(&["*.Example.org", "10.0.0.?", "h", "[::1]"])),
        ("security.denied_hosts", list(&["bad.*"])),
    ]);
    for (remote, key) in [
        ("https://a.example.org/x", None),
        ("https://A.EXAMPLE.ORG:8443/x", None),
        ("https://a.example.org./x", None),
        ("https://[::1]/x", None),
        ("https://10.0.0.7/x", None),
        ("HTTPS://h/x", None),
        ("http://h/x", Some("security.allowed_url_schemes")),
        ("https://example.org/x", Some("security.allowed_hosts")),
        ("https://a.example.org.evil/x", Some("security.allowed_hosts")),
        ("https://user:h@evil/x", Some("security.allowed_hosts")),
        ("https://10.0.0.70/x", Some("security.allowed_hosts")),
        ("https://bad.example.org/x", Some("security.denied_hosts")),
        ("https://BAD.example.org/x", Some("security.denied_hosts")),
    ] {
        assert_eq!(refused(&p, remote, "/x"), key, "{remote}");
    }
}

#[test]
fn shares_and_files() {
    let p = policy(&[
        ("security.allowed_url_schemes", list(&["https", "smb"])),
        ("security.denied_hosts", list(&["bad"])),
    ]);
    for (remote, key) in [
        ("smb://h/s/x", None),
        ("smb://BAD/s/x", Some("security.denied_hosts")),
        (r"\\Bad\s\x", Some("security.denied_hosts")),
        ("file:///mnt/x", None),
        ("/mnt/x", None),
        ("http://h/x", Some("security.allowed_url_schemes")),
    ] {
        assert_eq!(refused(&p, remote, "/x"), key, "{remote}");
    }
    let p = policy(&[("security.allowed_url_schemes", list(&["https", "http"]))]);
    for remote in ["smb://h/s/x", r"\\h\s\x", "file:///mnt/x", "/mnt/x"] {
        assert_eq!(refused(&p, remote, "/x"), Some("security.allowed_url_schemes"), "{remote}");
    }
}

#[test]
fn destinations() {
    let p = policy(&[("security.allowed_destinations", list(&["/srv/*", "/home/?/Downloads/*.iso"]))]);
    for (local, fits) in [
        ("/srv/a", true),
        ("/srv/a/b", true),
        ("/home/x/Downloads/a.iso", true),
        ("/home/xy/Downloads/a.iso", false),
        ("/srv/../etc/passwd", false),
        ("/srv/./a", false),
        ("/srv", false),
        ("/etc/passwd", false),
    ] {
        assert_eq!(refused(&p, "http://h/a", local).is_none(), fits, "{local}");
    }
}

#[test]
fn digests() {
    for (word, foreground, background) in
        [("never", true, true), ("background", true, false), ("always", false, false)]
    {
        let p = policy(&[("integrity.require_digest", text(word))]).security();
        assert_eq!(p.check_digest(Priority::Foreground, false).is_ok(), foreground, "{word}");
        assert_eq!(p.check_digest(Priority::Low, false).is_ok(), background, "{word}");
        assert_eq!(p.check_digest(Priority::Low, true), Ok(()));
    }
    let p = policy(&[("security.allowed_url_schemes", Raw::List(vec![]))]);
    assert_eq!(p.findings().len(), 1, "an empty list would forbid everything");
}

#[test]
fn patterns() {
    for (pattern, text, fits) in [
        ("*", "", true),
        ("", "", true),
        ("", "a", false),
        ("a*c", "abbc", true),
        ("a*c", "abcb", false),
        ("*a*b", "xaxbxb", true),
        ("?", "ü", true),
        ("**a", "a", true),
        ("a?", "a", false),
    ] {
        assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
    }
    // A pattern made for endless trying costs the product of the lengths at most.
    let (pattern, text) = ("*a".repeat(50), "a".repeat(4_000).replace("aaaa", "aaab").replace('a', "ab"));
    for pattern in [pattern.clone(), format!("{pattern}c")] {
        let (fits, steps) = matches_in(&pattern, &text);
        assert_eq!(fits, matches(&pattern, &text));
        assert!(!fits && steps <= pattern.len() * text.len(), "{steps} steps");
    }
}
