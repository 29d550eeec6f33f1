//! What an attempt tells the service.

use crate::protocol::{Event, Failure, FailureClass, FileCheckpoint, Note, Pace, cut};
use openbits_core::classify::Class;
use openbits_core::plan::{Fail, FilePlan};
use openbits_core::{AttemptId, ErrorContext, JobId, RangeSet};
use tokio::sync::mpsc;

/// The events of one attempt.
#[derive(Clone, Debug)]
pub(crate) struct Reporter {
    pub(crate) job: JobId,
    pub(crate) attempt: AttemptId,
    pub(crate) events: mpsc::Sender<Event>,
}

impl Reporter {
    /// A service that is gone hears nothing; the attempt then ends with its command channel.
    async fn say(&self, event: Event) {
        let _ = self.events.send(event).await;
    }

    pub(crate) async fn connected(&self, file: u32, size: Option<u64>, peer: &str) {
        let (job, attempt, peer) = (self.job, self.attempt, peer.to_owned());
        self.say(Event::Connected { job, attempt, file, size, peer }).await;
    }

    pub(super) async fn redirected(&self, file: u32, remote: String) {
        self.say(Event::Redirected { job: self.job, attempt: self.attempt, file, remote }).await;
    }

    pub(super) async fn presented(&self, check: u64, file: u32, server: String, chain: Vec<String>) {
        let (job, attempt) = (self.job, self.attempt);
        self.say(Event::CertificatePresented { job, attempt, check, file, server, chain }).await;
    }

    /// Progress that finds no room is simply dropped: the next one says more.
    pub(crate) fn progress(&self, file: u32, bytes: u64) {
        let _ = self.events.try_send(Event::Progress { job: self.job, attempt: self.attempt, file, bytes });
    }

    /// What the server answered last.
    pub(super) async fn headers(&self, file: u32, text: String) {
        self.say(Event::Headers { job: self.job, attempt: self.attempt, file, text }).await;
    }

    /// Dropped like progress when there is no room.
    pub(crate) fn pace(&self, pace: Pace) {
        let _ = self.events.try_send(Event::Pace { job: self.job, attempt: self.attempt, pace });
    }

    /// Ranges that are written; droppable like progress.
    pub(super) fn written(&self, file: u32, ranges: RangeSet) {
        let _ = self.events.try_send(Event::Written { job: self.job, attempt: self.attempt, file, ranges });
    }

    /// The file begins again: nothing of it is kept.
    pub(super) async fn restarted(&self, file: u32, reason: String) {
        self.say(Event::Restarted { job: self.job, attempt: self.attempt, file, reason }).await;
        let empty = FileCheckpoint {
            file,
            size: None,
            remote_size: None,
            done: RangeSet::new(),
            validator: None,
            modified_s: None,
            finished: false,
            no_ranges: false,
        };
        self.checkpoint(empty).await;
    }

    /// For the service's log.
    pub(crate) async fn note(&self, url: &str, note: Note) {
        let url = cut(url.to_owned());
        self.say(Event::Note { job: self.job, attempt: self.attempt, url, note }).await;
    }

    pub(super) async fn checkpoint(&self, checkpoint: FileCheckpoint) {
        self.say(Event::Checkpoint { job: self.job, attempt: self.attempt, files: vec![checkpoint] }).await;
    }
}

/// The durable state of a file for the service; `done` in offsets of the local file.
pub(super) fn checkpoint(
    file: u32,
    plan: &FilePlan,
    done: RangeSet,
    modified_s: Option<i64>,
    finished: bool,
) -> FileCheckpoint {
    let validator = plan.validator();
    let known = validator.etag.is_some() || validator.last_modified.is_some();
    FileCheckpoint {
        file,
        size: plan.local_size(),
        remote_size: plan.size().filter(|_| !plan.layout().is_whole()),
        done,
        validator: known.then(|| validator.clone()),
        modified_s: modified_s.or_else(|| validator.modified_s()),
        finished,
        no_ranges: plan.ranges_ignored(),
    }
}

/// Status line and headers of an answer, each line with CR LF; at most `max` bytes, cut after a whole line.
pub(super) fn head_text(head: &http::response::Parts, max: usize) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(512.min(max));
    // Writing to a String cannot fail.
    let _ = write!(text, "{:?} {}\r\n", head.version, head.status);
    for (name, value) in &head.headers {
        let length = text.len();
        let _ = write!(text, "{name}: ");
        // A byte above 127 is taken for what it is in ISO 8859-1, as of old.
        text.extend(value.as_bytes().iter().map(|byte| char::from(*byte)));
        text.push_str("\r\n");
        if text.len() > max {
            text.truncate(length);
            break;
        }
    }
    if text.len() > max { String::new() } else { text }
}

/// The end of an attempt by an error.
pub(crate) fn failure(
    fail: &Fail,
    file: Option<u32>,
    http_status: Option<u16>,
    url: Option<String>,
) -> Failure {
    Failure {
        code: fail.code,
        context: fail.context,
        class: match fail.class {
            Class::Transient => FailureClass::Transient,
            Class::Fatal => FailureClass::Fatal,
        },
        file,
        http_status: http_status.filter(|_| fail.context != ErrorContext::LocalFile),
        url: url.filter(|_| fail.context != ErrorContext::LocalFile).map(cut),
        retry_after_ms: fail.retry_after_ms,
        detail: cut(fail.detail.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_cut_after_a_whole_line() {
        let response = http::Response::builder()
            .status(206)
            .header("content-range", "bytes 0-1/2")
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .header("x-latin", http::HeaderValue::from_bytes(b"\xE4").unwrap());
        let (head, ()) = response.body(()).unwrap().into_parts();
        let whole = "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 0-1/2\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nx-latin: \u{e4}\r\n";
        assert_eq!(head_text(&head, 1000), whole);
        assert_eq!(head_text(&head, whole.len()), whole);
        assert_eq!(
            head_text(&head, whole.len() - 1),
            whole.split_inclusive('\n').take(4).collect::<String>()
        );
        assert_eq!(head_text(&head, 60), "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 0-1/2\r\n");
        assert_eq!(head_text(&head, 10), "");
    }
}
