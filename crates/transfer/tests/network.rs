//! The way to the origin: redirects, credentials, proxies, TLS, HTTP/2, binding, and the worker behind a socket pair.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Bench, End, Job, assert_content};
use openbits_core::hresult::*;
use openbits_core::{ErrorContext, HResult, RangeSet};
use openbits_testkit::{Behaviour, Certificate, Content, Origin, OriginFile, OriginOptions, own_port};
use openbits_transfer::protocol::{Algorithm, Command, Digest, Event, FailureClass, Proxy, Validator};
use openbits_transfer::pump;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};

const SIZE: u64 = 1 << 20;

fn fetched(bench: &mut Bench, job: &mut Job, content: &Content) {
    let run = bench.attempt(job);
    assert_eq!(run.end, End::Done);
    assert_eq!(bench.finish(job), (vec![0], None, vec![]));
    assert_content(&job.local(0), content);
    std::fs::remove_file(job.local(0)).unwrap();
}

fn fails(bench: &mut Bench, job: &mut Job, code: HResult, class: FailureClass) -> String {
    let run = bench.attempt(job);
    let failure = run.failure();
    assert_eq!((failure.code, failure.class), (code, class), "{failure:?}");
    failure.detail.clone()
}

/// A proxy that serves absolute-form requests and tunnels; tells each request's head.
fn proxy(tunnels: bool) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (heads, seen) = sync_channel(64);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let heads = heads.clone();
            std::thread::spawn(move || serve(client.unwrap(), tunnels, &heads));
        }
    });
    (addr, seen)
}

fn serve(mut client: TcpStream, tunnels: bool, heads: &std::sync::mpsc::SyncSender<String>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if client.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let text = String::from_utf8(head).unwrap();
    heads.send(text.clone()).unwrap();
    let target = text.split(' ').nth(1).unwrap().to_owned();
    let mut server = if text.starts_with("CONNECT ") {
        if !tunnels {
            client.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").unwrap();
            return;
        }
        let server = TcpStream::connect(target).unwrap();
        client.write_all(b"HTTP/1.1 200 Yes\r\n\r\n").unwrap();
        server
    } else {
        let rest = target.strip_prefix("http://").unwrap();
        let (host, path) = rest.split_once('/').unwrap();
        let mut server = TcpStream::connect(host).unwrap();
        let line = format!("GET /{path} HTTP/1.1\r\n");
        server.write_all((line + text.split_once("\r\n").unwrap().1).as_bytes()).unwrap();
        server
    };
    let (mut up, mut down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut up, &mut down));
    let _ = std::io::copy(&mut server, &mut client);
    let _ = client.shutdown(std::net::Shutdown::Both);
}

fn secure(certificate: Certificate, http2: bool) -> (Origin, tempfile::NamedTempFile) {
    let options = OriginOptions { https: Some(certificate), http2, ..OriginOptions::default() };
    let origin = Origin::start_with(options).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(origin.ca_pem().unwrap().as_bytes()).unwrap();
    (origin, file)
}

#[test]
fn credentials_stay_at_their_origin() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    let content = Content::new(1, SIZE);
    origin.put("f", OriginFile::new(content.clone()).behaviour(Behaviour::RedirectCrossOrigin));
    let mut job = bench.job(&[(&origin.url("f"), "f")]);
    let header = |name: &str, value: &str| openbits_transfer::protocol::Header {
        name: name.to_owned(),
        value: openbits_core::Secret::new(value),
    };
    job.options.headers = vec![
        header("Authorization", "Bearer secret"),
        header("Cookie", "a=secret"),
        header("Proxy-Authorization", "Basic c2VjcmV0"),
        header("X-Api-Key", "secret"),
        header("Accept-Language", "de"),
        header("Range", "bytes=5-6"),
        header("Accept-Encoding", "gzip"),
    ];
    fetched(&mut bench, &mut job, &content);
    let requests = origin.requests("f");
    assert_eq!(requests.len(), 2);
    assert!(requests[0].has_credentials() && !requests[1].has_credentials());
    assert_eq!(requests[0].header("x-api-key"), Some("secret"));
    for request in &requests {
        assert_eq!(request.header("accept-language"), Some("de"));
        assert_eq!(request.header("accept-encoding"), Some("identity"));
        assert_eq!(request.range(), Some("bytes=0-"));
        assert!(request.header("user-agent").unwrap().starts_with("openbits/"));
        assert!(requests[1].headers.iter().all(|(_, value)| !value.contains("secret")));
    }
}

