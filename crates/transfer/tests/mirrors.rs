//! Several places for one file, and lists of digests: whatever goes wrong, never a wrong file.
#![allow(clippy::unwrap_used)]

mod common;

use base64::Engine as _;
use common::*;
use openbits_core::hresult::*;
use openbits_testkit::Behaviour;
use openbits_testkit::{Content, Origin, OriginFile};
use openbits_transfer::protocol::{Algorithm, Digest, DigestSource, Event, FailureClass, Header, SourceKind};

const SIZE: u64 = 2 << 20;

fn digest(content: &Content) -> Digest {
    Digest::new(Algorithm::Sha256, &content.sha256_hex()).unwrap()
}

fn text(text: &str) -> OriginFile {
    OriginFile::new(Content::literal(text.as_bytes().to_vec()))
}

fn source(kind: SourceKind, location: &str) -> DigestSource {
    DigestSource { kind, location: location.into(), name: None }
}

fn metalink(name: &str, content: &Content, urls: &[&str]) -> String {
    let urls: String = (1..).zip(urls).map(|(n, url)| format!("<url priority='{n}'>{url}</url>")).collect();
    format!(
        "<metalink xmlns='urn:ietf:params:xml:ns:metalink'><file name='{name}'><size>{}</size>\
         <hash type='sha-256'>{}</hash>{urls}</file></metalink>",
        content.size(),
        content.sha256_hex()
    )
}

#[test]
fn every_digest_must_hold() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    for size in [0, 1000, SIZE] {
        let content = Content::new(1, size);
        origin.put("f", content.clone());
        let bytes = content.byte_range(0, size);
        let blake3 = blake3::hash(&bytes).to_hex();
        let sha512 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, &bytes);
        let right = vec![
            digest(&content),
            Digest::from_bytes(Algorithm::Sha512, sha512.as_ref()).unwrap(),
            Digest::new(Algorithm::Blake3, &blake3).unwrap(),
        ];
        let mut job = bench.job(&[(&origin.url("f"), "f")]);
        job.files[0].order.digests = right.clone();
        assert_eq!(bench.attempt(&mut job).end, End::Done, "{size}");
        assert_content(&job.temp(0), &content);
        for wrong in 0..right.len() {
            let mut digests = right.clone();
            let algorithm = digests[wrong].algorithm();
            digests[wrong] = Digest::new(algorithm, &"0".repeat(algorithm.bytes() * 2)).unwrap();
            let mut job = bench.job(&[(&origin.url("f"), "g")]);
            job.files[0].order.digests = digests;
            assert_eq!(bench.attempt(&mut job).failure().code, BG_E_VALIDATION_FAILED);
            assert!(!job.temp(0).exists());
        }
    }
}

#[test]
fn the_expected_size_must_hold() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    for (size, behaviour) in
        [(0, Behaviour::Good), (1000, Behaviour::Good), (SIZE, Behaviour::Good), (SIZE, Behaviour::Chunked)]
    {
        let content = Content::new(1, size);
        origin.put("f", OriginFile::new(content.clone()).behaviour(behaviour));
        let mut job = bench.job(&[(&origin.url("f"), "f")]);
        job.files[0].order.expected_size = Some(size);
        assert_eq!(bench.attempt(&mut job).end, End::Done, "{size} {behaviour}");
        assert_content(&job.temp(0), &content);
        let mut job = bench.job(&[(&origin.url("f"), "g")]);
        job.files[0].order.expected_size = Some(size + 1);
        let run = bench.attempt(&mut job);
        let found = (run.failure().code, run.failure().class);
        assert_eq!(found, (BG_E_VALIDATION_FAILED, FailureClass::Fatal), "{size} {behaviour}");
        assert!(!job.temp(0).exists());
    }
    // A mirror may have the right one, and a Metalink must say the same.
    let other = Origin::start();
    let content = Content::new(1, SIZE);
    other.put("f", content.clone());
    origin.put("f", Content::new(2, SIZE - 1));
    let mut job = bench.job(&[(&origin.url("f"), "h")]);
    job.files[0].order.expected_size = Some(SIZE);
    job.files[0].order.mirrors = vec![other.url("f")];
    assert_eq!(bench.attempt(&mut job).end, End::Done);
    assert_content(&job.temp(0), &content);
    other.put("f.meta4", text(&metalink("f", &content, &[&other.url("f")])));
    for (size, fits) in [(SIZE, true), (SIZE + 1, false)] {
        let mut job = bench.job(&[(&other.url("f"), &format!("i{fits}"))]);
        job.files[0].order.expected_size = Some(size);
        job.files[0].order.sources = vec![source(SourceKind::Metalink, &other.url("f.meta4"))];
        let run = bench.attempt(&mut job);
        assert_eq!(run.end == End::Done, fits, "{:?}", run.end);
    }
}

