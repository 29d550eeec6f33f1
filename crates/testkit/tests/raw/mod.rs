//! A client that shows the very bytes.
#![allow(dead_code)] // each test program uses its part

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How the answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Eof,
    Reset,
    /// Nothing came for the time given.
    Silence,
    /// More came than the test wanted to read.
    Enough,
}

#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ended: Ended,
    pub(crate) took: Duration,
}

/// A well-formed answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn length(&self) -> Option<usize> {
        self.header("content-length")?.parse().ok()
    }
}

impl Seen {
    /// Splits head and body; `None` when there is no complete, sensible head.
    pub(crate) fn answer(&self) -> Option<Answer> {
        let at = self.bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let text = String::from_utf8_lossy(&self.bytes[..at]).into_owned();
        let mut lines = text.split("\r\n");
        let mut first = lines.next()?.splitn(3, ' ');
        let _version = first.next().filter(|version| version.starts_with("HTTP/1."))?;
        let status = first.next()?.parse().ok()?;
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Some(Answer { status, headers, body: self.bytes[at + 4..].to_vec() })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).expect("the origin listens");
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// Sends a request; `headers` are lines without their ends.
    pub(crate) fn ask(&mut self, method: &str, target: &str, headers: &[&str]) {
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: test\r\n");
        for line in headers {
            text.push_str(line);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        // The origin may have reset the connection already; the read shows it.
        let _ = self.0.write_all(text.as_bytes());
    }

    /// Reads until `complete` says so, the end, silence of `patience`, or `limit` bytes.
    pub(crate) fn read_until(
        &mut self,
        patience: Duration,
        limit: usize,
        complete: impl Fn(&Seen) -> bool,
    ) -> Seen {
        self.0.set_read_timeout(Some(patience)).unwrap();
        let start = Instant::now();
        let mut seen = Seen { bytes: Vec::new(), ended: Ended::Enough, took: Duration::ZERO };
        let mut buffer = vec![0; 64 * 1024];
        while seen.bytes.len() < limit && !complete(&seen) {
            match self.0.read(&mut buffer) {
                Ok(0) => {
                    seen.ended = Ended::Eof;
                    break;
                }
                Ok(got) => seen.bytes.extend_from_slice(&buffer[..got]),
                Err(error) => {
                    seen.ended = match error.kind() {
                        ErrorKind::WouldBlock | ErrorKind::TimedOut => Ended::Silence,
                        _ => Ended::Reset,
                    };
                    break;
                }
            }
        }
        seen.took = start.elapsed();
        seen
    }

    /// Reads one answer with a right Content-Length (to GET).
    pub(crate) fn answer(&mut self) -> Answer {
        let whole = |seen: &Seen| {
            seen.answer()
                .is_some_and(|answer| answer.length().is_some_and(|length| answer.body.len() >= length))
        };
        let seen = self.read_until(Duration::from_secs(5), usize::MAX, whole);
        seen.answer().unwrap_or_else(|| panic!("no answer: {:?} {:?}", seen.ended, seen.text()))
    }
}

/// One request on its own connection.
pub(crate) fn get(to: SocketAddr, target: &str, headers: &[&str]) -> Answer {
    let mut raw = Raw::connect(to);
    raw.ask("GET", target, headers);
    raw.answer()
}
