//! Digests of pieces: a damaged part is fetched again, and only that part; never a wrong file.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use openbits_core::RangeSet;
use openbits_core::delivery::codes::DO_E_INTEGRITYCHECKINFO_UNAVAILABLE;
use openbits_core::hresult::*;
use openbits_core::integrity::{Pieces, bpm1};
use openbits_core::layout::{FileRange, LENGTH_TO_EOF, Layout};
use openbits_testkit::{Behaviour, Content, Etag, Origin, OriginFile};
use openbits_transfer::protocol::{
    Algorithm, Digest, DigestSource, Event, FailureClass, PieceFile, SourceKind, Wanted, check,
};

/// Bytes of a file, the last piece being short.
const SIZE: u64 = (4 << 20) + 123;
/// Bytes of a piece.
const LENGTH: u64 = 64 << 10;

fn pieces(content: &Content, length: u64) -> Pieces {
    let sha256 = |at| {
        let bytes = content.byte_range(at, length);
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes).as_ref().to_vec()
    };
    let digests = (0..content.size()).step_by(usize::try_from(length).unwrap()).flat_map(sha256).collect();
    Pieces::new(Algorithm::Sha256, content.size(), length, digests).unwrap()
}

fn manifest(content: &Content) -> Vec<u8> {
    bpm1::document(&pieces(content, LENGTH)).unwrap()
}

fn literal(bytes: Vec<u8>) -> OriginFile {
    OriginFile::new(Content::literal(bytes))
}

fn sha256(bytes: &[u8]) -> Digest {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    Digest::from_bytes(Algorithm::Sha256, digest.as_ref()).unwrap()
}

/// A piece hash file at this address.
fn at(location: &str, mandatory: bool) -> PieceFile {
    PieceFile { location: location.into(), digest: None, root: None, mandatory }
}

/// The same content with wrong bytes.
fn damaged(content: &Content, bytes: &[u64]) -> Content {
    let mut all = content.byte_range(0, content.size());
    for at in bytes {
        all[usize::try_from(*at).unwrap()] ^= 1;
    }
    Content::literal(all)
}

/// What was asked of a file, and how many bytes went out.
fn asked(origin: &Origin, name: &str) -> (Vec<String>, u64) {
    let requests = origin.requests(name);
    let ranges = requests.iter().map(|request| request.range().unwrap_or("-").to_owned()).collect();
    (ranges, requests.iter().map(|request| request.body_bytes).sum())
}

#[test]
fn one_flipped_piece_is_fetched_again_and_nothing_else() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    let content = Content::new(1, SIZE);
    let list = manifest(&content);
    origin.put("p", literal(list.clone()));
    for (damage, range, again) in [
        (1_000_000, "bytes=983040-1048575", LENGTH),
        (0, "bytes=0-65535", LENGTH),
        (SIZE - 1, "bytes=4194304-", 123),
    ] {
        let good = OriginFile::new(content.clone());
        // What identifies the version does not matter: the bytes are proven.
        for file in [good.clone(), good.etag(Etag::Absent).last_modified(None)] {
            origin.put("f", file.behaviour(Behaviour::FlippedByte).at(damage).times(1));
            origin.clear_log();
            let mut job = bench.job(&[(&origin.url("f"), "f")]);
            job.files[0].order.digests = vec![Digest::new(Algorithm::Sha256, &content.sha256_hex()).unwrap()];
            let digest = Some(sha256(&list));
            job.files[0].order.piece_file =
                Some(PieceFile { root: digest.clone(), digest, ..at(&origin.url("p"), true) });
            let run = bench.attempt(&mut job);
            assert_eq!((&run.end, run.restarts()), (&End::Done, 0));
            assert_content(&job.temp(0), &content);
            let (ranges, bytes) = asked(&origin, "f");
            assert_eq!((ranges, bytes), (vec!["bytes=0-".to_owned(), range.to_owned()], SIZE + again));
            assert_eq!(origin.requests("f")[1].header("if-range"), None);
            // The service heard that the piece is missing before it was asked for.
            let mut rest = RangeSet::prefix(SIZE);
            rest.remove(damage / LENGTH * LENGTH..(damage / LENGTH * LENGTH + LENGTH).min(SIZE));
            let told = run.events.iter().any(|event| match event {
                Event::Checkpoint { files, .. } => files[0].done == rest && !files[0].finished,
                _ => false,
            });
            assert!(told);
            bench.finish(&job);
        }
    }
}

