//! One version of a file that is read over a file system, and the answer to a request for a part of it.
//!
//! The version is size, time of the last change and file number: bytes that were read under one stamp are continued only under the
//! same one (spec/bits-core.md 5.2 SMB names, docs/decisions/0017).

use http::response::{Parts, Response};
use openbits_core::plan::{Framing, Request};
use std::ops::Range;
use std::time::{Duration, SystemTime};

/// A file that changed less than this before it was looked at may change again without a new time: coarse clocks of file systems
/// (FAT counts two seconds). Its stamp proves nothing later.
const RACY: Duration = Duration::from_secs(3);

/// A version of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Bytes.
    pub(super) size: u64,
    /// Last change of the content.
    pub(super) modified: SystemTime,
    /// Last change of anything; the same as `modified` where that is not told.
    pub(super) changed: SystemTime,
    /// Number of the file, so that one that replaces it is another; zero where there is none.
    pub(super) number: u64,
}

impl Stamp {
    /// In the form of an entity tag. Weak, and so never stored, if the file changed just before `now`.
    fn etag(&self, now: SystemTime) -> String {
        let ns = |time: SystemTime| match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => format!("{:x}", since.as_nanos()),
            Err(before) => format!("-{:x}", before.duration().as_nanos()),
        };
        let last = self.modified.max(self.changed);
        let settled = now.duration_since(last).is_ok_and(|since| since >= RACY);
        let weak = if settled { "" } else { "W/" };
        format!("{weak}\"{:x}.{:x}.{}.{}\"", self.number, self.size, ns(self.modified), ns(self.changed))
    }

    /// The answer to a request, and the bytes that are its body. The words are those of HTTP.
    pub(super) fn answer(&self, request: &Request, now: SystemTime) -> (Parts, Framing, Range<u64>) {
        let etag = self.etag(now);
        let asked = request.range.as_deref().and_then(range);
        let asked = asked.filter(|_| request.if_range.as_ref().is_none_or(|condition| *condition == etag));
        let mut builder = Response::builder().header("etag", etag);
        if self.modified >= SystemTime::UNIX_EPOCH {
            builder = builder.header("last-modified", httpdate::fmt_http_date(self.modified));
        }
        let (builder, body) = match asked {
            Some((start, _)) if start >= self.size => {
                (builder.status(416).header("content-range", format!("bytes */{}", self.size)), 0..0)
            }
            Some((start, end)) => {
                let end = end.unwrap_or(self.size).min(self.size);
                let told = format!("bytes {start}-{}/{}", end - 1, self.size);
                (builder.status(206).header("content-range", told), start..end)
            }
            None => (builder.status(200), 0..self.size),
        };
        let (head, ()) = builder.body(()).expect("numbers and dates are legal in a header").into_parts();
        (head, Framing::Length(body.end - body.start), body)
    }
}

/// `bytes=a-` or `bytes=a-b`, as the plan writes it: the first byte, and the one behind the last.
fn range(text: &str) -> Option<(u64, Option<u64>)> {
    let (start, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let end = if last.is_empty() { None } else { Some(last.parse::<u64>().ok()?.checked_add(1)?) };
    let start = start.parse().ok()?;
    end.is_none_or(|end| start < end).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use openbits_core::RangeSet;
    use openbits_core::plan::{Decision, FilePlan, Head, Limits, Next, Validator};

    fn stamp(size: u64) -> Stamp {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        Stamp { size, modified: at, changed: at, number: 7 }
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000)
    }

    fn decide(plan: &mut FilePlan, stamp: &Stamp, now: SystemTime) -> (Decision, Range<u64>) {
        let Next::Send(request) = plan.step() else { panic!("a request") };
        let (head, framing, body) = stamp.answer(&request, now);
        let headers: Vec<(&str, &[u8])> =
            head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        (plan.head(&Head { status: head.status.as_u16(), framing, headers: &headers }, 0), body)
    }

    fn plan(done: RangeSet, validator: Validator, size: Option<u64>) -> FilePlan {
        let limits = Limits { max_redirects: 1, allow_https_to_http: false };
        FilePlan::new("file:///f", size, done, validator, limits).unwrap().0
    }

    #[test]
    fn the_plan_understands_every_answer() {
        let mut fresh = plan(RangeSet::new(), Validator::default(), None);
        let (decision, body) = decide(&mut fresh, &stamp(100), now());
        assert!(matches!(decision, Decision::Accept(a) if a.offset == 0 && a.total == Some(100)));
        assert_eq!(body, 0..100);
        let kept = fresh.validator().clone();
        assert!(kept.usable(Some(100)));
        // The same version goes on, another one begins again, an empty file is empty.
        let (decision, body) =
            decide(&mut plan(RangeSet::prefix(40), kept.clone(), Some(100)), &stamp(100), now());
        assert!(matches!(decision, Decision::Accept(a) if a.offset == 40 && a.restart.is_none()));
        assert_eq!(body, 40..100);
        for other in [stamp(101), stamp(30), Stamp { number: 8, ..stamp(100) }] {
            let (decision, body) =
                decide(&mut plan(RangeSet::prefix(40), kept.clone(), Some(100)), &other, now());
            assert!(matches!(decision, Decision::Accept(a) if a.offset == 0 && a.restart.is_some()));
            assert_eq!(body, 0..other.size);
        }
        let (decision, _) = decide(&mut plan(RangeSet::new(), Validator::default(), None), &stamp(0), now());
        assert!(matches!(decision, Decision::Empty(_)));
    }

    #[test]
    fn a_file_that_changed_a_moment_ago_is_never_continued() {
        let mut fresh = plan(RangeSet::new(), Validator::default(), None);
        decide(&mut fresh, &stamp(100), stamp(100).modified + Duration::from_secs(2));
        assert!(!fresh.validator().usable(Some(100)));
        let mut future = plan(RangeSet::new(), Validator::default(), None);
        decide(&mut future, &stamp(100), stamp(100).modified - Duration::from_secs(2));
        assert!(!future.validator().usable(Some(100)));
    }
}
