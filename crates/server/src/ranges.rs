//! The Range header of downloads (RFC 9110, 14; spec/upload-protocol.md 20.1).

use openbits_core::upload::grammar::decimal;

/// Ranges answered in one response; more than that is answered with the whole file.
const MAX_RANGES: usize = 64;

/// What to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Everything: there is no Range, or it is to be ignored.
    Whole,
    /// These spans, in the order asked: first byte and length.
    Parts(Vec<(u64, u64)>),
    /// No span touches the file.
    None,
}

/// Reads the value for a file of `size` bytes. Malformed ranges are ignored, as the standard says.
pub(crate) fn wanted(value: &[u8], size: u64) -> Wanted {
    let Some((unit, list)) = std::str::from_utf8(value).ok().and_then(|v| v.split_once('=')) else {
        return Wanted::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::Whole;
    }
    let mut parts = Vec::new();
    let mut seen = 0;
    for one in list.split(',').map(str::trim).filter(|one| !one.is_empty()) {
        seen += 1;
        if seen > MAX_RANGES {
            return Wanted::Whole;
        }
        match span(one, size) {
            None => return Wanted::Whole,
            Some(Some(part)) => parts.push(part),
            Some(None) => {}
        }
    }
    // Many overlapping ranges cost the server more than the file.
    let sum: u64 = parts.iter().fold(0, |sum, part| sum.saturating_add(part.1));
    match () {
        () if seen == 0 || (parts.len() > 1 && sum > size) => Wanted::Whole,
        () if parts.is_empty() => Wanted::None,
        () => Wanted::Parts(parts),
    }
}

/// `None` if malformed, `Some(None)` if it does not touch the file.
fn span(text: &str, size: u64) -> Option<Option<(u64, u64)>> {
    let (first, last) = text.split_once('-')?;
    if first.is_empty() {
        let count = decimal(last)?.min(size);
        return Some((count > 0).then(|| (size - count, count)));
    }
    let first = decimal(first)?;
    let last = if last.is_empty() { u64::MAX } else { decimal(last)? };
    if last < first {
        return None;
    }
    if first >= size {
        return Some(None);
    }
    Some(Some((first, last.min(size - 1) - first + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let parts = |list: &[(u64, u64)]| Wanted::Parts(list.to_vec());
        for (text, wants) in [
            ("bytes=0-4", parts(&[(0, 5)])),
            ("bytes=5-", parts(&[(5, 7)])),
            ("bytes=-3", parts(&[(9, 3)])),
            ("bytes=-99", parts(&[(0, 12)])),
            ("bytes=10-99", parts(&[(10, 2)])),
            ("Bytes=0-0, 11-11", parts(&[(0, 1), (11, 1)])),
            ("bytes=8-9,0-1", parts(&[(8, 2), (0, 2)])),
            ("bytes=12-", Wanted::None),
            ("bytes=-0", Wanted::None),
            ("bytes=0-1,50-60", parts(&[(0, 2)])),
            ("bytes=4-2", Wanted::Whole),
            ("bytes=", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("lines=0-4", Wanted::Whole),
            ("bytes=0-,0-,0-", Wanted::Whole),
        ] {
            assert_eq!(wanted(text.as_bytes(), 12), wants, "{text}");
        }
        assert_eq!(wanted(b"bytes=0-", 0), Wanted::None);
        let many = format!("bytes={}", vec!["0-0"; MAX_RANGES + 1].join(","));
        assert_eq!(wanted(many.as_bytes(), 1000), Wanted::Whole);
    }

    proptest! {
        #[test]
        fn parts_lie_within_the_file(text in "(bytes=)?[0-9,\\- a]{0,40}", size in any::<u64>()) {
            if let Wanted::Parts(parts) = wanted(text.as_bytes(), size) {
                for (first, length) in parts {
                    prop_assert!(length > 0 && first.checked_add(length).is_some_and(|end| end <= size));
                }
            }
        }
    }
}
