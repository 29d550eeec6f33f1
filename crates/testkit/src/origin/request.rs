//! Reading requests, with limits; nothing a client sends can make the origin panic or keep growing.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Largest request header read, in bytes.
const HEAD_LIMIT: usize = 64 * 1024;
/// Most header fields in a request.
const FIELD_LIMIT: usize = 256;
/// Largest request body thrown away, in bytes.
const BODY_LIMIT: u64 = 1 << 30;
/// Longest wait for the next bytes of a request that has begun.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A request header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    /// 10, 11 or 20.
    pub(crate) version: u8,
    pub(crate) headers: Vec<(String, String)>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        super::log::find(&self.headers, name)
    }

    /// The target without scheme and authority (a client talking to a proxy sends them), first slash and query.
    pub(crate) fn name(&self) -> &str {
        let path = self.path_and_query();
        path.split(['?', '#']).next().unwrap_or_default()
    }

    /// The value of a query parameter; empty when it has none.
    pub(crate) fn query(&self, key: &str) -> Option<&str> {
        let (_, query) = self.path_and_query().split_once('?')?;
        query.split('&').find_map(|pair| match pair.split_once('=') {
            Some((name, value)) if name == key => Some(value),
            None if pair == key => Some(""),
            _ => None,
        })
    }

    fn path_and_query(&self) -> &str {
        let path = match self.target.split_once("://") {
            Some((scheme, rest)) if !scheme.contains('/') => {
                rest.split_once('/').map_or("", |(_, path)| path)
            }
            _ => &self.target,
        };
        path.strip_prefix('/').unwrap_or(path)
    }

    pub(crate) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    /// True when the connection may serve another request after this one.
    pub(crate) fn keeps_alive(&self) -> bool {
        let says = |what: &str| {
            self.header("connection")
                .is_some_and(|value| value.split(',').any(|token| token.trim().eq_ignore_ascii_case(what)))
        };
        match self.version {
            10 => says("keep-alive"),
            _ => !says("close"),
        }
    }
}

/// Why no request could be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("the client closed the connection between requests")]
    Closed,
    #[error("the connection failed or went silent inside a request")]
    Broken,
    #[error("the request header is larger than {HEAD_LIMIT} bytes or has more than {FIELD_LIMIT} fields")]
    TooLarge,
    #[error("this is not an HTTP/1 request")]
    Malformed,
}

/// Reads requests from one connection, keeping what was read beyond them.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    /// The next request header; `idle` is the longest wait for its first byte.
    pub(crate) async fn head<R: AsyncRead + Unpin>(
        &mut self,
        from: &mut R,
        idle: Duration,
    ) -> Result<Request, ReadError> {
        let mut searched = 0;
        loop {
            if let Some(end) = find_end(&self.buffer, searched) {
                let request = parse(&self.buffer[..end]);
                self.buffer.drain(..end);
                return request;
            }
            searched = self.buffer.len().saturating_sub(3);
            if self.buffer.len() >= HEAD_LIMIT {
                return Err(ReadError::TooLarge);
            }
            let fresh = self.buffer.is_empty();
            let wait = if fresh { idle } else { READ_TIMEOUT };
            match tokio::time::timeout(wait, self.more(from)).await {
                Ok(Ok(0)) | Err(_) if fresh => return Err(ReadError::Closed),
                Ok(Ok(0) | Err(_)) | Err(_) => return Err(ReadError::Broken),
                Ok(Ok(_)) => {}
            }
        }
    }

    /// Throws the body of `request` away and returns its size in bytes.
    pub(crate) async fn skip_body<R: AsyncRead + Unpin>(
        &mut self,
        from: &mut R,
        request: &Request,
    ) -> Result<u64, ReadError> {
        if request.header("transfer-encoding").is_some() {
            return Err(ReadError::Malformed);
        }
        let Some(text) = request.header("content-length") else { return Ok(0) };
        let size: u64 = text.trim().parse().map_err(|_| ReadError::Malformed)?;
        if size > BODY_LIMIT {
            return Err(ReadError::TooLarge);
        }
        let mut left = size;
        loop {
            let have = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            self.buffer.drain(..have);
            left -= u64::try_from(have).expect("a length in memory fits 64 bits");
            if left == 0 {
                return Ok(size);
            }
            match tokio::time::timeout(READ_TIMEOUT, self.more(from)).await {
                Ok(Ok(got)) if got > 0 => {}
                _ => return Err(ReadError::Broken),
            }
        }
    }

    async fn more<R: AsyncRead + Unpin>(&mut self, from: &mut R) -> std::io::Result<usize> {
        let mut piece = [0; 4096];
        let got = from.read(&mut piece).await?;
        self.buffer.extend_from_slice(&piece[..got]);
        Ok(got)
    }
}

/// The offset just after the empty line, looking from `from` on.
fn find_end(buffer: &[u8], from: usize) -> Option<usize> {
    let at = buffer[from..].windows(4).position(|window| window == b"\r\n\r\n")?;
    Some(from + at + 4)
}

fn parse(head: &[u8]) -> Result<Request, ReadError> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(ReadError::Malformed);
    };
    let version = match version {
        "HTTP/1.1" => 11,
        "HTTP/1.0" => 10,
        _ => return Err(ReadError::Malformed),
    };
    if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_graphic()) || target.is_empty() {
        return Err(ReadError::Malformed);
    }
    let mut headers = Vec::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(ReadError::Malformed)?;
        if headers.len() == FIELD_LIMIT {
            return Err(ReadError::TooLarge);
        }
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    Ok(Request { method: method.to_owned(), target: target.to_owned(), version, headers })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(target: &str) -> Request {
        parse(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap()
    }

    #[test]
    fn names_and_queries_are_taken_from_any_form_of_target() {
        for target in ["/a/b?x=1&y", "http://host:80/a/b?x=1&y", "a/b?x=1&y"] {
            let request = get(target);
            assert_eq!(request.name(), "a/b", "{target}");
            assert_eq!(request.query("x"), Some("1"));
            assert_eq!(request.query("y"), Some(""));
            assert_eq!(request.query("z"), None);
        }
        assert_eq!(get("/b?u=http://c/d").name(), "b");
    }

    #[test]
    fn bad_input_is_refused() {
        for head in
            ["", "GET", "GET /", "GET / HTTP/2.0", "GET / HTTP/1.1 x", "G\u{1}T / HTTP/1.1", " / HTTP/1.1"]
        {
            let head = format!("{head}\r\n\r\n");
            assert!(matches!(parse(head.as_bytes()), Err(ReadError::Malformed)), "{head:?}");
        }
        assert!(matches!(parse(b"GET / HTTP/1.1\r\nno colon\r\n\r\n"), Err(ReadError::Malformed)));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(FIELD_LIMIT + 1));
        assert!(matches!(parse(many.as_bytes()), Err(ReadError::TooLarge)));
    }

    #[test]
    fn connections_persist_as_the_version_says() {
        let with = |version: &str, connection: &str| {
            parse(format!("GET / {version}\r\nConnection: {connection}\r\n\r\n").as_bytes())
                .unwrap()
                .keeps_alive()
        };
        assert!(with("HTTP/1.1", "x"));
        assert!(!with("HTTP/1.1", "x, Close"));
        assert!(!with("HTTP/1.0", "x"));
        assert!(with("HTTP/1.0", "Keep-Alive"));
    }
}