#[test]
fn credentials_in_a_url_are_used_over_https_only() {
    let (origin, ca) = secure(Certificate::Good, false);
    let mut bench = Bench::new();
    let content = Content::new(1, SIZE);
    origin.put("f", OriginFile::new(content.clone()).behaviour(Behaviour::WantsBasic));
    let url = origin.https_url("f").unwrap().replace("https://", "https://user:p%40ss@");
    let mut job = bench.job(&[(&url, "f")]);
    job.options.extra_ca = Some(ca.path().to_str().unwrap().to_owned());
    fetched(&mut bench, &mut job, &content);
    assert_eq!(origin.requests("f")[0].header("authorization"), Some("Basic dXNlcjpwQHNz"));
    let mut job = bench.job(&[(&origin.url("f").replace("http://", "http://user:pass@"), "f")]);
    let run = bench.attempt(&mut job);
    assert_eq!(run.failure().code, BG_E_HTTP_ERROR_401);
    assert!(!run.failure().url.as_ref().unwrap().contains("pass"));
}

#[test]
fn proxies_are_used_as_the_job_says() {
    let (origin, ca) = secure(Certificate::Good, false);
    let mut bench = Bench::new();
    let content = Content::new(1, SIZE);
    origin.put("f", content.clone());
    let (addr, heads) = proxy(true);
    let environment = |no: Option<&str>| Proxy::Environment {
        http: Some(format!("http://user:word@{addr}")),
        https: Some(addr.to_string()),
        all: None,
        no: no.map(str::to_owned),
    };
    // http: absolute form, with the proxy's credentials.
    let mut job = bench.job(&[(&origin.url("f"), "f")]);
    job.options.proxy = environment(None);
    fetched(&mut bench, &mut job, &content);
    let head = heads.try_recv().unwrap().to_lowercase();
    assert!(head.starts_with(&format!("get {} http/1.1", origin.url("f"))), "{head}");
    assert!(head.contains("proxy-authorization: basic dxnlcjp3b3jk"), "{head}");
    assert!(origin.requests("f")[0].header("host").is_some());
    // no_proxy
    let mut job = bench.job(&[(&origin.url("f"), "f")]);
    job.options.proxy = environment(Some("127.0.0.1"));
    fetched(&mut bench, &mut job, &content);
    assert!(heads.try_recv().is_err());
    // https: a tunnel
    let url = origin.https_url("f").unwrap();
    let extra_ca = Some(ca.path().to_str().unwrap().to_owned());
    let mut job = bench.job(&[(&url, "f")]);
    (job.options.proxy, job.options.extra_ca) = (environment(None), extra_ca.clone());
    fetched(&mut bench, &mut job, &content);
    assert!(heads.try_recv().unwrap().starts_with("CONNECT localhost:"));
    // A list: the dead one first.
    let dead = SocketAddr::from(([127, 0, 0, 1], own_port()));
    let mut job = bench.job(&[(&origin.url("f"), "f")]);
    job.options.proxy = Proxy::List { list: format!("{dead} http={addr}"), bypass: None };
    fetched(&mut bench, &mut job, &content);
    assert!(heads.try_recv().is_ok());
    let (second, heads) = proxy(true); // a kept connection would show no second head
    job = bench.job(&[(&origin.url("f"), "f")]);
    job.options.proxy = Proxy::List { list: format!("{dead} {second}"), bypass: Some("<local>".into()) };
    fetched(&mut bench, &mut job, &content);
    assert!(heads.try_recv().is_ok());
    // All dead; unusable; refused tunnel.
    let mut job = bench.job(&[(&origin.url("f"), "f")]);
    job.options.proxy = Proxy::List { list: dead.to_string(), bypass: None };
    fails(&mut bench, &mut job, ERROR_WINHTTP_CANNOT_CONNECT, FailureClass::Transient);
    job.options.proxy = Proxy::List { list: "socks=x".into(), bypass: None };
    fails(&mut bench, &mut job, BG_E_INVALID_PROXY_INFO, FailureClass::Fatal);
    let (closed, _heads) = proxy(false);
    let mut job = bench.job(&[(&url, "f")]);
    job.options.proxy = Proxy::List { list: closed.to_string(), bypass: None };
    job.options.extra_ca = extra_ca;
    fails(&mut bench, &mut job, BG_E_HTTP_ERROR_403, FailureClass::Fatal);
}

