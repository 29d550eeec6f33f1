//! Syntax of names and texts in calls: what is refused before anything is touched (spec/bits-core.md 4.5, 5.2, 11).

use crate::hresult::{BG_E_STRING_TOO_LONG, E_INVALIDARG, HResult};

/// Longest display name, in UTF-16 code units.
pub const DISPLAY_NAME_MAX: usize = 256;
/// Longest description, in UTF-16 code units.
pub const DESCRIPTION_MAX: usize = 1024;
/// Longest remote name, in UTF-16 code units.
pub const REMOTE_NAME_MAX: usize = 2200;
/// Longest local name, in bytes (PATH_MAX; 260 in strict mode).
pub const LOCAL_NAME_MAX: usize = 4096;
/// MAX_PATH of the original, for strict mode and the notify program.
pub const STRICT_PATH_MAX: usize = 260;
/// Longest notify parameter string, in UTF-16 code units.
pub const NOTIFY_PARAMETERS_MAX: usize = 4000;
/// Longest proxy list and proxy bypass list, in UTF-16 code units (32 KB).
pub const PROXY_LIST_MAX: usize = 16_384;
/// Longest user name of a credential, in UTF-16 code units.
pub const USER_NAME_MAX: usize = 300;
/// Longest password of a credential, in UTF-16 code units.
pub const PASSWORD_MAX: usize = 65_536;

/// Length as the original counts it: UTF-16 code units, terminator not counted.
pub fn utf16_len(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// Refuses a text of more than `max` UTF-16 code units, or with a NUL inside.
pub fn check_text(text: &str, max: usize) -> Result<(), HResult> {
    if text.contains('\0') {
        return Err(E_INVALIDARG);
    }
    if utf16_len(text) > max { Err(BG_E_STRING_TOO_LONG) } else { Ok(()) }
}

/// Scheme of a remote name that this version can transfer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RemoteScheme {
    /// `http://`
    Http,
    /// `https://`
    Https,
    /// `smb://server/share/path`, `\\server\share\path`
    Smb,
    /// `file:///path`, `/path`
    File,
}

impl RemoteScheme {
    /// Requested ranges are possible: not over SMB since BITS 3.0 (spec/bits-extended.md 3.2), and `file` is its stand-in.
    pub const fn has_ranges(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }
}

/// Checks a remote name. Nothing is escaped or normalised: the name is used as given.
///
/// Refused with `E_INVALIDARG`: more than 2,200 code units; another scheme than http, https, smb and file; no host where one is
/// needed; in a URL, characters that are not legal there (blanks, control characters, non-ASCII; a fragment is kept as is). For smb
/// and file see [`crate::remote`].
///
/// # Errors
/// `E_INVALIDARG`
pub fn check_remote_name(name: &str) -> Result<RemoteScheme, HResult> {
    if utf16_len(name) > REMOTE_NAME_MAX {
        return Err(E_INVALIDARG);
    }
    match crate::remote::parse(name)? {
        crate::remote::Remote::Http(url) if url.scheme() == "http" => Ok(RemoteScheme::Http),
        crate::remote::Remote::Http(_) => Ok(RemoteScheme::Https),
        crate::remote::Remote::Smb(_) => Ok(RemoteScheme::Smb),
        crate::remote::Remote::File(_) => Ok(RemoteScheme::File),
    }
}

/// Checks the syntax of a local name: absolute, a file and not a folder, no NUL, no `.` or `..` component at the end.
///
/// `strict` adds the original's limits: 260 characters and no wildcards. Whether the folder exists and may be written is
/// the worker's to say.
pub fn check_local_name(name: &str, strict: bool) -> Result<(), HResult> {
    let Some((_, last)) = name.rsplit_once('/') else { return Err(E_INVALIDARG) };
    if !name.starts_with('/') || name.contains('\0') || name.len() >= LOCAL_NAME_MAX {
        return Err(E_INVALIDARG);
    }
    // 255 is NAME_MAX of every common file system.
    if last.is_empty() || last == "." || last == ".." || last.len() > 255 {
        return Err(E_INVALIDARG);
    }
    if strict && (utf16_len(name) > STRICT_PATH_MAX || name.contains(['*', '?'])) {
        return Err(E_INVALIDARG);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_utf16_code_units_at_and_beyond_each_limit() {
        assert_eq!(check_text(&"a".repeat(1024), DESCRIPTION_MAX), Ok(()));
        assert_eq!(check_text(&"a".repeat(1025), DESCRIPTION_MAX), Err(BG_E_STRING_TOO_LONG));
        assert_eq!(check_text(&"😀".repeat(128), DISPLAY_NAME_MAX), Ok(()));
        assert_eq!(check_text(&"😀".repeat(129), DISPLAY_NAME_MAX), Err(BG_E_STRING_TOO_LONG));
        assert_eq!(check_text("a\0b", 10), Err(E_INVALIDARG));
    }

    #[test]
    fn remote_names() {
        for good in [
            "http://h/",
            "https://h:8443/a?b=*&c=%20",
            "HTTP://H/x",
            "http://[::1]:80/x",
            "http://user:pw@h/x",
            "smb://h/s/x",
            r"\\h\s\x",
            "file:///mnt/x",
            "/mnt/x",
        ] {
            assert!(check_remote_name(good).is_ok(), "{good}");
        }
        let longest = format!("http://h/{}", "a".repeat(REMOTE_NAME_MAX - 9));
        assert!(check_remote_name(&longest).is_ok());
        let too_long = format!("{longest}a");
        for bad in [
            "",
            "h/x",
            "ftp://h/x",
            "file://h/x",
            "smb://h/s",
            "http://",
            "http:///x",
            "https:/https://h/x",
            "smb:/smb://h/s/x",
            "http://h/a b",
            "http://h/\u{e4}",
            "http://h/\u{7f}",
            "http://h:99999/x",
            "javascript:alert(1)",
            "http://h/<x>",
            too_long.as_str(),
        ] {
            assert_eq!(check_remote_name(bad), Err(E_INVALIDARG), "{bad}");
        }
    }

    #[test]
    fn local_names() {
        let deep = format!("/{}", "d/".repeat(2046));
        let longest = format!("{deep}xx");
        assert_eq!(longest.len(), 4095);
        for good in ["/a", "/tmp/a b", "/tmp/*", "/tmp/\u{e4}.bin", longest.as_str()] {
            assert_eq!(check_local_name(good, false), Ok(()), "{good}");
        }
        let beyond = format!("{longest}x");
        let long_part = format!("/{}", "a".repeat(256));
        for bad in
            ["", "a", "./a", "/", "/tmp/", "/tmp/.", "/tmp/..", "/a\0b", beyond.as_str(), long_part.as_str()]
        {
            assert_eq!(check_local_name(bad, false), Err(E_INVALIDARG), "{bad}");
        }
        assert_eq!(check_local_name("/tmp/*", true), Err(E_INVALIDARG));
        assert_eq!(check_local_name(&format!("/{}", "a/".repeat(130)), true), Err(E_INVALIDARG));
    }
}
