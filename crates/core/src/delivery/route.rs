//! From a request to a call: paths, parameters, percent signs (sections 3.1, 4 and 5).

use super::codes;
use super::request::Request;
use crate::hresult::{self as h, HResult};
use crate::id::JobId;
use crate::job::delivery::NO_PROGRESS_MIN_S;
use crate::names;

/// Longest value of a parameter, in bytes.
const VALUE_MAX: usize = 8 * 1024;

/// A call on one download.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// Begin, or go on.
    Start,
    /// Stop for now.
    Pause,
    /// Keep the file, forget the download.
    Finalize,
    /// Remove the file, forget the download.
    Abort,
    /// How it stands.
    GetStatus,
}

/// A property that can be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key {
    /// GUID
    Id,
    /// URL as given
    Uri,
    /// Path as given
    DownloadFilePath,
    /// As written
    NoProgressTimeoutSeconds,
}

/// Values to set, checked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Values {
    /// Uri
    pub uri: Option<String>,
    /// DownloadFilePath
    pub path: Option<String>,
    /// NoProgressTimeoutSeconds
    pub no_progress_s: Option<u32>,
}

/// What a request asks for. An id of `None` was missing or malformed: there is no such download.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    /// create
    Create(Values),
    /// One of the plain calls.
    On(Verb, Option<JobId>),
    /// getproperty: the key as sent comes back in the answer.
    GetProperty(Key, String, Option<JobId>),
    /// setproperty
    SetProperty(Values, Option<JobId>),
}

/// Parameters by name.
#[derive(Default)]
struct Parameters {
    id: Option<String>,
    uri: Option<String>,
    path: Option<String>,
    key: Option<String>,
    no_progress: Option<String>,
}

/// What a request asks for.
///
/// # Errors
/// `E_UNSUPPORTED` for another path or verb, `E_INVALIDARG` for parameters that are unknown, doubled or badly written, and what the
/// values are refused with.
pub fn route(request: &Request<'_>) -> Result<Ask, HResult> {
    let segments: Vec<&str> = request.path.split('/').filter(|segment| !segment.is_empty()).take(3).collect();
    let [object, name] = segments[..] else { return Err(codes::E_UNSUPPORTED) };
    if !object.eq_ignore_ascii_case("download") {
        return Err(codes::E_UNSUPPORTED);
    }
    let name = name.to_ascii_lowercase();
    let plain = |verb| Ok(Ask::On(verb, parameters(request.query)?.id()));
    match (request.verb, name.as_str()) {
        ("POST", "create") => {
            let values = parameters(request.query)?.values(Absent::Empty)?;
            Ok(Ask::Create(values))
        }
        ("POST", "start") => plain(Verb::Start),
        ("POST", "pause") => plain(Verb::Pause),
        ("POST", "finalize") => plain(Verb::Finalize),
        ("POST", "abort") => plain(Verb::Abort),
        ("GET", "getstatus") => plain(Verb::GetStatus),
        ("GET", "getproperty") => {
            let parameters = parameters(request.query)?;
            let sent = parameters.key.clone().filter(|key| !key.is_empty()).ok_or(h::E_INVALIDARG)?;
            let key = key(&sent).ok_or(codes::DO_E_UNKNOWN_PROPERTY_ID)?;
            Ok(Ask::GetProperty(key, sent, parameters.id()))
        }
        ("POST", "setproperty") => {
            let parameters = parameters(request.query)?;
            let id = parameters.id();
            if id.is_none() {
                return Ok(Ask::SetProperty(Values::default(), None));
            }
            if parameters.key.is_some() {
                return Err(codes::DO_E_UNKNOWN_PROPERTY_ID);
            }
            Ok(Ask::SetProperty(parameters.values(Absent::Refused)?, id))
        }
        ("GET", "enumerate") => {
            parameters(request.query)?;
            Err(h::E_NOTIMPL)
        }
        _ => Err(codes::E_UNSUPPORTED),
    }
}

fn key(text: &str) -> Option<Key> {
    let keys = [
        ("Id", Key::Id),
        ("Uri", Key::Uri),
        ("DownloadFilePath", Key::DownloadFilePath),
        ("NoProgressTimeoutSeconds", Key::NoProgressTimeoutSeconds),
    ];
    keys.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, key)| key)
}

/// What an empty value means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Absent {
    /// Nothing was given (create).
    Empty,
    /// A property cannot be empty (setproperty).
    Refused,
}

impl Parameters {
    fn id(&self) -> Option<JobId> {
        self.id.as_deref()?.parse().ok()
    }

