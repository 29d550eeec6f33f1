use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A connection to a sender that never stops, read for so long at a limit; bytes read.
async fn read_for(limiter: &Rc<Limiter>, priority: Priority, ms: u64, change: impl AsyncFn(u64)) -> u64 {
    read_at(limiter, Level::new(priority, false), ms, change).await
}

async fn read_at(limiter: &Rc<Limiter>, level: Level, ms: u64, change: impl AsyncFn(u64)) -> u64 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let address = listener.local_addr().expect("an address");
    let send = async {
        let (mut peer, _) = listener.accept().await.expect("connects");
        let piece = vec![7; 64 << 10];
        while peer.write_all(&piece).await.is_ok() {}
    };
    let read = async {
        let (mut stream, tap) = Shaped::new(TcpStream::connect(address).await.expect("connects"));
        tap.open(limiter, &Rc::new(level), Some(address));
        let end = Instant::now() + Duration::from_millis(ms);
        let (mut buffer, mut total) = (vec![0; 1 << 20], 0);
        while let Ok(got) = tokio::time::timeout_at(end.into(), stream.read(&mut buffer)).await {
            total += got.expect("reads") as u64;
            change(total).await;
        }
        total
    };
    tokio::select! {
        () = send => unreachable!("the reader ends first"),
        total = read => total,
    }
}

fn limiter(rates: Rates) -> Rc<Limiter> {
    let limiter = Limiter::default();
    limiter.set(rates);
    Rc::new(limiter)
}

async fn nothing(_: u64) {}

#[tokio::test]
async fn a_limit_is_kept() {
    let normal = |rate| Rates { levels: [None, None, Some(rate), None], ..Rates::default() };
    for rate in [40_000, 1_000_000, 20_000_000] {
        let limiter = limiter(normal(rate));
        let total = read_for(&limiter, Priority::Normal, 1_500, nothing).await;
        let expected = rate * 3 / 2;
        let slack = expected / 20 + Bucket::new(rate).slice();
        assert!(total.abs_diff(expected) <= slack, "{total} at {rate}");
        let (moved, delivered, ms) = limiter.report();
        assert_eq!((moved, delivered), ([0, 0, total, 0], [0; 2]));
        assert!((1_500..3_000).contains(&ms));
    }
}

#[tokio::test]
async fn other_levels_and_neighbours_have_none() {
    let rates = Rates { levels: [None, None, Some(1_000), None], near_free: [true; 4], ..Rates::default() };
    let free = limiter(rates.clone());
    assert!(read_for(&free, Priority::Normal, 300, nothing).await > 10_000_000, "the loopback is near");
    let held = limiter(Rates { near_free: [true, true, false, true], ..rates });
    assert!(read_for(&held, Priority::Normal, 300, nothing).await < 3_000);
    assert!(read_for(&held, Priority::High, 300, nothing).await > 10_000_000);
}

#[tokio::test]
async fn a_changed_limit_counts_within_a_fraction_of_a_second() {
    let slow = Rates { levels: [Some(1_000); 4], ..Rates::default() };
    let limiter = limiter(slow);
    let changed = Cell::new(None);
    let begun = Instant::now();
    let total = read_for(&limiter, Priority::Low, 1_200, async |total| {
        if total >= 512 && changed.get().is_none() {
            changed.set(Some(begun.elapsed()));
            limiter.set(Rates::default());
        }
    })
    .await;
    assert!(changed.get().is_some() && total > 5_000_000, "{total}");
}

#[tokio::test]
async fn connections_share_a_limit_evenly_and_writes_count_too() {
    let limiter = limiter(Rates { levels: [Some(2_000_000); 4], ..Rates::default() });
    let one = || read_for(&limiter, Priority::High, 1_000, nothing);
    let (a, b, c, d) = tokio::join!(one(), one(), one(), one());
    assert!((a + b + c + d).abs_diff(2_000_000) < 500_000, "{a} {b} {c} {d}");
    for part in [a, b, c, d] {
        assert!(part.abs_diff(500_000) < 150_000, "{a} {b} {c} {d}");
    }
    let (client, mut server) = tokio::net::UnixStream::pair().expect("a pair");
    let (mut stream, tap) = Shaped::new(client);
    tap.open(&limiter, &Rc::new(Level::new(Priority::Low, false)), None);
    let reader = async {
        let mut buffer = vec![0; 1 << 20];
        while server.read(&mut buffer).await.expect("reads") > 0 {}
    };
    let begun = Instant::now();
    let writer = async {
        stream.write_all(&vec![1; 1_000_000]).await.expect("writes");
        drop(stream);
    };
    tokio::join!(reader, writer);
    let took = begun.elapsed().as_millis();
    assert!((400..650).contains(&took), "{took} ms for 1 MB at 2 MB/s");
}

