//! The download plan: what to ask for next, and what an answer means. Pure; the worker only does as it is told.
//!
//! The law (DESIGN section 1, spec/upload-protocol.md 20, spec/behaviour.md 11, 13, 18):
//! * The first request is `GET` with `Range: bytes=0-`; there is no HEAD, so links that are signed for GET work.
//! * A file is bound to one version by a [`Validator`]: strong entity tag, or `Last-Modified` with the size. It goes out as
//!   `If-Range` with every continuation, and every answer is compared with it, whatever its status.
//! * Bytes of two versions never meet: a changed origin restarts that file, at most three times without net progress.
//! * Without a validator old bytes are not trusted. The size alone is never enough.
//! * What is wanted, and in which order, is a value ([`Wanted`]) that may change at any time. A request asks for one range, never for
//!   several, and never for bytes that do not follow each other in the local file.

mod answer;
mod ending;
mod redirect;
mod validator;
mod wanted;

pub use answer::{Framing, Head};
pub use ending::{BodyEnd, Ended};
pub use validator::{LAST_MODIFIED_GUARD_S, Validator};
pub use wanted::Wanted;

use crate::classify::{self, Class};
use crate::hresult::*;
use crate::job::http::RedirectPolicy;
use crate::{ErrorContext, RangeSet};
use url::Url;
use validator::Comparison;

/// Restarts of one file without net progress after which the plan gives up (spec/behaviour.md 13).
pub const MAX_RESTARTS: u32 = 3;
/// `Retry-After` beyond this is cut down to it: one day, in milliseconds.
pub const MAX_RETRY_AFTER_MS: u64 = 86_400_000;

/// What the job allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Redirects followed for one request.
    pub max_redirects: u32,
    /// HTTPS may redirect to plain HTTP.
    pub allow_https_to_http: bool,
}

/// What to send next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Method; `GET` unless the job has one of its own.
    pub method: String,
    /// Where to; never carries a fragment.
    pub url: Url,
    /// Path and query as they go on the wire: the caller's own spelling where it is legal (spec/behaviour.md 12, URL).
    pub target: String,
    /// `Range`, if the request has one.
    pub range: Option<String>,
    /// `If-Range`, if the request has one.
    pub if_range: Option<String>,
    /// `Authorization`, `Cookie` and `Proxy-Authorization` of the caller may be sent: still at the first origin.
    pub credentials: bool,
    /// Ask caches for a fresh copy.
    pub no_cache: bool,
}

/// The next step of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send this.
    Send(Box<Request>),
    /// Every byte is there.
    Complete {
        /// Bytes of the local file.
        size: u64,
    },
    /// Everything that was asked for is there, but not the whole file (ON_DEMAND_MODE).
    Satisfied,
}

/// The file begins again at zero: what is kept must go, in the file and in the report, before anything is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// For people.
    pub reason: String,
}

/// The body of an answer is wanted. Offsets and sizes are those of the remote file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// Throw away what is kept first.
    pub restart: Option<Restart>,
    /// Place of the body's first byte in the remote file.
    pub offset: u64,
    /// Bytes at the beginning of the body that are already kept: read, but not written.
    pub skip: u64,
    /// Exact bytes of the body, if known; not one more may be written.
    pub length: Option<u64>,
    /// Size of the file, if known.
    pub total: Option<u64>,
    /// `Last-Modified`, seconds since 1970.
    pub modified_s: Option<i64>,
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Read the body, then call [`FilePlan::end`].
    Accept(Accept),
    /// The file has no bytes; do not read the body.
    Empty(Accept),
    /// Forget this answer and send [`FilePlan::step`], after the restart if there is one.
    Again(Option<Restart>),
    /// The attempt fails.
    Fail(Box<Fail>),
}