    fn values(self, absent: Absent) -> Result<Values, HResult> {
        let given = |value: Option<String>| match value {
            Some(text) if text.is_empty() && absent == Absent::Refused => Err(h::E_INVALIDARG),
            value => Ok(value.filter(|text| !text.is_empty())),
        };
        let uri = given(self.uri)?;
        if let Some(uri) = &uri {
            fetched(uri)?;
        }
        let seconds = given(self.no_progress)?.map(|text| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let value = text.parse::<u32>().ok().filter(|value| digits && *value >= NO_PROGRESS_MIN_S);
            value.ok_or(h::E_INVALIDARG)
        });
        Ok(Values { uri, path: given(self.path)?, no_progress_s: seconds.transpose()? })
    }
}

/// Splits a query: on `&`, or on `;` where there is none; name and value at the first `=`; values are decoded afterwards.
fn parameters(query: &str) -> Result<Parameters, HResult> {
    let mut found = Parameters::default();
    let separator = if query.contains('&') { '&' } else { ';' };
    for pair in query.split(separator).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let slots = [
            ("Id", &mut found.id),
            ("Uri", &mut found.uri),
            ("DownloadFilePath", &mut found.path),
            ("PropertyKey", &mut found.key),
            ("NoProgressTimeoutSeconds", &mut found.no_progress),
        ];
        let slot = slots.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let (_, slot) = slot.ok_or(h::E_INVALIDARG)?;
        // Which of two would count is nobody's business to guess.
        if slot.replace(decode(value)?).is_some() {
            return Err(h::E_INVALIDARG);
        }
    }
    Ok(found)
}

/// Percent-decodes a value; `+` is a plus sign. What is no text, or has control characters, is refused.
fn decode(value: &str) -> Result<String, HResult> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(h::E_INVALIDARG) };
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| h::E_INVALIDARG)?);
    }
    let text = String::from_utf8(bytes).map_err(|_| h::E_INVALIDARG)?;
    if text.len() > VALUE_MAX || text.chars().any(char::is_control) {
        return Err(h::E_INVALIDARG);
    }
    Ok(text)
}

/// The URL as it is fetched: what a URL may not hold is escaped, everything else is as given.
///
/// # Errors
/// `INET_E_INVALID_URL`: not http or https, no host, or not to be read at all.
pub fn fetched(uri: &str) -> Result<String, HResult> {
    let mut escaped = String::with_capacity(uri.len());
    for byte in uri.bytes() {
        if byte <= b' ' || byte >= 0x7F || b"\"<>\\^`{|}".contains(&byte) {
            escaped.push_str(&format!("%{byte:02X}"));
        } else {
            escaped.push(char::from(byte));
        }
    }
    match names::check_remote_name(&escaped) {
        Ok(names::RemoteScheme::Http | names::RemoteScheme::Https) => Ok(escaped),
        _ => Err(codes::INET_E_INVALID_URL),
    }
}