#[test]
fn what_the_server_says_of_the_whole_file_must_hold() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    let content = Content::new(1, SIZE);
    let field = |bytes: &[u8]| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
        format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(digest.as_ref()))
    };
    let right = field(&content.byte_range(0, SIZE));
    // In one piece, and continued by a second attempt: an answer with a part tells the digest of the whole, too.
    for (value, end) in [(right.clone(), Some(End::Done)), (field(b"another file"), None)] {
        origin.put("f", OriginFile::new(content.clone()).header("Repr-Digest", value));
        let mut job = bench.job(&[(&origin.url("f"), "f")]);
        origin.hold("f", SIZE / 2);
        let run = bench.attempt_until(&mut job, |event, _| matches!(event, Event::Checkpoint { .. }));
        assert_eq!(run.end, End::Stopped);
        assert!(!job.files[0].order.done.is_empty());
        origin.release("f");
        let run = bench.attempt(&mut job);
        match end {
            Some(end) => {
                assert_eq!((run.end.clone(), run.restarts()), (end, 0));
                assert_content(&job.temp(0), &content);
            }
            None => assert_eq!(run.failure().code, BG_E_VALIDATION_FAILED),
        }
    }
    // Values of other functions, twice the same function, and what is no digest at all are read past.
    for value in ["sha-512=:AAAA:", "md5=:AAAA:", "nonsense", &format!("{right}, sha-256=:AAAA:")] {
        origin.put("f", OriginFile::new(content.clone()).header("Repr-Digest", value));
        let mut job = bench.job(&[(&origin.url("f"), "g")]);
        assert_eq!(bench.attempt(&mut job).end, End::Done, "{value}");
    }
    // Another file's digest: fetched once more past all caches, then given up. (Of an empty file comes a 416, whose digest is about the
    // page that comes with it.)
    for size in [1000, SIZE] {
        let content = Content::new(1, size);
        origin.put("f", OriginFile::new(content).header("Repr-Digest", field(b"another file")));
        let mut job = bench.job(&[(&origin.url("f"), "h")]);
        let run = bench.attempt(&mut job);
        let found = (run.failure().code, run.failure().class);
        assert_eq!(found, (BG_E_VALIDATION_FAILED, FailureClass::Fatal), "{size}");
        assert!(job.files[0].order.done.is_empty() && !job.temp(0).exists());
    }
}

#[test]
fn a_flipped_byte_anywhere_or_a_missing_end_is_found() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    let good = Content::new(1, 300_000).byte_range(0, 300_000);
    let expected = digest(&Content::new(1, 300_000));
    let mut damaged: Vec<Vec<u8>> = [0, 1, 4095, 4096, 150_000, 299_999]
        .into_iter()
        .map(|at| {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << (at % 8);
            bytes
        })
        .collect();
    damaged.push(good[..299_999].to_vec());
    damaged.push([&good[..], b"x"].concat());
    damaged.push(Vec::new());
    for bytes in damaged {
        origin.put("f", OriginFile::new(Content::literal(bytes)));
        let mut job = bench.job(&[(&origin.url("f"), "f")]);
        job.files[0].order.digests = vec![expected.clone()];
        let run = bench.attempt(&mut job);
        assert_eq!((run.failure().code, run.failure().class), (BG_E_VALIDATION_FAILED, FailureClass::Fatal));
        assert!(job.files[0].order.done.is_empty() && !job.temp(0).exists() && !job.local(0).exists());
    }
}