/// Why the attempt fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fail {
    /// Code of the job error.
    pub code: HResult,
    /// Where it arose.
    pub context: ErrorContext,
    /// Whether trying again may help.
    pub class: Class,
    /// `Retry-After`, capped.
    pub retry_after_ms: Option<u64>,
    /// What is kept is worth nothing: report an empty file.
    pub discard: bool,
    /// For people.
    pub detail: String,
}

impl Fail {
    /// Of the remote file, with the class of its code.
    pub(crate) fn new(code: HResult, detail: impl Into<String>) -> Self {
        Self {
            code,
            context: ErrorContext::RemoteFile,
            class: classify::hresult(code),
            retry_after_ms: None,
            discard: false,
            detail: detail.into(),
        }
    }
}

/// A caller's URL, without its fragment.
///
/// # Errors
/// It is not an absolute http or https URL.
pub(crate) fn parse_url(text: &str) -> Result<Url, Box<Fail>> {
    redirect::parse(text)
}

/// A URL for people: without query, fragment and credentials.
pub(crate) fn shown_url(url: &Url) -> String {
    redirect::shown(url)
}

/// Path and query for the wire, in the caller's own spelling where that is legal.
pub(crate) fn wire_target(text: &str, url: &Url) -> String {
    redirect::target(text, url, url)
}

/// Extensions of files that are never web pages.
const BINARY: &[&str] = &[
    "7z", "apk", "bin", "bz2", "cab", "deb", "dmg", "exe", "gz", "img", "iso", "jar", "jpg", "mp3", "mp4",
    "msi", "pdf", "pkg", "png", "qcow2", "rpm", "tar", "tgz", "whl", "xz", "zip", "zst",
];

fn foreign() -> Box<Fail> {
    Box::new(Fail::new(
        ERROR_WINHTTP_INVALID_SERVER_RESPONSE,
        "The answer is not the file but looks like a page of something in between (a login page?); what is kept stays.",
    ))
}

fn outside() -> Box<Fail> {
    let mut fail = Fail::new(BG_E_INVALID_RANGE, "A range that was asked for is not in the file.");
    fail.class = Class::Fatal;
    Box::new(fail)
}

/// The request that is under way.
#[derive(Clone, Copy, Debug)]
struct Asked {
    start: u64,
    end: Option<u64>,
    ranged: bool,
}

/// Plan of one file in one attempt.
#[derive(Clone, Debug)]
pub struct FilePlan {
    limits: Limits,
    redirects: RedirectPolicy,
    /// Method of the job's own, and what became of it on the way of redirects.
    method: Option<String>,
    method_now: Option<String>,
    /// The target of a redirect that is not followed.
    refused_target: Option<Url>,
    text: String,
    original: Url,
    current: Url,
    visited: Vec<Url>,
    left_origin: bool,
    /// The caller's secrets may go to `original`.
    secrets: bool,
    size: Option<u64>,
    done: RangeSet,
    validator: Validator,
    /// This attempt saw an answer of the version that `done` belongs to.
    confirmed: bool,
    /// Send no `Range`: the server refused the plainest one.
    plain: bool,
    no_cache: bool,
    range_refused: bool,
    restarts: u32,
    peak: u64,
    cuts: u32,
    digest_failed: bool,
    /// Set if this is a mirror and not the remote name.
    mirror: Option<String>,
    wanted: Wanted,
    /// Ranges of the present body's version can be asked for: it may be left for something else.
    turns: bool,
    /// The server answered a request for a part with the whole.
    ranges_ignored: bool,
    asked: Asked,
    body: Option<Accept>,
}