#[test]
fn certificates_are_checked() {
    for (certificate, code) in [
        (Certificate::Expired, ERROR_WINHTTP_SECURE_CERT_DATE_INVALID),
        (Certificate::NotYetValid, ERROR_WINHTTP_SECURE_CERT_DATE_INVALID),
        (Certificate::WrongName, ERROR_WINHTTP_SECURE_CERT_CN_INVALID),
        (Certificate::WrongUsage, ERROR_WINHTTP_SECURE_CERT_WRONG_USAGE),
    ] {
        let (origin, ca) = secure(certificate, true);
        let mut bench = Bench::new();
        origin.put("f", Content::new(1, SIZE));
        let mut job = bench.job(&[(&origin.https_url("f").unwrap(), "f")]);
        job.options.extra_ca = Some(ca.path().to_str().unwrap().to_owned());
        fails(&mut bench, &mut job, code, FailureClass::Fatal);
        assert!(origin.requests("f").is_empty());
    }
    let (origin, _ca) = secure(Certificate::Good, true);
    let mut bench = Bench::new();
    let mut job = bench.job(&[(&origin.https_url("f").unwrap(), "f")]);
    fails(&mut bench, &mut job, ERROR_WINHTTP_SECURE_INVALID_CA, FailureClass::Fatal);
    job.options.extra_ca = Some("/nonexistent.pem".into());
    fails(&mut bench, &mut job, ERROR_WINHTTP_SECURE_FAILURE, FailureClass::Fatal);
    // A server that does not speak TLS.
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut job = bench.job(&[(&format!("https://{}/f", plain.local_addr().unwrap()), "f")]);
    std::thread::spawn(move || {
        plain.accept().unwrap().0.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    fails(&mut bench, &mut job, ERROR_WINHTTP_SECURE_CHANNEL_ERROR, FailureClass::Fatal);
}

#[test]
fn http2_is_agreed_on_and_its_faults_keep_what_came() {
    let (origin, ca) = secure(Certificate::Good, true);
    let mut bench = Bench::new();
    let content = Content::new(1, 8 * SIZE);
    origin.put("f", content.clone());
    let extra_ca = Some(ca.path().to_str().unwrap().to_owned());
    for (http2, version) in [(true, 20), (false, 11)] {
        let mut job = bench.job(&[(&origin.https_url("f").unwrap(), "f")]);
        (job.options.extra_ca, job.options.http2) = (extra_ca.clone(), http2);
        origin.clear_log();
        fetched(&mut bench, &mut job, &content);
        assert_eq!(origin.requests("f")[0].version, version);
    }
    for behaviour in [Behaviour::ShortReset, Behaviour::Goaway, Behaviour::NoContentLength] {
        origin.put("g", OriginFile::new(content.clone()).behaviour(behaviour).times(2));
        let mut job = bench.job(&[(&origin.https_url("g").unwrap(), "g")]);
        job.options.extra_ca = extra_ca.clone();
        fetched(&mut bench, &mut job, &content);
    }
}

#[test]
fn connections_are_bound_as_the_job_says() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    let content = Content::new(1, SIZE);
    origin.put("f", content.clone());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let watched = listener.local_addr().unwrap();
    let (peers, seen) = sync_channel(1);
    std::thread::spawn(move || peers.send(listener.accept().unwrap().1).unwrap());
    let mut job = bench.job(&[(&format!("http://{watched}/f"), "f")]);
    job.options.bind = Some("127.0.0.2".into());
    bench.attempt(&mut job);
    assert_eq!(seen.recv().unwrap().ip().to_string(), "127.0.0.2");
    let mut job = bench.job(&[(&origin.url("f"), "f")]);
    job.options.bind = Some("lo".into());
    fetched(&mut bench, &mut job, &content);
    let mut job = bench.job(&[(&origin.url("f"), "f")]);
    job.options.bind = Some("nosuch0".into());
    let text = fails(&mut bench, &mut job, ERROR_CAN_NOT_COMPLETE, FailureClass::Transient);
    assert!(text.contains("nosuch0") && text.contains("does not exist"), "{text}");
    job.options.bind = Some("192.0.2.77".into());
    let text = fails(&mut bench, &mut job, ERROR_CAN_NOT_COMPLETE, FailureClass::Transient);
    assert!(text.contains("192.0.2.77"), "{text}");
}

#[test]
fn unreachable_hosts_are_transient() {
    let mut bench = Bench::new();
    let dead = SocketAddr::from(([127, 0, 0, 1], own_port()));
    let mut job = bench.job(&[(&format!("http://{dead}/f"), "f")]);
    let run = bench.attempt(&mut job);
    assert_eq!(run.failure().code, ERROR_WINHTTP_CANNOT_CONNECT);
    assert_eq!(
        (run.failure().class, run.failure().context),
        (FailureClass::Transient, ErrorContext::GeneralTransport)
    );
    let mut job = bench.job(&[("http://no-such-host.invalid/f", "f")]);
    fails(&mut bench, &mut job, ERROR_WINHTTP_NAME_NOT_RESOLVED, FailureClass::Transient);
}

#[test]
fn retry_after_and_status_are_told() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    origin.put("f", OriginFile::new(Content::new(1, SIZE)).behaviour(Behaviour::Busy));
    let mut job = bench.job(&[(&format!("{}?token=secret", origin.url("f")), "f")]);
    let run = bench.attempt(&mut job);
    let failure = run.failure();
    assert_eq!((failure.http_status, failure.retry_after_ms), (Some(503), Some(1000)));
    assert_eq!((failure.file, failure.url.as_deref()), (Some(0), Some(origin.url("f").as_str())));
}

