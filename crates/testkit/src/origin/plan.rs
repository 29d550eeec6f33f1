//! A planned answer: pure data, made by `good` and bent by `bad`, sent by `send`.

use std::time::Duration;

use super::file::OriginFile;
use crate::content::Content;

/// The answer to one request.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) head: Head,
    pub(crate) steps: Vec<Step>,
    pub(crate) end: End,
}

/// The start of an answer.
#[derive(Debug, Clone)]
pub(crate) enum Head {
    /// A well-formed header, sendable in every version of HTTP.
    Fields(Fields),
    /// Whatever the steps send, readable only as HTTP/1 bytes, if at all; the status it means, for the log.
    Raw(Option<u16>),
}

/// A well-formed header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fields {
    /// "HTTP/1.1" or "HTTP/1.0".
    pub(crate) version: &'static str,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
}

impl Fields {
    pub(crate) fn new(status: u16) -> Self {
        Self { version: "HTTP/1.1", status, headers: Vec::new() }
    }

    /// Adds a field.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        super::log::find(&self.headers, name)
    }

    /// Replaces a field in place, or adds it.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        match self.headers.iter_mut().find(|(key, _)| key.eq_ignore_ascii_case(name)) {
            Some(field) => field.1 = value,
            None => self.headers.push((name.to_owned(), value)),
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
    }

    /// As HTTP/1 bytes, with the empty line.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} {}\r\n", self.version, self.status, reason(self.status));
        for (name, value) in &self.headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}

/// One thing done after the header.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Send bytes as they are: no throttle, not counted as body.
    Bytes(Vec<u8>),
    /// Send `start..end` of a content: throttled, held, counted.
    Body { content: Content, start: u64, end: u64 },
    /// The same, one byte at a time.
    Trickle { content: Content, start: u64, end: u64, every: Duration },
    /// Send these bytes again and again, `limit` bytes in all, then stall.
    Endless { bytes: Vec<u8>, limit: u64 },
    /// Do nothing for a while.
    Pause(Duration),
    /// Do nothing until the client goes away.
    Stall,
    /// Put another version of the file in its place.
    Replace(Box<OriginFile>),
}

/// What happens to the connection after the last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Serve the next request, when the client wants so.
    KeepAlive,
    /// Close in the regular way: the answer is complete so, or is announced to end so.
    Close,
    /// Close in the regular way although the answer is not complete.
    CutClose,
    /// Reset the connection (TCP RST; in HTTP/2 RST_STREAM).
    CutReset,
    /// HTTP/2: GOAWAY with an error and the end of the connection. Elsewhere as `CutClose`.
    CutGoaway,
}

impl Plan {
    pub(crate) fn new(fields: Fields, steps: Vec<Step>) -> Self {
        Self { head: Head::Fields(fields), steps, end: End::KeepAlive }
    }

    /// A short text as the whole body.
    pub(crate) fn text(fields: Fields, kind: &str, body: &str, head_only: bool) -> Self {
        let fields = fields.with("Content-Type", kind).with("Content-Length", body.len().to_string());
        let steps = if head_only { Vec::new() } else { vec![Step::Bytes(body.as_bytes().to_vec())] };
        Self::new(fields, steps)
    }

    /// Raw bytes only.
    pub(crate) fn raw(status: Option<u16>, steps: Vec<Step>, end: End) -> Self {
        Self { head: Head::Raw(status), steps, end }
    }

    #[must_use]
    pub(crate) fn ending(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    pub(crate) fn status(&self) -> Option<u16> {
        match &self.head {
            Head::Fields(fields) => Some(fields.status),
            Head::Raw(status) => *status,
        }
    }

    /// Does nothing to a raw plan.
    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut Fields)) {
        if let Head::Fields(fields) = &mut self.head {
            change(fields);
        }
    }

    /// Turns the header into a raw step, after changing its bytes.
    pub(crate) fn edit_bytes(&mut self, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
        if let Head::Fields(fields) = &self.head {
            let bytes = change(fields.to_bytes());
            self.head = Head::Raw(Some(fields.status));
            self.steps.insert(0, Step::Bytes(bytes));
        }
    }

    /// The content and range of its (first) body step.
    pub(crate) fn body(&self) -> Option<(&Content, u64, u64)> {
        self.steps.iter().find_map(|step| match step {
            Step::Body { content, start, end } => Some((content, *start, *end)),
            _ => None,
        })
    }
}

/// The usual words after a status.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        412 => "Precondition Failed",
        416 => "Range Not Satisfiable",
        425 => "Too Early",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Status",
    }
}