impl FilePlan {
    /// Begins with what an earlier attempt kept (offsets and size of the remote file). Also tells if that must be thrown away at once.
    /// The whole file is wanted, unless [`FilePlan::want`] says otherwise.
    ///
    /// # Errors
    /// The name is no remote name that can be transferred.
    pub fn new(
        url: &str,
        size: Option<u64>,
        done: RangeSet,
        validator: Validator,
        limits: Limits,
    ) -> Result<(Self, Option<Restart>), Box<Fail>> {
        let original = redirect::parse(url)?;
        let mut plan = Self {
            limits,
            redirects: RedirectPolicy::Silent,
            method: None,
            method_now: None,
            refused_target: None,
            text: url.to_owned(),
            current: original.clone(),
            original,
            visited: Vec::new(),
            left_origin: false,
            secrets: true,
            size,
            done,
            validator,
            confirmed: false,
            plain: false,
            no_cache: false,
            range_refused: false,
            restarts: 0,
            peak: 0,
            cuts: 0,
            digest_failed: false,
            mirror: None,
            wanted: Wanted::default(),
            turns: false,
            ranges_ignored: false,
            asked: Asked { start: 0, end: None, ranged: true },
            body: None,
        };
        let whole = plan.size.is_some_and(|size| size > 0 && plan.done == RangeSet::prefix(size));
        let outside = plan.size.is_some_and(|size| plan.done.end() > size);
        let restart = if plan.done.is_empty() || whole {
            None
        } else if outside {
            Some(plan.forget("the stored ranges do not fit the file"))
        } else if plan.validator.usable(plan.size) {
            None
        } else {
            Some(plan.forget("the server gave nothing that identifies the version of the kept part"))
        };
        Ok((plan, restart))
    }

    /// What redirects mean; silent unless told.
    pub fn set_redirects(&mut self, policy: RedirectPolicy) {
        self.redirects = policy;
    }

    /// One request with this method for the whole file, without a range: nothing that is kept of an unfinished file is of use
    /// (spec/bits-extended.md 9.2.1).
    pub fn set_method(&mut self, method: &str) -> Option<Restart> {
        self.method = Some(method.to_owned());
        self.method_now = self.method.clone();
        self.plain = true;
        let whole = self.size.is_some_and(|size| self.done.contains(0..size));
        (!whole && !self.done.is_empty())
            .then(|| self.forget("a request with a method of its own always fetches the whole file"))
    }

    /// The remote name that the redirect policy gives the file, if redirects led away from the old one: the address of the accepted
    /// answer, or the target that was not followed. Without credentials.
    pub fn new_remote(&self) -> Option<String> {
        match self.redirects {
            RedirectPolicy::Silent => None,
            RedirectPolicy::Report => (self.current != self.original).then(|| self.current.to_string()),
            RedirectPolicy::Disallow => self.refused_target.as_ref().map(Url::to_string),
        }
    }

