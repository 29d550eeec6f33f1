//! What is fetched together, where, and what a piece hash file must be.

use super::*;

fn pieces(count: u64, length: u64) -> Pieces {
    let digests = vec![0; usize::try_from(count).unwrap() * 32];
    Pieces::new(Algorithm::Sha256, count * length - 1, length, digests).unwrap()
}

#[test]
fn what_is_left_and_what_goes_together() {
    let ten = pieces(10, 100);
    let rest: Vec<_> = without(&ten, &[0, 4, 5, 9]).iter().collect();
    assert_eq!(rest, [100..400, 600..900]);
    assert_eq!(batches(&ten, &[0, 4, 9]), [[0, 4, 9]]);
    let long = pieces(10, 40 << 20);
    assert_eq!(batches(&long, &[1, 2, 3]), [[1], [2], [3]]);
    let short = pieces(200, 1 << 20);
    let all: Vec<u64> = (0..200).collect();
    let lengths: Vec<usize> = batches(&short, &all).iter().map(Vec::len).collect();
    assert_eq!(lengths, [64, 64, 64, 8]);
}

#[test]
fn a_report_has_a_limit() {
    let many: RangeSet = (0..20_000).map(|n| n * 2..n * 2 + 1).collect();
    let few = reportable(&many);
    assert!(few.count() == RANGES_MAX && many.covers(&few));
    assert_eq!(reportable(&RangeSet::prefix(5)), RangeSet::prefix(5));
}

#[test]
fn places_take_turns() {
    let names = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let places = names(&["a", "b", "c", "b"]);
    assert_eq!(in_turns(&places, "a"), ["a", "b", "c"]);
    assert_eq!(in_turns(&places, "b"), ["b", "c", "a"]);
    assert_eq!(in_turns(&places, "x"), ["x", "a", "b", "c"]);
    assert_eq!(in_turns(&names(&["a"]), "a"), ["a"]);
    let many: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    assert_eq!(in_turns(&many, "5").len(), MIRRORS_MAX + 1);
}

#[tokio::test(flavor = "current_thread")]
async fn a_piece_hash_file_is_read_only_with_its_digest_and_root() {
    let manifest = bpm1::document(&pieces(3, 1 << 20)).unwrap();
    let right = digest_of(Algorithm::Sha256, &manifest);
    let long = digest_of(Algorithm::Sha512, &manifest);
    let wrong = Digest::new(Algorithm::Sha256, &"0".repeat(64)).unwrap();
    let file = |digest: Option<&Digest>, root: Option<&Digest>| PieceFile {
        location: "http://h/p".into(),
        digest: digest.cloned(),
        root: root.cloned(),
        mandatory: true,
    };
    let vendor = br#"{"MajorVersion":1}"#.to_vec();
    let of_vendor = digest_of(Algorithm::Sha256, &vendor);
    for (source, document, word) in [
        (file(None, None), &manifest, None),
        (file(Some(&right), Some(&right)), &manifest, None),
        (file(Some(&long), None), &manifest, None),
        (file(Some(&wrong), None), &manifest, Some("does not have the digest")),
        (file(Some(&right), Some(&wrong)), &manifest, Some("does not have the root")),
        (file(Some(&of_vendor), None), &vendor, Some("form of the piece hash file is not known")),
        (file(None, None), &vendor, Some("form of the piece hash file is not known")),
        (file(None, None), &manifest[..50].to_vec(), Some("cannot be used")),
        (file(None, None), &b"BPM1\x02tree".to_vec(), Some("kind 2")),
        (file(None, None), &Vec::new(), Some("not known")),
    ] {
        let found = read(source, Arc::new(document.clone())).await;
        match word {
            None => assert_eq!(found.unwrap().count(), 3),
            Some(word) => {
                let fail = found.unwrap_err();
                assert!(fail.detail.contains(word), "{}", fail.detail);
                let told = (fail.code, fail.class, fail.discard);
                assert_eq!(told, (DO_E_INTEGRITYCHECKINFO_UNAVAILABLE, Class::Fatal, false));
            }
        }
    }
}
