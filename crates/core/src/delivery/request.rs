//! Requests of the loopback REST contract: the wire's own small grammar (section 3.1).
//!
//! The request target comes without a leading slash and may hold a raw `?`; ready-made HTTP parsers refuse such requests. There are no
//! bodies. Whatever is not of this grammar is malformed: 400 without a body, and the connection is closed.

/// Longest head of a request, in bytes: a URL of some 8 KiB, percent-encoded in part.
pub const HEAD_MAX: usize = 16 * 1024;
/// Most header lines.
pub const HEADERS_MAX: usize = 64;

/// A request. Texts borrow from the bytes that were read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request<'a> {
    /// As sent: verbs are compared with case.
    pub verb: &'a str,
    /// Before the first `?`, with whatever slashes it has.
    pub path: &'a str,
    /// Behind it; empty if there is none.
    pub query: &'a str,
    /// It bears the mark of a web page: it is not from a client of this interface.
    pub from_web: bool,
    /// The client closes after this one.
    pub last: bool,
}

/// What the bytes so far are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parsed<'a> {
    /// The beginning of a request, perhaps.
    Incomplete,
    /// A request, and the number of bytes that it took.
    Request(Request<'a>, usize),
    /// No request of this contract, and never one.
    Malformed,
}

/// Looks at what was read from a connection.
pub fn parse(bytes: &[u8]) -> Parsed<'_> {
    // An empty line before a request is the end of the one before it, says HTTP; one is enough.
    let skipped = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
    let bytes = &bytes[skipped..];
    let window = &bytes[..bytes.len().min(HEAD_MAX)];
    let Some(end) = window.windows(4).position(|four| four == b"\r\n\r\n") else {
        let hopeless = bytes.len() >= HEAD_MAX || window.iter().any(|byte| *byte == 0 || *byte >= 0x80);
        return if hopeless { Parsed::Malformed } else { Parsed::Incomplete };
    };
    match std::str::from_utf8(&window[..end]).ok().and_then(head) {
        Some(request) => Parsed::Request(request, skipped + end + 4),
        None => Parsed::Malformed,
    }
}

fn head(text: &str) -> Option<Request<'_>> {
    let mut lines = text.split("\r\n");
    let first = lines.next()?;
    let (verb, rest) = first.split_once(' ')?;
    let (target, version) = rest.rsplit_once(' ')?;
    let token = !verb.is_empty() && verb.len() <= 16 && verb.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !token || version != "HTTP/1.1" || target.is_empty() || !target.bytes().all(of_target) {
        return None;
    }
    let (mut from_web, mut last) = (false, false);
    for (count, line) in lines.enumerate() {
        let (name, value) = line.split_once(':')?;
        let value = value.trim_matches([' ', '\t']);
        let plain = |byte: u8| byte == b'\t' || (b' '..0x7F).contains(&byte);
        if count >= HEADERS_MAX || name.is_empty() || !name.bytes().all(of_name) || !value.bytes().all(plain)
        {
            return None;
        }
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        if is("transfer-encoding") || (is("content-length") && value != "0") {
            return None; // a body: nobody sends one, and what followed it would not be understood
        }
        let sec_fetch = name.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("sec-fetch-"));
        from_web |= is("origin") || is("referer") || is("cookie") || sec_fetch;
        from_web |= is("host") && !is_local(value);
        last |= is("connection") && value.eq_ignore_ascii_case("close");
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Some(Request { verb, path, query, from_web, last })
}

/// Unreserved, reserved and percent: no blank, no quote, no fragment, nothing beyond ASCII.
const fn of_target(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'_'
                | b'.'
                | b'!'
                | b'~'
                | b'*'
                | b'\''
                | b'('
                | b')'
                | b'%'
                | b':'
                | b'@'
                | b'&'
                | b'='
                | b'+'
                | b'$'
                | b','
                | b'/'
                | b'?'
                | b';'
        )
}