    /// The plan is for a mirror of the remote name `primary`: what is kept of it is bound to the mirror, and unless it is at the same
    /// origin nothing secret of the job goes there.
    #[must_use]
    pub fn for_mirror(mut self, primary: &str) -> Self {
        let same = redirect::parse(primary).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.origin() == self.original.origin()
        });
        self.mirror = Some(self.text.clone());
        self.secrets = same;
        self.back_to_start();
        self
    }

    /// Asks caches for a fresh copy from the beginning.
    #[must_use]
    pub fn past_caches(mut self) -> Self {
        self.no_cache = true;
        self
    }

    /// The mirror in use; `None`: the remote name itself.
    pub fn mirror(&self) -> Option<&str> {
        self.mirror.as_deref()
    }

    /// What to do now.
    pub fn step(&mut self) -> Next {
        if self.is_whole()
            && let Some(size) = self.local_size()
        {
            return Next::Complete { size };
        }
        // A gap that reaches the end is asked for without an end, so that one request serves every size.
        let Some((start, end)) = self.missing() else { return Next::Satisfied };
        self.asked = Asked { start, end, ranged: !self.plain && !self.wanted.dynamic };
        let kept = !self.done.is_empty();
        Next::Send(Box::new(Request {
            method: self.method_now.clone().unwrap_or_else(|| "GET".to_owned()),
            url: self.current.clone(),
            target: self.target(),
            range: self.asked.ranged.then(|| match end {
                Some(end) => format!("bytes={start}-{}", end - 1),
                None => format!("bytes={start}-"),
            }),
            if_range: if kept { self.validator.if_range().map(str::to_owned) } else { None },
            credentials: !self.left_origin,
            no_cache: self.no_cache,
        }))
    }

    /// The version that the kept bytes belong to.
    pub fn validator(&self) -> &Validator {
        &self.validator
    }

    /// Size of the file, if known.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// The server answered a request for a part of the file with the whole: it cannot be read in any other order.
    pub fn ranges_ignored(&self) -> bool {
        self.ranges_ignored
    }

    /// Bytes of the remote file received so far, in this and earlier attempts.
    pub fn done(&self) -> &RangeSet {
        &self.done
    }

    /// Address in use, for people: without query, fragment and credentials.
    pub fn shown_url(&self) -> String {
        redirect::shown(&self.current)
    }

    /// The URL that the caller gave, which alone may carry credentials.
    pub fn original(&self) -> &Url {
        &self.original
    }

    /// What is kept turned out to be missing or damaged in the local file: begin again.
    ///
    /// # Errors
    /// There were too many restarts.
    pub fn local_lost(&mut self, reason: &str) -> Result<Restart, Box<Fail>> {
        self.restart(reason, BG_E_REMOTE_FILE_CHANGED)
    }

    /// The finished file does not have the digest that the caller expects: fetch it once more past all caches, then give up
    /// (spec/behaviour.md 13).
    ///
    /// # Errors
    /// It was the second time: 0x80200053, and the progress is zero.
    pub fn digest_mismatch(&mut self) -> Result<Restart, Box<Fail>> {
        let restart = self.forget("the content does not have the expected digest");
        self.no_cache = true;
        if self.digest_failed || self.wanted.pinned || self.method.is_some() {
            let mut fail =
                Fail::new(BG_E_VALIDATION_FAILED, "The content does not have the expected digest.");
            fail.discard = true;
            return Err(Box::new(fail));
        }
        self.digest_failed = true;
        Ok(restart)
    }

    /// Decides about an answer. `now_s`: seconds since 1970, only to read a `Retry-After` date.
    pub fn head(&mut self, head: &Head<'_>, now_s: i64) -> Decision {
        let decision = match head.status {
            200 => self.whole(head),
            206 => self.part(head),
            416 => self.unsatisfiable(head),
            300..=303 | 307 | 308 if self.redirects == RedirectPolicy::Disallow => Err(self.refused(head)),
            301 | 302 | 303 | 307 | 308 => self.redirected(head),
            status => {
                let (code, class) = classify::http_status(status);
                let mut fail = Fail::new(code, format!("The server answered with status {status}."));
                fail.class = class;
                fail.retry_after_ms = head.retry_after_ms(now_s).map(|ms| ms.min(MAX_RETRY_AFTER_MS));
                Err(Box::new(fail))
            }
        };
        match decision {
            Ok(Decision::Accept(accept)) => {
                self.body = Some(accept.clone());
                Decision::Accept(accept)
            }
            Ok(decision) => decision,
            Err(fail) => Decision::Fail(fail),
        }
    }

    /// 200: the whole file from its first byte.
    fn whole(&mut self, head: &Head<'_>) -> Result<Decision, Box<Fail>> {
        head.check_encoding()?;
        let length = head.whole_length()?;
        self.turns = false;
        if self.wanted.needs_parts() || (self.wanted.strict && self.asked.ranged) {
            return self.whole_for_a_part(head, length);
        }
        self.ranges_ignored |= self.asked.ranged && (self.asked.start > 0 || self.asked.end.is_some());
        if length.is_none() && head.framing == Framing::UntilClose && !self.wanted.dynamic {
            return Err(Box::new(Fail::new(
                BG_E_MISSING_FILE_SIZE,
                "The answer has no length and ends with the connection, so a cut cannot be told from the end.",
            )));
        }
        let modified_s = head.modified_s();
        if self.done.is_empty() {
            if self.surely_foreign(head) {
                return Err(foreign());
            }
            self.bind(head, length);
            if self.reaches_outside() {
                return Err(outside());
            }
            return Ok(Decision::Accept(Accept {
                restart: None,
                offset: 0,
                skip: 0,
                length,
                total: length,
                modified_s,
            }));
        }
        let comparison = self.compare(head, length);
        if comparison == Comparison::Same {
            // The server ignores ranges, but it is the same version: read past what is kept and go on.
            self.confirmed = true;
            let size = self.size.or(length);
            self.size = size;
            let skip = self.done.first_gap(0..size.unwrap_or(u64::MAX)).map_or(0, |gap| gap.start);
            return Ok(Decision::Accept(Accept {
                restart: None,
                offset: 0,
                skip,
                // Also where the answer tells none: the same version has the same size.
                length: size,
                total: size,
                modified_s,
            }));
        }
        if self.looks_foreign(head) {
            return Err(foreign());
        }
        let restart = self.changed(comparison)?;
        self.bind(head, length);
        Ok(Decision::Accept(Accept {
            restart: Some(restart),
            offset: 0,
            skip: 0,
            length,
            total: length,
            modified_s,
        }))
    }

    /// 200 where only parts can be used: the version changed, or the server has no ranges.
    fn whole_for_a_part(&mut self, head: &Head<'_>, length: Option<u64>) -> Result<Decision, Box<Fail>> {
        if !self.done.is_empty() {
            let comparison = self.compare(head, length);
            if comparison != Comparison::Same {
                if self.looks_foreign(head) {
                    return Err(foreign());
                }
                return Ok(Decision::Again(Some(self.changed(comparison)?)));
            }
        } else if length == Some(0) && self.wanted.needs_parts() {
            return Err(outside());
        }
        Err(Box::new(Fail::new(
            BG_E_INSUFFICIENT_RANGE_SUPPORT,
            "The server sends the whole file although a part was asked for.",
        )))
    }

    /// 206: a part of the file.
    fn part(&mut self, head: &Head<'_>) -> Result<Decision, Box<Fail>> {
        let bad_range = |detail: &str| Box::new(Fail::new(BG_E_INSUFFICIENT_RANGE_SUPPORT, detail));
        if !self.asked.ranged {
            return Err(Box::new(Fail::new(
                BG_E_INVALID_SERVER_RESPONSE,
                "The server sent a part of the file although the whole was asked for.",
            )));
        }
        head.check_encoding()?;
        if head.is_multipart() {
            return Err(Box::new(Fail::new(
                BG_E_INVALID_SERVER_RESPONSE,
                "The server answered one range with a multipart body.",
            )));
        }
        let range = head
            .content_range()
            .ok_or_else(|| bad_range("The partial answer has no usable Content-Range header."))?;
        if !self.done.is_empty() {
            let comparison = self.compare(head, range.total);
            if comparison != Comparison::Same {
                return Ok(Decision::Again(Some(self.changed(comparison)?)));
            }
        }
        if range.first != self.asked.start || self.asked.end.is_some_and(|end| range.last >= end) {
            return Err(bad_range("The partial answer covers another range than the one asked for."));
        }
        let length = range.last - range.first + 1;
        if head.declared_length().is_some_and(|declared| declared != length) {
            return Err(Box::new(Fail::new(
                BG_E_INVALID_SERVER_RESPONSE,
                "Content-Length and Content-Range of the answer contradict each other.",
            )));
        }
        if self.done.is_empty() {
            self.bind(head, range.total);
        }
        self.confirmed = true;
        let total = range.total.or(self.size).ok_or_else(|| {
            Box::new(Fail::new(
                BG_E_MISSING_FILE_SIZE,
                "The partial answer does not tell the size of the file.",
            ))
        })?;
        if range.last >= total {
            return Err(bad_range("The partial answer reaches beyond the end of the file."));
        }
        self.size = Some(total);
        if self.reaches_outside() {
            return Err(outside());
        }
        self.turns = true;
        Ok(Decision::Accept(Accept {
            restart: None,
            offset: range.first,
            skip: 0,
            length: Some(length),
            total: Some(total),
            modified_s: head.modified_s(),
        }))
    }

    /// 416: nothing at the place asked for.
    fn unsatisfiable(&mut self, head: &Head<'_>) -> Result<Decision, Box<Fail>> {
        if self.asked.ranged && (self.wanted.needs_parts() || (self.done.is_empty() && self.asked.start > 0))
        {
            return self.unsatisfiable_part(head);
        }
        if self.asked.ranged && self.done.is_empty() && head.unsatisfied_total() == Some(0) {
            self.bind(head, Some(0));
            return Ok(Decision::Empty(Accept {
                restart: None,
                offset: 0,
                skip: 0,
                length: Some(0),
                total: Some(0),
                modified_s: head.modified_s(),
            }));
        }
        if self.asked.ranged && self.done.is_empty() {
            // Some servers refuse `bytes=0-` for an empty file without saying so: ask once without a range.
            self.plain = true;
            return Ok(Decision::Again(None));
        }
        if self.asked.ranged && !self.range_refused {
            self.range_refused = true;
            let restart =
                self.restart("the server has nothing at the end of the kept part", BG_E_HTTP_ERROR_416)?;
            return Ok(Decision::Again(Some(restart)));
        }
        let mut fail = Fail::new(BG_E_HTTP_ERROR_416, "The server refuses the range that is missing.");
        fail.class = Class::Fatal;
        Err(Box::new(fail))
    }

    /// The job follows no redirects: it fails with the redirect's status, and remembers the target.
    fn refused(&mut self, head: &Head<'_>) -> Box<Fail> {
        let anywhere = Limits { max_redirects: 1, allow_https_to_http: true };
        let target =
            head.one("location").map(|location| redirect::follow(&self.current, location, &[], anywhere));
        self.refused_target = target.and_then(Result::ok);
        let status = head.status;
        let mut fail = Fail::new(
            HResult::from_http_status(status),
            format!("The server redirects (status {status}), and the job allows no redirects."),
        );
        fail.class = Class::Fatal;
        Box::new(fail)
    }

    /// 416 where a certain part was asked for: it lies outside of the file, or the file changed, or the server is confused for once.
    fn unsatisfiable_part(&mut self, head: &Head<'_>) -> Result<Decision, Box<Fail>> {
        let total = head.unsatisfied_total();
        if !self.done.is_empty() && total.is_some() && total != self.size {
            return Ok(Decision::Again(Some(self.changed(Comparison::Changed("size"))?)));
        }
        if self.done.is_empty() && total.is_some_and(|total| !self.wanted.fits(total)) {
            return Err(outside());
        }
        if !self.range_refused {
            self.range_refused = true;
            return Ok(Decision::Again(None));
        }
        if total.is_none() && self.done.is_empty() {
            return Err(outside());
        }
        let mut fail = Fail::new(BG_E_HTTP_ERROR_416, "The server refuses the range that is missing.");
        fail.class = Class::Fatal;
        Err(Box::new(fail))
    }

    fn redirected(&mut self, head: &Head<'_>) -> Result<Decision, Box<Fail>> {
        let Some(location) = head.one("location") else {
            let (code, class) = classify::http_status(head.status);
            let mut fail = Fail::new(code, "The server redirects without saying where to.");
            fail.class = class;
            return Err(Box::new(fail));
        };
        let target = redirect::follow(&self.current, location, &self.visited, self.limits)?;
        self.visited.push(std::mem::replace(&mut self.current, target));
        // As every HTTP client does (RFC 9110 15.4): "see other" is fetched, and so is what a POST is moved to.
        let fetched = match (head.status, self.method_now.as_deref()) {
            (303, method) => method != Some("HEAD"),
            (301 | 302, method) => method == Some("POST"),
            _ => false,
        };
        if fetched {
            self.method_now = None;
        }
        // Once away, always away: a foreign server may send us back with a path of its choice.
        self.left_origin |= self.current.origin() != self.original.origin();
        Ok(Decision::Again(None))
    }

    fn compare(&self, head: &Head<'_>, total: Option<u64>) -> Comparison {
        if total.is_some_and(|total| total < self.done.end()) {
            return Comparison::Changed("size");
        }
        self.validator.compare(self.size, head, total)
    }

    /// Binds the file, of which nothing is kept, to the version of this answer.
    fn bind(&mut self, head: &Head<'_>, total: Option<u64>) {
        self.validator = Validator { mirror: self.mirror.clone(), ..Validator::of(head) };
        self.size = total;
        self.confirmed = true;
    }

    /// A page of somebody else (captive portal, proxy, soft 404) in place of the file. It may never replace what is kept.
    fn looks_foreign(&self, head: &Head<'_>) -> bool {
        let html_wanted = {
            let path = self.original.path().to_ascii_lowercase();
            path.ends_with('/')
                || [".html", ".htm", ".xhtml", ".shtml", ".php", ".asp", ".aspx", ".jsp"]
                    .iter()
                    .any(|suffix| path.ends_with(suffix))
        };
        let media = head.media_type();
        let html = matches!(media.as_deref(), Some("text/html" | "application/xhtml+xml"));
        let text = media.as_deref().is_none_or(|media| media.starts_with("text/"));
        (html && !html_wanted) || (text && !head.identifies_version())
    }

    /// The same before anything is kept, where only the plainest case can be told: a page without any version in place of what
    /// is by its name an archive, an image, a program.
    fn surely_foreign(&self, head: &Head<'_>) -> bool {
        let name = self.original.path().rsplit('/').next().unwrap_or_default();
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        let binary = extension.is_some_and(|extension| BINARY.contains(&&*extension));
        binary && head.media_type().as_deref() == Some("text/html") && !head.identifies_version()
    }

    fn forget(&mut self, reason: &str) -> Restart {
        self.peak = self.peak.max(self.done.len());
        self.done = RangeSet::new();
        self.size = None;
        self.validator = Validator::default();
        self.confirmed = false;
        self.back_to_start();
        Restart { reason: reason.to_owned() }
    }

    /// The remote file is another one now: it begins again, where nobody relies on what is there.
    fn changed(&mut self, comparison: Comparison) -> Result<Restart, Box<Fail>> {
        if self.wanted.pinned {
            let mut fail =
                Fail::new(BG_E_REMOTE_FILE_CHANGED, format!("For this file: {}.", comparison.reason()));
            fail.class = Class::Fatal;
            fail.discard = true;
            self.forget("the file changed on the server");
            return Err(Box::new(fail));
        }
        self.restart(&comparison.reason(), BG_E_REMOTE_FILE_CHANGED)
    }

    fn restart(&mut self, reason: &str, give_up: HResult) -> Result<Restart, Box<Fail>> {
        if self.restarts >= MAX_RESTARTS {
            let mut fail = Fail::new(
                give_up,
                format!("Gave up after {MAX_RESTARTS} restarts without net progress: {reason}."),
            );
            fail.class = Class::Fatal;
            return Err(Box::new(fail));
        }
        self.restarts += 1;
        Ok(self.forget(reason))
    }

    /// The next request goes to the caller's URL again: targets of redirects are often signed for a short time.
    fn back_to_start(&mut self) {
        self.current = self.original.clone();
        self.method_now = self.method.clone();
        self.visited.clear();
        self.left_origin = !self.secrets;
    }

    /// Path and query for the wire.
    fn target(&self) -> String {
        redirect::target(&self.text, &self.original, &self.current)
    }
}

#[cfg(test)]
mod options;
#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wanted_tests;
