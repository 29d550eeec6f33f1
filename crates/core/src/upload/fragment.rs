//! What a fragment does to a session (spec/upload-protocol.md 10.1).

use super::{ContentRange, Progress, Refusal};

/// What to do with the body of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Drop the first `skip` bytes of the body, write the rest at the next expected offset.
    Write {
        /// Bytes of the body that are there already.
        skip: u64,
        /// Bytes to write.
        length: u64,
        /// Size of the whole file.
        total: u64,
    },
    /// All of it is there already: read the body and drop it.
    Duplicate {
        /// True if the fragment contains the final byte, so that the answer carries the reply.
        last: bool,
    },
}

/// The table of section 10.1. The range has passed [`super::Envelope::range`].
///
/// `max_size` is the path's limit in bytes, `max_fragment` the server's for one body.
pub fn decide(
    progress: Progress,
    range: ContentRange,
    max_size: u64,
    max_fragment: u64,
) -> Result<Decision, Refusal> {
    let total = range.total();
    if progress.total.is_some_and(|stored| stored != total) {
        return Err(Refusal::Invalid("the total differs from the earlier fragments"));
    }
    if total > max_size {
        return Err(Refusal::TooLarge);
    }
    let ContentRange::Span { first, last, .. } = range else {
        return Ok(match progress.total {
            None => Decision::Write { skip: 0, length: 0, total: 0 },
            Some(_) => Decision::Duplicate { last: true },
        });
    };
    if last - first >= max_fragment {
        return Err(Refusal::FragmentTooLarge);
    }
    let next = progress.next;
    if first > next {
        return Err(Refusal::OutOfStep { next });
    }
    if last < next {
        return Ok(Decision::Duplicate { last: last + 1 == total });
    }
    Ok(Decision::Write { skip: next - first, length: last - next + 1, total })
}
