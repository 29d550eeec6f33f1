//! The wire, byte by byte (sections 2 to 5 and 15), and the SDK's REST tests (14.2).

use crate::sdk::{INVALID_ARG, INVALID_STATE, NOT_FOUND, Status, code, encode, port_in};
use crate::service::{LONG, SMALL, Service};
use openbits_testkit::wait_until;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn connect(service: &Service) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port_in(&service.run()).unwrap())).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

/// Sends and reads one answer, byte by byte to the end that its Content-Length tells, however long that takes. What comes after it would
/// be the start of the next answer.
fn exchange(stream: &mut TcpStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).unwrap();
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    let mut until = None;
    while until.is_none_or(|end| bytes.len() < end) {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "closed after {:?}", String::from_utf8_lossy(&bytes));
        bytes.push(byte[0]);
        if until.is_none() && bytes.ends_with(b"\r\n\r\n") {
            let head = std::str::from_utf8(&bytes).unwrap();
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            let length: usize = length.unwrap_or_else(|| panic!("no length: {head}")).parse().unwrap();
            until = Some(bytes.len() + length);
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// Sends and reads until the server closes; with a reset, where it left something unread.
fn last(stream: &mut TcpStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).unwrap();
    let mut all = Vec::new();
    if let Err(error) = stream.read_to_end(&mut all) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    String::from_utf8(all).unwrap()
}

/// Nothing came after the last answer, and the connection was still open.
fn assert_still_open(mut stream: TcpStream) {
    let gone = refused("404 NotFound", NOT_FOUND);
    assert_eq!(exchange(&mut stream, "GET download/getstatus?Id=z HTTP/1.1\r\n\r\n"), gone);
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(last(&mut stream, ""), "");
}

const SERVER: &str = concat!("Server: Delivery-Optimization-Agent/", env!("CARGO_PKG_VERSION"));

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{SERVER}\r\n\r\n{body}", body.len())
}

fn refused(line: &str, code: i32) -> String {
    let body = format!("{{ \"ErrorCode\": {code} }}");
    format!("HTTP/1.1 {line}\r\nContent-Length: {}\r\n{SERVER}\r\n\r\n{body}", body.len())
}

