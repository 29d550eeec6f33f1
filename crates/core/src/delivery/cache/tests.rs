use super::*;

const DOWN: HResult = h::ERROR_WINHTTP_CANNOT_CONNECT;
const BUSY: HResult = h::BG_E_HTTP_ERROR_503;

fn list(hosts: &[&str], delay_s: Option<i64>) -> Route {
    let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
    Route::new(CacheHosts { hosts, delay_s }, Mono(0))
}

fn route(delay_s: Option<i64>) -> Route {
    list(&["mcc1"], delay_s)
}

const fn at(seconds: i64) -> Mono {
    Mono(seconds * 1000)
}

const fn free(_: &str) -> bool {
    false
}

const fn banned(_: &str) -> bool {
    true
}

impl Route {
    /// Whom the next try asks.
    fn asks(&mut self, banned: impl Fn(&str) -> bool) -> String {
        self.choose(banned);
        self.host().unwrap_or("origin").to_owned()
    }

    fn fails(&mut self, code: HResult, second: i64) -> (Next, Option<Ban>) {
        self.failed(code, None, false, free, at(second))
    }

    fn refuses(&mut self, second: i64) -> (Next, Option<Ban>) {
        self.failed(HResult::from_http_status(404), Some(404), true, free, at(second))
    }
}

/// Row "delay unset": the origin at once, then from side to side after two tries each.
#[test]
fn without_a_delay_the_origin_is_asked_at_once() {
    let mut route = route(None);
    assert_eq!(route.asks(free), "mcc1");
    assert_eq!(route.fails(DOWN, 1), (Next::AtOnce, Some(Ban::Everything)));
    assert_eq!(route.asks(banned), "origin");
    assert_eq!(route.fails(DOWN, 2), (Next::Usual, None));
    assert_eq!(route.asks(free), "origin", "one try is not two");
    assert_eq!(route.fails(DOWN, 3), (Next::Usual, None));
    assert_eq!(route.asks(free), "mcc1");
    assert_eq!(route.fails(DOWN, 4), (Next::Later, Some(Ban::Everything)));
    assert_eq!(route.fails(h::ERROR_WINHTTP_CONNECTION_ERROR, 5), (Next::Later, None));
    assert_eq!(route.asks(free), "origin");
}

#[test]
fn a_refusal_of_the_cache_host_leads_to_the_origin() {
    for delay in [None, Some(0), Some(3600)] {
        let mut route = route(delay);
        assert_eq!(route.refuses(1), (Next::AtOnce, Some(Ban::ThisOrigin)), "{delay:?}");
        assert_eq!(route.asks(free), "origin");
        assert_eq!(route.refuses(2), (Next::Usual, None));
    }
}

#[test]
fn minus_one_never_leaves_it() {
    let mut route = route(Some(NEVER));
    for second in [1, 1000, 100_000] {
        assert_eq!(route.fails(DOWN, second), (Next::Later, None));
        assert_eq!(route.asks(banned), "mcc1", "no ban counts");
    }
    assert_eq!(route.refuses(1), (Next::Final, None));
}

#[test]
fn a_delay_holds_until_it_is_over() {
    let mut route = route(Some(45));
    assert_eq!(route.fails(DOWN, 44), (Next::Later, None));
    assert_eq!(route.asks(free), "mcc1");
    assert_eq!(route.fails(DOWN, 45), (Next::AtOnce, None));
    assert_eq!(route.asks(free), "origin");
    let config = route.config.clone();
    route.start(config, at(50));
    assert_eq!(route.asks(free), "origin", "it was given up for good");
    for delay in [0, -5] {
        let mut route = self::route(Some(delay));
        assert_eq!(route.fails(DOWN, 0), (Next::AtOnce, None), "{delay}");
        assert_eq!(route.asks(free), "origin");
    }
}

#[test]
fn a_resume_begins_at_the_cache_host() {
    let mut route = list(&["mcc1", "mcc2"], None);
    assert_eq!(route.asks(free), "mcc1");
    let _ = route.fails(DOWN, 1);
    let _ = route.fails(DOWN, 1);
    assert_eq!(route.asks(free), "origin");
    let config = route.config.clone();
    route.start(config, at(2));
    assert_eq!(route.asks(free), "mcc1");
}

/// Another list is another beginning, also of the delay.
#[test]
fn other_cache_hosts_begin_anew() {
    let mut route = route(Some(5));
    let _ = route.fails(DOWN, 6);
    assert_eq!(route.asks(free), "origin");
    route.start(CacheHosts { hosts: vec!["mcc2".to_owned()], delay_s: Some(5) }, at(10));
    assert_eq!(route.asks(free), "mcc2");
    assert_eq!(route.fails(DOWN, 14), (Next::Later, None));
    assert_eq!(route.fails(DOWN, 15), (Next::AtOnce, None));
}