#[test]
fn a_right_file_costs_nothing_more() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    for size in [0, 1, LENGTH, SIZE] {
        let content = Content::new(1, size);
        origin.put("f", content.clone());
        origin.put("p", literal(manifest(&content)));
        origin.clear_log();
        let mut job = bench.job(&[(&origin.url("f"), "f")]);
        job.files[0].order.piece_file = Some(at(&origin.url("p"), true));
        assert_eq!(bench.attempt(&mut job).end, End::Done, "{size}");
        assert_content(&job.temp(0), &content);
        assert_eq!((origin.requests("f").len(), origin.requests("p").len()), (1, 1));
        bench.finish(&job);
    }
}

#[test]
fn other_mirrors_give_the_pieces_that_the_first_has_wrong() {
    let mut bench = Bench::new();
    let (a, b, gone) = (Origin::start(), Origin::start(), Origin::start());
    let content = Content::new(1, SIZE);
    // Pieces 1, 2, 15 and the last one.
    a.put("f", OriginFile::new(damaged(&content, &[LENGTH, 3 * LENGTH - 1, 1_000_000, SIZE - 1])));
    a.put("p", literal(manifest(&content)));
    b.put("f", content.clone());
    gone.put("plain", OriginFile::new(content.clone()).behaviour(Behaviour::NoRanges));
    gone.put("other-size", Content::new(1, SIZE + 1));
    gone.put("busy", OriginFile::new(content.clone()).behaviour(Behaviour::Busy));
    let mut job = bench.job(&[(&a.url("f"), "f")]);
    job.files[0].order.piece_file = Some(at(&a.url("p"), false));
    job.files[0].order.mirrors = vec![
        gone.url("not-there"),
        "http://127.0.0.1:1/f".to_owned(),
        gone.url("plain"),
        gone.url("other-size"),
        gone.url("busy"),
        b.url("f"),
    ];
    let run = bench.attempt(&mut job);
    assert_eq!((&run.end, run.restarts()), (&End::Done, 0));
    assert_content(&job.temp(0), &content);
    assert_eq!(asked(&a, "f"), (vec!["bytes=0-".to_owned()], SIZE));
    let ranges = ["bytes=65536-196607", "bytes=983040-1048575", "bytes=4194304-"].map(str::to_owned);
    assert_eq!(asked(&b, "f"), (ranges.to_vec(), 3 * LENGTH + 123));
    // It stays a file of the place that gave the most of it.
    assert_eq!(job.files[0].order.validator.as_ref().unwrap().mirror, None);
    let (renamed, error, _) = bench.finish(&job);
    assert_eq!((renamed, error), (vec![0], None));
}

