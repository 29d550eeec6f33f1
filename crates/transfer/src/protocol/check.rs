//! What the service believes of a worker's word.

use super::{CERTIFICATE_MAX, CHAIN_MAX, Event, FileCheckpoint, FoundCertificate, HEADERS_MAX, TEXT_MAX};
use openbits_core::RangeSet;

/// Most separate ranges of one file.
const RANGES_MAX: usize = 10_000;

/// Longest content of a file that is handed over, in base64: 1 MiB.
const CONTENT_MAX: usize = (1_usize << 20).div_ceil(3) * 4;

/// What no honest worker reports: a worker parses what strangers send, so its word has limits (DESIGN section 6).
///
/// # Errors
/// Names what is beyond its limit or contradicts itself.
pub fn check(event: &Event) -> Result<(), &'static str> {
    let short = |text: &str| text.len() <= TEXT_MAX;
    let all = |ok: bool, what: &'static str| if ok { Ok(()) } else { Err(what) };
    match event {
        Event::Connected { size, peer, .. } => {
            all(size.is_none_or(fits) && short(peer), "a size or peer beyond its limit")
        }
        Event::Headers { text, .. } => all(text.len() <= HEADERS_MAX, "headers beyond their limit"),
        Event::Note { url, note, .. } => all(short(url) && note.is_short(), "a note beyond its limit"),
        Event::Written { ranges, .. } => {
            all(ranges.count() <= RANGES_MAX && fits(ranges.end()), "a list of ranges beyond its limit")
        }
        Event::Restarted { reason, .. } => all(short(reason), "a reason beyond its limit"),
        Event::Checkpoint { files, .. } => files.iter().try_for_each(check_file),
        Event::Failed { failure, .. } => all(
            short(&failure.detail) && failure.url.as_deref().is_none_or(short) && !failure.code.is_ok(),
            "a failure with a text beyond its limit or a success code",
        ),
        Event::FinishDone { error, left, .. } => all(
            error.as_ref().is_none_or(|(_, code, text)| short(text) && !code.is_ok())
                && left.iter().all(|path| path.len() <= 2 * TEXT_MAX),
            "a path or text beyond its limit",
        ),
        Event::Redirected { remote, .. } => all(short(remote), "an address beyond its limit"),
        Event::CertificatePresented { server, chain, .. } => all(
            short(server)
                && (1..=CHAIN_MAX).contains(&chain.len())
                && chain.iter().all(|text| text.len() <= CERTIFICATE_MAX.div_ceil(3) * 4),
            "a certificate chain beyond its limit",
        ),
        Event::CertificateFound { result, .. } => {
            let hex =
                |text: &str, length| text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit());
            let sound = |found: &FoundCertificate| {
                hex(&found.sha1, 40) && hex(&found.sha256, 64) && short(&found.subject)
            };
            all(
                result.as_ref().map_or_else(|code| !code.is_ok(), |found| sound(found)),
                "a certificate that cannot be",
            )
        }
        Event::Upload { state, .. } => all(
            state.is_sound() && state.source.is_none_or(|source| fits(source.size)) && fits(state.offset),
            "an upload beyond its limits",
        ),
        Event::Probed { content, .. } => {
            all(content.as_ref().is_none_or(|text| text.len() <= CONTENT_MAX), "a content beyond its limit")
        }
        Event::Progress { .. }
        | Event::Pace { .. }
        | Event::Done { .. }
        | Event::Stopped { .. }
        | Event::Pong { .. } => Ok(()),
        // Nobody moves more than a terabyte in a report of half a second; the sum stays far from an overflow.
        Event::Moved { bytes, .. } => {
            all(bytes.iter().all(|bytes| *bytes <= 1 << 48), "more bytes than there can be")
        }
    }
}

/// No file is larger than the kernel's file offsets.
const fn fits(size: u64) -> bool {
    size <= i64::MAX.cast_unsigned()
}

