//! A file is taken as fast as the limit of its level allows.

use super::*;
use crate::protocol::Rates;
use openbits_core::plan::{FilePlan, Limits, Next, Validator};
use openbits_core::{Priority, RangeSet};
use std::io::Write as _;
use std::time::Duration;

const SIZE: usize = 3 << 20;

async fn open(folder: &tempfile::TempDir, limiter: &Rc<Limiter>, level: &Rc<Level>) -> Source {
    let path = folder.path().join("f");
    let bytes: Vec<u8> = (0..SIZE).map(|n| (n % 251) as u8).collect();
    std::fs::File::create(&path).unwrap().write_all(&bytes).unwrap();
    let limits = Limits { max_redirects: 0, allow_https_to_http: false };
    let url = format!("file://{}", path.display());
    let (mut plan, _) = FilePlan::new(&url, None, RangeSet::new(), Validator::default(), limits).unwrap();
    let Next::Send(request) = plan.step() else { panic!("nothing was fetched yet") };
    open_local(&request, Duration::from_secs(10)).await.unwrap().under(limiter, level)
}

/// Takes pieces until the source ends or the time is up; what came, and whether it was the end.
async fn take(source: &mut Source, time: Duration) -> (Vec<u8>, bool) {
    let end = tokio::time::Instant::now() + time;
    let mut got = Vec::new();
    while let Ok(piece) = tokio::time::timeout_at(end, source.piece()).await {
        match piece {
            Piece::Data(data) => got.extend_from_slice(&data),
            Piece::End => return (got, true),
            _ => panic!("the file is there and does not change"),
        }
    }
    (got, false)
}

fn is_right(got: &[u8]) -> bool {
    got.iter().enumerate().all(|(at, byte)| *byte == (at % 251) as u8)
}

#[tokio::test]
async fn a_file_is_held_by_the_limit_of_its_level_and_goes_on_without() {
    let folder = tempfile::tempdir().unwrap();
    let limiter: Rc<Limiter> = Rc::default();
    let level = Rc::new(Level::new(Priority::Normal, false));
    limiter.set(Rates { levels: [None, None, Some(1_000), None], report: true, ..Rates::default() });
    let mut source = open(&folder, &limiter, &level).await;
    assert!(!source.is_held());
    let (mut all, ended) = take(&mut source, Duration::from_millis(600)).await;
    assert!(!ended && all.len() < 100_000, "{} bytes at 1,000 a second", all.len());
    assert!(source.is_held(), "it is the limit that holds it, not the file");
    let (moved, _, _) = limiter.report();
    assert_eq!(moved, [0, 0, all.len() as u64, 0]);
    // Another level has no limit; nothing of what waited is lost.
    level.set(Priority::High);
    let (rest, ended) = take(&mut source, Duration::from_secs(20)).await;
    all.extend(rest);
    assert!(ended && all.len() == SIZE && is_right(&all), "{} bytes", all.len());
    assert!(!source.is_held());
}

#[tokio::test]
async fn two_files_share_a_limit() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let limiter: Rc<Limiter> = Rc::default();
    limiter.set(Rates { levels: [Some(2_000_000); 4], ..Rates::default() });
    let level = Rc::new(Level::new(Priority::Low, false));
    let (mut a, mut b) = (open(&one, &limiter, &level).await, open(&two, &limiter, &level).await);
    let begun = std::time::Instant::now();
    let long = Duration::from_secs(30);
    let ((a, _), (b, _)) = tokio::join!(take(&mut a, long), take(&mut b, long));
    assert!(a.len() == SIZE && b.len() == SIZE && is_right(&a) && is_right(&b));
    // Busy machines take longer, none takes less: 6 MiB at 2 MB/s are 3.1 s.
    assert!(begun.elapsed() > Duration::from_millis(2_800), "{:?}", begun.elapsed());
}
