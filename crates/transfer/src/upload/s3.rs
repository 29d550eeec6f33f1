//! S3 multipart upload (spec/resumable-uploads-elsewhere.md 4). Requests are signed in their query (rusty-s3); what is sent is decided
//! here, as by the other plans.
//!
//! A resume lists the parts that the server has. Those below the stored offset count if their entity tags are the ones that were
//! received, which one hash over them all tells ([`UploadState::seal`]); everything else is sent again and replaces what is there.

mod account;

use openbits_core::classify::{self, Class};
use openbits_core::hresult::*;
use openbits_core::plan::Fail;
use openbits_core::upload::client::{
    Ask, Heard, LONG_PATIENCE_MS, Next, Payload, Plan, Target, Turn, UploadState,
};
use openbits_core::{ErrorContext, HResult};
use rusty_s3::actions::{
    AbortMultipartUpload, CompleteMultipartUpload, CompleteMultipartUploadResponse, CreateMultipartUpload,
    HeadObject, ListParts, PutObject, UploadPart,
};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use std::time::Duration;
use url::Url;

use crate::failure::{Outcome, with};

/// Smallest part but the last.
const PART: u64 = 8 << 20;
/// Most parts.
const PARTS_MAX: u64 = 10_000;
/// How long a signature is good.
const SIGNED: Duration = Duration::from_secs(3600);
/// Uploads begun anew within one attempt, and cuts in a row that are answered by going on at once.
const MAX_RESTARTS: u32 = 1;
const MAX_CUTS: u32 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// An empty file has no parts.
    Empty,
    Create,
    List,
    Part,
    Complete,
    /// The upload is gone: is the object there?
    Head,
    Done,
}

/// Where the object is, and who asks.
#[derive(Debug)]
pub(super) struct Place {
    bucket: Bucket,
    credentials: Credentials,
    object: String,
}

/// The plan of one attempt.
#[derive(Debug)]
pub(super) struct S3 {
    place: Place,
    target: Target,
    state: UploadState,
    at: At,
    etags: Vec<String>,
    marker: Option<u16>,
    restarts: u32,
    cuts: u32,
    must_keep: bool,
}