#[test]
fn every_answer_is_exactly_what_the_contract_says() {
    let service = Service::start();
    let mut stream = connect(&service);
    let mut say = |line: &str| {
        exchange(
            &mut stream,
            &format!("{line} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: DO-SDK-CPP\r\n\r\n"),
        )
    };
    let created = say(&format!("POST download/create?Uri={}", encode(&service.url("small"))));
    let id = created.split('"').nth(3).unwrap().to_owned();
    assert_eq!(created, ok(&format!("{{\"Id\":\"{id}\"}}\n")));
    assert_eq!(id.len(), 36);
    assert!(id.bytes().all(|b| b == b'-' || b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
    let fresh = "{\"Status\":\"Created\",\"BytesTotal\":\"0\",\"BytesTransferred\":\"0\",\"ErrorCode\":\"0\",\"ExtendedErrorCode\":\"0\"}\n";
    assert_eq!(say(&format!("GET download/getstatus?Id={id}")), ok(fresh));
    assert_eq!(say(&format!("GET /Download/GetStatus/?id={}", id.to_uppercase())), ok(fresh));
    let nowhere = refused("400 BadRequest", code(0x80D0_2018));
    assert_eq!(say(&format!("POST download/start?Id={id}")), nowhere);
    assert_eq!(say(&format!("POST download/pause?Id={id}")), ok("{}\n"));
    let wrong = refused("400 BadRequest", INVALID_STATE);
    assert_eq!(say(&format!("POST download/finalize?Id={id}")), wrong);
    assert_eq!(say(&format!("POST download/abort?Id={id}")), ok("{}\n"));
    let gone = refused("404 NotFound", -2_147_023_728);
    for line in
        ["POST download/start", "POST download/pause", "POST download/finalize", "POST download/abort"]
    {
        assert_eq!(say(&format!("{line}?Id={id}")), gone, "{line}");
        assert_eq!(say(line), gone, "{line} without an id");
    }
    assert_eq!(say("GET download/getstatus?Id=x"), gone);
    assert_eq!(say(&format!("GET download/getproperty?PropertyKey=Uri&Id={id}")), gone);
    assert_eq!(say(&format!("POST download/setproperty?Uri=http://h/&Id={id}")), gone);
    let unsupported = refused("400 BadRequest", -2_147_024_846);
    for line in
        ["GET download/create", "POST download/getstatus", "POST download", "GET /", "POST other/create"]
    {
        assert_eq!(say(line), unsupported, "{line}");
    }
    let invalid = refused("400 BadRequest", INVALID_ARG);
    assert_eq!(say("POST download/create?Url=x"), invalid);
    assert_eq!(say("POST download/create?DownloadFilePath=%zz"), invalid);
    assert_eq!(
        say("POST download/create?Uri=ftp://server.com"),
        refused("400 BadRequest", code(0x800C_0002))
    );
    assert_eq!(say("GET download/enumerate"), refused("400 BadRequest", code(0x8000_4001)));
    assert_still_open(stream);
}

#[test]
fn malformed_requests_have_no_body_and_end_the_connection() {
    let service = Service::start();
    let malformed = format!("HTTP/1.1 400 BadRequest\r\n{SERVER}\r\n\r\n");
    for text in [
        "GET download/getstatus HTTP/1.0\r\n\r\n",
        "nonsense\r\n\r\n",
        "POST download/create HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
        "POST download/create HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let mut stream = connect(&service);
        assert_eq!(last(&mut stream, text), malformed, "{text}");
    }
}

/// The head may come in pieces, its parts may be raw, and a second request may be in the same packet.
#[test]
fn values_keep_what_the_sdk_leaves_raw() {
    let service = Service::start();
    let sdk = service.sdk();
    let uri = "http://host.example:8080/pa th/f?a=1&b=(x)*'!$,@;+%#\u{e4}";
    let path = service.path("a b+c&d=e;f%41\u{e4}");
    let download = sdk.make(uri, &path).unwrap();
    assert_eq!(download.get("Uri").unwrap(), uri);
    assert_eq!(download.get("DownloadFilePath").unwrap(), path.to_str().unwrap());
    assert_eq!(download.get("Id").unwrap(), download.id);
    let raw = format!("Uri=http://h/f?x=1?y/z:@!$'()*,+&DownloadFilePath={}", path.to_str().unwrap().len());
    let body = sdk.ask("POST", "create", &raw).unwrap();
    let query = format!("PropertyKey=uri&Id=%7B{}%7D", body["Id"].as_str().unwrap());
    let read = sdk.ask("GET", "getproperty", &query).unwrap();
    assert_eq!(read["uri"], "http://h/f?x=1?y/z:@!$'()*,+", "the key comes back as sent, a plus is a plus");
    let mut stream = connect(&service);
    for byte in b"GET download/getstatus?Id=x HT" {
        stream.write_all(&[*byte]).unwrap();
    }
    let rest = "TP/1.1\r\n\r\nGET download/getstatus?Id=y HTTP/1.1\r\n\r\n";
    for answer in [exchange(&mut stream, rest), exchange(&mut stream, "")] {
        assert_eq!(answer, refused("404 NotFound", NOT_FOUND));
    }
    assert_still_open(stream);
}

#[test]
fn long_urls_pass_and_longer_requests_are_refused() {
    let service = Service::start();
    let long = format!("http://h/{}", "a".repeat(2_000));
    assert!(service.sdk().make(&long, &service.path("f")).is_ok());
    let mut stream = connect(&service);
    let answer = last(&mut stream, &format!("GET download/{}", "a".repeat(20_000)));
    assert!(answer.starts_with("HTTP/1.1 400 BadRequest\r\n"), "{answer}");
}

/// Two requests on one connection; the agent closes; a third on a new one.
#[test]
fn a_client_survives_a_restart_of_the_agent() {
    let mut service = Service::start();
    let download = service.sdk().make(&service.url("small"), &service.path("f")).unwrap();
    assert_eq!(download.status().state, "Created");
    service.stop();
    service.start_again();
    service.ready();
    assert_eq!(download.status(), Status { state: "Created".to_owned(), ..Status::default() });
    download.start().unwrap();
    assert_eq!(download.reaches("Transferred", seconds(10)).transferred, SMALL);
}

#[test]
fn rest_interface_use_loopback_for_local_socket() {
    let service = Service::start();
    let answer = from_address([127, 0, 1, 5], &service).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

/// The address of the machine's own name: of the loopback, or an interface's.
#[test]
fn rest_interface_use_local_host_for_local_socket() {
    use std::net::{IpAddr, ToSocketAddrs};
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let found = (name.trim(), 0).to_socket_addrs().ok();
    let own = found.and_then(|mut all| {
        all.find_map(|at| match at.ip() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
    });
    let Some(address) = own else {
        eprintln!("SKIPPED: rest_interface_use_local_host_for_local_socket: {name:?} has no address");
        return;
    };
    let service = Service::start();
    let expected = if address.is_loopback() { "HTTP/1.1 200 OK" } else { "HTTP/1.1 400 BadRequest" };
    let answer = from_address(address.octets(), &service).unwrap();
    assert!(answer.starts_with(expected), "{address}: {answer}");
}

/// As the test of the SDK does: only a Host header, a path with a slash at either end.
fn from_address(source: [u8; 4], service: &Service) -> std::io::Result<String> {
    let socket =
        rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None)?;
    rustix::net::bind(&socket, &std::net::SocketAddr::from((source, 0)))?;
    let port = port_in(&service.run()).unwrap();
    rustix::net::connect(&socket, &std::net::SocketAddr::from(([127, 0, 0, 1], port)))?;
    let mut stream = TcpStream::from(socket);
    stream.write_all(b"POST /download/create/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")?;
    let mut buffer = [0; 2048];
    let n = stream.read(&mut buffer)?;
    Ok(String::from_utf8(buffer[..n].to_vec()).unwrap())
}

/// An address of a real interface of this machine, if it has one.
fn own_address() -> Option<[u8; 4]> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    match socket.local_addr().ok()?.ip() {
        std::net::IpAddr::V4(address) if !address.is_loopback() => Some(address.octets()),
        _ => None,
    }
}

#[test]
fn rest_interface_use_private_ip_for_local_socket() {
    let Some(address) = own_address() else {
        eprintln!("SKIPPED: this machine has no other address than the loopback's");
        return;
    };
    let service = Service::start();
    assert_eq!(from_address(address, &service).unwrap(), refused("400 BadRequest", INVALID_ARG));
    let admin = service.folder.path().join("etc/admin-config.json");
    std::fs::write(admin, r#"{"RestControllerValidateRemoteAddr":false}"#).unwrap();
    let pid = nix::unistd::Pid::from_raw(service.child.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP).unwrap();
    let applied = || from_address(address, &service).unwrap().starts_with("HTTP/1.1 200 OK");
    assert!(wait_until(LONG, applied), "SIGHUP applies it, and nothing else does");
}

/// A page in the user's browser must not be able to write files with his rights.
#[test]
fn web_pages_are_refused() {
    let service = Service::start();
    for header in ["Origin: http://evil.example", "Host: evil.example", "Sec-Fetch-Site: cross-site"] {
        let text = format!("POST /download/create HTTP/1.1\r\n{header}\r\n\r\n");
        let answer = exchange(&mut connect(&service), &text);
        assert_eq!(answer, refused("400 BadRequest", INVALID_ARG), "{header}");
    }
}

/// Properties (section 5): only in the states that allow it, all or none.
#[test]
fn properties_are_set_where_the_state_allows() {
    let service = Service::start();
    let sdk = service.sdk();
    let id = sdk.ask("POST", "create", "").unwrap()["Id"].as_str().unwrap().to_owned();
    let download = crate::sdk::Download { sdk, id };
    assert_eq!(download.start(), Err(code(0x80D0_2200)), "no URL");
    assert_eq!(download.get("NoProgressTimeoutSeconds").unwrap(), "0");
    download.set("NoProgressTimeoutSeconds=22").unwrap();
    assert_eq!(download.get("NoProgressTimeoutSeconds").unwrap(), "22");
    for bad in ["invaliduri:http//", "invalidurihttp", "http://", "ftp://server.com"] {
        assert_eq!(download.set(&format!("Uri={bad}")), Err(code(0x800C_0002)), "{bad}");
    }
    assert_eq!(download.set(&format!("DownloadFilePath={}&Uri=", encode("/tmp/x"))), Err(INVALID_ARG));
    assert_eq!(download.get("DownloadFilePath").unwrap(), "", "one bad value leaves all as it was");
    download.set(&format!("Uri={}", encode(&service.url("large")))).unwrap();
    assert_eq!(download.start(), Err(code(0x80D0_2018)), "no path");
    download.set(&format!("DownloadFilePath={}", encode(service.path("f").to_str().unwrap()))).unwrap();
    download.start().unwrap();
    assert_eq!(download.set("Uri=http://h/"), Err(INVALID_STATE));
    assert_eq!(download.set("DownloadFilePath=/x"), Err(INVALID_STATE));
    assert_eq!(download.finalize(), Err(INVALID_STATE));
    download.pause().unwrap();
    assert_eq!(download.finalize(), Err(INVALID_STATE), "also when paused");
    assert_eq!(download.set("DownloadFilePath=/x"), Err(INVALID_STATE));
    download.set(&format!("Uri={}", encode(&service.url("large")))).unwrap();
    download.abort().unwrap();
    assert_eq!(service.size("f"), None);
}

/// FileDownloadFatal404 and FileMidDownloadTransient404 of the agent's own tests.
#[test]
fn file_mid_download_transient404() {
    let service = Service::start();
    let download = service.held("other", "f", 4 << 20);
    download.pause().unwrap();
    let before = download.status();
    download.set(&format!("Uri={}", encode(&service.url("none")))).unwrap();
    download.start().unwrap();
    let failed = download.reaches("Paused", seconds(10));
    assert_eq!((failed.error, failed.extended), (code(0x8019_0194), 0));
    assert_eq!(
        (failed.total, failed.transferred),
        (before.total, before.transferred),
        "byte counts are kept"
    );
    download.pause().unwrap();
    assert_eq!(download.status(), failed, "a pause keeps the codes");
    download.set("NoProgressTimeoutSeconds=22").unwrap();
    assert_eq!(download.get("NoProgressTimeoutSeconds").unwrap(), "22");
    service.origin.release("other");
    download.set(&format!("Uri={}", encode(&service.url("other")))).unwrap();
    download.start().unwrap();
    download.reaches("Transferred", seconds(60));
    download.finalize().unwrap();
    assert!(service.is_whole("f", "other"));
}

#[test]
fn file_download_fatal404() {
    let service = Service::start();
    let download = service.sdk().make(&service.url("none"), &service.path("f")).unwrap();
    for _ in 0..2 {
        download.start().unwrap();
        let failed = download.reaches("Paused", seconds(2));
        assert_eq!((failed.error, failed.extended), (code(0x8019_0194), 0));
        assert_eq!((failed.total, failed.transferred), (0, 0));
    }
    assert_eq!(service.size("f"), Some(0), "an empty file exists until abort");
    download.abort().unwrap();
    assert_eq!(service.size("f"), None);
}

/// 503: still Transferring, with the code of the failed try; then it goes on.
#[test]
fn a_server_that_is_busy_is_tried_again() {
    use openbits_testkit::{Behaviour, Content, OriginFile};
    let service = Service::start();
    let file = OriginFile::new(Content::new(9, SMALL)).behaviour(Behaviour::Status(503)).times(2);
    service.origin.put("busy", file);
    let download = service.sdk().make(&service.url("busy"), &service.path("f")).unwrap();
    let begun = Instant::now();
    download.start().unwrap();
    let refused = || {
        let waits = download.status();
        assert_eq!(waits.state, "Transferring", "{waits:?}");
        waits.error == code(0x8019_01F4)
    };
    assert!(wait_until(LONG, refused), "{:?}", download.status());
    download.start().unwrap();
    let done = download.reaches("Transferred", seconds(30));
    assert_eq!((done.error, done.extended, done.transferred), (0, 0, SMALL));
    // Not after its retry delay of minutes.
    assert!((seconds(6)..LONG).contains(&begun.elapsed()), "2 s and 4 s: {:?}", begun.elapsed());
}

#[test]
fn download_urls_with_redirects() {
    use openbits_testkit::{Behaviour, Content, OriginFile};
    let service = Service::start();
    let file = OriginFile::new(Content::new(9, SMALL)).behaviour(Behaviour::RedirectChain(5));
    service.origin.put("moved", file);
    service.sdk().download_plainly(&service.url("moved"), &service.path("f")).unwrap();
    assert_eq!(service.size("f"), Some(SMALL));
    let request = service.origin.log().pop().unwrap();
    let agent = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("user-agent"));
    assert_eq!(agent.unwrap().1, "Microsoft-Delivery-Optimization-Lite/10.0.0.1");
}

#[test]
fn download_path_not_found_and_access_denied() {
    let service = Service::start();
    let missing = service.path("missing/f");
    let download = service.sdk().make(&service.url("small"), &missing).unwrap();
    assert_eq!(download.start(), Err(code(0xC0D0_0002)));
    assert_eq!(download.status().state, "Created");
    download.abort().unwrap();
    std::os::unix::fs::symlink("/tmp/elsewhere", service.path("link")).unwrap();
    let download = service.sdk().make(&service.url("small"), &service.path("link")).unwrap();
    assert_eq!(download.start(), Err(code(0xC0D0_0011)), "a link is not followed");
    let name = "n".repeat(256);
    let download = service.sdk().make(&service.url("small"), &service.path(&name)).unwrap();
    assert_eq!(download.start(), Err(code(0xC0D0_0024)));
}

/// Downloads are ordinary jobs: listed, explained, and not to be misused through the other door.
#[test]
fn downloads_are_ordinary_jobs() {
    let service = Service::start();
    let download = service.sdk().make(&service.url("large"), &service.path("f")).unwrap();
    let client = service.client();
    let id: openbits_core::JobId = download.id.parse().unwrap();
    let job = client.job(id, false, false).unwrap();
    assert_eq!(job.dialect, openbits_core::job::Dialect::DeliveryOptimization);
    let file = openbits_api::AddFile {
        remote_name: service.url("small"),
        local_name: service.path("g").display().to_string(),
        ..openbits_api::AddFile::default()
    };
    assert!(client.add_files(id, vec![file]).is_err(), "a download has the one file that its start makes");
    download.start().unwrap();
    assert!(client.why(id).unwrap().moving || client.job(id, false, false).unwrap().state.is_running());
    client.act(id, openbits_client::Action::Suspend).unwrap();
    assert_eq!(download.status().state, "Paused");
    client.act(id, openbits_client::Action::Cancel).unwrap();
    assert_eq!(download.try_status().unwrap_err(), NOT_FOUND);
    assert_eq!(service.size("f"), None);
}

/// The newest port file is found, and its first line read.
#[test]
fn discover_port_test() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("restport.0"), "50000\n").unwrap();
    assert_eq!(port_in(folder.path()), Some(50_000));
}