#[test]
fn a_piece_that_stays_wrong_ends_the_file_and_nothing_of_it_is_kept() {
    let mut bench = Bench::new();
    let (a, b) = (Origin::start(), Origin::start());
    let content = Content::new(1, SIZE);
    a.put("f", OriginFile::new(damaged(&content, &[1_000_000])));
    a.put("p", literal(manifest(&content)));
    b.put("f", OriginFile::new(damaged(&content, &[1_000_001])));
    for (mirrors, of_a, of_b) in [(vec![], 3, 0), (vec![b.url("f")], 1, 2)] {
        for mandatory in [false, true] {
            a.clear_log();
            b.clear_log();
            let mut job = bench.job(&[(&a.url("f"), "f")]);
            job.files[0].order.piece_file = Some(at(&a.url("p"), mandatory));
            job.files[0].order.mirrors = mirrors.clone();
            let run = bench.attempt(&mut job);
            let found = (run.failure().code, run.failure().class);
            assert_eq!(found, (BG_E_VALIDATION_FAILED, FailureClass::Fatal));
            assert!(run.failure().detail.contains("1 of 65 pieces"), "{}", run.failure().detail);
            assert!(job.files[0].order.done.is_empty() && !job.temp(0).exists() && !job.local(0).exists());
            assert_eq!(asked(&a, "f").1, SIZE + of_a * LENGTH);
            assert_eq!(asked(&b, "f").1, of_b * LENGTH);
            // A list that may have changed is asked for once more.
            assert_eq!(a.requests("p").len(), 2);
        }
    }
}

#[test]
fn servers_without_ranges_and_files_without_a_right_piece_begin_again_once() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    let content = Content::new(1, SIZE);
    origin.put("p", literal(manifest(&content)));
    let plain = OriginFile::new(damaged(&content, &[1_000_000])).behaviour(Behaviour::NoRanges);
    for (file, restarts) in [(plain, 1), (OriginFile::new(Content::new(2, SIZE)), 1)] {
        origin.put("f", file);
        let mut job = bench.job(&[(&origin.url("f"), "f")]);
        job.files[0].order.piece_file = Some(at(&origin.url("p"), false));
        let run = bench.attempt(&mut job);
        assert_eq!((run.failure().code, run.restarts()), (BG_E_VALIDATION_FAILED, restarts));
        assert!(job.files[0].order.done.is_empty() && !job.temp(0).exists());
    }
    // What becomes right meanwhile arrives.
    origin.put("f", OriginFile::new(damaged(&content, &[9])).behaviour(Behaviour::NoRanges));
    origin.hold("f", SIZE / 2);
    let mut job = bench.job(&[(&origin.url("f"), "f")]);
    job.files[0].order.piece_file = Some(at(&origin.url("p"), false));
    let run = bench.attempt_until(&mut job, |event, _| {
        if matches!(event, Event::Checkpoint { .. }) {
            origin.replace("f", content.clone());
            origin.release("f");
        }
        false
    });
    assert_eq!((&run.end, run.restarts()), (&End::Done, 1));
    assert_content(&job.temp(0), &content);
}

/// A client that reads the file while it grows has read what was wrong; a method of the job's own always fetches everything.
#[test]
fn what_cannot_be_mended_ends() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    let content = Content::new(1, SIZE);
    origin.put("p", literal(manifest(&content)));
    origin.put("f", OriginFile::new(damaged(&content, &[1_000_000])).any_method());
    for pinned in [true, false] {
        origin.clear_log();
        let mut job = bench.job(&[(&origin.url("f"), "f")]);
        job.files[0].order.piece_file = Some(at(&origin.url("p"), false));
        if pinned {
            job.files[0].order.wanted.pinned = true;
        } else {
            job.options.method = Some("POST".to_owned());
        }
        assert_eq!(bench.attempt(&mut job).failure().code, BG_E_VALIDATION_FAILED);
        assert_eq!(origin.requests("f").len(), 1);
        assert!(!job.temp(0).exists());
    }
}

