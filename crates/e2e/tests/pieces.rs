//! Digests of pieces, through the door of the service: what a server has wrong is fetched again, and only that.

#![allow(clippy::unwrap_used, reason = "a test")]

use openbits_api::{DownloadView, FileView};
use openbits_core::JobState::{Acknowledged, Error, Transferred};
use openbits_core::delivery::download::State;
use openbits_core::integrity::{Algorithm, Digest, Pieces, bpm1};
use openbits_e2e::{Job, NewJob, Reply, User, difference, leftovers, names, program};
use openbits_testkit::{Behaviour, Content, Origin, OriginFile, wait_until};
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

const SIZE: u64 = (24 << 20) + 4321;
const LENGTH: u64 = 1 << 20;
const LONG: Duration = Duration::from_secs(60);

fn bits() -> PathBuf {
    program(env!("CARGO_BIN_EXE_bits-under-test"))
}

fn pieces(content: &Content, length: u64) -> Pieces {
    let digests = (0..content.size().div_ceil(length))
        .flat_map(|piece| Content::literal(content.byte_range(piece * length, length)).sha256());
    Pieces::new(Algorithm::Sha256, content.size(), length, digests.collect()).unwrap()
}

fn manifest(content: &Content) -> Content {
    Content::literal(bpm1::document(&pieces(content, bpm1::length_for(content.size()))).unwrap())
}

fn file(job: &Job) -> FileView {
    job.view().unwrap().files.unwrap().remove(0)
}

fn served(origin: &Origin, name: &str) -> u64 {
    origin.requests(name).iter().map(|request| request.body_bytes).sum()
}

fn errors(job: &Job) -> String {
    job.view().and_then(|view| view.error).map(|error| error.hresult).unwrap()
}

#[test]
fn a_flipped_piece_of_a_long_file_is_all_that_is_fetched_again() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    let content = Content::new(1, SIZE);
    let list = manifest(&content);
    origin.put("f.bpm1", list.clone());
    let lying = OriginFile::new(content.clone()).behaviour(Behaviour::FlippedByte).at(17 << 20).times(1);
    origin.put("f", lying);
    let path = user.path("f");
    let given = json!({
        "location": origin.url("f.bpm1"), "digest": format!("sha-256:{}", list.sha256_hex()), "mandatory": true,
    });
    let job = NewJob::new("pieces")
        .file(&origin.url("f"), &path)
        .sha256(&content.sha256_hex())
        .file_key("pieces", given.clone())
        .create(&door);
    assert_eq!(json!(file(&job).pieces), given);
    job.must("resume");
    job.wait(&[Transferred], LONG);
    assert_eq!((file(&job).restarts, file(&job).bytes_transferred), (0, SIZE));
    job.must("complete");
    assert_eq!(difference(&path, &content), None);
    assert_eq!(served(&origin, "f"), SIZE + LENGTH);
    let ranges: Vec<String> =
        origin.requests("f").iter().map(|request| request.range().unwrap_or("-").to_owned()).collect();
    assert_eq!(ranges, ["bytes=0-", "bytes=17825792-18874367"]);
    assert_eq!(leftovers(&user.folder()), Vec::<PathBuf>::new());
}

#[test]
fn a_server_that_always_lies_delivers_nothing() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    let content = Content::new(1, SIZE);
    origin.put("f.bpm1", manifest(&content));
    origin.put("f", OriginFile::new(content.clone()).behaviour(Behaviour::FlippedByte).at(17 << 20));
    let given = json!({ "location": origin.url("f.bpm1") });
    let job = NewJob::new("pieces")
        .file(&origin.url("f"), &user.path("f"))
        .file_key("pieces", given)
        .started()
        .create(&door);
    job.wait(&[Error], LONG);
    assert_eq!(errors(&job), "0x80200053");
    assert_eq!(served(&origin, "f"), SIZE + 3 * LENGTH);
    assert_eq!((file(&job).bytes_transferred, names(&user.folder())), (0, Vec::new()));
    // The server mends its ways.
    origin.put("f", content.clone());
    job.must("resume");
    job.wait(&[Transferred], LONG);
    job.must("complete");
    assert_eq!(difference(&user.path("f"), &content), None);
}

/// Checklist row 15 of spec/delivery-optimization-com.md.
#[test]
fn a_piece_hash_file_that_is_of_no_use_stops_the_file_only_where_it_must() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    let content = Content::new(1, 300_000);
    origin.put("f", content.clone());
    origin.put("vendor", Content::literal(*b"{\"Pieces\":[]}"));
    origin.put("right", manifest(&content));
    let other = Digest::new(Algorithm::Sha256, &"0".repeat(64)).unwrap().to_string();
    let given = [
        json!({ "location": origin.url("vendor") }),
        json!({ "location": origin.url("gone") }),
        json!({ "location": origin.url("right"), "digest": other }),
    ];
    for (n, given) in given.iter().enumerate() {
        let path = user.path(&format!("may-{n}"));
        let may = NewJob::new("may")
            .file(&origin.url("f"), &path)
            .file_key("pieces", given.clone())
            .set("auto_complete", true)
            .started()
            .create(&door);
        may.wait(&[Acknowledged], LONG);
        assert_eq!(difference(&path, &content), None);
        origin.clear_log();
        let mut given = given.clone();
        given["mandatory"] = json!(true);
        let must = NewJob::new("must")
            .file(&origin.url("f"), &user.path("must"))
            .file_key("pieces", given)
            .started()
            .create(&door);
        must.wait(&[Error], LONG);
        assert_eq!(errors(&must), "0x80D02017");
        assert_eq!(origin.requests("f").len(), 0, "not even asked for");
        must.must("cancel");
    }
    assert_eq!(names(&user.folder()), ["may-0", "may-1", "may-2"]);
    // What no worker is to fetch is refused when the file is added.
    for location in ["ftp://h/p", "", "http://user:password@h/p"] {
        let refused = NewJob::new("refused")
            .file(&origin.url("f"), &user.path("x"))
            .file_key("pieces", json!({ "location": location }))
            .try_create(&door)
            .unwrap();
        assert_eq!((refused.status, refused.hresult()), (400, "0x80070057".to_owned()), "{location}");
    }
}

