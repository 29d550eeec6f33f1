//! A client that writes bytes and reads bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) const GUID: &str = "{7df0354d-249b-430f-820d-3d2a9bef4931}";

/// One connection.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    left: Vec<u8>,
}

/// One answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The header block as it came, empty line included.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.split("\r\n").find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn received(&self) -> Option<u64> {
        self.header("BITS-Received-Content-Range").map(|value| value.parse().unwrap())
    }

    /// Status, HRESULT and context; both names of the error header say the same.
    pub(crate) fn error(&self) -> (u16, Option<&str>, Option<&str>) {
        assert_eq!(self.header("BITS-Error"), self.header("BITS-Error-Code"));
        (self.status, self.header("BITS-Error"), self.header("BITS-Error-Context"))
    }

    /// The header block without the one header that the specification's examples leave out.
    pub(crate) fn without_date(&self) -> String {
        let lines: Vec<&str> = self.head.split("\r\n").collect();
        let (dates, rest): (Vec<&str>, Vec<&str>) =
            lines.into_iter().partition(|line| line.starts_with("Date: "));
        assert_eq!(dates.len(), 1, "{}", self.head);
        rest.join("\r\n")
    }
}

impl Raw {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { stream, left: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next answer; an error if the connection ends before.
    pub(crate) fn answer(&mut self) -> std::io::Result<Answer> {
        self.answer_to(false)
    }

    /// `head`: the request was HEAD, so the answer has no body whatever its length says.
    pub(crate) fn answer_to(&mut self, head: bool) -> std::io::Result<Answer> {
        let end = loop {
            if let Some(at) = self.left.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.more()?;
        };
        let text = String::from_utf8(self.left.drain(..end).collect()).unwrap();
        let status = text[9..12].parse().unwrap();
        let mut answer = Answer { status, head: text, body: Vec::new() };
        let length = answer.header("Content-Length").map_or(0, |v| v.parse().unwrap());
        let length = if head { 0 } else { length };
        while self.left.len() < length {
            self.more()?;
        }
        answer.body = self.left.drain(..length).collect();
        Ok(answer)
    }

    fn more(&mut self) -> std::io::Result<()> {
        let mut buffer = [0; 65536];
        match self.stream.read(&mut buffer)? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.left.extend_from_slice(&buffer[..count]);
                Ok(())
            }
        }
    }

    /// A whole exchange.
    pub(crate) fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.try_ask(method, path, headers, body).unwrap()
    }

    pub(crate) fn try_ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: drop.example.net\r\n");
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-length") || *name == "Transfer-Encoding")
        {
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        text += "\r\n";
        self.send(&[text.as_bytes(), body].concat())?;
        self.answer_to(method == "HEAD")
    }

    /// One packet.
    pub(crate) fn packet(&mut self, kind: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let all = [&[("BITS-Packet-Type", kind)], headers].concat();
        self.ask("BITS_POST", path, &all, body)
    }

    /// Create-Session; the session's id.
    pub(crate) fn create(&mut self, path: &str) -> String {
        let answer = self.packet("Create-Session", path, &[("BITS-Supported-Protocols", GUID)], b"");
        assert_eq!(answer.status, 200, "{}", answer.head);
        answer.header("BITS-Session-Id").unwrap().to_owned()
    }

    /// Fragment with `body` at `first` of `total`.
    pub(crate) fn fragment(
        &mut self,
        path: &str,
        session: &str,
        first: usize,
        total: usize,
        body: &[u8],
    ) -> Answer {
        let last = (first + body.len()).saturating_sub(1);
        let range = format!("bytes {first}-{last}/{total}");
        self.packet("Fragment", path, &[("BITS-Session-Id", session), ("Content-Range", &range)], body)
    }

    pub(crate) fn close(&mut self, path: &str, session: &str) -> Answer {
        self.packet("Close-Session", path, &[("BITS-Session-Id", session)], b"")
    }

    pub(crate) fn cancel(&mut self, path: &str, session: &str) -> Answer {
        self.packet("Cancel-Session", path, &[("BITS-Session-Id", session)], b"")
    }

    /// Everything from Create to Close in one fragment.
    pub(crate) fn upload(&mut self, path: &str, bytes: &[u8]) -> String {
        let session = self.create(path);
        assert_eq!(self.fragment(path, &session, 0, bytes.len(), bytes).status, 200);
        let closed = self.close(path, &session);
        assert_eq!(closed.status, 200, "{}", closed.head);
        session
    }
}