#[test]
fn the_next_mirror_serves_what_the_first_cannot() {
    let mut bench = Bench::new();
    let (a, b) = (Origin::start(), Origin::start());
    let content = Content::new(1, SIZE);
    b.put("f", content.clone());
    for behaviour in [Behaviour::Busy, Behaviour::NeverAnswers, Behaviour::StallsInBody] {
        a.put("f", OriginFile::new(content.clone()).behaviour(behaviour));
        let gone = a.url("not-there");
        for first in [gone.as_str(), "http://127.0.0.1:1/f", &a.url("f")] {
            let mut job = bench.job(&[(first, "f")]);
            job.files[0].order.mirrors = vec![b.url("f")];
            assert_eq!(bench.attempt(&mut job).end, End::Done, "{behaviour} {first}");
            assert_content(&job.temp(0), &content);
        }
    }
}

#[test]
fn when_no_mirror_helps_the_one_that_may_recover_is_told() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    let mut job = bench.job(&[(&origin.url("gone"), "f")]);
    job.files[0].order.mirrors = vec!["http://127.0.0.1:1/f".to_owned(), origin.url("gone-too")];
    let run = bench.attempt(&mut job);
    assert_eq!(
        (run.failure().code, run.failure().class),
        (ERROR_WINHTTP_CANNOT_CONNECT, FailureClass::Transient)
    );
    assert_eq!(run.failure().url.as_deref(), Some("http://127.0.0.1:1/f"));
    let mut job = bench.job(&[(&origin.url("gone"), "f")]);
    job.files[0].order.mirrors = vec![origin.url("gone-too")];
    assert_eq!(bench.attempt(&mut job).failure().url, Some(origin.url("gone")));
}

#[test]
fn a_mirror_with_other_content_is_dropped_and_its_bytes_never_meet_others() {
    let mut bench = Bench::new();
    let (wrong, right) = (Origin::start(), Origin::start());
    let content = Content::new(1, SIZE);
    right.put("f", content.clone());
    // The same size, another size, and the same entity tag for another content.
    for other in [
        OriginFile::new(Content::new(2, SIZE)),
        OriginFile::new(Content::new(2, SIZE - 1)),
        OriginFile::new(Content::new(1, SIZE - 1)),
    ] {
        wrong.put("f", other);
        let mut job = bench.job(&[(&wrong.url("f"), "f")]);
        job.files[0].order.mirrors = vec![right.url("f")];
        job.files[0].order.digests = vec![digest(&content)];
        assert_eq!(bench.attempt(&mut job).end, End::Done);
        assert_content(&job.temp(0), &content);
        assert_eq!(job.files[0].order.validator.as_ref().unwrap().mirror, Some(right.url("f")));
    }
}

#[test]
fn what_one_mirror_left_is_continued_there_and_nowhere_else() {
    let mut bench = Bench::new();
    let (a, b) = (Origin::start(), Origin::start());
    // Two versions of one size: mixing them would show.
    let (of_a, of_b) = (Content::new(1, SIZE), Content::new(2, SIZE));
    a.put("f", of_a.clone());
    b.put("f", of_b.clone());
    let mut job = bench.job(&[(&a.url("gone"), "f")]);
    job.files[0].order.mirrors = vec![a.url("f"), b.url("f")];
    a.hold("f", SIZE / 2);
    let run = bench.attempt_until(&mut job, |event, _| matches!(event, Event::Checkpoint { .. }));
    assert_eq!(run.end, End::Stopped);
    let kept = job.files[0].order.done.len();
    assert!(kept > 0 && kept < SIZE);
    assert_eq!(job.files[0].order.validator.as_ref().unwrap().mirror, Some(a.url("f")));
    a.release("f");
    // The second attempt goes on at the mirror that has it.
    let mut same = job.clone();
    a.clear_log();
    let resumed = bench.path("copy");
    std::fs::copy(job.temp(0), &resumed).unwrap();
    assert_eq!(bench.attempt(&mut same).end, End::Done);
    assert_eq!(a.requests("f")[0].header("range"), Some(&*format!("bytes={kept}-")));
    assert_content(&same.temp(0), &of_a);
    // It is gone: what it left stays until another one has the file, and then begins at its first byte.
    let mut job = bench.job(&[(&a.url("f"), "h")]);
    job.files[0].order.mirrors = vec![b.url("f")];
    a.hold("f", SIZE / 2);
    bench.attempt_until(&mut job, |event, _| matches!(event, Event::Checkpoint { .. }));
    a.release("f");
    a.remove("f");
    b.remove("f");
    let before = job.files[0].order.done.clone();
    assert!(!before.is_empty());
    assert_eq!(bench.attempt(&mut job).failure().code, BG_E_HTTP_ERROR_404);
    assert_eq!(job.files[0].order.done, before, "nobody had anything better");
    b.put("f", of_b.clone());
    b.clear_log();
    let run = bench.attempt(&mut job);
    assert_eq!((&run.end, run.restarts()), (&End::Done, 1));
    assert_eq!(b.requests("f")[0].header("range"), Some("bytes=0-"));
    assert_content(&job.temp(0), &of_b);
}

