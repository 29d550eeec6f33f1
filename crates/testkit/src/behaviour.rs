//! The behaviours a file on the origin may have.

use std::fmt;
use std::str::FromStr;

macro_rules! behaviours {
    ($( $(#[doc = $doc:literal])+ $variant:ident = $name:literal, )+) => {
        /// How the origin answers requests for a file. Where a behaviour strikes at a byte, it is that of
        /// [`crate::OriginFile::at`]; how often it strikes is [`crate::OriginFile::times`].
        ///
        /// HTTP/2 carries those whose answer has a well-formed header; the others reset the stream with
        /// HTTP_1_1_REQUIRED there.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Behaviour {
            $( $(#[doc = $doc])+ $variant, )+
            /// `status-N`: status N and a short text, with the header that belongs to it (`WWW-Authenticate`, `Allow`,
            /// `Content-Range: bytes */size`, ...). 204, 205 and 304 have no body. From 100 to 999.
            Status(u16),
            /// `redirect-N`: status N (300 to 399) to the same file at the same origin, which is then good.
            Redirect(u16),
            /// `redirect-chain-N`: N redirects (302) one after the other, then good.
            RedirectChain(u16),
        }

        impl Behaviour {
            /// Every behaviour; of the numbered ones, the numbers that matter.
            pub const ALL: &[Self] = &[
                $( Self::$variant, )+
                Self::Status(204), Self::Status(205), Self::Status(300), Self::Status(304), Self::Status(305),
                Self::Status(400), Self::Status(401), Self::Status(402), Self::Status(403), Self::Status(404),
                Self::Status(405), Self::Status(407), Self::Status(408), Self::Status(409), Self::Status(410),
                Self::Status(412), Self::Status(414), Self::Status(415), Self::Status(416), Self::Status(420),
                Self::Status(425), Self::Status(429), Self::Status(449), Self::Status(499), Self::Status(500),
                Self::Status(501), Self::Status(502), Self::Status(503), Self::Status(504), Self::Status(505),
                Self::Status(520), Self::Status(524), Self::Status(599), Self::Status(999),
                Self::Redirect(301), Self::Redirect(302), Self::Redirect(303), Self::Redirect(307),
                Self::Redirect(308), Self::RedirectChain(5), Self::RedirectChain(30),
            ];

            fn fixed_name(self) -> Option<&'static str> {
                match self {
                    $( Self::$variant => Some($name), )+
                    Self::Status(_) | Self::Redirect(_) | Self::RedirectChain(_) => None,
                }
            }
        }
    };
}

behaviours! {
    /// Everything as RFC 9110 wants it: ranges, If-Range, HEAD, keep-alive.
    Good = "good",

    /// 200 with everything to every range request; no `Accept-Ranges`.
    NoRanges = "no-ranges",
    /// 200 to the first request, ranges from the second on: a CDN with a large object not cached yet.
    RangesOnlyAfterFirst = "ranges-only-after-first",
    /// 206 without `Content-Range`.
    PartialNoContentRange = "206-no-content-range",
    /// 206 with the right bytes and a `Content-Range` that begins and ends one byte later.
    PartialWrongStart = "206-wrong-start",
    /// 206 with the right bytes and a `Content-Range` that ends one byte later.
    PartialWrongEnd = "206-wrong-end",
    /// 206 with a total one larger than the file.
    PartialWrongTotal = "206-wrong-total",
    /// 206 with the total `*`: legal, and the size stays unknown.
    PartialStarTotal = "206-star-total",
    /// 206 multipart/byteranges with one part as answer to a single range.
    PartialMultipart = "206-multipart",
    /// 206 (first half of the file) to a request without `Range`.
    PartialUnasked = "206-unasked",
    /// 206 with the unit `items` in `Content-Range`.
    PartialWrongUnit = "206-wrong-unit",
    /// 206 with a `Content-Range` that is not one.
    PartialGarbage = "206-garbage-content-range",
    /// 206 with the first half of the range asked for only, labelled rightly: legal.
    PartialShorter = "206-shorter-than-asked",
    /// 206 labelled as asked with the bytes of the beginning of the file: only a digest tells.
    PartialWrongBytes = "206-wrong-bytes",
    /// 206 for another range than asked for (from the start of the file), labelled rightly.
    PartialOtherRange = "206-other-range",
    /// 206 with `content-range:BYTES  a-b/c`: odd case and spaces.
    ContentRangeOddSpelling = "content-range-odd-spelling",
    /// `Accept-Ranges: none`, although ranges work.
    AcceptRangesNone = "accept-ranges-none",
    /// The total in `Content-Range` grows by one with every answer.
    TotalChanges = "total-changes",
    /// 416 to the first range request, then good.
    Range416Once = "416-once",
    /// 416 without `Content-Range` to every range request.
    Range416NoTotal = "416-no-total",

    /// The file changes after the first answer, which is cut; ranges of the new version are sent whatever `If-Range`
    /// says, with the new tag and date.
    IfRangeIgnored = "if-range-ignored",
    /// The same, without any validator in the answers, size unchanged.
    IfRangeIgnoredNoValidators = "if-range-ignored-no-validators",
    /// Another strong tag in every answer; the content stays.
    EtagAlwaysNew = "etag-always-new",
    /// Another date in every answer, no tag; the content stays.
    DateAlwaysNew = "date-always-new",
    /// A weak tag and no date. `If-Range` with it gets the whole file.
    WeakEtag = "weak-etag",
    /// Neither tag nor date.
    NoValidators = "no-validators",
    /// A date and no tag.
    OnlyDate = "only-date",
    /// A tag and no date.
    OnlyEtag = "only-etag",
    /// A tag without quotes.
    GarbageEtag = "garbage-etag",
    /// `Last-Modified: yesterday`.
    GarbageDate = "garbage-date",
    /// Tag and date depend on the connection: nodes of a farm with the same content.
    FarmNodes = "farm-nodes",
    /// The first answer is cut at the byte; the file then has other bytes, a new tag and a new date.
    ChangesEtag = "changes-etag",
    /// The same, without tags: only the date is new.
    ChangesDate = "changes-date",
    /// The same; tag and date stay, only the size is new.
    ChangesSize = "changes-size",
    /// The same; size, tag and date stay: only a digest tells.
    ChangesSilently = "changes-silently",
    /// One answer, complete in size, has the old version up to the byte and the new one from there on.
    TornBody = "torn-body",
    /// One bit of the byte is wrong; size, tag and date say nothing of it: damage on the way.
    FlippedByte = "flipped-byte",

    /// No `Content-Length`; the end of the connection ends the body.
    NoContentLength = "no-content-length",
    /// Chunked coding, in pieces of 1000 bytes.
    Chunked = "chunked",
    /// Chunked; the second chunk's size is not a number.
    ChunkedBadSize = "chunked-bad-size",
    /// Chunked; the connection ends inside a chunk.
    ChunkedTruncated = "chunked-truncated",
    /// Chunked; the connection ends between chunks, without the last one.
    ChunkedNoEnd = "chunked-no-end",
    /// Chunked, with a `Content-Length` of 5 as well (request smuggling).
    ChunkedAndLength = "chunked-and-length",
    /// The connection is closed in the regular way at the byte.
    ShortClose = "short-close",
    /// The connection is reset at the byte.
    ShortReset = "short-reset",
    /// 100 bytes more than `Content-Length`, then the connection is closed.
    LongBody = "long-body",
    /// `Content-Length` one smaller than the range in `Content-Range` (206) or than the body (200).
    LengthMismatch = "length-mismatch",
    /// Two `Content-Length` fields, the second one larger by one.
    TwoLengths = "two-lengths",
    /// `Content-Length: -1`.
    NegativeLength = "negative-length",
    /// `Content-Length: many`.
    GarbageLength = "garbage-length",
    /// `Content-Length: 18446744073709551617`.
    OverflowLength = "overflow-length",
    /// A gzip file (stored blocks) with `Content-Encoding: gzip`, although identity was asked for.
    ContentGzip = "content-encoding-gzip",
    /// `Transfer-Encoding: gzip, chunked`.
    TransferGzip = "transfer-encoding-gzip",
    /// The file is empty: 200 with length 0; any range 416 with `bytes */0`.
    EmptyFile = "empty-file",
    /// The file has one byte.
    OneByteFile = "one-byte-file",

    /// 200 with a page of HTML that asks to log in.
    CaptivePortal = "captive-portal",
    /// 429, `Retry-After: 1`.
    RetryAfterSeconds = "429-retry-after-seconds",
    /// 429, `Retry-After` with the date in two seconds.
    RetryAfterDate = "429-retry-after-date",
    /// 429, `Retry-After: 99999999999999999999`.
    RetryAfterAbsurd = "429-retry-after-absurd",
    /// 429, `Retry-After: soon`.
    RetryAfterGarbage = "429-retry-after-garbage",
    /// 503, `Retry-After: 1`.
    Busy = "503-retry-after-seconds",
    /// 503 to the first two requests, then good.
    BusyTwice = "503-twice",
    /// 401 with a Basic challenge unless `Authorization` came.
    WantsBasic = "wants-basic",

    /// 302 to itself.
    RedirectLoop = "redirect-loop",
    /// 302 to the same file at the other port; the log tells whether credentials came along.
    RedirectCrossOrigin = "redirect-cross-origin",
    /// 302 without `Location`.
    RedirectNoLocation = "redirect-no-location",
    /// 302 to `file:///etc/passwd`.
    RedirectFile = "redirect-file",
    /// 302 to an `ftp:` URL.
    RedirectFtp = "redirect-ftp",
    /// 302 to `http:` at the main port; a downgrade when asked over HTTPS.
    RedirectPlain = "redirect-plain-http",
    /// 302 to a relative reference.
    RedirectRelative = "redirect-relative",
    /// 302 to a URL of 60,000 bytes.
    RedirectLong = "redirect-long",
    /// 302 to `http://[::bad`.
    RedirectGarbage = "redirect-garbage",

    /// A status line that is none.
    GarbageStatus = "garbage-status",
    /// HTTP/0.9: the body and nothing else.
    Http09 = "http-0.9",
    /// HTTP/1.0 with ranges, closing.
    Http10 = "http-1.0",
    /// HTTP/1.0 without ranges, closing.
    Http10NoRanges = "http-1.0-no-ranges",
    /// A header line without colon.
    HeaderNoColon = "header-no-colon",
    /// Headers without end (64 MiB, then silence).
    EndlessHeaders = "endless-headers",
    /// One header field of 1 MiB.
    HugeHeader = "huge-header",
    /// 10,000 header fields.
    ManyHeaders = "many-headers",
    /// A NUL byte in a field value.
    NulInHeader = "nul-in-header",
    /// A folded header line.
    ObsFold = "obs-fold",
    /// Lines that end in LF only.
    BareLf = "bare-lf",
    /// Space before the colon of `Content-Length`.
    SpaceBeforeColon = "space-before-colon",
    /// `100 Continue` before the answer.
    Continue = "100-continue",
    /// `103 Early Hints` before the answer.
    EarlyHints = "103-early-hints",
    /// A hundred `103 Early Hints` before the answer.
    ManyEarlyHints = "103-many",
    /// `103 Early Hints` without end (64 MiB, then silence).
    EndlessEarlyHints = "103-endless",

    /// Reads the request and never answers.
    NeverAnswers = "never-answers",
    /// Answers after a second.
    AnswersLate = "answers-late",
    /// Closes without an answer.
    ClosesUnanswered = "closes-unanswered",
    /// Resets without an answer. (To reset before the request is read: [`crate::Origin::on_accept`].)
    ResetsUnanswered = "resets-unanswered",
    /// Silence inside the header.
    StallsInHeader = "stalls-in-header",
    /// Silence at the byte.
    StallsInBody = "stalls-in-body",
    /// One byte of the body per second.
    Trickle = "trickle",
    /// Closes after the answer although it promised to keep the connection: the next request meets the end.
    KeepAliveLie = "keep-alive-lie",
    /// A second answer after the first one on the same connection, unasked.
    UnaskedSecondAnswer = "unasked-second-answer",

    /// HEAD gets 405; GET is good.
    HeadRefused = "head-405",
    /// HEAD gets 403 (presigned URL); GET is good.
    HeadForbidden = "head-403",
    /// HEAD has a `Content-Length` larger by one; GET is good.
    HeadLies = "head-wrong-length",
    /// HEAD has no `Content-Length`; GET is good.
    HeadNoLength = "head-no-length",
    /// HEAD gets a body.
    HeadWithBody = "head-with-body",

    /// HTTP/2: GOAWAY and the end of the connection at the byte; HTTP/1: as `short-close`. (`no-content-length` and
    /// `short-reset` are the other two faults that HTTP/2 has: no length field, RST_STREAM.)
    Goaway = "goaway",
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status-{status}"),
            Self::Redirect(status) => write!(f, "redirect-{status}"),
            Self::RedirectChain(length) => write!(f, "redirect-chain-{length}"),
            other => f.write_str(other.fixed_name().unwrap_or_default()),
        }
    }
}