fn check_file(file: &FileCheckpoint) -> Result<(), &'static str> {
    let validator = file.validator.as_ref();
    let texts = validator.is_none_or(|v| {
        [&v.etag, &v.last_modified, &v.mirror].into_iter().flatten().all(|t| t.len() <= TEXT_MAX)
    });
    if !texts || file.done.count() > RANGES_MAX {
        return Err("a validator or a list of ranges beyond its limit");
    }
    if !file.remote_size.is_none_or(fits) {
        return Err("a remote size beyond its limit");
    }
    let end = file.size.unwrap_or(i64::MAX.cast_unsigned());
    if !fits(end) || file.done.end() > end {
        return Err("ranges beyond the end of the file");
    }
    if file.finished && file.size.is_none_or(|size| file.done != RangeSet::prefix(size)) {
        return Err("a finished file that is not whole");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Failure, FailureClass, Validator};
    use openbits_core::hresult::{BG_E_HTTP_ERROR_404, S_OK};
    use openbits_core::{AttemptId, ErrorContext, JobId};

    fn checkpoint(file: FileCheckpoint) -> Event {
        Event::Checkpoint { job: JobId::from_bytes([1; 16]), attempt: AttemptId(1), files: vec![file] }
    }

    fn whole(size: u64) -> FileCheckpoint {
        FileCheckpoint {
            file: 0,
            size: Some(size),
            remote_size: None,
            done: RangeSet::prefix(size),
            validator: None,
            modified_s: None,
            finished: true,
            no_ranges: false,
        }
    }

    #[test]
    fn honest_reports_pass_and_lies_do_not() {
        assert_eq!(check(&checkpoint(whole(0))), Ok(()));
        assert_eq!(check(&checkpoint(whole(10))), Ok(()));
        let lies = [
            FileCheckpoint { size: None, ..whole(10) },
            FileCheckpoint { size: Some(11), ..whole(10) },
            FileCheckpoint { size: Some(9), finished: false, ..whole(10) },
            FileCheckpoint { size: Some(u64::MAX), finished: false, ..whole(10) },
            FileCheckpoint { remote_size: Some(u64::MAX), ..whole(10) },
            FileCheckpoint {
                validator: Some(Validator {
                    etag: Some("x".repeat(TEXT_MAX + 1)),
                    last_modified: None,
                    mirror: None,
                }),
                ..whole(10)
            },
            FileCheckpoint {
                done: (0..=RANGES_MAX as u64).map(|n| n * 2..n * 2 + 1).collect(),
                size: None,
                finished: false,
                ..whole(0)
            },
        ];
        for lie in lies {
            assert!(check(&checkpoint(lie.clone())).is_err(), "{lie:?}");
        }
        let written = |ranges| Event::Written {
            job: JobId::from_bytes([1; 16]),
            attempt: AttemptId(1),
            file: 0,
            ranges,
        };
        let pieces = |count: u64| (0..count).map(|n| n * 2..n * 2 + 1).collect();
        assert_eq!(check(&written(pieces(RANGES_MAX as u64))), Ok(()));
        assert!(check(&written(pieces(RANGES_MAX as u64 + 1))).is_err());
        assert!(check(&written(RangeSet::prefix(u64::MAX))).is_err());
        let failed = |code, detail: String| Event::Failed {
            job: JobId::from_bytes([1; 16]),
            attempt: AttemptId(1),
            failure: Box::new(Failure {
                code,
                context: ErrorContext::RemoteFile,
                class: FailureClass::Fatal,
                file: None,
                http_status: None,
                url: None,
                retry_after_ms: None,
                detail,
            }),
        };
        assert_eq!(check(&failed(BG_E_HTTP_ERROR_404, String::new())), Ok(()));
        assert!(check(&failed(S_OK, String::new())).is_err());
        assert!(check(&failed(BG_E_HTTP_ERROR_404, "x".repeat(TEXT_MAX + 1))).is_err());
    }
}
