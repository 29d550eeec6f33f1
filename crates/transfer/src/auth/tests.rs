use super::*;
use http::header::{PROXY_AUTHENTICATE, WWW_AUTHENTICATE};
use openbits_core::Secret;

fn pair(user: &str) -> Pair {
    Pair { user: Secret::new(user), password: Secret::new("pw") }
}

fn auth(credentials: &[(AuthTarget, AuthScheme, Option<&str>)]) -> Auth {
    let credential =
        |&(target, scheme, user): &(_, _, Option<&str>)| Credential { target, scheme, pair: user.map(pair) };
    Auth { credentials: credentials.iter().map(credential).collect(), ..Auth::default() }
}

fn peer(target: AuthTarget, private: bool, login: Option<&str>) -> Peer {
    Peer { target, host: "h".into(), port: 80, private, login: login.map(pair) }
}

fn asks(target: AuthTarget, lines: &[&'static str]) -> HeaderMap {
    let name = if target == Server { WWW_AUTHENTICATE } else { PROXY_AUTHENTICATE };
    lines.iter().map(|line| (name.clone(), HeaderValue::from_static(line))).collect()
}

fn sent(auth: &mut Auth, peer: &Peer) -> Option<String> {
    let mut request = http::Request::get("/dir/x?q=1").body(()).unwrap();
    auth.dress(&mut request, peer);
    let name = if peer.target == Server { AUTHORIZATION } else { PROXY_AUTHORIZATION };
    request.headers().get(name).map(|value| {
        assert!(value.is_sensitive());
        value.to_str().unwrap().to_owned()
    })
}

const DIGEST: &str = r#"Digest realm="r", nonce="n1", qop="auth", algorithm=SHA-256, opaque="o""#;
const STALE: &str = r#"Digest realm="r", nonce="n2", qop="auth", algorithm=SHA-256, stale=true"#;
const BASIC: &str = r#"Basic realm="r""#;
use AuthScheme::{Basic, Digest, Ntlm};
use AuthTarget::{Proxy, Server};

/// A job that holds these headers back.
fn holding_back(lines: &[(&str, &str)], mut auth: Auth) -> Auth {
    let header = |(name, value): &(&str, &str)| crate::protocol::Header {
        name: (*name).to_owned(),
        value: Secret::new(*value),
    };
    auth.held_back = HeldBack::new(&lines.iter().map(header).collect::<Vec<_>>());
    auth
}

/// All headers of a request, by name and in order.
fn dressed(auth: &mut Auth, peer: &Peer) -> Vec<(String, String)> {
    let mut request = http::Request::get("/x").header("x-own", "default").body(()).unwrap();
    auth.dress(&mut request, peer);
    let headers = request.headers().iter();
    headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
}

fn has(headers: &[(String, String)], name: &str) -> bool {
    headers.iter().any(|(n, _)| n == name)
}

#[tokio::test]
async fn headers_that_are_held_back_go_to_whom_asks_and_once() {
    let lines = [("X-Key", "k"), ("x-key", "l"), ("X-Own", "mine"), ("Host", "evil"), ("Proxy-Key", "p")];
    let mut auth = holding_back(&lines, auth(&[]));
    let server = peer(Server, false, None);
    let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    };
    assert_eq!(dressed(&mut auth, &server), pairs(&[("x-own", "default")]), "not unasked");
    // Whatever it asks for, and also if it does not say what.
    assert!(auth.challenged(&server, &HeaderMap::new()).await);
    let mut sent = dressed(&mut auth, &server);
    sent.sort();
    assert_eq!(
        sent,
        pairs(&[("x-key", "k"), ("x-key", "l"), ("x-own", "mine")]),
        "the server's, and no others"
    );
    // Another server, the same one by another port or without TLS, and the proxy have not asked.
    for other in [
        Peer { host: "other".into(), ..server.clone() },
        Peer { port: 8080, ..server.clone() },
        Peer { private: true, ..server.clone() },
        peer(Proxy, false, None),
    ] {
        assert_eq!(dressed(&mut auth, &other), pairs(&[("x-own", "default")]), "{other:?}");
    }
    auth.accepted(&server);
    assert!(has(&dressed(&mut auth, &server), "x-key"), "from now on");
    assert!(!auth.challenged(&server, &asks(Server, &[BASIC])).await, "a second challenge is final");
    let why = auth.why(&server);
    assert!(
        why.contains("accepts Basic") && why.contains("were refused") && !why.contains("no credentials"),
        "{why}"
    );
}