/// A finished one, one that failed and a running one do not disturb each other. One has its URL and path as properties.
#[test]
fn multiple_downloads() {
    let service = Service::start();
    let sdk = service.sdk();
    let make = |remote: &str, name: &str| sdk.make(&service.url(remote), &service.path(name)).unwrap();
    let (running, failed) = (make("large", "r"), make("none", "n"));
    let id = sdk.ask("POST", "create", "").unwrap()["Id"].as_str().unwrap().to_owned();
    let done = crate::sdk::Download { sdk: sdk.clone(), id };
    done.set(&format!("Uri={}", encode(&service.url("small")))).unwrap();
    done.set(&format!("DownloadFilePath={}", encode(service.path("d").to_str().unwrap()))).unwrap();
    for download in [&running, &failed, &done] {
        download.start().unwrap();
    }
    done.reaches("Transferred", seconds(10));
    assert_eq!(failed.reaches("Paused", seconds(2)).error, code(0x8019_0194));
    assert_eq!(running.status().state, "Transferring");
    done.finalize().unwrap();
    running.abort().unwrap();
    failed.abort().unwrap();
    assert_eq!(["r", "n", "d"].map(|name| service.size(name)), [None, None, Some(SMALL)]);
}

/// Less than 4,000 bytes a second for 20 s is a failed try; the next goes on where it was.
#[test]
fn a_crawling_server_is_given_up_and_asked_again() {
    let service = Service::start();
    service.origin.throttle("other", Some(2_000));
    let download = service.sdk().make(&service.url("other"), &service.path("f")).unwrap();
    let begun = Instant::now();
    download.start().unwrap();
    let failed = || {
        let status = download.status();
        assert_eq!(status.state, "Transferring", "{status:?}");
        status.error != 0
    };
    assert!(wait_until(seconds(100), failed), "{:?}", download.status());
    assert!(begun.elapsed() >= seconds(19), "{:?}", begun.elapsed());
    let status = download.status();
    assert!(status.error == code(0x8007_2EE2) && status.transferred > 0, "{status:?}");
    service.origin.throttle("other", None);
    download.reaches("Transferred", seconds(60));
    assert!(service.is_whole("f", "other"));
    let last = service.origin.requests("other").pop().unwrap();
    assert_eq!(last.status, Some(206), "from where it was");
}

