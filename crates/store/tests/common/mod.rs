//! Rows and shortcuts for the tests.
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::Path;
use std::sync::mpsc::sync_channel;

use openbits_store::{CommitError, EventRow, FileRow, JobRow, Loaded, Op, Opened, Options, Store};

/// A spread id for a small number.
pub(crate) fn id(n: u32) -> [u8; 16] {
    let spread = u128::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    let mut id = spread.to_be_bytes();
    id[12..].copy_from_slice(&n.to_be_bytes());
    id
}

pub(crate) fn job(n: u32, name: &str) -> JobRow {
    let doc = format!(r#"{{"n":{n},"text":"{}"}}"#, "d".repeat(n as usize % 400));
    JobRow {
        id: id(n),
        owner: 1000 + n % 3,
        state: (n % 9) as u8,
        priority: (n % 4) as u8,
        name: name.into(),
        doc,
    }
}

pub(crate) fn file(n: u32, index: u32, tag: &str) -> FileRow {
    FileRow {
        job: id(n),
        index,
        remote: format!("https://host.example/{n}/{index}"),
        local: format!("/srv/{n}/{index}"),
        doc: format!(r#"{{"tag":"{tag}","ranges":[[0,4096],[8192,12288]]}}"#),
    }
}

pub(crate) fn event(seq: u64, n: u32) -> EventRow {
    EventRow {
        seq,
        owner: 1000 + n % 3,
        job: id(n),
        kind: "state".into(),
        at_ms: -5,
        body: format!("body {seq}"),
    }
}

pub(crate) fn open(path: &Path) -> Opened {
    Store::open(path, Options::default()).unwrap()
}

/// Submits and waits for the answer.
pub(crate) fn batch(store: &Store, ops: Vec<Op>) -> Result<(), CommitError> {
    let (answer, answered) = sync_channel(1);
    store.submit(ops, Box::new(move |result| answer.send(result).expect("the test waits"))).unwrap();
    answered.recv().unwrap()
}

pub(crate) fn sorted(mut loaded: Loaded) -> Loaded {
    loaded.jobs.sort_by_key(|j| j.id);
    loaded.files.sort_by_key(|f| (f.job, f.index));
    loaded
}