/// Checklist row 15 of spec/delivery-optimization-com.md, and what is not known: the form of another service's piece hash file.
#[test]
fn without_usable_pieces_a_file_goes_on_or_is_stopped_before_its_first_byte() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    let content = Content::new(1, SIZE);
    origin.put("f", content.clone());
    let right = manifest(&content);
    origin.put("p", literal(right.clone()));
    origin.put("vendor", literal(br#"{"ContentLength":4194427,"Pieces":["x"]}"#.to_vec()));
    origin.put("cut", literal(right[..100].to_vec()));
    origin.put("long", Content::new(1, (8 << 20) + 1));
    origin.put("busy", literal(right.clone()));
    origin.set_behaviour("busy", Behaviour::Busy);
    let of = |name: &str| at(&origin.url(name), false);
    let wrong = Some(sha256(b"another"));
    let (fatal, transient) = (FailureClass::Fatal, FailureClass::Transient);
    for (file, class) in [
        (PieceFile { digest: wrong.clone(), ..of("p") }, fatal),
        (PieceFile { root: wrong, ..of("p") }, fatal),
        (of("vendor"), fatal),
        (of("cut"), fatal),
        (of("long"), fatal),
        (of("gone"), fatal),
        (of("busy"), transient),
        (at("http://127.0.0.1:1/p", false), transient),
    ] {
        origin.clear_log();
        let mut job = bench.job(&[(&origin.url("f"), "f")]);
        job.files[0].order.piece_file = Some(file.clone());
        assert_eq!(bench.attempt(&mut job).end, End::Done, "{file:?}");
        assert_content(&job.temp(0), &content);
        assert_eq!(origin.requests("f").len(), 1);
        bench.finish(&job);
        origin.clear_log();
        let mut job = bench.job(&[(&origin.url("f"), "g")]);
        job.files[0].order.piece_file = Some(PieceFile { mandatory: true, ..file.clone() });
        let run = bench.attempt(&mut job);
        let found = (run.failure().code, run.failure().class);
        assert_eq!(found, (DO_E_INTEGRITYCHECKINFO_UNAVAILABLE, class), "{file:?}");
        assert_eq!(origin.requests("f").len(), 0, "{file:?}");
        assert!(!job.temp(0).exists());
    }
    // Pieces are those of the whole file.
    for mandatory in [false, true] {
        let mut job = bench.job(&[(&origin.url("f"), "h")]);
        let layout = Layout::packed(vec![FileRange::new(10, 1000)]);
        job.files[0].order.wanted = Wanted { layout, ..Wanted::default() };
        job.files[0].order.piece_file = Some(at(&origin.url("p"), mandatory));
        let run = bench.attempt(&mut job);
        match mandatory {
            false => assert_eq!(run.end, End::Done),
            true => assert_eq!(run.failure().code, DO_E_INTEGRITYCHECKINFO_UNAVAILABLE),
        }
    }
    for (first, right) in [(FileRange::new(10, 1000), false), (FileRange::new(0, LENGTH_TO_EOF), true)] {
        let mut job = bench.job(&[(&origin.url("f"), "h")]);
        job.files[0].order.wanted = Wanted { first: vec![first], only_first: true, ..Wanted::default() };
        job.files[0].order.piece_file = Some(at(&origin.url("p"), true));
        let run = bench.attempt(&mut job);
        match right {
            true => assert_eq!(run.end, End::Done),
            false => assert_eq!(run.failure().code, DO_E_INTEGRITYCHECKINFO_UNAVAILABLE),
        }
    }
    // A file of another size than its pieces is not theirs.
    origin.put("f", Content::new(1, SIZE - 1));
    let mut job = bench.job(&[(&origin.url("f"), "i")]);
    job.files[0].order.piece_file = Some(of("p"));
    assert_eq!(bench.attempt(&mut job).failure().code, BG_E_VALIDATION_FAILED);
}

#[test]
fn a_piece_hash_file_that_a_cache_kept_too_long_is_fetched_again() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    let content = Content::new(1, SIZE);
    let right = manifest(&content);
    // Of one piece it says something else; its own digest is right, or not given.
    let old = manifest(&damaged(&content, &[1_000_000]));
    for digest in [None, Some(sha256(&right))] {
        origin.put("f", content.clone());
        origin.put("p", literal(old.clone()));
        if digest.is_some() {
            // The first answer is the old one, the second is not.
            origin.hold("p", 100);
        }
        origin.hold("f", SIZE / 2);
        origin.clear_log();
        let mut job = bench.job(&[(&origin.url("f"), "f")]);
        job.files[0].order.piece_file =
            Some(PieceFile { digest: digest.clone(), ..at(&origin.url("p"), true) });
        let run = std::thread::scope(|scope| {
            scope.spawn(|| {
                let name = if digest.is_some() { "p" } else { "f" };
                assert!(origin.wait_held(name, std::time::Duration::from_secs(60)));
                origin.replace("p", literal(right.clone()));
                origin.release("p");
                origin.release("f");
            });
            bench.attempt(&mut job)
        });
        assert_eq!(run.end, End::Done, "{digest:?}");
        assert_content(&job.temp(0), &content);
        let lists = origin.requests("p");
        assert_eq!((lists.len(), lists[1].header("cache-control")), (2, Some("no-cache")));
        // Without its digest the old list cost one piece.
        let again = if digest.is_some() { 0 } else { LENGTH };
        assert_eq!(asked(&origin, "f").1, SIZE + again);
        bench.finish(&job);
    }
}

