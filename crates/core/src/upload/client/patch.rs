//! Uploads with an address of their own: tus 1.0 and the IETF draft (spec/resumable-uploads-elsewhere.md 2, 3).
//!
//! Both create an upload by POST, ask for its offset by HEAD and append by PATCH; they differ in headers and in how the end is told.
//! One PATCH carries all that is left: a server keeps what it received of one that broke, and HEAD tells how much that is.

use super::{
    Ask, Heard, LONG_PATIENCE_MS, Next, PATIENCE_MS, Payload, Plan, Protocol, Target, Turn, UploadState,
};
use crate::classify::{self, Class};
use crate::hresult::*;
use crate::plan::Fail;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;

/// Version of the draft that requests name; the final standard will have no such header.
pub(super) const INTEROP_VERSION: &str = "8";
/// Uploads begun anew within one attempt.
const MAX_RESTARTS: u32 = 1;
/// Answers in a row that bring the upload no further.
const MAX_STILL: u32 = 5;
/// Wait before an upload that another request still holds is looked at again, in milliseconds.
const LOCKED_MS: u64 = 1000;
/// Smallest body that is tried when a server refuses larger ones.
const MIN_BODY: u64 = 5 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Create,
    Head,
    Send,
    Done,
}

/// The plan of one attempt.
#[derive(Debug)]
pub struct Patch {
    target: Target,
    state: UploadState,
    dialect: Protocol,
    at: At,
    sent: (u64, u64),
    peak: u64,
    still: u32,
    restarts: u32,
    must_keep: bool,
}

impl Patch {
    /// `dialect`: [`Protocol::Tus`] or [`Protocol::Ietf`].
    pub fn new(target: Target, state: UploadState, dialect: Protocol) -> Self {
        let at = match (state.closed, state.session.is_some()) {
            (true, _) => At::Done,
            (_, true) => At::Head,
            _ => At::Create,
        };
        let peak = state.offset;
        Self { target, state, dialect, at, sent: (0, 0), peak, still: 0, restarts: 0, must_keep: false }
    }

    fn is_tus(&self) -> bool {
        self.dialect == Protocol::Tus
    }

    fn create(&self) -> Box<Ask> {
        let size = self.target.size().to_string();
        let headers = if self.is_tus() {
            let name = STANDARD.encode(self.target.name.as_bytes());
            let mut headers = vec![tus(), ("Upload-Length", size)];
            if !self.target.name.is_empty() {
                headers.push(("Upload-Metadata", format!("filename {name}")));
            }
            headers
        } else {
            vec![
                ("Upload-Draft-Interop-Version", INTEROP_VERSION.to_owned()),
                ("Upload-Complete", "?0".to_owned()),
                ("Upload-Length", size),
            ]
        };
        let (url, target) = self.target.at(None);
        ask("POST", url, target, headers, Payload::Empty, true)
    }