#[test]
fn a_worker_behind_a_socket_pair_does_the_same() {
    let origin = Origin::start();
    let content = Content::new(1, SIZE);
    origin.put("f", content.clone());
    let bench = Bench::new();
    let mut job = bench.job(&[(&origin.url("f"), "f")]);
    job.attempt = 1;
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let child = std::thread::spawn(move || runtime().block_on(pump::serve(theirs.into())).unwrap());
    runtime().block_on(async {
        ours.set_nonblocking(true).unwrap();
        let mut service = tokio::net::UnixStream::from_std(ours).unwrap();
        pump::write(&mut service, &Command::Ping { count: 1 }).await.unwrap();
        assert_eq!(pump::read(&mut service).await.unwrap(), Some(Event::Pong { count: 1 }));
        pump::write(&mut service, &Command::Start(Box::new(job.order()))).await.unwrap();
        loop {
            let event = pump::read(&mut service).await.unwrap().expect("the worker lives");
            job.note(&event);
            if matches!(event, Event::Done { .. }) {
                break;
            }
        }
        pump::write(&mut service, &Command::Finish(Box::new(job.finish()))).await.unwrap();
        let done = pump::read(&mut service).await.unwrap();
        assert!(matches!(done, Some(Event::FinishDone { error: None, .. })));
        pump::write(&mut service, &Command::Shutdown).await.unwrap();
        assert_eq!(pump::read::<Event>(&mut service).await.unwrap(), None, "the worker leaves");
    });
    child.join().unwrap();
    assert_content(&job.local(0), &content);
}

#[test]
fn messages_have_a_limit() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut long: &[u8] = &(pump::MAX_MESSAGE as u32 + 1).to_le_bytes();
        assert!(matches!(pump::read::<Command>(&mut long).await, Err(pump::PumpError::TooLong(_))));
        let mut cut: &[u8] = &[9, 0, 0, 0, b'{'];
        assert!(matches!(pump::read::<Command>(&mut cut).await, Err(pump::PumpError::Io(_))));
        let mut bad: &[u8] = &[2, 0, 0, 0, b'{', b'}'];
        assert!(matches!(pump::read::<Command>(&mut bad).await, Err(pump::PumpError::Message(_))));
        let mut none: &[u8] = &[];
        assert!(pump::read::<Command>(&mut none).await.unwrap().is_none());
    });
}