#[tokio::test]
async fn credentials_go_before_headers_that_are_held_back() {
    let mut auth = holding_back(&[("Authorization", "Bearer t")], auth(&[(Server, Basic, Some("b"))]));
    let server = peer(Server, true, None);
    assert!(auth.challenged(&server, &asks(Server, &[BASIC])).await);
    assert_eq!(sent(&mut auth, &server).as_deref(), Some("Basic Yjpwdw=="));
    assert!(auth.challenged(&server, &asks(Server, &[BASIC])).await);
    assert_eq!(sent(&mut auth, &server).as_deref(), Some("Bearer t"));
    assert!(!auth.challenged(&server, &asks(Server, &[BASIC])).await);
    let why = auth.why(&server);
    assert!(why.contains("BASIC was refused") && why.contains("headers"), "{why}");
    // Credentials for another scheme do not help: the headers go at once.
    let mut auth = holding_back(&[("Authorization", "Bearer t")], self::auth(&[(Server, Digest, Some("d"))]));
    assert!(auth.challenged(&server, &asks(Server, &[BASIC])).await);
    assert_eq!(sent(&mut auth, &server).as_deref(), Some("Bearer t"));
    // Nor is the rest of the job's headers: what was sent unasked is replaced.
    let mut request = http::Request::get("/x").header(AUTHORIZATION, "Bearer old").body(()).unwrap();
    auth.dress(&mut request, &server);
    assert_eq!(request.headers()[AUTHORIZATION], "Bearer t");
}

#[tokio::test]
async fn of_headers_that_are_held_back_a_proxy_gets_its_own() {
    let lines = [("Proxy-Authorization", "Bearer p"), ("Authorization", "Bearer s")];
    let mut auth = holding_back(&lines, auth(&[]));
    let (server, proxy) = (peer(Server, true, None), peer(Proxy, false, None));
    assert!(auth.challenged(&proxy, &asks(Proxy, &[BASIC])).await);
    let told = dressed(&mut auth, &proxy);
    assert!(has(&told, "proxy-authorization") && !has(&told, "authorization"), "{told:?}");
    assert_eq!(sent(&mut auth, &server), None, "the server has not asked");
    assert!(auth.challenged(&server, &asks(Server, &[BASIC])).await);
    let told = dressed(&mut auth, &server);
    assert!(has(&told, "authorization") && !has(&told, "proxy-authorization"), "{told:?}");
    let mut none = holding_back(&lines[1..], self::auth(&[]));
    assert!(!none.challenged(&proxy, &asks(Proxy, &[BASIC])).await, "nothing for a proxy");
}

