use super::*;
use crate::enums::JobType;
use crate::time::{FileTime, Mono, Now};

/// Numbers and levels of spec/behaviour.md 27, written down a second time.
const SPECIFIED: &str = "
    1I 2I 3I 4I 5I 6I 10I 11E 12I 13I 14E 15I 16I 17I 18W 19I 20I 21I 22I 23I 24I 25W 27V 28I 29V 30I 31E 32I 33I 34W
    37W 59I 60I 61W 62W 63W 64W 70I 71I 72I 73E 74E 75I 76I 77I 78E 79I 80I 81E 82I 83I 101W 102V 200W 201W 202E 203I
    204E 205V 206W 207W 208I 209I 210W 211E 212V 213W 281V 282V 283V 284V 285V 286V 287V 288V 289V 290V 291V 301V 302W
    303V 304V 305V 306V 307W 308W 309W 310W 311W 312W 313W 16384I 16385W 16386W 16387I 16388I 16389I 16390W 16391E
    16392E 16393W 16396E 16397W 16398E 16400E 16401E 16402E 16403I 16404E 16405E 17005E
";

#[test]
fn the_table_has_every_event_of_the_specification_in_order() {
    let ours: Vec<String> = EVENTS.iter().map(|e| format!("{}{}", e.number, e.level.letter())).collect();
    assert_eq!(ours, SPECIFIED.split_whitespace().collect::<Vec<_>>());
    assert!(EVENTS.is_sorted_by_key(|e| e.number), "it is searched by number");
    let ids: std::collections::BTreeSet<_> = EVENTS.iter().map(EventType::message_id).collect();
    assert_eq!(ids.len(), EVENTS.len(), "one MESSAGE_ID each");
    assert!(ids.iter().all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())));
}

#[test]
fn message_ids_do_not_change() {
    let id = |n| EventType::of(n).expect("known").message_id();
    assert_eq!(id(3), "8d1f5c3e6b0a4f529a470b2dc1e70003");
    assert_eq!(id(16_390), "8d1f5c3e6b0a4f529a470b2dc1e74006");
    assert_eq!(EventType::of(9), None);
}

#[test]
fn a_record_is_one_line_whatever_its_values() {
    let now = Now { mono: Mono(0), wall: FileTime::from_unix_ms(0) };
    let id = JobId::from_bytes([7; 16]);
    let job = Job::new(id, Uid(1000), JobType::Download, "a\nb\u{1b}[2J", now);
    let record = Record::of_job(1, &job);
    assert_eq!((record.job, record.owner), (Some(id), Some(Uid(1000))));
    assert_eq!(
        record.line(),
        "job resumed: JobGuid={07070707-0707-0707-0707-070707070707}, Title=a\\nb\\u{1b}[2J"
    );
    let long = Record::of_job(16_403, &job).with("remote", "\u{e4}".repeat(VALUE_MAX));
    let remote = long.fields.iter().find(|(name, _)| *name == "remote").expect("set");
    assert_eq!(remote.1.len(), VALUE_MAX);
}

#[test]
fn urls_lose_what_may_be_secret() {
    for (url, shown) in [
        ("http://h/a", "http://h/a"),
        ("https://u:p@h:8/a?token=x#y", "https://h:8/a?..."),
        ("not a url?secret", "not a url"),
    ] {
        assert_eq!(redacted(url), shown);
    }
}

#[test]
fn urls_are_shown_as_the_policy_says_and_never_with_a_password() {
    let url = "https://u:p@h:8/a%20b/c?token=x#y";
    for (word, shown) in [
        (None, "https://h:8/a%20b/c?..."),
        (Some("redact-query"), "https://h:8/a%20b/c?..."),
        (Some("something new"), "https://h:8/a%20b/c?..."),
        (Some("host-only"), "https://h:8/"),
        (Some("full"), "https://h:8/a%20b/c?token=x#y"),
    ] {
        assert_eq!(Urls::of(word).shown(url), shown);
        assert_eq!(Urls::of(word).shown("u:p@h ?secret"), "(no URL)");
    }
}

/// `cargo xtask generate` writes the page; this fails when it is stale.
#[test]
fn the_committed_page_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/events.md");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == reference(), "docs/events.md is stale: run `cargo xtask generate`");
}