#[test]
fn secrets_of_the_job_stay_at_its_first_origin() {
    let mut bench = Bench::new();
    let (a, b) = (Origin::start(), Origin::start());
    b.put("f", Content::new(1, 10));
    b.put("SUMS", text(&format!("{}  f\n", Content::new(1, 10).sha256_hex())));
    let mut job = bench.job(&[(&a.url("f"), "f")]);
    job.files[0].order.mirrors = vec![b.url("f")];
    job.files[0].order.sources = vec![source(SourceKind::Checksums, &b.url("SUMS"))];
    job.options.headers =
        vec![Header { name: "X-Api-Key".to_owned(), value: openbits_core::Secret::new("secret") }];
    assert_eq!(bench.attempt(&mut job).end, End::Done);
    assert_eq!(a.requests("f")[0].header("x-api-key"), Some("secret"));
    for exchange in b.requests("f").iter().chain(&b.requests("SUMS")) {
        assert_eq!(exchange.header("x-api-key"), None);
    }
}

#[test]
fn lists_of_digests_decide() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    let content = Content::new(1, SIZE);
    origin.put("f.iso", content.clone());
    let (right, wrong) = (content.sha256_hex(), "0".repeat(64));
    for (list, code) in [
        (format!("{right}  f.iso\n"), None),
        (format!("SHA256 (d/f.iso) = {right}\n"), None),
        (right.clone(), None),
        (format!("{wrong}  f.iso\n"), Some(BG_E_VALIDATION_FAILED)),
        (format!("{right}  g.iso\n"), Some(BG_E_VALIDATION_FAILED)),
        ("<html>login</html>".to_owned(), Some(BG_E_VALIDATION_FAILED)),
        (String::new(), Some(BG_E_VALIDATION_FAILED)),
    ] {
        origin.put("SHA256SUMS", text(&list));
        let mut job = bench.job(&[(&origin.url("f.iso"), "f")]);
        job.files[0].order.sources = vec![source(SourceKind::Checksums, &origin.url("SHA256SUMS"))];
        let run = bench.attempt(&mut job);
        match code {
            None => assert_eq!(run.end, End::Done, "{list}"),
            Some(code) => assert_eq!(run.failure().code, code, "{list}"),
        }
        assert_eq!(job.temp(0).exists(), code.is_none());
    }
    // A list that cannot be had is an error of its own kind, and no file comes without it.
    let mut job = bench.job(&[(&origin.url("f.iso"), "f")]);
    job.files[0].order.sources = vec![source(SourceKind::Checksums, &origin.url("gone"))];
    assert_eq!(bench.attempt(&mut job).failure().code, BG_E_HTTP_ERROR_404);
    // By its path, one list for several files, fetched once.
    let path = bench.path("SUMS");
    std::fs::write(&path, format!("{right}  f.iso\n{right}  g.iso")).unwrap();
    let mut job = bench.job(&[(&origin.url("f.iso"), "f"), (&origin.url("f.iso?2"), "g")]);
    for file in &mut job.files {
        file.order.sources = vec![source(SourceKind::Checksums, path.to_str().unwrap())];
    }
    assert_eq!(bench.attempt(&mut job).end, End::Done);
    // One byte too long.
    origin.put("SHA256SUMS", OriginFile::new(Content::new(3, (8 << 20) + 1)));
    let mut job = bench.job(&[(&origin.url("f.iso"), "f")]);
    job.files[0].order.sources = vec![source(SourceKind::Checksums, &origin.url("SHA256SUMS"))];
    assert_eq!(bench.attempt(&mut job).failure().code, BG_E_TOO_LARGE);
}