#[test]
fn hosts_of_a_list_are_asked_in_their_order() {
    let mut route = list(&["a", "b", "c"], None);
    for (host, failure) in [("a", DOWN), ("b", BUSY), ("c", DOWN)] {
        assert_eq!(route.asks(free), host);
        assert_eq!(route.fails(failure, 1).0, Next::AtOnce, "{host}");
    }
    assert_eq!(route.asks(free), "origin");
    // A refusal is one cache host's word.
    let mut route = list(&["a", "b"], None);
    assert_eq!(route.refuses(1), (Next::AtOnce, Some(Ban::ThisOrigin)));
    assert_eq!(route.asks(|host| host == "a"), "b");
    assert_eq!(route.refuses(1), (Next::AtOnce, Some(Ban::ThisOrigin)));
    assert_eq!(route.asks(free), "origin");
    // Who is left alone is passed over.
    let mut route = list(&["a", "b", "c"], None);
    assert_eq!(route.asks(|host| host != "c"), "c");
    assert_eq!(list(&["a", "b"], None).asks(banned), "origin");
    let mut route = list(&["a", "b", "c"], None);
    let next = route.failed(DOWN, None, false, |host| host == "b", at(1));
    assert_eq!((next.0, route.asks(free)), (Next::AtOnce, "c".to_owned()));
}

/// While a delay holds, the list is gone through again and again, with the usual pause between two rounds.
#[test]
fn a_delay_holds_to_the_list() {
    let mut route = list(&["a", "b"], Some(45));
    for _ in 0..3 {
        assert_eq!((route.asks(free), route.fails(DOWN, 1)), ("a".to_owned(), (Next::AtOnce, None)));
        assert_eq!((route.asks(free), route.fails(DOWN, 1)), ("b".to_owned(), (Next::Later, None)));
    }
    // One refuses: the other one alone.
    let refuses = |host: &str| host == "a";
    assert_eq!(
        (route.asks(refuses), route.failed(DOWN, None, false, refuses, at(2)).0),
        ("b".to_owned(), Next::Later)
    );
    assert_eq!(route.asks(refuses), "b");
    assert_eq!(route.failed(HResult::from_http_status(403), Some(403), true, refuses, at(3)).0, Next::AtOnce);
    assert_eq!(route.asks(refuses), "origin", "both refused");
    // When it is over, the list is asked to its end.
    let mut route = list(&["a", "b"], Some(45));
    assert_eq!(route.fails(DOWN, 50).0, Next::AtOnce);
    assert_eq!((route.asks(free), route.fails(DOWN, 51).0), ("b".to_owned(), Next::AtOnce));
    assert_eq!(route.asks(free), "origin");
}

#[test]
fn minus_one_ends_when_every_host_refused() {
    let mut route = list(&["a", "b"], Some(NEVER));
    assert_eq!(route.refuses(1), (Next::AtOnce, None));
    assert_eq!((route.asks(free), route.fails(BUSY, 2)), ("b".to_owned(), (Next::Later, None)));
    assert_eq!((route.asks(free), route.refuses(3)), ("a".to_owned(), (Next::AtOnce, None)));
    assert_eq!((route.asks(free), route.refuses(4)), ("b".to_owned(), (Next::Final, None)));
}

/// Content that is not what was asked for is fetched once from each of them, however much of it came: then the origin has the last word, or
/// nobody.
#[test]
fn wrong_content_is_not_fetched_for_ever() {
    for (delay, end) in [(None, Next::Usual), (Some(3_600), Next::Usual), (Some(NEVER), Next::Final)] {
        let mut route = list(&["a", "b"], delay);
        for step in 0.. {
            assert!(step < 3, "{delay:?}");
            let asked = route.asks(free);
            route.moved();
            let (next, ban) = route.failed(h::BG_E_VALIDATION_FAILED, None, true, free, at(step));
            assert_eq!(ban, None, "what one job expects says nothing to others");
            if next != Next::AtOnce {
                assert_eq!(next, end, "{delay:?}: {asked}");
                break;
            }
        }
    }
}

/// However it fails, between two tries of the same server there is a pause.
#[test]
fn no_server_is_asked_twice_without_a_pause() {
    for delay in [None, Some(NEVER), Some(0), Some(10)] {
        for hosts in [&["a"][..], &["a", "b", "c"]] {
            for kind in 0..256_u32 {
                let mut route = list(hosts, delay);
                let mut seen: Vec<String> = Vec::new();
                for step in 0..12 {
                    let host = route.asks(|host| kind % 5 == 0 && host == "b");
                    assert!(!seen.contains(&host), "{delay:?} {hosts:?} {kind}: {host} again");
                    seen.push(host);
                    let how = kind / 4_u32.pow(step % 4) % 4;
                    let (code, status, last) = match how {
                        0 => (DOWN, None, false),
                        1 => (BUSY, Some(503), false),
                        2 => (HResult::from_http_status(404), Some(404), true),
                        _ => (h::BG_E_VALIDATION_FAILED, None, true),
                    };
                    let banned = |host: &str| kind % 5 == 0 && host == "b";
                    let (next, _) = route.failed(code, status, last, banned, at(i64::from(step)));
                    match next {
                        Next::AtOnce => {}
                        Next::Final => break,
                        Next::Usual | Next::Later => seen.clear(),
                    }
                }
            }
        }
    }
}

#[test]
fn levels_have_delays_of_their_own() {
    let hosts = Some(vec!["mcc1".to_owned()]);
    let policy = CachePolicy {
        hosts,
        foreground_s: Some(5),
        background_s: Some(NEVER),
        off_on_vpn: false,
        off: false,
    };
    assert_eq!(policy.of(Priority::Foreground).unwrap().delay_s, Some(5));
    for priority in [Priority::High, Priority::Normal, Priority::Low] {
        assert_eq!(policy.of(priority).unwrap().delay_s, Some(NEVER));
    }
    for hosts in [None, Some(Vec::new())] {
        assert_eq!(CachePolicy { hosts, ..policy.clone() }.of(Priority::Normal), None);
    }
}