fn metalink(content: &Content, length: u64, urls: &[&str]) -> String {
    let pieces = pieces(content, length);
    let hex = |digest: &[u8]| Digest::from_bytes(Algorithm::Sha256, digest).unwrap().hex().to_owned();
    let hashes: String =
        pieces.digests().chunks(32).map(|digest| format!("<hash>{}</hash>", hex(digest))).collect();
    let urls: String = urls.iter().map(|url| format!("<url>{url}</url>")).collect();
    format!(
        "<metalink xmlns='urn:ietf:params:xml:ns:metalink'><file name='f'><size>{}</size>\
         <hash type='sha-256'>{}</hash><pieces length='{length}' type='sha-256'>{hashes}</pieces>{urls}</file></metalink>",
        content.size(),
        content.sha256_hex()
    )
}

#[test]
fn the_pieces_of_a_metalink_count() {
    let mut bench = Bench::new();
    let (a, b) = (Origin::start(), Origin::start());
    let content = Content::new(1, SIZE);
    a.put("f", OriginFile::new(damaged(&content, &[1_000_000])));
    b.put("f", content.clone());
    a.put("f.meta4", literal(metalink(&content, 100_003, &[&a.url("f"), &b.url("f")]).into_bytes()));
    let mut job = bench.job(&[(&a.url("f.meta4"), "f")]);
    let (kind, location) = (SourceKind::Metalink, a.url("f.meta4").into());
    job.files[0].order.sources = vec![DigestSource { kind, location, name: None }];
    let run = bench.attempt(&mut job);
    assert_eq!((&run.end, run.restarts()), (&End::Done, 0));
    assert_content(&job.temp(0), &content);
    assert_eq!(asked(&a, "f"), (vec!["bytes=0-".to_owned()], SIZE));
    assert_eq!(asked(&b, "f"), (vec!["bytes=900027-1000029".to_owned()], 100_003));
}

/// What a lying server makes of many small pieces must not be more than the service takes.
#[test]
fn a_report_of_many_wrong_pieces_is_one_that_the_service_believes() {
    let (a, mut bench) = (Origin::start(), Bench::new());
    let (length, count) = (16, 24_000);
    let content = Content::new(1, length * count);
    let every_other: Vec<u64> = (0..count / 2).map(|n| n * 2 * length).collect();
    a.put("f", OriginFile::new(damaged(&content, &every_other)));
    a.put("f.meta4", literal(metalink(&content, length, &[]).into_bytes()));
    let mut job = bench.job(&[(&a.url("f"), "f")]);
    let (kind, location) = (SourceKind::Metalink, a.url("f.meta4").into());
    job.files[0].order.sources = vec![DigestSource { kind, location, name: None }];
    job.options.tell_ranges = true;
    let run = bench.attempt_until(&mut job, |event, job| {
        check(event).unwrap();
        let done = &job.files[0].order.done;
        matches!(event, Event::Checkpoint { .. }) && !done.is_empty() && done.count() > 1
    });
    assert_eq!(run.end, End::Stopped);
    run.events.iter().for_each(|event| check(event).unwrap());
    assert_eq!(job.files[0].order.done.count(), 8_192);
}

