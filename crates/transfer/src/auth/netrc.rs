//! The owner's `.netrc`: stored credentials of a Linux user (USE_STORED_CREDENTIALS, spec/bits-extended.md 9).

use openbits_core::Secret;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Longest file that is read, in bytes.
const MAX: u64 = 1 << 20;

/// Name and password for a host; `None` if the file has none, or others may read it.
pub(super) fn look_up(host: &str) -> Option<(Secret, Secret)> {
    let path = std::env::var_os("NETRC")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".netrc")))?;
    let file = std::fs::File::open(path).ok()?;
    let meta = file.metadata().ok()?;
    // As ftp(1) does: a file with passwords that others may read is not used.
    if !meta.is_file() || meta.uid() != rustix::process::geteuid().as_raw() || meta.mode() & 0o077 != 0 {
        return None;
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MAX).read_to_string(&mut text).ok()?;
    find(&text, host)
}

pub(crate) fn find(text: &str, host: &str) -> Option<(Secret, Secret)> {
    let mut words = words(text);
    let (mut here, mut user, mut password) = (false, None, None);
    while let Some(word) = words.next() {
        match word.as_str() {
            "machine" | "default" => {
                if here && let (Some(user), Some(password)) = (user.take(), password.take()) {
                    return Some((user, password));
                }
                (user, password) = (None, None);
                here = word.as_str() == "default" || words.next()?.eq_ignore_ascii_case(host);
            }
            "login" => user = words.next().map(|word| Secret::new(word.as_str())),
            "password" => password = words.next().map(|word| Secret::new(word.as_str())),
            "account" => drop(words.next()),
            _ => {}
        }
    }
    here.then_some(())?;
    Some((user?, password?))
}

/// Blank-separated words, `"quoted \" ones"`, without comments and macro definitions (which end at an empty line).
fn words(text: &str) -> impl Iterator<Item = Zeroizing<String>> + '_ {
    let mut in_macro = false;
    text.lines().flat_map(move |line| {
        let mut found = Vec::new();
        if in_macro {
            in_macro = !line.trim().is_empty();
            return found;
        }
        let mut rest = line.trim_start();
        while !rest.is_empty() && !rest.starts_with('#') {
            let (word, after) = word(rest);
            if word.as_str() == "macdef" {
                in_macro = true;
                break;
            }
            found.push(word);
            rest = after.trim_start();
        }
        found
    })
}

fn word(text: &str) -> (Zeroizing<String>, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return (Zeroizing::new(text[..end].to_owned()), &text[end..]);
    };
    let mut out = Zeroizing::new(String::new());
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (out, &quoted[at + 1..]),
            '\\' => out.extend(chars.next().map(|(_, c)| c)),
            c => out.push(c),
        }
    }
    (out, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_a_netrc() {
        let text = "# mine\nmachine a login u password p\nmachine b\n\tlogin \"x y\"\n\tpassword \"q\\\"r\" account z\n\
                    macdef init\nmachine evil login no password no\n\nmachine c login only\ndefault login d password dp\n";
        let pair = |host: &str| find(text, host).map(|(u, p)| (u.reveal().to_owned(), p.reveal().to_owned()));
        let some = |u: &str, p: &str| Some((u.to_owned(), p.to_owned()));
        assert_eq!(pair("a"), some("u", "p"));
        assert_eq!(pair("B"), some("x y", "q\"r"));
        assert_eq!(pair("evil"), some("d", "dp"), "a macro is no entry");
        assert_eq!(pair("c"), some("d", "dp"));
        assert_eq!(find("machine a login u password p", "b"), None);
        for broken in
            ["", "machine", "machine a", "machine a login", "machine a password \"x", "login u password p"]
        {
            assert_eq!(
                find(broken, "a").is_some(),
                broken.contains("\"x") && broken.contains("login"),
                "{broken}"
            );
        }
    }
}
