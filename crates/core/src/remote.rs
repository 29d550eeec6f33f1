//! What a remote name means: the ways of writing one, and its parts.
//!
//! | Written | Means |
//! |---|---|
//! | `http://…`, `https://…` | itself |
//! | `smb://[[domain;]user[:password]@]server[:port]/share/path` | a file on an SMB share; parts are percent-decoded |
//! | `\\server\share\path` | the same, without decoding |
//! | `file:///path`, `file://localhost/path` | a file that the job's owner can read (a mounted share) |
//! | `/path` | the same, without decoding |
//!
//! Not accepted: wildcards, named pipes, devices, alternate streams (spec/bits-core.md 5.2), drive paths, `.` and `..`.

use crate::hresult::{E_INVALIDARG, HResult};
use crate::names::LOCAL_NAME_MAX;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

/// Port of SMB.
pub const SMB_PORT: u16 = 445;

/// Longest part of an SMB path, in UTF-16 code units.
const SMB_PART_MAX: usize = 255;

/// A remote name, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remote {
    /// http or https.
    Http(Url),
    /// A file on a share.
    Smb(SmbName),
    /// Absolute path of a file on this machine, read with the owner's rights.
    File(String),
}

/// A file on an SMB share.
#[derive(Clone, PartialEq, Eq)]
pub struct SmbName {
    /// Domain of the user; may be empty.
    pub domain: String,
    /// User; empty: a guest, or the job's credentials.
    pub user: String,
    /// Password.
    pub password: String,
    /// Server: a name or an address (IPv6 without brackets).
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Share.
    pub share: String,
    /// Path inside the share, parts separated by `/`, no `/` in front.
    pub path: String,
}

impl std::fmt::Debug for SmbName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "smb://{}:{}/{}/{}", self.host, self.port, self.share, self.path)
    }
}

/// Characters of a path that stay as they are in a URL.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The one URL for a name: what the plan asks, policies look at, and people see. Credentials are kept, a fragment is not.
///
/// # Errors
/// `E_INVALIDARG`, as [`parse`].
pub fn canonical(name: &str) -> Result<Url, HResult> {
    let url = match parse(name)? {
        Remote::Http(url) => url,
        Remote::File(path) => {
            Url::parse(&format!("file://{}", utf8_percent_encode(&path, PATH))).map_err(|_| E_INVALIDARG)?
        }
        Remote::Smb(smb) => {
            if name.starts_with('\\') {
                let path = utf8_percent_encode(&smb.path, PATH);
                let share = utf8_percent_encode(&smb.share, PATH);
                Url::parse(&format!("smb://{}/{share}/{path}", smb.host)).map_err(|_| E_INVALIDARG)?
            } else {
                Url::parse(name).map_err(|_| E_INVALIDARG)?
            }
        }
    };
    Ok(url)
}