#[test]
fn stopped_while_pieces_are_fetched_again_only_what_is_proven_is_stored() {
    let mut bench = Bench::new();
    let (a, b) = (Origin::start(), Origin::start());
    let content = Content::new(1, SIZE);
    a.put("f", OriginFile::new(damaged(&content, &[1_000_000, 2_000_000])));
    a.put("p", literal(manifest(&content)));
    b.put("f", content.clone());
    // In the middle of the second piece.
    b.hold("f", 2_000_000);
    let mut job = bench.job(&[(&a.url("f"), "f")]);
    job.files[0].order.piece_file = Some(at(&a.url("p"), false));
    job.files[0].order.mirrors = vec![b.url("f")];
    let mut rest = RangeSet::prefix(SIZE);
    for damage in [1_000_000, 2_000_000] {
        rest.remove(damage / LENGTH * LENGTH..(damage / LENGTH + 1) * LENGTH);
    }
    let run = bench.attempt_until(&mut job, |event, job| {
        let missing = job.files[0].order.done == rest;
        missing
            && matches!(event, Event::Checkpoint { .. })
            && b.wait_held("f", std::time::Duration::from_secs(60))
    });
    assert_eq!(run.end, End::Stopped);
    assert_eq!(job.files[0].order.done, rest);
    let validator = job.files[0].order.validator.clone().unwrap();
    assert_eq!((validator.mirror, validator.etag.is_some()), (None, true), "that of the first place");
    b.release("f");
    a.clear_log();
    b.clear_log();
    let run = bench.attempt(&mut job);
    assert_eq!((&run.end, run.restarts()), (&End::Done, 0));
    assert_content(&job.temp(0), &content);
    assert_eq!((asked(&a, "f").1, asked(&b, "f").1), (2 * LENGTH, 2 * LENGTH));
}

/// Stops at any event and goes on, with pieces of odd lengths, two places, and damage that may be anywhere.
#[test]
fn stopped_anywhere_the_end_is_the_right_file() {
    let mut bench = Bench::new();
    let (a, b) = (Origin::start(), Origin::start());
    let content = Content::new(1, SIZE);
    for stop_at in 0..14_usize {
        let at = |n: u64| (stop_at as u64 * 7_919 + n * 1_234_567) % SIZE;
        a.put("f", OriginFile::new(damaged(&content, &[at(0), at(1), at(2), at(3)])));
        b.put("f", content.clone());
        a.put("f.meta4", literal(metalink(&content, 70_001 + stop_at as u64, &[]).into_bytes()));
        a.throttle("f", Some(16 << 20));
        b.throttle("f", Some(1 << 20));
        let mut job = bench.job(&[(&a.url("f"), "f")]);
        job.options.checkpoint_bytes = 64 << 10;
        let (kind, location) = (SourceKind::Metalink, a.url("f.meta4").into());
        job.files[0].order.sources = vec![DigestSource { kind, location, name: None }];
        job.files[0].order.mirrors = vec![b.url("f")];
        let mut ends = Vec::new();
        for round in 0..4 {
            let mut seen = 0;
            let run = bench.attempt_until(&mut job, |_, _| {
                seen += 1;
                round < 3 && seen > stop_at
            });
            ends.push(run.end);
            if job.files[0].finished {
                break;
            }
        }
        assert!(job.files[0].finished, "{stop_at}: {ends:?}");
        assert_content(&job.temp(0), &content);
        bench.finish(&job);
    }
}
