//! A caller that costs little: HTTP/1.1 by hand on one keep-alive connection.

use anyhow::{Context, Result, bail, ensure};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// One connection to the service.
pub(crate) struct Caller {
    stream: UnixStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Caller {
    /// Connects.
    pub(crate) fn connect(socket: &Path) -> Result<Self> {
        Ok(Self { stream: UnixStream::connect(socket)?, request: Vec::new(), answer: vec![0; 4096] })
    }

    /// One exchange; the body of a 2xx answer.
    pub(crate) fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<&[u8]> {
        self.request.clear();
        write!(
            self.request,
            "{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        self.stream.write_all(&self.request)?;
        let mut have = 0;
        let (head, length) = loop {
            if have == self.answer.len() {
                self.answer.resize(have * 2, 0);
            }
            let count = self.stream.read(&mut self.answer[have..])?;
            ensure!(count > 0, "the service closed the connection");
            have += count;
            if let Some(end) = self.answer[..have].windows(4).position(|w| w == b"\r\n\r\n") {
                break (end + 4, content_length(&self.answer[..end])?);
            }
        };
        let total = head + length;
        if self.answer.len() < total {
            self.answer.resize(total, 0);
        }
        self.stream.read_exact(&mut self.answer[have..total])?;
        if self.answer.get(9) != Some(&b'2') {
            bail!("{}", String::from_utf8_lossy(&self.answer[..total]));
        }
        Ok(&self.answer[head..total])
    }
}

fn content_length(head: &[u8]) -> Result<usize> {
    let head = std::str::from_utf8(head)?;
    let line = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim())
    });
    line.context("no content-length")?.parse().context("content-length is no number")
}