/// The next value of the seal, for one more entity tag (FNV-1a; it tells accidents apart, not attackers).
fn sealed(seal: u64, etag: &str) -> u64 {
    let start = if seal == 0 { 0xCBF2_9CE4_8422_2325 } else { seal };
    etag.bytes().chain([0]).fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// Equal parts, as few as needed and at most so many as there may be.
fn part_bytes(size: u64) -> u64 {
    PART.max(size.div_ceil(PARTS_MAX).next_multiple_of(1 << 20))
}

fn fail(code: HResult, class: Class, detail: impl Into<String>) -> Box<Fail> {
    with(ErrorContext::RemoteFile, code, class, detail)
}

impl Place {
    /// Of an object's URL: `https://BUCKET.s3.REGION.amazonaws.com/KEY`, or `https://HOST/BUCKET/KEY` elsewhere.
    pub(super) fn of(url: &Url) -> Outcome<Self> {
        let (credentials, region) = account::read()?;
        Self::with(url, credentials, region)
    }

    fn with(url: &Url, credentials: Credentials, region: String) -> Outcome<Self> {
        let bad = |detail: &str| fail(E_INVALIDARG, Class::Fatal, detail);
        let decoded = percent_encoding::percent_decode_str(url.path().trim_start_matches('/'));
        let path = decoded.decode_utf8().map_err(|_| bad("The URL's path is not UTF-8."))?.into_owned();
        let host = url.host_str().unwrap_or_default();
        let virtual_host = host.split_once(".s3.").or_else(|| host.split_once(".s3-"));
        let mut endpoint = url.clone();
        endpoint.set_path("/");
        endpoint.set_query(None);
        let (style, bucket, object) = match virtual_host {
            Some((bucket, _)) => {
                let bare = host[bucket.len() + 1..].to_owned();
                endpoint.set_host(Some(&bare)).map_err(|_| bad("The URL has an illegal host."))?;
                (UrlStyle::VirtualHost, bucket.to_owned(), path)
            }
            None => {
                let (bucket, object) = path.split_once('/').unwrap_or((&path, ""));
                (UrlStyle::Path, bucket.to_owned(), object.to_owned())
            }
        };
        if bucket.is_empty() || object.is_empty() || object.ends_with('/') {
            return Err(bad("The URL names no object: https://HOST/BUCKET/KEY."));
        }
        let bucket = Bucket::new(endpoint, style, bucket, region)
            .map_err(|error| bad(&format!("The URL is no bucket's: {error}.")))?;
        Ok(Self { bucket, credentials, object })
    }

    /// The request that takes an upload back.
    pub(super) fn abort(&self, upload: &str) -> Box<Ask> {
        let action = AbortMultipartUpload::new(&self.bucket, Some(&self.credentials), &self.object, upload);
        ask("DELETE", action.sign(SIGNED), Payload::Empty, false)
    }
}

fn ask(method: &'static str, url: Url, body: Payload, wants_body: bool) -> Box<Ask> {
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    // The signature is all the credential there is; the job's headers would not be covered by it.
    Box::new(Ask {
        method,
        url,
        target,
        headers: Vec::new(),
        body,
        credentials: false,
        patience_ms: LONG_PATIENCE_MS,
        wants_body,
    })
}

impl S3 {
    pub(super) fn new(target: Target, state: UploadState) -> Outcome<Self> {
        let place = Place::of(target.url())?;
        Ok(Self::at_place(place, target, state))
    }

    fn at_place(place: Place, target: Target, state: UploadState) -> Self {
        let at = match (state.closed, state.session.is_some(), target.size()) {
            (true, ..) => At::Done,
            (_, true, _) => At::List,
            (_, _, 0) => At::Empty,
            _ => At::Create,
        };
        Self { place, target, state, at, etags: vec![], marker: None, restarts: 0, cuts: 0, must_keep: false }
    }

    fn upload_id(&self) -> &str {
        self.state.session.as_deref().unwrap_or_default()
    }

    fn request(&mut self) -> Box<Ask> {
        if self.at == At::Complete && !self.state.close_sent {
            self.state.close_sent = true;
            self.must_keep = true;
        }
        let Place { bucket, credentials, object } = &self.place;
        let credentials = Some(credentials);
        match self.at {
            At::Empty => {
                ask("PUT", PutObject::new(bucket, credentials, object).sign(SIGNED), Payload::Empty, false)
            }
            At::Create | At::Done => {
                let action = CreateMultipartUpload::new(bucket, credentials, object);
                ask("POST", action.sign(SIGNED), Payload::Empty, true)
            }
            At::List => {
                let mut action = ListParts::new(bucket, credentials, object, self.upload_id());
                if let Some(marker) = self.marker {
                    action.set_part_number_marker(marker);
                }
                ask("GET", action.sign(SIGNED), Payload::Empty, true)
            }
            At::Part => {
                let number = u16::try_from(self.etags.len() + 1).expect("at most 10,000 parts");
                let offset = self.state.offset;
                let length = self.state.part_bytes.min(self.target.size() - offset);
                let action = UploadPart::new(bucket, credentials, object, number, self.upload_id());
                ask("PUT", action.sign(SIGNED), Payload::File { offset, length }, false)
            }
            At::Complete => {
                let etags = self.etags.iter().map(String::as_str);
                let action = CompleteMultipartUpload::new(
                    bucket,
                    credentials,
                    object,
                    self.upload_id(),
                    etags.clone(),
                );
                let url = action.clone().sign(SIGNED);
                ask("POST", url, Payload::Text(action.body()), true)
            }
            At::Head => {
                ask("HEAD", HeadObject::new(bucket, credentials, object).sign(SIGNED), Payload::Empty, false)
            }
        }
    }

    fn finish(&mut self) -> Turn {
        self.state.offset = self.target.size();
        (self.state.received, self.state.closed) = (true, true);
        self.at = At::Done;
        Turn::Next
    }

    fn created(&mut self, heard: &Heard<'_>) -> Turn {
        let text = String::from_utf8_lossy(heard.body);
        let id =
            CreateMultipartUpload::parse_response(&text).ok().map(|created| created.upload_id().to_owned());
        let Some(id) = id.filter(|id| !id.is_empty() && id.len() <= UploadState::TEXT_MAX) else {
            return Turn::Fail(fail(
                BG_E_INVALID_SERVER_RESPONSE,
                Class::Fatal,
                "The server gave no upload id.",
            ));
        };
        self.state.session = Some(id);
        self.state.part_bytes = part_bytes(self.target.size());
        (self.state.offset, self.state.seal) = (0, 0);
        self.etags.clear();
        self.must_keep = true;
        self.at = At::Part;
        Turn::Next
    }

    /// One page of the list: parts count from the first one on, without a gap, of the right size, up to the stored offset.
    fn listed(&mut self, heard: &Heard<'_>) -> Turn {
        let text = String::from_utf8_lossy(heard.body);
        let Ok(page) = ListParts::parse_response(&text) else {
            let detail = "The server's list of parts cannot be read.";
            return Turn::Fail(fail(BG_E_INVALID_SERVER_RESPONSE, Class::Transient, detail));
        };
        let part = self.state.part_bytes.max(1);
        let wanted = self.state.offset.div_ceil(part);
        for one in page.parts {
            let at = self.etags.len() as u64;
            let size = part.min(self.target.size().saturating_sub(at * part));
            if at < wanted && u64::from(one.number) == at + 1 && one.size == size {
                self.etags.push(one.etag);
            }
        }
        if page.next_part_number_marker > self.marker && (self.etags.len() as u64) < wanted {
            self.marker = page.next_part_number_marker;
            return Turn::Next;
        }
        let seal = self.etags.iter().fold(0, |seal, etag| sealed(seal, etag));
        if (self.etags.len() as u64) != wanted || seal != self.state.seal || self.state.part_bytes == 0 {
            self.etags.clear();
            (self.state.offset, self.state.seal) = (0, 0);
            self.state.part_bytes = part_bytes(self.target.size());
        }
        self.onward();
        Turn::Next
    }

    fn onward(&mut self) {
        self.at = if self.state.offset == self.target.size() { At::Complete } else { At::Part };
    }

    fn part_stored(&mut self, heard: &Heard<'_>) -> Turn {
        let Some(etag) = heard.text("etag").filter(|etag| !etag.is_empty() && etag.len() <= 256) else {
            let detail = "The server stored a part without telling its entity tag.";
            return Turn::Fail(fail(BG_E_INVALID_SERVER_RESPONSE, Class::Fatal, detail));
        };
        self.cuts = 0;
        self.etags.push(etag.to_owned());
        self.state.seal = sealed(self.state.seal, etag);
        self.state.offset = (self.state.offset + self.state.part_bytes).min(self.target.size());
        self.onward();
        Turn::Next
    }

    /// 200 does not prove success: the body does.
    fn completed(&mut self, heard: &Heard<'_>) -> Turn {
        let text = String::from_utf8_lossy(heard.body);
        if CompleteMultipartUploadResponse::parse(text.trim()).is_ok() {
            return self.finish();
        }
        if text.contains("<Code>NoSuchUpload</Code>") {
            self.at = At::Head;
            return Turn::Next;
        }
        let detail = "The server began to put the parts together and reported an error.";
        Turn::Fail(fail(HResult::from_http_status(500), Class::Transient, detail))
    }

    fn restart(&mut self) -> Turn {
        if self.restarts >= MAX_RESTARTS {
            return Turn::Fail(fail(
                BG_E_SESSION_NOT_FOUND,
                Class::Transient,
                "The server forgets every upload.",
            ));
        }
        self.restarts += 1;
        self.state.forget_session();
        self.etags.clear();
        self.marker = None;
        self.must_keep = true;
        self.at = At::Create;
        Turn::Next
    }
}

impl Plan for S3 {
    fn step(&mut self, _now_ms: i64) -> Next {
        if self.at == At::Done { Next::Finished } else { Next::Send(self.request()) }
    }

    fn answer(&mut self, heard: &Heard<'_>, now_ms: i64) -> Turn {
        let good = (200..300).contains(&heard.status);
        match (self.at, heard.status) {
            (At::Empty, _) if good => self.finish(),
            (At::Create, _) if good => self.created(heard),
            (At::List, _) if good => self.listed(heard),
            (At::Part, _) if good => self.part_stored(heard),
            (At::Complete, _) if good => self.completed(heard),
            // Completed by a request whose answer was lost, aborted, or expired: the object tells.
            (At::List | At::Part | At::Complete, 404) if self.state.close_sent => {
                self.at = At::Head;
                Turn::Next
            }
            (At::List | At::Part | At::Complete, 404) => self.restart(),
            (At::Head, _) if good && heard.number("content-length") == Some(self.target.size()) => {
                self.finish()
            }
            (At::Head, 404) => self.restart(),
            (At::Head, _) if good => self.restart(),
            (At::Done, _) => Turn::Next,
            (_, status) => {
                let (code, class) = classify::http_status(status);
                let mut fail = fail(code, class, format!("The server answered with status {status}."));
                fail.retry_after_ms = heard.retry_after_ms(now_ms);
                Turn::Fail(fail)
            }
        }
    }

    fn broken(&mut self, fail: Box<Fail>, sent: u64, _now_ms: i64) -> Turn {
        if sent > 0 && self.at == At::Part && self.cuts < MAX_CUTS {
            self.cuts += 1;
            return Turn::Wait(100 * u64::from(self.cuts));
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

/// A plan for an account of nobody's, whatever keys the user of the fuzzer has.
#[cfg(feature = "fuzzing")]
pub(crate) fn plan_for_fuzzing(target: Target, state: UploadState) -> Outcome<Box<dyn Plan>> {
    let place = Place::with(target.url(), Credentials::new("key", "secret"), "us-east-1".into())?;
    Ok(Box::new(S3::at_place(place, target, state)))
}

#[cfg(test)]
mod tests;
