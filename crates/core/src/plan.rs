//! The download plan: what to ask for next, and what an answer means. Pure; the worker only does as it is told.
//!
//! The law (DESIGN section 1, spec/upload-protocol.md 20, spec/behaviour.md 11, 13, 18):
//! * The first request is `GET` with `Range: bytes=0-`; there is no HEAD, so links that are signed for GET work.
//! * A file is bound to one version by a [`Validator`]: strong entity tag, or `Last-Modified` with the size. It goes out as
//!   `If-Range` with every continuation, and every answer is compared with it, whatever its status.
//! * Bytes of two versions never meet: a changed origin restarts that file, at most three times without net progress.
//! * Without a validator old bytes are not trusted. The size alone is never enough.
//! * One exception: bytes that piece digests have proven right are right whatever version a server has, so what lacks may come from any
//!   answer for a file of that size ([`FilePlan::for_pieces`]). Whoever asks so looks at every byte of it before it counts.
//! * What is wanted, and in which order, is a value ([`Wanted`]) that may change at any time. A request asks for one range, never for
//!   several, and never for bytes that do not follow each other in the local file.

mod answer;
mod decide;
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
    /// 201 to 204 mean the file, too.
    any_success: bool,
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
    /// What is kept was compared with digests of its pieces, and what comes will be.
    proven: bool,
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
            any_success: false,
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
            proven: false,
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

    /// Answers 201 to 203 mean what 200 means, and 204 without a body an empty file
    /// (spec/delivery-optimization-linux-agent.md 7.2).
    pub fn accept_any_success(&mut self) {
        self.any_success = true;
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

    /// A plan for what lacks in a file of `size` bytes, where `proven` is known to be right: no version is asked for and none is compared;
    /// an answer for a file of another size, or with more than was asked for, is an error and never a new beginning.
    #[must_use]
    pub fn for_pieces(mut self, size: u64, proven: RangeSet) -> Self {
        debug_assert!(!proven.is_empty(), "a file of which nothing is right begins again");
        self.wanted = Wanted::default();
        (self.size, self.done, self.validator) = (Some(size), proven, Validator::default());
        (self.proven, self.no_cache, self.confirmed) = (true, true, true);
        self
    }

    /// Parts of the file may be fetched again after all of it came: nobody reads it already, and the server is asked for ranges.
    pub fn may_repair(&self) -> bool {
        !self.wanted.pinned && !self.wanted.dynamic && self.method.is_none() && self.layout().is_whole()
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
        if self.wanted.pinned && !self.proven {
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
        if self.proven {
            return Err(Box::new(Fail::new(give_up, format!("No pieces can be had from here: {reason}."))));
        }
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
mod pieces_tests;
#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wanted_tests;