const fn of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// An address, or this machine's own name: a name that a foreign name server answers for (DNS rebinding) is neither.
fn is_local(host: &str) -> bool {
    let literal = |text: &str| text.parse::<std::net::Ipv4Addr>().is_ok();
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => bare,
        _ => host,
    };
    bare.is_empty() || bare.eq_ignore_ascii_case("localhost") || literal(bare) || bare == "[::1]"
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDK: &str = "POST download/create?Uri=http://host.example/pa%20th/f?x%3D1%26y%3D2&DownloadFilePath=/tmp/a%20b HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: DO-SDK-CPP\r\n\r\n";

    fn request(text: &str) -> Option<(Request<'_>, usize)> {
        match parse(text.as_bytes()) {
            Parsed::Request(request, used) => Some((request, used)),
            _ => None,
        }
    }

    #[test]
    fn a_request_of_the_sdk_is_understood_from_its_last_byte_on() {
        for end in 0..SDK.len() {
            assert_eq!(parse(&SDK.as_bytes()[..end]), Parsed::Incomplete, "{end}");
        }
        let (request, used) = request(SDK).unwrap();
        assert_eq!(used, SDK.len());
        assert_eq!((request.verb, request.path), ("POST", "download/create"));
        let query = "Uri=http://host.example/pa%20th/f?x%3D1%26y%3D2&DownloadFilePath=/tmp/a%20b";
        assert_eq!(request.query, query, "split at the first question mark only");
        assert!(!request.from_web && !request.last);
    }

    #[test]
    fn a_second_request_in_the_buffer_is_left_there() {
        let two = format!("{SDK}GET download/getstatus?Id=x HTTP/1.1\r\n\r\n");
        let (_, used) = request(&two).unwrap();
        let (second, _) = request(&two[used..]).unwrap();
        assert_eq!((second.verb, second.query), ("GET", "Id=x"));
    }

    #[test]
    fn what_is_not_of_the_contract_is_malformed() {
        let long = format!("GET {} HTTP/1.1\r\n", "a".repeat(HEAD_MAX));
        let headers = format!("GET a/b HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1));
        for bad in [
            "GET a/b HTTP/1.0\r\n\r\n",
            "GET a/b HTTP/2\r\n\r\n",
            "GET  HTTP/1.1\r\n\r\n",
            "GET a/b\r\n\r\n",
            " a/b HTTP/1.1\r\n\r\n",
            "G@T a/b HTTP/1.1\r\n\r\n",
            "GET a b HTTP/1.1\r\n\r\n",
            "GET a#b HTTP/1.1\r\n\r\n",
            "GET a\"b HTTP/1.1\r\n\r\n",
            "GET a/b HTTP/1.1\r\nno colon\r\n\r\n",
            "GET a/b HTTP/1.1\r\n: x\r\n\r\n",
            "GET a/b HTTP/1.1\r\na b: x\r\n\r\n",
            "GET a/b HTTP/1.1\r\na: x\ry\r\n\r\n",
            "POST a/b HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
            "POST a/b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET a/\u{e4} HTTP/1.1\r\n\r\n",
            "GET a/\0 HTTP",
            &long,
            &headers,
        ] {
            assert_eq!(parse(bad.as_bytes()), Parsed::Malformed, "{}", &bad[..bad.len().min(60)]);
        }
    }

    /// A page in a browser can send such requests with its user's rights; browsers mark them, and the SDK does not.
    #[test]
    fn requests_of_web_pages_are_marked() {
        let with = |header: &str| {
            let text = format!("POST download/create HTTP/1.1\r\n{header}\r\n\r\n");
            request(&text).unwrap().0.from_web
        };
        for web in [
            "Origin: http://evil.example",
            "origin: null",
            "Referer: http://evil.example/",
            "Sec-Fetch-Mode: no-cors",
            "Cookie: a=b",
            "Host: evil.example:50000",
            "Host: 127.0.0.1.evil.example",
        ] {
            assert!(with(web), "{web}");
        }
        for own in
            ["Host: 127.0.0.1", "Host: 127.0.0.1:50000", "Host: localhost", "HOST: 10.1.2.3", "Host:", "X: y"]
        {
            assert!(!with(own), "{own}");
        }
    }

    #[test]
    fn limits_are_met_exactly() {
        let fixed = "GET  HTTP/1.1\r\n\r\n".len();
        let at = format!("GET {} HTTP/1.1\r\n\r\n", "a".repeat(HEAD_MAX - fixed));
        assert_eq!(at.len(), HEAD_MAX);
        assert!(request(&at).is_some());
        let beyond = format!("GET {} HTTP/1.1\r\n\r\n", "a".repeat(HEAD_MAX - fixed + 1));
        assert_eq!(parse(beyond.as_bytes()), Parsed::Malformed);
    }
}
