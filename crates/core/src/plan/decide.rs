//! What an answer means.

use super::validator::Comparison;
use super::{
    Accept, Decision, Fail, FilePlan, Framing, Head, Limits, MAX_RETRY_AFTER_MS, Validator, redirect,
};
use crate::classify::{self, Class};
use crate::hresult::*;
use crate::job::http::RedirectPolicy;

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

pub(super) fn outside() -> Box<Fail> {
    let mut fail = Fail::new(BG_E_INVALID_RANGE, "A range that was asked for is not in the file.");
    fail.class = Class::Fatal;
    Box::new(fail)
}

impl FilePlan {
    /// Decides about an answer. `now_s`: seconds since 1970, only to read a `Retry-After` date.
    pub fn head(&mut self, head: &Head<'_>, now_s: i64) -> Decision {
        let decision = match head.status {
            200 => self.whole(head),
            201..=204 if self.any_success && head.is_consistent() => self.whole(head),
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
        let part_only = self.proven && (self.asked.start > 0 || self.asked.end.is_some());
        if self.wanted.needs_parts() || part_only || (self.wanted.strict && self.asked.ranged) {
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
        if self.proven {
            let other = total.is_some_and(|total| Some(total) != self.size);
            return if other { Comparison::Changed("size") } else { Comparison::Same };
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
}