#[tokio::test]
async fn nothing_is_sent_unasked_and_the_strongest_goes_first() {
    let mut auth = auth(&[(Server, Basic, Some("b")), (Server, Digest, Some("d"))]);
    let server = peer(Server, true, None);
    assert_eq!(sent(&mut auth, &server), None);
    assert!(auth.challenged(&server, &asks(Server, &[BASIC, DIGEST])).await);
    let first = sent(&mut auth, &server).unwrap();
    assert!(first.starts_with("Digest ") && first.contains(r#"username="d""#), "{first}");
    assert!(first.contains(r#"uri="/dir/x?q=1""#) && first.contains("nc=00000001"), "{first}");
    auth.accepted(&server);
    assert!(
        sent(&mut auth, &server).unwrap().contains("nc=00000002"),
        "counted, and sent unasked from now on"
    );
    // Refused later: the weaker one of another name is tried too, and then no more.
    assert!(auth.challenged(&server, &asks(Server, &[BASIC, DIGEST])).await);
    assert_eq!(sent(&mut auth, &server).as_deref(), Some("Basic Yjpwdw=="));
    assert!(!auth.challenged(&server, &asks(Server, &[BASIC, DIGEST])).await);
    let why = auth.why(&server);
    assert!(why.contains("BASIC was refused") && why.contains("DIGEST was refused"), "{why}");
    let told: Vec<_> = auth
        .take_notes()
        .into_iter()
        .map(|note| match note {
            Note::Credentials { scheme, accepted, user, .. } => (scheme, accepted, user),
            other => panic!("{other:?}"),
        })
        .collect();
    let row = |scheme, accepted, user: &str| (scheme, accepted, user.to_owned());
    assert_eq!(told, [row(Digest, true, "d"), row(Digest, false, "d"), row(Basic, false, "b")]);
}

#[tokio::test]
async fn a_stale_nonce_is_not_a_refusal_but_not_for_ever() {
    let mut auth = auth(&[(Server, Digest, Some("d"))]);
    let server = peer(Server, false, None);
    assert!(auth.challenged(&server, &asks(Server, &[DIGEST])).await);
    for _ in 0..MAX_STALE {
        assert!(sent(&mut auth, &server).is_some());
        assert!(auth.challenged(&server, &asks(Server, &[STALE])).await);
    }
    assert!(sent(&mut auth, &server).unwrap().contains(r#"nonce="n2""#));
    assert!(!auth.challenged(&server, &asks(Server, &[STALE])).await);
}

#[tokio::test]
async fn basic_goes_over_https_only() {
    let mut auth = auth(&[(Server, Basic, Some("b"))]);
    let plain = peer(Server, false, Some("url"));
    assert_eq!(sent(&mut auth, &plain), None);
    assert!(!auth.challenged(&plain, &asks(Server, &[BASIC])).await);
    assert!(auth.why(&plain).contains("over https only"), "{}", auth.why(&plain));
    assert_eq!(sent(&mut auth, &plain), None);
    auth.plaintext_basic = true;
    assert_eq!(sent(&mut auth, &peer(Server, false, Some("url"))), None, "given up for this peer");
    assert!(sent(&mut auth, &Peer { port: 81, ..plain }).is_some(), "the policy allows it");
}

#[tokio::test]
async fn a_login_of_a_url_is_sent_unasked_where_nobody_can_read_it() {
    let mut auth = Auth::default();
    assert!(sent(&mut auth, &peer(Server, true, Some("u"))).unwrap().starts_with("Basic "));
    let proxy = peer(Proxy, false, Some("u"));
    assert!(sent(&mut auth, &proxy).unwrap().starts_with("Basic "));
    // A proxy that wants more than Basic gets it with the same name.
    assert!(auth.challenged(&proxy, &asks(Proxy, &[DIGEST])).await);
    assert!(sent(&mut auth, &proxy).unwrap().starts_with("Digest "));
    // An http server is answered by Digest, which shows no password.
    let plain = peer(Server, false, Some("u"));
    assert_eq!(sent(&mut auth, &plain), None);
    assert!(auth.challenged(&plain, &asks(Server, &[BASIC, DIGEST])).await);
    assert!(sent(&mut auth, &plain).unwrap().starts_with("Digest "));
}

#[tokio::test]
async fn credentials_of_one_target_are_not_for_the_other() {
    let mut auth = auth(&[(Proxy, Basic, Some("b")), (Proxy, Digest, Some("d"))]);
    let server = peer(Server, true, None);
    assert!(!auth.challenged(&server, &asks(Server, &[BASIC, DIGEST])).await);
    assert!(auth.why(&server).contains("no credentials"), "{}", auth.why(&server));
    assert!(!auth.challenged(&server, &HeaderMap::new()).await);
}

#[test]
fn who_may_use_the_owners_own_credentials() {
    let server = peer(Server, true, None);
    let proxy = peer(Proxy, false, None);
    assert_eq!(auth(&[]).find(&server, Ntlm), None, "not unless somebody says so");
    let implicit = auth(&[(Proxy, Ntlm, None)]);
    assert_eq!(implicit.find(&proxy, Ntlm), Some(None));
    assert_eq!(implicit.find(&server, Ntlm), Some(None), "the proxy's are offered to the server too");
    assert_eq!(implicit.find(&server, Basic), None);
    let stranger = Auth { anonymous: true, ..auth(&[(Proxy, Ntlm, None)]) };
    assert_eq!(stranger.find(&server, Ntlm), None, "a cache host hears nobody's name");
    assert_eq!(stranger.find(&proxy, Ntlm), Some(None));
    let stranger = Auth { anonymous: true, ..auth(&[(Server, Basic, Some("b"))]) };
    assert_eq!(stranger.find(&server, Basic), None, "nor one that came by mistake");
    let both = auth(&[(Proxy, Ntlm, None), (Server, Basic, Some("b"))]);
    assert_eq!(both.find(&server, Ntlm), None, "explicit ones come instead");
    let stored = Auth { stored: true, ..Auth::default() };
    assert_eq!(stored.find(&proxy, AuthScheme::Negotiate), Some(None));
    assert_eq!(stored.find(&server, AuthScheme::Negotiate), None, "for the proxy only");
}

#[tokio::test]
async fn a_peer_that_never_has_enough_is_left() {
    let mut auth = auth(&[(Server, Digest, Some("d"))]);
    let server = peer(Server, true, None);
    let mut rounds = 0;
    while auth.challenged(&server, &asks(Server, &[STALE])).await {
        rounds += 1;
        assert!(rounds <= MAX_ROUNDS);
    }
}