/// A job with as many files as an exempt caller may add, and every text at its limit.
#[test]
fn the_largest_job_fits_into_one_message() {
    use openbits_core::limits::FILES_PER_JOB_EXEMPT;
    use openbits_core::names::{LOCAL_NAME_MAX, REMOTE_NAME_MAX};
    let bench = Bench::new();
    let mut job = bench.job(&[("http://host/", "f")]);
    let validator =
        Validator { etag: Some("e".repeat(1024)), last_modified: Some("x".repeat(40)), mirror: None };
    let stored = &mut job.files[0];
    stored.order.remote = "r".repeat(REMOTE_NAME_MAX);
    stored.order.local = format!("/{}", "l".repeat(LOCAL_NAME_MAX - 1));
    stored.order.validator = Some(validator);
    (stored.order.size, stored.order.done) = (Some(u64::MAX >> 1), RangeSet::prefix(u64::MAX >> 2));
    let digest = Digest::new(Algorithm::Sha256, &"0".repeat(64)).unwrap();
    stored.order.digests = vec![digest];
    job.files = vec![job.files[0].clone(); FILES_PER_JOB_EXEMPT as usize];
    let start = Command::Start(Box::new(job.order()));
    job.files.iter_mut().for_each(|file| file.finished = true);
    let finish = Command::Finish(Box::new(job.finish()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for command in [start, finish] {
            let mut stream = Vec::new();
            assert_eq!(pump::send(&mut stream, &command).await.unwrap(), None);
            println!("{} bytes", stream.len());
            assert_eq!(pump::read::<Command>(&mut &stream[..]).await.unwrap(), Some(command));
        }
    });
}

/// A limit raised by policy, or names of control characters only: the job hears of it, the worker lives on.
#[test]
fn an_order_that_is_too_long_fails_its_job_only() {
    let bench = Bench::new();
    let mut job = bench.job(&[("http://host/", "f")]);
    job.files[0].order.local = format!("/{}", "\u{1}".repeat(pump::MAX_MESSAGE / 6));
    let start = Command::Start(Box::new(job.order()));
    job.files[0].finished = true;
    job.files[0].order.size = Some(1);
    let finish = Command::Finish(Box::new(job.finish()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut stream = Vec::new();
        match pump::send(&mut stream, &start).await.unwrap() {
            Some(Event::Failed { job: failed, failure, .. }) => {
                assert_eq!((failed, failure.class), (job.id, FailureClass::Fatal));
                assert_eq!(failure.code, BG_E_TOO_MANY_FILES_IN_JOB);
            }
            other => panic!("{other:?}"),
        }
        match pump::send(&mut stream, &finish).await.unwrap() {
            Some(Event::FinishDone { renamed, error, lost, .. }) => {
                assert_eq!((renamed, lost), (vec![], vec![]));
                assert_eq!(
                    error.map(|(index, code, _)| (index, code)),
                    Some((0, BG_E_TOO_MANY_FILES_IN_JOB))
                );
            }
            other => panic!("{other:?}"),
        }
        assert!(stream.is_empty(), "not a byte of it is sent");
        assert_eq!(pump::send(&mut stream, &Command::Ping { count: 1 }).await.unwrap(), None);
        assert!(!stream.is_empty());
    });
}

/// An address that a stranger made long is cut, or the service would not take the report.
#[test]
fn a_report_stays_within_its_limits() {
    let (origin, mut bench) = (Origin::start(), Bench::new());
    origin.put("f", OriginFile::new(Content::new(1, SIZE)).behaviour(Behaviour::Busy));
    // The caller's own address, in characters that grow threefold.
    let mut job = bench.job(&[(&format!("{}{}", origin.url("f"), "\u{e9}".repeat(1000)), "f")]);
    let run = bench.attempt(&mut job);
    let failure = run.failure();
    assert!(failure.url.as_ref().is_some_and(|url| url.len() == 4096), "{failure:?}");
    assert_eq!(openbits_transfer::protocol::check(run.events.last().unwrap()), Ok(()));
}
