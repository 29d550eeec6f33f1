//! A file on the origin: contents, validators and how it misbehaves.

use std::time::{Duration, SystemTime};

use crate::behaviour::Behaviour;
use crate::content::Content;

/// The entity tag of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Etag {
    /// `"text"`.
    Strong(String),
    /// `W/"text"`; no range may be bound to it (RFC 9110 13.1.5).
    Weak(String),
    /// No `ETag` field.
    Absent,
}

impl Etag {
    /// The value of the `ETag` field.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        match self {
            Self::Strong(text) => Some(format!("\"{text}\"")),
            Self::Weak(text) => Some(format!("W/\"{text}\"")),
            Self::Absent => None,
        }
    }
}

/// A file on the origin. Made from a [`Content`] it has a strong entity tag and a date that follow from the content, and
/// behaves well.
#[derive(Debug, Clone)]
pub struct OriginFile {
    pub(crate) content: Content,
    pub(crate) etag: Etag,
    pub(crate) last_modified: Option<SystemTime>,
    pub(crate) content_type: String,
    pub(crate) behaviour: Behaviour,
    pub(crate) times: Option<u32>,
    pub(crate) at: Option<u64>,
    pub(crate) any_method: bool,
    pub(crate) extra_headers: Vec<(String, String)>,
    /// True once a behaviour has put another version in place.
    pub(crate) changed: bool,
}

impl OriginFile {
    /// A well-behaved file with these contents.
    #[must_use]
    pub fn new(content: Content) -> Self {
        let version = content.version();
        Self {
            etag: Etag::Strong(format!("{version:016x}")),
            // A second in the ten years after 2010-01-01: dates are compared to the second.
            last_modified: Some(
                SystemTime::UNIX_EPOCH + Duration::from_secs(1_262_304_000 + version % (10 * 365 * 86_400)),
            ),
            content_type: "application/octet-stream".to_owned(),
            behaviour: Behaviour::Good,
            times: None,
            at: None,
            any_method: false,
            extra_headers: Vec::new(),
            changed: false,
            content,
        }
    }

    /// Its entity tag.
    #[must_use]
    pub fn etag(mut self, etag: Etag) -> Self {
        self.etag = etag;
        self
    }

    /// Its date, to the second; `None` for none.
    #[must_use]
    pub fn last_modified(mut self, at: Option<SystemTime>) -> Self {
        self.last_modified = at;
        self
    }

    /// Its `Content-Type`.
    #[must_use]
    pub fn content_type(mut self, value: impl Into<String>) -> Self {
        self.content_type = value.into();
        self
    }

    /// How it misbehaves. [`Behaviour::EmptyFile`] and [`Behaviour::OneByteFile`] cut the contents.
    #[must_use]
    pub fn behaviour(mut self, behaviour: Behaviour) -> Self {
        self.set_behaviour(behaviour);
        self
    }

    pub(crate) fn set_behaviour(&mut self, behaviour: Behaviour) {
        self.behaviour = behaviour;
        self.changed = false;
        match behaviour {
            Behaviour::EmptyFile => self.content = self.content.truncated(0),
            Behaviour::OneByteFile => self.content = self.content.truncated(1),
            _ => {}
        }
    }

    /// Misbehave in the first `times` requests other than HEAD only, and be good from then on. HEAD requests are
    /// answered as the next GET would be.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// The byte of the file at which behaviours that need one strike. A request whose range does not contain it is
    /// struck in the middle of its range, which is also the default.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Self {
        self.at = Some(offset);
        self
    }

    /// Serve every method as if it were GET (BITS jobs with a custom HTTP method, spec behaviour 18.2); otherwise others
    /// than GET and HEAD get 405.
    #[must_use]
    pub fn any_method(mut self) -> Self {
        self.any_method = true;
        self
    }

    /// One more header field in its answers.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.extra_headers.push((name.into(), value.into()));
        self
    }

    /// Its contents.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.content
    }

    pub(crate) fn size(&self) -> u64 {
        self.content.size()
    }

    pub(crate) fn last_modified_text(&self) -> Option<String> {
        self.last_modified.map(httpdate::fmt_http_date)
    }

    /// The same file with other contents and the validators that belong to them.
    pub(crate) fn with_content(&self, content: Content) -> Self {
        let fresh = Self::new(content);
        Self { content: fresh.content, etag: fresh.etag, last_modified: fresh.last_modified, ..self.clone() }
    }

    /// Where a behaviour strikes an answer that covers `start..end`.
    pub(crate) fn strike(&self, start: u64, end: u64) -> u64 {
        match self.at {
            Some(at) if start <= at && at < end => at,
            _ => start + (end - start) / 2,
        }
    }
}

impl From<Content> for OriginFile {
    fn from(content: Content) -> Self {
        Self::new(content)
    }
}