/// Reads a remote name. Its length is the caller's to check.
///
/// # Errors
/// `E_INVALIDARG`
pub fn parse(name: &str) -> Result<Remote, HResult> {
    if let Some(rest) = name.strip_prefix(r"\\") {
        return unc(rest).map(Remote::Smb);
    }
    if name.starts_with('/') {
        return path(name).map(Remote::File);
    }
    if !name.bytes().all(|b| b.is_ascii_graphic())
        || name.bytes().any(|b| matches!(b, b'<' | b'>' | b'"' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'))
    {
        return Err(E_INVALIDARG);
    }
    let (scheme, rest) = name.split_once("://").ok_or(E_INVALIDARG)?;
    // Of `https:/https://h` the URL parser would make the host `https`.
    if scheme.contains(':') {
        return Err(E_INVALIDARG);
    }
    if scheme.eq_ignore_ascii_case("file") {
        return file(rest).map(Remote::File);
    }
    // The URL parser forgives `http:/h` and `http:///h`; a server name is asked for in so many words.
    if rest.starts_with(['/', '?', '#']) {
        return Err(E_INVALIDARG);
    }
    let mut url = Url::parse(name).map_err(|_| E_INVALIDARG)?;
    // The URL parser takes dots away; a share has no folder above it.
    let dots = |part: &str| matches!(&*part.to_ascii_lowercase().replace("%2e", "."), "." | "..");
    if url.scheme() == "smb" && rest.split('/').any(dots) {
        return Err(E_INVALIDARG);
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(E_INVALIDARG);
    }
    match url.scheme() {
        "http" | "https" => {
            url.set_fragment(None);
            Ok(Remote::Http(url))
        }
        "smb" => smb(&url).map(Remote::Smb),
        _ => Err(E_INVALIDARG),
    }
}

fn smb(url: &Url) -> Result<SmbName, HResult> {
    if url.query().is_some() || url.fragment().is_some() {
        return Err(E_INVALIDARG);
    }
    let user = decode(url.username())?;
    let (domain, user) = match user.split_once(';') {
        Some((domain, user)) => (domain.to_owned(), user.to_owned()),
        None => (String::new(), user),
    };
    let password = decode(url.password().unwrap_or_default())?;
    if [&domain, &user, &password].into_iter().any(|text| text.contains(char::is_control)) {
        return Err(E_INVALIDARG);
    }
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let mut parts = url.path().strip_prefix('/').ok_or(E_INVALIDARG)?.split('/').map(decode);
    let share = parts.next().ok_or(E_INVALIDARG)??;
    let parts = parts.collect::<Result<Vec<_>, _>>()?;
    name_on_share(host, url.port().unwrap_or(SMB_PORT), share, &parts).map(|name| SmbName {
        domain,
        user,
        password,
        ..name
    })
}

fn unc(rest: &str) -> Result<SmbName, HResult> {
    let mut parts = rest.split('\\');
    let host = parts.next().ok_or(E_INVALIDARG)?;
    // In its URL a colon would begin a port, and there are no brackets here: an IPv6 address is written as a URL.
    if host.contains(':') {
        return Err(E_INVALIDARG);
    }
    let share = parts.next().ok_or(E_INVALIDARG)?.to_owned();
    let parts: Vec<String> = parts.map(str::to_owned).collect();
    name_on_share(host, SMB_PORT, share, &parts)
}

fn name_on_share(host: &str, port: u16, share: String, parts: &[String]) -> Result<SmbName, HResult> {
    // A name of DNS or NetBIOS, or an address; `.` and `?` begin device names.
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    let shown = host.bytes().any(|b| b.is_ascii_alphanumeric()) && host.len() <= 255;
    if !shown || !host.bytes().all(legal) || port == 0 {
        return Err(E_INVALIDARG);
    }
    let good = |part: &str, max: usize| {
        !matches!(part, "" | "." | "..")
            && part.chars().map(char::len_utf16).sum::<usize>() <= max
            && !part
                .chars()
                .any(|c| c.is_control() || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|'))
    };
    if !good(&share, 80) || share.eq_ignore_ascii_case("IPC$") || parts.is_empty() {
        return Err(E_INVALIDARG);
    }
    if !parts.iter().all(|part| good(part, SMB_PART_MAX)) {
        return Err(E_INVALIDARG);
    }
    Ok(SmbName {
        domain: String::new(),
        user: String::new(),
        password: String::new(),
        host: host.to_owned(),
        port,
        share,
        path: parts.join("/"),
    })
}

fn file(rest: &str) -> Result<String, HResult> {
    let at = rest.find('/').ok_or(E_INVALIDARG)?;
    let (host, encoded) = rest.split_at(at);
    if !(host.is_empty() || host.eq_ignore_ascii_case("localhost")) || encoded.contains(['?', '#']) {
        return Err(E_INVALIDARG);
    }
    let parts = encoded.split('/').map(decode).collect::<Result<Vec<_>, _>>()?;
    if parts.iter().any(|part| part.contains('/')) {
        return Err(E_INVALIDARG); // an encoded slash is part of no file name
    }
    path(&parts.join("/"))
}

/// An absolute path of a file.
fn path(path: &str) -> Result<String, HResult> {
    let last = path.rsplit('/').next().unwrap_or_default();
    let plain = !path.split('/').any(|part| matches!(part, "." | ".."));
    let good = path.starts_with('/') && !path.starts_with("//") && !last.is_empty() && plain;
    if good && path.len() < LOCAL_NAME_MAX && !path.contains('\0') {
        Ok(path.to_owned())
    } else {
        Err(E_INVALIDARG)
    }
}

/// Percent-decoded text; a `%` that begins no code, and bytes that are no text, are refused.
fn decode(text: &str) -> Result<String, HResult> {
    let bytes = text.as_bytes();
    let whole =
        bytes.iter().enumerate().filter(|(_, b)| **b == b'%').all(|(at, _)| {
            bytes.get(at + 1..at + 3).is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit))
        });
    if !whole {
        return Err(E_INVALIDARG);
    }
    percent_decode_str(text).decode_utf8().map(std::borrow::Cow::into_owned).map_err(|_| E_INVALIDARG)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smb_of(name: &str) -> SmbName {
        match parse(name) {
            Ok(Remote::Smb(smb)) => smb,
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn names_on_shares() {
        let a = smb_of("smb://dom;us%40er:p%3Aw@Server:1445/Share%20x/d/%C3%A4%20b.iso");
        assert_eq!((&*a.domain, &*a.user, &*a.password), ("dom", "us@er", "p:w"));
        assert_eq!((&*a.host, a.port), ("Server", 1445));
        assert_eq!((&*a.share, &*a.path), ("Share x", "d/ä b.iso"));
        assert!(!format!("{a:?}").contains("p:w"), "no secret in a log");
        let b = smb_of("\\\\srv\\c$\\d\\ä b#%20.iso");
        assert_eq!((&*b.host, b.port, &*b.share, &*b.path), ("srv", 445, "c$", "d/ä b#%20.iso"));
        assert_eq!(smb_of(canonical("\\\\srv\\c$\\d\\ä b#%20.iso").unwrap().as_str()), b);
        assert_eq!(smb_of("smb://[::1]/s/f").host, "::1");
        assert_eq!(smb_of("SMB://h/s/f").share, "s");
    }

    #[test]
    fn names_of_files() {
        for (name, path) in [
            ("file:///mnt/a%20b", "/mnt/a b"),
            ("FILE://LOCALHOST/mnt/a", "/mnt/a"),
            ("/mnt/a b%20", "/mnt/a b%20"),
            ("file:///mnt/%C3%A4", "/mnt/ä"),
            ("/mnt//a", "/mnt//a"),
        ] {
            assert_eq!(parse(name), Ok(Remote::File(path.to_owned())), "{name}");
            assert_eq!(parse(canonical(name).unwrap().as_str()), Ok(Remote::File(path.to_owned())), "{name}");
        }
    }

    #[test]
    fn refusals() {
        for bad in [
            "smb://h",
            "smb://h/s",
            "smb://h/s/",
            "smb://h//f",
            "smb://h/s/a//b",
            "smb://h/s/a%2Fb",
            "smb://h/s/a%5Cb",
            "smb://h/s/%2e%2E",
            "smb://h/s/../t/f",
            "smb://h/s/f?x",
            "smb://h/s/f#x",
            "smb://h/s/f%3F",
            "smb://h/s/*",
            "smb://h/s/f:stream",
            "smb://h/s/f%00",
            "smb://h/s/f%ff",
            "smb://h/s/f%2",
            "smb://h/IPC$/pipe",
            "smb://h:0/s/f",
            "smb:///s/f",
            "smb://h/s/\u{e4}",
            r"\\",
            r"\\h",
            r"\\h\s",
            r"\\h\s\",
            r"\\h\s\..\f",
            r"\\.\pipe\x",
            r"\\?\C:\x",
            r"\\h\s/f\g",
            r"\\:h\6\h",
            r"\\::1\s\f",
            r"\\h:80\s\f",
            r"\h\s\f",
            r"C:\x",
            "C:/x",
            "file://",
            "file://h/x",
            "file:/x",
            "file:///",
            "file:///a/",
            "file:///a/../b",
            "file:///a/%2e%2e/b",
            "file:///a%2Fb",
            "file:///a?b",
            "file:///a#b",
            "//h/s/f",
            "/",
            "/a/",
            "/a/./b",
            "/a\0",
        ] {
            assert_eq!(parse(bad), Err(E_INVALIDARG), "{bad}");
        }
    }
}