#[test]
fn the_pieces_of_a_metalink_send_the_job_to_another_mirror_for_one_of_them() {
    let user = User::new(bits());
    let door = user.wake();
    let (lying, honest) = (Origin::start(), Origin::start());
    let content = Content::new(1, SIZE);
    let length = 1_000_003;
    let hex = |digest: &[u8]| Digest::from_bytes(Algorithm::Sha256, digest).unwrap().hex().to_owned();
    let hashes: String = pieces(&content, length)
        .digests()
        .chunks(32)
        .map(|digest| format!("<hash>{}</hash>\n", hex(digest)))
        .collect();
    let document = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">\n\
         <generator>a tool/1.0</generator><published>2026-11-01T10:00:00Z</published>\n\
         <file name=\"f.iso\"><identity>F</identity><size>{SIZE}</size><version>1</version>\n\
         <hash type=\"sha-256\">{}</hash>\n<pieces length=\"20\" type=\"sha-1\"><hash>00</hash></pieces>\n\
         <pieces length=\"{length}\" type=\"sha-256\">{hashes}</pieces>\n\
         <url location=\"de\" priority=\"1\">{}</url><url location=\"fr\" priority=\"2\">{}</url>\n</file></metalink>\n",
        content.sha256_hex(),
        lying.url("f.iso"),
        honest.url("f.iso"),
    );
    lying.put("f.meta4", Content::literal(document.into_bytes()));
    lying.put("f.iso", OriginFile::new(content.clone()).behaviour(Behaviour::FlippedByte).at(5_000_000));
    honest.put("f.iso", content.clone());
    let path = user.path("f.iso");
    let job = NewJob::new("metalink")
        .file(&lying.url("f.meta4"), &path)
        .file_key("metalink", json!({ "location": lying.url("f.meta4") }))
        .set("auto_complete", true)
        .started()
        .create(&door);
    job.wait(&[Acknowledged], LONG);
    assert_eq!(difference(&path, &content), None);
    assert_eq!((served(&lying, "f.iso"), served(&honest, "f.iso")), (SIZE, length));
}

/// IntegrityCheckInfo and IntegrityCheckMandatory of IDODownload (spec/delivery-optimization-com.md 4.4).
#[test]
fn downloads_of_delivery_optimization_are_checked_by_their_pieces() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    let content = Content::new(1, SIZE);
    origin.put("p", manifest(&content));
    let create = |name: &str, info: Option<&str>, mandatory: bool| {
        let lying = OriginFile::new(content.clone()).behaviour(Behaviour::FlippedByte).at(17 << 20).times(1);
        origin.put(name, lying);
        let mut properties = json!({
            "uri": origin.url(name), "local_path": user.path(name), "foreground_priority": true,
            "integrity_check_mandatory": mandatory,
        });
        if let Some(info) = info {
            properties["integrity_check_info"] = json!(info);
        }
        door.ask("POST", "/v1/downloads", Some(&json!({ "properties": properties }))).unwrap()
    };
    let start = |created: &Reply| {
        let id = created.json::<DownloadView>().id;
        let reply = door.ask("POST", &format!("/v1/downloads/{id}/start"), Some(&json!({}))).unwrap();
        (id, reply)
    };
    let until = |id: &str, state: State| {
        let path = format!("/v1/downloads/{id}");
        let over = || door.get::<DownloadView>(&path).state == state;
        assert!(wait_until(LONG, over), "{:?}", door.get::<DownloadView>(&path));
        door.get::<DownloadView>(&path)
    };
    let url = origin.url("p");
    let bare = json!({ "PiecesHashFileUrl": url }).to_string();
    let wrong = json!({
        "PiecesHashFileUrl": url, "PiecesHashFileDigest": format!("{}=", "A".repeat(43)),
        "PiecesHashFileDigestAlgorithm": "SHA256",
    })
    .to_string();
    // Its pieces are right in the end, and one was fetched twice.
    let (id, started) = start(&create("right", Some(&bare), true));
    assert!(started.is_success(), "{started}");
    until(&id, State::Transferred);
    assert!(door.ask("POST", &format!("/v1/downloads/{id}/finalize"), None).unwrap().is_success());
    assert_eq!(difference(&user.path("right"), &content), None);
    assert_eq!(served(&origin, "right"), SIZE + LENGTH);
    // Row 15 of the checklist.
    let (id, _) = start(&create("must", Some(&wrong), true));
    assert_eq!(until(&id, State::Paused).error, "0x80D02017");
    assert_eq!(origin.requests("must").len(), 0);
    let (id, _) = start(&create("may", Some(&wrong), false));
    until(&id, State::Transferred);
    assert_eq!(served(&origin, "may"), SIZE);
    // Nothing to check by, and no JSON.
    let (_, refused) = start(&create("nothing", None, true));
    assert_eq!(refused.hresult(), "0x80D02016");
    assert_eq!(create("no-json", Some("pieces"), false).hresult(), "0x80070057");
}
