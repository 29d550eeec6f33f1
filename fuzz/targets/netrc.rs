//! The `.netrc` of an owner: the entry of a host is found as it was written, and no other.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use openbits_transfer::fuzzing::netrc;

#[derive(Arbitrary, Debug)]
struct Entry {
    host: u8,
    user: String,
    password: Option<String>,
    quoted: bool,
    lines: bool,
}

#[derive(Arbitrary, Debug)]
enum Input {
    Entries { wanted: u8, entries: Vec<Entry> },
    Raw { host: String, text: String },
}

const HOSTS: [&str; 4] = ["h", "proxy.example.org", "H", "default"];

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The text as a word, if it can be written as one.
fn word(text: &str, quoted: bool) -> Option<String> {
    let plain = !text.is_empty() && !text.starts_with(['"', '#']) && !text.contains(char::is_whitespace);
    // A line feed ends a word, quoted or not.
    let one_line = !text.contains(['\n', '\r']);
    match (quoted, plain) {
        (false, true) if text != "macdef" => Some(text.to_owned()),
        _ => one_line.then(|| quote(text)).filter(|_| text != "macdef"),
    }
}

fuzz_target!(|input: Input| match input {
    Input::Raw { host, text } => {
        let found = netrc(&text, &host);
        // Whitespace at the end and an entry behind it change nothing.
        if let Some(found) = found {
            assert_eq!(netrc(&format!("\n \t\n{text}"), &host), Some(found));
        }
    }
    Input::Entries { wanted, entries } => {
        let wanted = HOSTS[usize::from(wanted) % 3];
        let (mut text, mut expected) = (String::new(), None);
        for entry in &entries {
            let host = HOSTS[usize::from(entry.host) % HOSTS.len()];
            let Some(user) = word(&entry.user, entry.quoted) else { continue };
            let password = match &entry.password {
                Some(password) => match word(password, entry.quoted) {
                    Some(password) => Some(password),
                    None => continue,
                },
                None => None,
            };
            let blank = if entry.lines { "\n\t" } else { " " };
            let start = if host == "default" { "default".to_owned() } else { format!("machine {host}") };
            text.push_str(&format!("{start}{blank}login {user}"));
            if let Some(password) = &password {
                text.push_str(&format!("{blank}password {password}"));
            }
            text.push('\n');
            if expected.is_none() && (host == "default" || host.eq_ignore_ascii_case(wanted)) {
                expected = entry.password.clone().map(|password| (entry.user.clone(), password));
            }
        }
        assert_eq!(netrc(&text, wanted), expected, "{text:?}");
    }
});