    /// A request to the upload itself.
    fn at_upload(
        &self,
        method: &'static str,
        more: Vec<(&'static str, String)>,
        body: Payload,
    ) -> Option<Box<Ask>> {
        let url = Url::parse(self.state.session.as_deref()?).ok()?;
        let first =
            if self.is_tus() { tus() } else { ("Upload-Draft-Interop-Version", INTEROP_VERSION.to_owned()) };
        let headers = [first].into_iter().chain(more).collect();
        let target = wire(&url);
        let credentials = self.target.trusts_url(&url);
        Some(ask(method, url, target, headers, body, credentials))
    }

    fn send(&mut self) -> Option<Box<Ask>> {
        let offset = self.state.offset;
        let rest = self.target.size().saturating_sub(offset);
        let length = rest.min(self.state.body_max.unwrap_or(u64::MAX));
        self.sent = (offset, length);
        let kind =
            if self.is_tus() { "application/offset+octet-stream" } else { "application/partial-upload" };
        let mut more = vec![("Upload-Offset", offset.to_string()), ("Content-Type", kind.to_owned())];
        if !self.is_tus() {
            more.push(("Upload-Complete", if length == rest { "?1" } else { "?0" }.to_owned()));
        }
        let body = if length == 0 { Payload::Empty } else { Payload::File { offset, length } };
        self.at_upload("PATCH", more, body)
    }

    fn created(&mut self, heard: &Heard<'_>) -> Turn {
        let base = self.target.at(None).0;
        let location = heard.text("location").and_then(|text| base.join(text).ok());
        let usable = location.filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && !(base.scheme() == "https" && url.scheme() == "http")
                && url.host_str().is_some_and(|host| !host.is_empty())
                && url.as_str().len() <= UploadState::TEXT_MAX
        });
        let Some(mut url) = usable else {
            return refuse(
                BG_E_INVALID_SERVER_RESPONSE,
                "The server made an upload without a usable address.",
            );
        };
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        self.state.session = Some(url.into());
        self.state.offset = heard.number("upload-offset").filter(|n| *n <= self.target.size()).unwrap_or(0);
        self.must_keep = true;
        self.after_offset();
        Turn::Next
    }

    /// With tus an upload is finished when the last byte is there; the draft wants to be told so.
    fn after_offset(&mut self) {
        if self.is_tus() && self.state.offset == self.target.size() {
            self.finish();
        } else {
            self.at = At::Send;
        }
    }

    fn finish(&mut self) {
        self.state.offset = self.target.size();
        (self.state.received, self.state.closed) = (true, true);
        self.at = At::Done;
    }

    /// `sending`: it is the answer to a PATCH, which should have brought the upload further (also if it only said that this is the end).
    fn adopt(&mut self, next: Option<u64>, sending: bool) -> Turn {
        let Some(next) = next.filter(|next| *next <= self.target.size()) else {
            return refuse(BG_E_INVALID_SERVER_RESPONSE, "The server does not tell a possible offset.");
        };
        self.state.offset = next;
        if next > self.peak {
            (self.peak, self.still) = (next, 0);
        } else if sending && next <= self.sent.0 {
            self.still += 1;
            if self.still >= MAX_STILL {
                let detail = "The server takes the bytes and does not get any further.";
                return Turn::Fail(Box::new(Fail::new(BG_E_NO_PROGRESS, detail)));
            }
        }
        self.after_offset();
        Turn::Next
    }

    fn begin_again(&mut self) -> Turn {
        if self.restarts >= MAX_RESTARTS {
            let detail = "The server forgets every upload.";
            return Turn::Fail(Box::new(Fail::new(BG_E_SESSION_NOT_FOUND, detail)));
        }
        self.restarts += 1;
        self.state.forget_session();
        (self.peak, self.still, self.must_keep) = (0, 0, true);
        self.at = At::Create;
        Turn::Next
    }

    fn refused(&self, heard: &Heard<'_>, now_ms: i64) -> Turn {
        let (code, class) = classify::http_status(heard.status);
        let mut fail = Fail::new(code, format!("The server answered with status {}.", heard.status));
        // A lock passes, and a checksum that did not fit is worth another try (460 is not a registered status).
        fail.class = if matches!(heard.status, 423 | 460) { Class::Transient } else { class };
        fail.retry_after_ms = heard.retry_after_ms(now_ms);
        Turn::Fail(Box::new(fail))
    }
}

impl Plan for Patch {
    fn step(&mut self, _now_ms: i64) -> Next {
        let ask = match self.at {
            At::Create => Some(self.create()),
            At::Head => self.at_upload("HEAD", Vec::new(), Payload::Empty),
            At::Send => self.send(),
            At::Done => return Next::Finished,
        };
        match ask {
            Some(ask) => Next::Send(ask),
            None => {
                // What is stored is no address: as if nothing were.
                self.state.forget_session();
                self.at = At::Create;
                Next::Send(self.create())
            }
        }
    }