#[test]
fn a_list_that_a_cache_kept_too_long_is_fetched_again() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    let content = Content::new(1, SIZE);
    origin.put("f", content.clone());
    origin.put("SUMS", text(&format!("{}  f\n", "0".repeat(64))));
    let mut job = bench.job(&[(&origin.url("f"), "f")]);
    job.files[0].order.sources = vec![source(SourceKind::Checksums, &origin.url("SUMS"))];
    let run = bench.attempt_until(&mut job, |event, _| {
        if matches!(event, Event::Restarted { .. }) {
            origin.put("SUMS", text(&format!("{}  f\n", content.sha256_hex())));
        }
        false
    });
    assert!(
        run.end == End::Done || run.failure().code == BG_E_VALIDATION_FAILED,
        "the change may come too late"
    );
    let again = origin.requests("SUMS");
    assert_eq!((again.len(), again[1].header("cache-control")), (2, Some("no-cache")));
}

#[test]
fn a_metalink_tells_everything() {
    let mut bench = Bench::new();
    let (a, b) = (Origin::start(), Origin::start());
    let content = Content::new(1, SIZE);
    a.put("f", OriginFile::new(Content::new(2, SIZE)));
    b.put("g", content.clone());
    let document = metalink("f", &content, &[&a.url("f"), "ftp://h/f", &b.url("g")]);
    a.put("f.meta4", text(&document));
    // It stands for the file: the first mirror has the wrong content, the second has it.
    let mut job = bench.job(&[(&a.url("f.meta4"), "f")]);
    job.files[0].order.sources = vec![source(SourceKind::Metalink, &a.url("f.meta4"))];
    assert_eq!(bench.attempt(&mut job).end, End::Done);
    assert_content(&job.temp(0), &content);
    // Beside a URL of its own, and from a file of ours.
    let path = bench.path("f.meta4");
    std::fs::write(&path, &document).unwrap();
    let mut job = bench.job(&[(&a.url("gone"), "h")]);
    job.files[0].order.sources = vec![source(SourceKind::Metalink, path.to_str().unwrap())];
    assert_eq!(bench.attempt(&mut job).end, End::Done);
    assert_content(&job.temp(0), &content);
    // A wrong size alone drops a mirror before its bytes come.
    let small = metalink("f", &Content::new(1, SIZE - 1), &[&b.url("g")]);
    a.put("f.meta4", text(&small));
    let mut job = bench.job(&[(&a.url("f.meta4"), "i")]);
    job.files[0].order.sources = vec![source(SourceKind::Metalink, &a.url("f.meta4"))];
    let run = bench.attempt(&mut job);
    assert_eq!(run.failure().code, BG_E_VALIDATION_FAILED);
    assert!(run.failure().detail.contains("bytes instead of"), "{}", run.failure().detail);
    // Neither a file of the owner nor nothing at all.
    for (document, word) in [
        (metalink("f", &content, &["file:///etc/passwd"]), "no address"),
        (metalink("f", &content, &[]), "no address"),
        ("<!DOCTYPE a><metalink/>".to_owned(), "document type"),
    ] {
        a.put("f.meta4", text(&document));
        let mut job = bench.job(&[(&a.url("f.meta4"), "i")]);
        job.files[0].order.sources = vec![source(SourceKind::Metalink, &a.url("f.meta4"))];
        let run = bench.attempt(&mut job);
        assert!(run.failure().detail.contains(word), "{}", run.failure().detail);
    }
}

/// Stops at any event, with whatever is durable then, and mirrors that change between attempts: the end is the right file or none.
#[test]
fn stopped_anywhere_and_with_changing_mirrors_there_is_never_a_wrong_file() {
    let mut bench = Bench::new();
    let (a, b) = (Origin::start(), Origin::start());
    let content = Content::new(1, SIZE);
    for stop_at in 0..12_usize {
        a.put("f", OriginFile::new(Content::new(2, SIZE)));
        b.put("f", content.clone());
        a.throttle("f", Some(8 << 20));
        b.throttle("f", Some(8 << 20));
        let mut job = bench.job(&[(&a.url("f"), "f")]);
        job.options.checkpoint_bytes = 64 << 10;
        job.files[0].order.mirrors = vec![b.url("f")];
        job.files[0].order.digests = vec![digest(&content)];
        let mut ends = Vec::new();
        for round in 0..4 {
            if round == 2 {
                // The wrong one becomes right, the right one goes.
                a.put("f", content.clone());
                b.remove("f");
            }
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
    }
}