/// The path as it is used: a relative one is taken from the root, where the agent runs.
pub fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::request::{Parsed, parse};

    const ID: &str = "0f0e0d0c-0b0a-4908-8706-050403020100";

    fn ask(line: &str) -> Result<Ask, HResult> {
        let text = format!("{line} HTTP/1.1\r\n\r\n");
        match parse(text.as_bytes()) {
            Parsed::Request(request, _) => route(&request),
            other => panic!("{line}: {other:?}"),
        }
    }

    fn create(query: &str) -> Result<Values, HResult> {
        match ask(&format!("POST download/create?{query}"))? {
            Ask::Create(values) => Ok(values),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn values_are_split_first_and_decoded_afterwards() {
        let values =
            create("Uri=http://host.example/pa%20th/f?x%3D1%26y%3D2&DownloadFilePath=/tmp/a%20b").unwrap();
        assert_eq!(values.uri.as_deref(), Some("http://host.example/pa th/f?x=1&y=2"));
        assert_eq!(values.path.as_deref(), Some("/tmp/a b"));
        let plus = create("Uri=http://h/a%2Bb+c;DownloadFilePath=x").unwrap();
        assert_eq!(plus.uri.as_deref(), Some("http://h/a+b+c"), "a plus is a plus");
        assert_eq!(plus.path.as_deref(), Some("x"), "a semicolon separates where there is no ampersand");
        let utf8 = create("DOWNLOADFILEPATH=/tmp/%C3%A4&").unwrap();
        assert_eq!(utf8.path.as_deref(), Some("/tmp/\u{e4}"));
        assert_eq!(create(""), Ok(Values::default()));
    }

    #[test]
    fn bad_parameters_are_refused() {
        for bad in [
            "Url=http://h/",
            "Uri=http://h/&Uri=http://h/",
            "DownloadFilePath=%",
            "DownloadFilePath=%2",
            "DownloadFilePath=%zz",
            "DownloadFilePath=%+1",
            "DownloadFilePath=%FF",
            "DownloadFilePath=/tmp/%00",
            "DownloadFilePath=a%0Ab",
        ] {
            assert_eq!(create(bad), Err(h::E_INVALIDARG), "{bad}");
        }
        for bad in ["invaliduri:http//", "invalidurihttp", "http://", "ftp://server.com", "/etc/passwd"] {
            assert_eq!(create(&format!("Uri={bad}")), Err(codes::INET_E_INVALID_URL), "{bad}");
        }
        assert_eq!(fetched("HTTP://h/a b\u{e4}\"").unwrap(), "HTTP://h/a%20b%C3%A4%22");
    }

    #[test]
    fn paths_are_two_segments_without_case_and_verbs_have_it() {
        let id: JobId = ID.parse().unwrap();
        for line in [
            format!("POST download/start?Id={ID}"),
            format!("POST /download//start/?id={ID}"),
            format!("POST DOWNLOAD/Start?ID={}", ID.to_uppercase()),
        ] {
            assert_eq!(ask(&line), Ok(Ask::On(Verb::Start, Some(id))), "{line}");
        }
        for line in [
            "post download/start",
            "GET download/start",
            "POST download/getstatus",
            "PUT download/create",
            "POST download",
            "POST download/start/x",
            "POST upload/start",
            "POST download/nothing",
            "GET /",
        ] {
            assert_eq!(ask(line), Err(codes::E_UNSUPPORTED), "{line}");
        }
        assert_eq!(ask("GET download/enumerate?Uri=x"), Err(h::E_NOTIMPL));
    }

    #[test]
    fn an_id_that_is_none_names_no_download() {
        for query in ["", "Id", "Id=", "Id=x", "Id=%7B"] {
            assert_eq!(ask(&format!("GET download/getstatus?{query}")), Ok(Ask::On(Verb::GetStatus, None)));
        }
        let braced = format!("GET download/getstatus?Id=%7B{ID}%7D");
        assert_eq!(ask(&braced), Ok(Ask::On(Verb::GetStatus, Some(ID.parse().unwrap()))));
    }

    #[test]
    fn properties() {
        let get = |query: &str| ask(&format!("GET download/getproperty?{query}"));
        assert_eq!(get("Id=x"), Err(h::E_INVALIDARG), "the key comes before the id");
        assert_eq!(get("PropertyKey="), Err(h::E_INVALIDARG));
        assert_eq!(get("PropertyKey=PropertyKey"), Err(codes::DO_E_UNKNOWN_PROPERTY_ID));
        assert_eq!(get("PropertyKey=uri"), Ok(Ask::GetProperty(Key::Uri, "uri".to_owned(), None)));
        let set = |query: &str| ask(&format!("POST download/setproperty?Id={ID}&{query}"));
        for (query, code) in [
            ("Uri=", h::E_INVALIDARG),
            ("Uri=ftp://h/", codes::INET_E_INVALID_URL),
            ("DownloadFilePath=", h::E_INVALIDARG),
            ("NoProgressTimeoutSeconds=9", h::E_INVALIDARG),
            ("NoProgressTimeoutSeconds=-10", h::E_INVALIDARG),
            ("NoProgressTimeoutSeconds=+22", h::E_INVALIDARG),
            ("NoProgressTimeoutSeconds=4294967296", h::E_INVALIDARG),
            ("PropertyKey=Uri", codes::DO_E_UNKNOWN_PROPERTY_ID),
        ] {
            assert_eq!(set(query), Err(code), "{query}");
        }
        let values = Values { no_progress_s: Some(22), ..Values::default() };
        let id = Some(ID.parse().unwrap());
        assert_eq!(set("NoProgressTimeoutSeconds=22"), Ok(Ask::SetProperty(values, id)));
        let nobody = Ok(Ask::SetProperty(Values::default(), None));
        assert_eq!(ask("POST download/setproperty?Uri=http://h/"), nobody);
    }

    #[test]
    fn relative_paths_begin_at_the_root() {
        assert_eq!(absolute("/tmp/x"), "/tmp/x");
        assert_eq!(absolute("?f309///x"), "/?f309///x");
    }
}