    fn answer(&mut self, heard: &Heard<'_>, now_ms: i64) -> Turn {
        let good = (200..300).contains(&heard.status);
        match self.at {
            At::Create if good => self.created(heard),
            At::Create if heard.status == 412 && self.is_tus() => {
                refuse(BG_E_CLIENT_SERVER_PROTOCOL_MISMATCH, "The server does not speak tus 1.0.")
            }
            At::Create if heard.status == 413 => {
                refuse(BG_E_TOO_LARGE, "The file is too large for the server.")
            }
            At::Create => self.refused(heard, now_ms),
            At::Head if good => {
                if !self.is_tus() && heard.text("upload-complete") == Some("?1") {
                    self.finish();
                    return Turn::Next;
                }
                self.sent = (0, 0);
                self.adopt(heard.number("upload-offset"), false)
            }
            At::Head if matches!(heard.status, 403 | 404 | 410) => self.begin_again(),
            At::Head if heard.status == 423 && self.still + 1 < MAX_STILL => {
                self.still += 1;
                Turn::Wait(LOCKED_MS)
            }
            At::Head => self.refused(heard, now_ms),
            At::Send if good => {
                let all = self.sent.0 + self.sent.1 == self.target.size();
                if !self.is_tus() && all && heard.text("upload-complete") != Some("?0") {
                    self.finish();
                    return Turn::Next;
                }
                let told = heard.number("upload-offset");
                // The draft need not repeat the offset after a part.
                let next = if self.is_tus() { told } else { told.or(Some(self.sent.0 + self.sent.1)) };
                self.adopt(next, true)
            }
            At::Send if matches!(heard.status, 404 | 410) => self.begin_again(),
            At::Send if matches!(heard.status, 409 | 423) => {
                self.still += 1;
                if self.still >= MAX_STILL {
                    return self.refused(heard, now_ms);
                }
                self.at = At::Head;
                Turn::Wait(LOCKED_MS)
            }
            At::Send if heard.status == 413 && self.sent.1 > MIN_BODY => {
                self.state.body_max = Some((self.sent.1 / 2).max(MIN_BODY));
                self.at = At::Head;
                Turn::Next
            }
            // An error after the last byte may concern only what the server does with the file (ambiguity 4).
            At::Send
                if self.is_tus() && self.still == 0 && self.sent.0 + self.sent.1 == self.target.size() =>
            {
                self.still += 1;
                self.at = At::Head;
                match heard.status {
                    401 | 407 | 415 | 460 => self.refused(heard, now_ms),
                    _ => Turn::Wait(LOCKED_MS),
                }
            }
            At::Send => self.refused(heard, now_ms),
            At::Done => Turn::Next,
        }
    }

    fn broken(&mut self, fail: Box<Fail>, sent: u64, _now_ms: i64) -> Turn {
        if sent > 0 && self.at == At::Send && self.still < 3 {
            self.still += 1;
            self.at = At::Head;
            return Turn::Wait(100 * u64::from(self.still));
        }
        Turn::Fail(fail)
    }

    fn state(&self) -> &UploadState {
        &self.state
    }

    fn take_must_keep(&mut self) -> bool {
        std::mem::take(&mut self.must_keep)
    }
}

pub(super) fn tus() -> (&'static str, String) {
    ("Tus-Resumable", "1.0.0".to_owned())
}

/// Path and query of a URL.
pub(super) fn wire(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

pub(super) fn ask(
    method: &'static str,
    url: Url,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: Payload,
    credentials: bool,
) -> Box<Ask> {
    let patience_ms = if body.is_empty() { PATIENCE_MS } else { LONG_PATIENCE_MS };
    Box::new(Ask { method, url, target, headers, body, credentials, patience_ms, wants_body: false })
}

fn refuse(code: HResult, detail: &str) -> Turn {
    let mut fail = Fail::new(code, detail);
    fail.class = Class::Fatal;
    Turn::Fail(Box::new(fail))
}
