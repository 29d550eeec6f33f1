//! What a URL and a path on the command line mean.

use crate::failure::Failure;
use openbits_core::names::check_remote_name;
use openbits_core::remote::canonical;
use percent_encoding::percent_decode_str;
use std::path::{Path, PathBuf};
use url::Url;

/// Name of a file whose URL has none.
pub(crate) const FALLBACK_NAME: &str = "index.html";
/// Longest file name of common file systems, in bytes. Leaves room for nothing: the temporary file has a name of its own.
const NAME_BYTES_MAX: usize = 255;

/// The URL to send: as typed if it is legal, otherwise with what browsers escape (blanks, letters beyond ASCII) escaped.
pub(crate) fn remote_name(typed: &str) -> Result<String, Failure> {
    if check_remote_name(typed).is_ok() {
        return Ok(typed.to_owned());
    }
    let refuse = |why: &str| Err(Failure::Usage(format!("`{typed}` {why}")));
    if !typed.contains("://") {
        return refuse("is not a URL; it must begin with http://, https://, smb:// or file://");
    }
    let authority = typed.split_once("://").map_or("", |(_, rest)| rest);
    match Url::parse(typed) {
        Err(e) => refuse(&format!("is not a URL: {e}")),
        Ok(url) if !matches!(url.scheme(), "http" | "https" | "smb" | "file") => {
            refuse("cannot be fetched; it must begin with http://, https://, smb:// or file://")
        }
        Ok(url) if url.scheme() != "file" && authority.starts_with(['/', '?', '#']) => {
            refuse("names no server")
        }
        Ok(url) => {
            // The parser leaves some characters alone that are not legal in a URL.
            let mut escaped = String::new();
            for c in url.as_str().chars() {
                match c {
                    '<' | '>' | '"' | '\\' | '^' | '`' | '{' | '|' | '}' => {
                        escaped.push_str(&format!("%{:02X}", u32::from(c)));
                    }
                    c => escaped.push(c),
                }
            }
            match check_remote_name(&escaped) {
                Ok(_) => Ok(escaped),
                Err(_) => refuse("is too long or not a legal URL"),
            }
        }
    }
}

/// File name for a URL: the last segment of its path, percent-decoded and made safe.
///
/// Never empty, `.`, `..`, or with `/`, NUL or control characters; never longer than a file system takes.
pub(crate) fn file_name(url: &str) -> String {
    let Ok(url) = canonical(url).or_else(|_| Url::parse(url)) else { return FALLBACK_NAME.to_owned() };
    let last = url.path().rsplit('/').next().unwrap_or_default();
    let decoded = percent_decode_str(last).decode_utf8_lossy();
    // `%2F` is a slash only to the server; what stands before it is not part of a file's name.
    let last = decoded.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut name: String = last.chars().map(|c| if is_hostile(c) { '_' } else { c }).collect();
    while name.len() > NAME_BYTES_MAX {
        name.pop();
    }
    let trimmed = name.trim_matches(' ');
    if matches!(trimmed, "" | "." | "..") { FALLBACK_NAME.to_owned() } else { trimmed.to_owned() }
}

/// Characters that a shell user cannot see or type: control and direction characters.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The absolute destination for a URL and a path from the command line. A folder (or `name/`) gets the URL's file name.
pub(crate) fn destination(url: &str, path: Option<&Path>, base: &Path) -> PathBuf {
    let Some(path) = path else { return base.join(file_name(url)) };
    let path_text = path.as_os_str().as_encoded_bytes();
    let joined = base.join(path);
    if path_text.ends_with(b"/") || path_text.ends_with(b"/.") || joined.is_dir() {
        joined.join(file_name(url))
    } else {
        joined
    }
}