/// There is no behaviour of that name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no behaviour is called {0:?}")]
pub struct UnknownBehaviour(pub String);

impl FromStr for Behaviour {
    type Err = UnknownBehaviour;

    fn from_str(name: &str) -> Result<Self, UnknownBehaviour> {
        if let Some(found) = Self::ALL.iter().find(|one| one.fixed_name() == Some(name)) {
            return Ok(*found);
        }
        let number = |prefix: &str, low: u16, high: u16| {
            name.strip_prefix(prefix)?.parse().ok().filter(|number| (low..=high).contains(number))
        };
        None.or_else(|| number("status-", 100, 999).map(Self::Status))
            .or_else(|| number("redirect-chain-", 0, u16::MAX).map(Self::RedirectChain))
            .or_else(|| number("redirect-", 300, 399).map(Self::Redirect))
            .ok_or_else(|| UnknownBehaviour(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kebab_case_unique_and_read_back() {
        let mut names: Vec<String> = Behaviour::ALL.iter().map(ToString::to_string).collect();
        for (name, behaviour) in names.iter().zip(Behaviour::ALL) {
            assert_eq!(name.parse(), Ok(*behaviour));
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b)),
                "{name}"
            );
        }
        assert_eq!("status-418".parse(), Ok(Behaviour::Status(418)));
        for wrong in ["", "status-99", "status-1000", "redirect-200", "Good", "redirect-chain-"] {
            assert!(wrong.parse::<Behaviour>().is_err(), "{wrong}");
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), Behaviour::ALL.len());
        assert!(names.len() > 45);
    }
}