/// The SDK reads a pause without a code as its own and reports success: what the policy stops has one.
#[test]
fn a_download_that_the_policy_forbids_says_so() {
    let service = Service::start();
    let download = service.sdk().make(&service.url("large"), &service.path("f")).unwrap();
    download.start().unwrap();
    let policy = |text: &str| {
        std::fs::write(service.folder.path().join("policy.toml"), text).unwrap();
        assert!(service.client().reload_policy().unwrap().usable);
    };
    policy("[security]\ndenied_hosts = [\"127.0.0.1\"]\n");
    let status = download.reaches("Paused", seconds(10));
    assert_eq!((status.error, status.extended), (code(0x8007_0005), 0));
    assert_eq!(download.start(), Err(code(0x8007_0005)), "as any Resume");
    policy("");
    assert_eq!(download.status().error, 0);
    download.start().unwrap();
    download.abort().unwrap();
}

/// A download that is held goes on by itself, so another URL for it is looked at when it comes.
#[test]
fn another_url_does_not_lead_around_the_policy() {
    let service = Service::start();
    let policy = |text: &str| {
        let forbidden = "[security]\ndenied_hosts = [\"localhost\"]\n";
        std::fs::write(service.folder.path().join("policy.toml"), format!("{forbidden}{text}")).unwrap();
        assert!(service.client().reload_policy().unwrap().usable);
    };
    policy("");
    let download = service.sdk().make(&service.url("large"), &service.path("f")).unwrap();
    download.start().unwrap();
    policy("[bandwidth.simple]\nenabled = true\nrate = 0\noff_rate = 0\n");
    let held = download.reaches("Paused", seconds(10));
    assert!(held.is_transient_error(), "{held:?}");
    let elsewhere = service.url("other").replace("127.0.0.1", "localhost");
    let set = |url: &str| download.set(&format!("Uri={}", encode(url)));
    assert_eq!(set(&elsewhere), Err(code(0x8007_0005)));
    assert_eq!(download.get("Uri").unwrap(), service.url("large"));
    set(&service.url("other")).unwrap();
    policy("");
    download.reaches("Transferred", seconds(60));
    assert!(service.is_whole("f", "other"));
}

/// Downloads of IDOManager have rules of their own, which this door does not know.
#[test]
fn a_download_of_the_other_interface_is_not_there() {
    let service = Service::start();
    let properties = openbits_api::DownloadProperties {
        uri: Some(service.url("small")),
        local_path: Some(service.path("f").display().to_string()),
        ..openbits_api::DownloadProperties::default()
    };
    let new = openbits_api::CreateDownload { properties, environment_proxy: None };
    let id = service.client().create_download(&new).unwrap().id;
    let download = crate::sdk::Download { sdk: service.sdk(), id: id.clone() };
    assert_eq!(download.try_status().unwrap_err(), NOT_FOUND);
    assert_eq!(download.get("Uri"), Err(NOT_FOUND));
    for result in [download.start(), download.pause(), download.finalize(), download.abort()] {
        assert_eq!(result, Err(NOT_FOUND));
    }
    assert!(service.client().download(id.parse().unwrap()).is_ok(), "still as it was");
}