/// The path as the service wants it: absolute and UTF-8.
pub(crate) fn local_name(path: &Path) -> Result<String, Failure> {
    let absolute =
        std::path::absolute(path).map_err(|source| Failure::File { path: path.to_owned(), source })?;
    absolute
        .into_os_string()
        .into_string()
        .map_err(|p| Failure::Usage(format!("the path {} is not UTF-8", Path::new(&p).display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_urls() {
        let rows = [
            ("http://h/a/b.iso", "b.iso"),
            ("http://h/a/b.iso?x=/y/z#f", "b.iso"),
            ("http://h", FALLBACK_NAME),
            ("http://h/", FALLBACK_NAME),
            ("http://h/a/", FALLBACK_NAME),
            ("http://h/a%20b.txt", "a b.txt"),
            ("http://h/%C3%BC.txt", "ü.txt"),
            ("http://h/-rf", "-rf"),
            ("http://h/.bashrc", ".bashrc"),
        ];
        for (url, name) in rows {
            assert_eq!(file_name(url), name, "{url}");
        }
    }

    #[test]
    fn hostile_urls_give_harmless_names() {
        let rows = [
            ("http://h/..", FALLBACK_NAME),
            ("http://h/a/%2e%2e", FALLBACK_NAME),
            ("http://h/%2e", FALLBACK_NAME),
            ("http://h/..%2f..%2fetc%2fpasswd", "passwd"),
            ("http://h/%2fetc%2f", FALLBACK_NAME),
            ("http://h/..%5c..%5cx", "x"),
            ("http://h/%00", "_"),
            ("http://h/a%0d%0ab%1b[2J", "a__b_[2J"),
            ("http://h/%e2%80%aetxt.exe", "_txt.exe"),
            ("http://h/%20%20", FALLBACK_NAME),
            ("http://h/%20..%20", FALLBACK_NAME),
            ("http://h/%ff%fe", "\u{fffd}\u{fffd}"),
            ("not a url", FALLBACK_NAME),
        ];
        for (url, name) in rows {
            assert_eq!(file_name(url), name, "{url}");
        }
        let long = file_name(&format!("http://h/{}", "%C3%BC".repeat(300)));
        assert!(long.len() <= NAME_BYTES_MAX && long.starts_with('ü'));
    }

    #[test]
    fn urls_are_sent_as_typed_or_made_legal() {
        let rows = [
            ("http://h/a%20b?x=[1]", "http://h/a%20b?x=[1]"),
            ("HTTP://H/x", "HTTP://H/x"),
            ("http://h/a b", "http://h/a%20b"),
            ("http://h/ü", "http://h/%C3%BC"),
            ("http://h/{a}|b", "http://h/%7Ba%7D%7Cb"),
        ];
        for (typed, sent) in rows {
            assert_eq!(remote_name(typed).unwrap(), sent, "{typed}");
        }
        for bad in ["", "h/a", "ftp://h/a", "file://host/share", "http://", "http:///x", "http://h:x/"] {
            assert!(matches!(remote_name(bad), Err(Failure::Usage(_))), "{bad}");
        }
        assert!(remote_name(&format!("http://h/{}", "a".repeat(3000))).is_err());
    }

    #[test]
    fn destinations() {
        let root = tempfile::tempdir().unwrap();
        let base = root.path();
        std::fs::create_dir(base.join("dir")).unwrap();
        let to = |path: &str| destination("http://h/f.bin", Some(Path::new(path)), base);
        assert_eq!(destination("http://h/f.bin", None, base), base.join("f.bin"));
        assert_eq!(to("x"), base.join("x"));
        assert_eq!(to("dir"), base.join("dir/f.bin"));
        assert_eq!(to("dir/"), base.join("dir/f.bin"));
        assert_eq!(to("new/"), base.join("new/f.bin"));
        assert_eq!(to("."), base.join("f.bin"));
        assert_eq!(to("/abs/x"), Path::new("/abs/x"));
        assert_eq!(local_name(Path::new("/a/./b")).unwrap(), "/a/b");
    }
}