#[tokio::test]
async fn a_closed_tap_gives_back_what_was_reserved() {
    let limiter = limiter(Rates { levels: [Some(1_000); 4], ..Rates::default() });
    let (client, mut server) = tokio::net::UnixStream::pair().expect("a pair");
    server.write_all(&[1; 2_000]).await.expect("writes");
    let (mut stream, tap) = Shaped::new(client);
    tap.open(&limiter, &Rc::new(Level::new(Priority::Low, false)), None);
    let mut buffer = [0; 600];
    assert_eq!(stream.read(&mut buffer).await.expect("reads"), 512);
    let next = tokio::time::timeout(Duration::from_millis(20), stream.read(&mut buffer)).await;
    assert!(next.is_err() && tap.is_held());
    tap.close();
    assert!(!tap.is_held());
    let rest = tokio::time::timeout(Duration::from_millis(20), stream.read(&mut buffer)).await;
    assert_eq!(rest.expect("no limit any more").expect("reads"), 600);
}

/// Both limits hold; neighbours have none of the ordinary kind. Others do not feel it.
#[tokio::test]
async fn delivery_optimization_has_a_limit_beside() {
    let rates = Rates {
        levels: [None, None, Some(1_000_000), None],
        near_free: [false; 4],
        delivery: [Some(2_000_000), Some(300_000)],
        ..Rates::default()
    };
    let limiter = limiter(rates.clone());
    let own = |priority| read_at(&limiter, Level::new(priority, true), 1_000, nothing);
    let (first, second, low, other, front) = tokio::join!(
        own(Priority::Normal),
        own(Priority::Normal),
        own(Priority::Low),
        read_for(&limiter, Priority::Normal, 1_000, nothing),
        own(Priority::Foreground),
    );
    // Never more; on a busy machine less.
    let about = |bytes: u64, expected: u64| bytes < expected / 4 * 5 && bytes > expected / 2;
    assert!(about(first + second + low, 300_000), "{first} {second} {low}");
    assert!(about(first + second + other, 1_000_000), "{first} {second} {other}");
    assert!(about(front, 2_000_000), "{front}");
    let (moved, delivered, _) = limiter.report();
    assert_eq!(moved, [0, 0, first + second + other, 0], "levels with a limit only");
    assert_eq!(delivered, [front, first + second + low]);
    // The lower one wins, whichever it is; in the own subnet there is this one alone.
    limiter.set(Rates { delivery: [None, Some(5_000_000)], ..rates.clone() });
    let total = own(Priority::Normal).await;
    assert!(about(total, 1_000_000), "{total}");
    limiter.set(Rates { delivery: [None, Some(5_000_000)], near_free: [true; 4], ..rates });
    let total = own(Priority::Normal).await;
    assert!(about(total, 5_000_000), "{total}");
}

/// A job that goes to the front takes the limit of the front.
#[tokio::test]
async fn a_level_that_changes_changes_the_limit() {
    let rates = Rates { delivery: [Some(4_000_000), Some(100_000)], ..Rates::default() };
    let (limiter, level) = (limiter(rates), Rc::new(Level::new(Priority::Normal, true)));
    let (mine, yours) = (level.clone(), Rc::new(Cell::new(0)));
    let seen = yours.clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let address = listener.local_addr().expect("an address");
    let send = async {
        let (mut peer, _) = listener.accept().await.expect("connects");
        while peer.write_all(&[7; 4096]).await.is_ok() {}
    };
    let read = async {
        let (mut stream, tap) = Shaped::new(TcpStream::connect(address).await.expect("connects"));
        tap.open(&limiter, &mine, None);
        let mut buffer = vec![0; 1 << 20];
        while let Ok(got) = stream.read(&mut buffer).await {
            seen.set(seen.get() + got as u64);
        }
    };
    let watch = async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        let slow = yours.replace(0);
        level.set(Priority::Foreground);
        tokio::time::sleep(Duration::from_millis(1_000)).await;
        (slow, yours.get())
    };
    tokio::select! {
        () = send => unreachable!("the reader ends last"),
        () = read => unreachable!("it reads for ever"),
        (slow, fast) = watch => assert!(slow < 90_000 && fast > 2_000_000, "{slow} {fast}"),
    }
}
