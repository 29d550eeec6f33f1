//! Downloads, with curl as the client.

use crate::process::{Server, has};
use crate::raw::Raw;
use std::process::Command;

fn curl(arguments: &[&str]) -> (bool, Vec<u8>) {
    let output = Command::new("curl").args(["-sS", "--fail"]).args(arguments).output().unwrap();
    (output.status.success(), output.stdout)
}

#[test]
fn curl_downloads_resumes_and_asks_for_ranges() {
    if !has("curl") {
        eprintln!("SKIPPED: curl is not installed; downloads with it were not tested");
        return;
    }
    let server = Server::plain();
    let file: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    Raw::open(server.address).upload("/in/a%20file", &file);
    let url = server.url("/in/a%20file");
    assert_eq!(curl(&[&url]), (true, file.clone()));
    assert_eq!(curl(&["-r", "1000-1999", &url]).1, &file[1000..2000]);
    assert_eq!(curl(&["-r", "-5", &url]).1, &file[file.len() - 5..]);
    let part = server.folder.path().join("part");
    std::fs::write(&part, &file[..1_234_567]).unwrap();
    assert!(curl(&["-C", "-", "-o", part.to_str().unwrap(), &url]).0);
    assert_eq!(std::fs::read(&part).unwrap(), file);
    let head = String::from_utf8(curl(&["-I", &url]).1).unwrap();
    assert!(
        head.contains("Content-Length: 3000000\r\n") && head.contains("Accept-Ranges: bytes\r\n"),
        "{head}"
    );
    assert!(!curl(&[&server.url("/in/missing")]).0);
    let several = curl(&["-r", "0-1,10-11", &url]).1;
    assert_eq!(String::from_utf8_lossy(&several).matches("Content-Range: bytes ").count(), 2);
}

#[test]
fn validators_change_with_the_file_and_only_then() {
    let server = Server::plain();
    let path = server.root().join("in/f");
    std::fs::write(&path, "one").unwrap();
    let mut raw = Raw::open(server.address);
    let first = raw.ask("HEAD", "/in/f", &[], b"");
    let tag = first.header("ETag").unwrap().to_owned();
    assert!(tag.starts_with('"'));
    let again = raw.ask("GET", "/in/f", &[("Range", "bytes=0-0")], b"");
    assert_eq!((again.status, again.header("ETag")), (206, Some(tag.as_str())));
    assert_eq!(again.header("Last-Modified"), first.header("Last-Modified"));
    std::thread::sleep(std::time::Duration::from_millis(20));
    std::fs::write(&path, "two").unwrap();
    let changed = raw.ask("GET", "/in/f", &[("Range", "bytes=1-"), ("If-Range", &tag)], b"");
    assert_eq!((changed.status, changed.body.as_slice()), (200, b"two".as_slice()));
    assert_ne!(changed.header("ETag"), Some(tag.as_str()));
}

#[test]
fn a_file_replaced_during_a_download_is_delivered_as_it_was() {
    let server = Server::with(&crate::process::config("overwrite = true"));
    let old = vec![1; 30 << 20];
    let mut raw = Raw::open(server.address);
    raw.upload("/in/f", &old);
    let mut reader = Raw::open(server.address);
    reader.send(b"GET /in/f HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    raw.upload("/in/f", &vec![2; 30 << 20]);
    assert!(reader.answer().unwrap().body == old);
}
