//! HTTP options of jobs through the doors, against a real nginx (spec/bits-extended.md 9).

#![allow(clippy::unwrap_used, reason = "a test")]

use openbits_api::{CertificateCheck, CertificateView, EventKind, JobView, Outcome};
use openbits_core::JobState::{Error, Suspended, Transferred, TransientError};
use openbits_core::{ErrorContext, JobState, Priority};
use openbits_e2e::{Door, Job, NewJob, Reply, User, assert_is, names, program, skip};
use openbits_testkit::authority::{Authority, Issued, Leaf, Validity};
use openbits_testkit::process::{Process, Spec};
use openbits_testkit::{Behaviour, Content, Origin, OriginFile, ServerFolder, Servers, own_port, wait_until};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);
const SIZE: u64 = 300_000;

fn bits() -> PathBuf {
    program(env!("CARGO_BIN_EXE_bits-under-test"))
}

fn content() -> Content {
    Content::new(9, SIZE)
}

/// nginx with a file to fetch; `None` (said loudly) where it is not installed.
fn folder(test: &str) -> Option<ServerFolder> {
    let folder = ServerFolder::new();
    match &folder {
        Some(folder) => folder.write("www/f", content().byte_range(0, SIZE)),
        None => skip(test, "nginx is not installed (Debian: nginx-light)"),
    }
    folder
}

/// Certificate and key of a server, as nginx wants them.
fn put(folder: &ServerFolder, name: &str, issued: &Issued) {
    folder.write(&format!("{name}.pem"), &issued.chain_pem);
    folder.write(&format!("{name}.key"), &issued.key_pem);
}

/// A server block for HTTPS.
fn https(port: usize, name: &str, more: &str) -> String {
    format!(
        "server {{ listen 127.0.0.1:@{port}@ ssl; ssl_certificate @F@/{name}.pem; ssl_certificate_key @F@/{name}.key; {more} }}\n"
    )
}

/// A user whose service trusts this authority.
fn trusting(authority: &Authority, policy: &str) -> User {
    let user = User::new(bits());
    let roots = user.sandbox().home().join("roots.pem");
    std::fs::write(&roots, authority.pem()).unwrap();
    user.policy(&format!("[tls]\nextra_ca = {:?}\n{policy}", roots.to_str().unwrap()));
    user
}

fn patch(job: &Job, body: &Value) -> Reply {
    job.door.ask("PATCH", &job.path(""), Some(body)).unwrap()
}

/// The job's error: code, context, HTTP status.
fn error(job: &Job) -> (String, ErrorContext, Option<u16>) {
    let error = job.view().unwrap().error.unwrap();
    (error.hresult, error.context, error.http_status)
}

fn code(job: &Job) -> String {
    job.wait(&[Error, Transferred], LONG);
    error(job).0
}

fn new(user: &User, url: &str, name: &str) -> NewJob {
    NewJob::new(name).file(url, &user.path(name))
}

#[test]
fn job_http_options_set_custom_headers_go_out_and_stay_secret() {
    let user = User::new(bits());
    let door = user.wake();
    let origin = Origin::start();
    origin.put("f", OriginFile::new(content()).behaviour(Behaviour::RedirectCrossOrigin));
    let mut events = door.events("?after=0");
    let headers = "X-Key: hunter2\r\nAuthorization: Bearer hunter2\r\nAccept-Language: de\r\n";
    let job = new(&user, &origin.url("f"), "f").set("custom_headers", headers).create(&door);
    assert_eq!(job.act("resume").status, 200);
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    let requests = origin.requests("f");
    assert_eq!(requests[0].header("x-key"), Some("hunter2"));
    assert_eq!(requests[0].header("authorization"), Some("Bearer hunter2"));
    let away: Vec<_> = requests.iter().filter(|request| request.door != requests[0].door).collect();
    assert!(!away.is_empty());
    for request in away {
        assert!(request.headers.iter().all(|(_, value)| !value.contains("hunter2")), "{request:?}");
        assert_eq!(request.header("accept-language"), Some("de"));
    }
    // The owner reads them back; nothing else shows them.
    let read = |path: &str| door.ask("GET", path, None).unwrap();
    let own: Value = read(&job.path("/custom-headers")).json();
    assert_eq!((own["headers"].as_str(), own["hresult"].as_str()), (Some(headers), Some("0x00000000")));
    let view: JobView = read(&job.path("?files=true")).json();
    assert!(view.http.custom_headers);
    for text in [read(&job.path("?files=true")).to_string(), read("/v1/jobs?files=true").to_string()] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    let heard = format!("{:?}", events.until(LONG, |event| event.kind == EventKind::Transferred));
    assert!(!heard.contains("hunter2"));
    assert!(!user.log().contains("hunter2"));
    // Write-only: nobody, for good.
    assert_eq!(patch(&job, &json!({ "custom_headers_write_only": false })).hresult(), "0x80070057");
    assert!(patch(&job, &json!({ "custom_headers_write_only": true })).is_success());
    let refused = read(&job.path("/custom-headers"));
    assert_eq!((refused.status, refused.hresult().as_str()), (403, "0x80070005"));
    assert!(patch(&job, &json!({ "custom_headers": "X: y\r\n" })).is_success(), "writing still works");
    assert_eq!(read(&job.path("/custom-headers")).hresult(), "0x80070005");
    // Bad ones are refused, and the refusal does not repeat them.
    for (bad, code) in [
        ("Host: hunter3\r\n".to_owned(), "0x80070057"),
        ("no colon hunter3".to_owned(), "0x80070057"),
        (format!("A: {}\r\n", "hunter3".repeat(3_000)), "0x80200021"),
    ] {
        let refused = patch(&job, &json!({ "custom_headers": bad }));
        assert_eq!(refused.hresult(), code);
        assert!(!refused.to_string().contains("hunter3"), "{refused}");
    }
}

#[test]
fn job_http_options_get_custom_headers_of_the_command_line_come_from_a_file() {
    let user = User::new(bits());
    let origin = Origin::start();
    origin.put("f", content());
    let id = user.must(&["create", "n", "--priority", "foreground"]).trim().to_owned();
    let _ = user.must(&["add", &id, &origin.url("f"), user.path("f").to_str().unwrap()]);
    let argument = user.bits(&["set", &id, "headers=X-Key: hunter2"]);
    assert_eq!(argument.status.code(), Some(1), "never as an argument");
    std::fs::write(user.path("h"), "X-Key: hunter2\nX-More: 2\n").unwrap();
    let _ = user.must(&["set", &id, "headers=@h", "security-flags=redirect-report,ignore-name"]);
    let shown = user.must(&["show", &id]);
    assert!(shown.contains("redirect-report") && shown.contains("ignore-name"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let _ = user.must(&["resume", &id]);
    let _ = user.must(&["wait", &id]);
    assert_eq!(origin.requests("f")[0].header("x-more"), Some("2"));
}

#[test]
fn conformance_24_disallow_redirect_and_the_other_policies_with_nginx() {
    let Some(folder) = folder("redirect policies") else { return };
    let nginx = folder.start(
        "server { listen 127.0.0.1:@0@; location /old { return 302 http://127.0.0.1:@1@/f; } }\n\
         server { listen 127.0.0.1:@1@; }",
    );
    let user = User::new(bits());
    let door = user.wake();
    let old = format!("http://127.0.0.1:{}/old", nginx.port(0));
    let target = format!("http://127.0.0.1:{}/f", nginx.port(1));
    let remote = |job: &Job| job.view().unwrap().files.unwrap().remove(0).remote_name;
    for (flags, name) in [(0, &old), (0x100, &target)] {
        let job = new(&user, &old, "a").set("security_flags", flags).started().create(&door);
        assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred, "{flags:#x}");
        assert_eq!(&remote(&job), name);
        job.must("complete");
        assert_is(&user.path("a"), &content());
    }
    let job = new(&user, &old, "b").set("security_flags", 0x200).started().create(&door);
    assert_eq!(job.wait(&[Transferred, Error], LONG), Error);
    assert_eq!(error(&job), ("0x8019012E".to_owned(), ErrorContext::RemoteFile, Some(302)));
    assert_eq!(remote(&job), target, "so that Resume goes there");
    job.must("resume");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    // Values that contradict each other.
    for flags in [0x300, 0x400, 0x20, 0x1000] {
        assert_eq!(patch(&job, &json!({ "security_flags": flags })).hresult(), "0x80004001", "{flags:#x}");
    }
}

#[test]
fn job_http_options2_set_http_method_with_nginx() {
    let Some(folder) = folder("HTTP method") else { return };
    let nginx = folder.start(
        "server { listen 127.0.0.1:@0@; location /m { if ($request_method != POST) { return 405; } return 200 posted; } \
         location /busy { return 503; } }",
    );
    let user = User::new(bits());
    let door = user.wake();
    let url = |path: &str| format!("http://127.0.0.1:{}/{path}", nginx.port(0));
    let job =
        new(&user, &url("m"), "m").set("priority", "FOREGROUND").set("http_method", "POST").create(&door);
    let view = job.view().unwrap();
    assert_eq!((view.http.method.as_str(), view.priority), ("POST", Priority::Foreground));
    assert_eq!(patch(&job, &json!({ "priority": "LOW" })).hresult(), "0x80200071");
    job.must("resume");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    assert_eq!(patch(&job, &json!({ "http_method": "GET" })).hresult(), "0x80200062");
    job.must("complete");
    assert_eq!(std::fs::read(user.path("m")).unwrap(), b"posted");
    assert!(nginx.requests().iter().any(|line| line.starts_with("POST /m 200")), "{:?}", nginx.requests());
    // What would be tried again ends the job.
    let job = new(&user, &url("busy"), "x").set("http_method", "POST").started().create(&door);
    assert_eq!(job.wait(&[TransientError, Error], LONG), Error);
    assert_eq!(error(&job).0, "0x801901F7");
    let job = new(&user, &url("busy"), "x").started().create(&door);
    assert_eq!(job.wait(&[TransientError, Error], LONG), TransientError, "the default method is tried again");
}

#[test]
fn job_http_options_set_security_flags_each_with_nginx() {
    let Some(folder) = folder("security flags") else { return };
    let known = Authority::root("known");
    put(&folder, "name", &known.issue(&Leaf { names: vec!["wrong.example".into()], ..Leaf::server() }));
    put(&folder, "date", &known.issue(&Leaf { validity: Validity::Over, ..Leaf::server() }));
    put(&folder, "issuer", &Authority::root("stranger").issue(&Leaf::server()));
    put(&folder, "usage", &known.issue(&Leaf { server: false, ..Leaf::server() }));
    let both = Leaf { validity: Validity::Over, names: vec!["wrong.example".into()], ..Leaf::server() };
    put(&folder, "both", &known.issue(&both));
    let servers = ["name", "date", "issuer", "usage", "both"];
    let blocks: String = servers.iter().enumerate().map(|(n, name)| https(n, name, "http2 on;")).collect();
    // This nginx has http2 as a word of listen.
    let nginx = folder.start(&blocks.replace("http2 on;", "").replace(" ssl;", " ssl http2;"));
    let user = trusting(&known, "");
    let door = user.wake();
    let codes = ["0x80072F06", "0x80072F05", "0x80072F0D", "0x80072F93"];
    for (n, (wanted, bit)) in codes.iter().zip([2, 4, 8, 16]).enumerate() {
        let url = format!("https://127.0.0.1:{}/f", nginx.port(n));
        let job = new(&user, &url, servers[n]).started().create(&door);
        assert_eq!(job.wait(&[Transferred, Error, TransientError], LONG), Error, "{}", servers[n]);
        assert_eq!(&error(&job).0, wanted, "{}", servers[n]);
        // Every other flag together does not help.
        assert!(patch(&job, &json!({ "security_flags": 0x1E & !bit })).is_success());
        job.must("resume");
        assert_eq!(&code(&job), wanted, "{}", servers[n]);
        assert!(patch(&job, &json!({ "security_flags": bit })).is_success());
        job.must("resume");
        assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred, "{}", servers[n]);
        job.must("complete");
        assert_is(&user.path(servers[n]), &content());
    }
    let url = format!("https://127.0.0.1:{}/f", nginx.port(4));
    let job = new(&user, &url, "both").set("security_flags", 2).started().create(&door);
    assert_eq!(code(&job), "0x80072F05");
    assert!(patch(&job, &json!({ "security_flags": 6 })).is_success());
    job.must("resume");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    assert!(nginx.requests().iter().any(|line| line.contains("HTTP/2.0")), "over HTTP/2, too");
}

#[test]
fn job_http_options_get_security_flags_and_crl_check_with_nginx() {
    let Some(folder) = folder("revocation") else { return };
    let known = Authority::root("known");
    // The lists' port has to be known before the certificates.
    let port = own_port();
    let list = |name: &str| Some(format!("http://127.0.0.1:{port}/{name}.crl"));
    put(&folder, "good", &known.issue(&Leaf { crl: list("known"), serial: 1, ..Leaf::server() }));
    put(&folder, "revoked", &known.issue(&Leaf { crl: list("known"), serial: 2, ..Leaf::server() }));
    put(&folder, "missing", &known.issue(&Leaf { crl: list("nowhere"), serial: 3, ..Leaf::server() }));
    put(&folder, "silent", &known.issue(&Leaf::server()));
    put(&folder, "old", &known.issue(&Leaf { crl: list("old"), serial: 5, ..Leaf::server() }));
    folder.write("www/known.crl", known.revocation_list(&[2], false));
    folder.write("www/old.crl", known.revocation_list(&[], true));
    let servers = ["good", "revoked", "missing", "silent", "old"];
    let mut blocks: String = servers.iter().enumerate().map(|(n, name)| https(n, name, "")).collect();
    blocks.push_str(&format!("server {{ listen 127.0.0.1:{port}; }}\n"));
    let nginx = folder.start(&blocks);
    let user = trusting(&known, "");
    let door = user.wake();
    let expected = [None, Some("0x80072F8A"), Some("0x80072F19"), Some("0x80072F19"), Some("0x80072F19")];
    for (n, wanted) in expected.into_iter().enumerate() {
        let url = format!("https://127.0.0.1:{}/f", nginx.port(n));
        let job = new(&user, &url, servers[n]).set("security_flags", 1).started().create(&door);
        assert_eq!(job.view().unwrap().http.security_flags, 1);
        let state = job.wait(&[Transferred, Error, TransientError], LONG);
        match wanted {
            None => assert_eq!(state, Transferred),
            Some(code) => {
                assert_eq!(state, Error, "{}", servers[n]);
                assert_eq!(error(&job).0, code, "{}", servers[n]);
                // Without the check it is a good server.
                assert!(patch(&job, &json!({ "security_flags": 0 })).is_success());
                job.must("resume");
                assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred, "{}", servers[n]);
            }
        }
    }
    // The policy may want it for all jobs that say nothing.
    drop(user);
    let user = trusting(&known, "crl_default = true\n");
    let door = user.wake();
    let url = format!("https://127.0.0.1:{}/f", nginx.port(1));
    assert_eq!(code(&new(&user, &url, "p").started().create(&door)), "0x80072F8A");
    let says = new(&user, &url, "q").set("security_flags", 0).started().create(&door);
    assert_eq!(says.wait(&[Transferred, Error], LONG), Transferred);
}

#[test]
fn the_oldest_version_of_tls_is_the_policys() {
    let Some(folder) = folder("TLS versions") else { return };
    let known = Authority::root("known");
    put(&folder, "s", &known.issue(&Leaf::server()));
    let nginx =
        folder.start(&(https(0, "s", "ssl_protocols TLSv1.2;") + &https(1, "s", "ssl_protocols TLSv1.3;")));
    let fetch = |user: &User, n: usize| {
        let url = format!("https://127.0.0.1:{}/f", nginx.port(n));
        new(user, &url, &format!("f{n}")).set("no_progress_timeout_s", 0).started().create(&user.wake())
    };
    let user = trusting(&known, "");
    for n in [0, 1] {
        assert_eq!(fetch(&user, n).wait(&[Transferred, Error], LONG), Transferred);
    }
    drop(user);
    let user = trusting(&known, "min = \"1.3\"\n");
    assert_eq!(fetch(&user, 1).wait(&[Transferred, Error], LONG), Transferred);
    assert_eq!(code(&fetch(&user, 0)), "0x80072F7D");
}

/// A server that wants clients of `clients`, and one that merely accepts them.
fn mutual(folder: ServerFolder, known: &Authority, clients: &Authority) -> Servers {
    put(&folder, "s", &known.issue(&Leaf::server()));
    folder.write("clients.pem", clients.pem());
    let wants = "ssl_client_certificate @F@/clients.pem; ssl_verify_client on;";
    let blocks = https(0, "s", wants)
        + &https(1, "s", &wants.replace("client on", "client optional"))
        + &https(2, "s", wants).replace(" ssl;", " ssl http2;");
    folder.start(&blocks)
}

#[test]
fn job_http_options_set_client_certificate_by_id_and_by_name_with_nginx() {
    let Some(folder) = folder("client certificates") else { return };
    let (known, clients) = (Authority::root("known"), Authority::root("clients"));
    let nginx = mutual(folder, &known, &clients);
    let user = trusting(&known, "");
    let store = user.sandbox().home().join(".config/openbits/certificates/my");
    std::fs::create_dir_all(&store).unwrap();
    let alice = clients.issue(&Leaf::client("example", "build", "alice"));
    std::fs::write(store.join("alice.pem"), format!("{}{}", alice.chain_pem, alice.key_pem)).unwrap();
    let mallory = Authority::root("nobody").issue(&Leaf::client("example", "build", "mallory"));
    std::fs::write(store.join("mallory.pem"), format!("{}{}", mallory.chain_pem, mallory.key_pem)).unwrap();
    let bare = clients.issue(&Leaf::client("example", "build", "bare"));
    std::fs::write(store.join("bare.pem"), &bare.chain_pem).unwrap();
    let door = user.wake();
    let url = |n: usize| format!("https://127.0.0.1:{}/f", nginx.port(n));
    let set =
        |job: &Job, body: &Value| door.ask("PUT", &job.path("/client-certificate"), Some(body)).unwrap();
    let job = new(&user, &url(0), "a").started().create(&door);
    assert_eq!(code(&job), "0x80072F0C", "the server wants one, and none is set");
    let none = door.ask("GET", &job.path("/client-certificate"), None).unwrap();
    assert_eq!(none.hresult(), "0x800706F7");
    // What cannot be found.
    for (body, code) in [
        (json!({ "hash": "00".repeat(20) }), "0x80092004"),
        (json!({ "subject": "example, build, bob" }), "0x80092004"),
        (json!({ "store": "Contoso", "subject": "alice" }), "0x80070002"),
        (json!({ "location": "SERVICES", "subject": "alice" }), "0x80004001"),
        (json!({ "hash": "00" }), "0x800706F7"),
        (json!({ "subject": "" }), "0x80070057"),
        (json!({ "subject": "x".repeat(256) }), "0x80200021"),
        (json!({ "hash": "00".repeat(20), "subject": "alice" }), "0x80070057"),
    ] {
        assert_eq!(set(&job, &body).hresult(), code, "{body}");
    }
    let by_name = set(&job, &json!({ "subject": "example, build, alice" }));
    assert!(by_name.is_success(), "{by_name}");
    let found: CertificateView = door.get(&job.path("/client-certificate"));
    assert_eq!((found.store.as_str(), found.subject.as_str()), ("MY", "example, build, alice"));
    job.must("resume");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    job.must("complete");
    assert_is(&user.path("a"), &content());
    assert!(nginx.requests().iter().any(|line| line.contains("CN=alice")), "{:?}", nginx.requests());
    // By hash, over HTTP/2.
    let job = new(&user, &url(2), "b").create(&door);
    assert!(set(&job, &json!({ "hash": found.sha1.to_uppercase() })).is_success());
    job.must("resume");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    // On the command line, by SHA-256; and it can be taken away.
    let job = new(&user, &url(0), "c").create(&door);
    let _ = user.must(&["set", &job.id, &format!("client-certificate={}", found.sha256)]);
    assert!(user.must(&["show", &job.id]).contains("example, build, alice"));
    let delete = || door.ask("DELETE", &job.path("/client-certificate"), None).unwrap().hresult();
    assert_eq!((delete().as_str(), delete().as_str()), ("0x00000000", "0x00000001"));
    job.must("resume");
    assert_eq!(code(&job), "0x80072F0C");
    // A server that merely accepts them is content without.
    let job = new(&user, &url(1), "d").started().create(&door);
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    // One that the server does not trust, and one without its key.
    let job = new(&user, &url(0), "e").create(&door);
    assert!(set(&job, &json!({ "subject": "mallory" })).is_success());
    job.must("resume");
    job.wait(&[Error], LONG);
    assert_eq!(error(&job).2, Some(400), "nginx says it in HTTP");
    let job = new(&user, &url(0), "g").create(&door);
    assert!(set(&job, &json!({ "subject": "bare" })).is_success());
    job.must("resume");
    assert_eq!(code(&job), "0x80072F9A");
    let placed: Vec<_> = names(&user.folder()).into_iter().filter(|name| !name.starts_with("BIT")).collect();
    assert_eq!(placed, ["a"], "nothing else is in place");
}

#[test]
fn a_server_that_merely_accepts_client_certificates_is_refused_in_strict_mode() {
    let Some(folder) = folder("strict client certificates") else { return };
    let (known, clients) = (Authority::root("known"), Authority::root("clients"));
    let nginx = mutual(folder, &known, &clients);
    let user = trusting(&known, "[compat]\nstrict = true\n");
    let url = format!("https://127.0.0.1:{}/f", nginx.port(1));
    assert_eq!(code(&new(&user, &url, "f").started().create(&user.wake())), "0x80072F0C");
}

/// A program that checks certificates.
struct Checker {
    reader: BufReader<UnixStream>,
}

impl Checker {
    /// Registers; the refusal if it is one.
    fn listen(job: &Job) -> Result<Self, String> {
        let mut stream = job.door.connect().unwrap();
        write!(stream, "POST {} HTTP/1.0\r\nContent-Length: 0\r\n\r\n", job.path("/certificate-checks"))
            .unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let mut reader = BufReader::new(stream);
        let (mut status, mut line) = (String::new(), String::new());
        reader.read_line(&mut status).unwrap();
        while reader.read_line(&mut line).unwrap() > 2 {
            line.clear();
        }
        if status.contains(" 200 ") {
            return Ok(Self { reader });
        }
        let mut body = String::new();
        reader.read_to_string(&mut body).unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        Err(body["hresult"].as_str().unwrap().to_owned())
    }

    /// The next question.
    fn next(&mut self) -> CertificateCheck {
        loop {
            let mut line = String::new();
            assert!(self.reader.read_line(&mut line).unwrap() > 0, "nobody asks any more");
            if let Some(data) = line.strip_prefix("data:") {
                return serde_json::from_str(data.trim()).unwrap();
            }
        }
    }
}

fn answer(job: &Job, check: u64, code: &str) -> Reply {
    let path = job.path(&format!("/certificate-checks/{check}"));
    job.door.ask("PUT", &path, Some(&json!({ "hresult": code }))).unwrap()
}

#[test]
fn server_certificate_validation_callback_validate_server_certificate_with_nginx() {
    let Some(folder) = folder("certificate checks") else { return };
    let known = Authority::root("known");
    let middle = known.below("below", None);
    let issued = middle.issue(&Leaf::server());
    put(&folder, "s", &issued);
    put(&folder, "date", &known.issue(&Leaf { validity: Validity::Over, ..Leaf::server() }));
    let nginx = folder.start(&(https(0, "s", "keepalive_timeout 0;") + &https(1, "date", "")));
    let user = trusting(&known, "[retry]\nmin_delay_floor = \"5s\"\n");
    let door = user.wake();
    let url = format!("https://127.0.0.1:{}/f", nginx.port(0));
    let job = new(&user, &url, "f").set("minimum_retry_delay_s", 5).create(&door);
    let mut checker = Checker::listen(&job).unwrap();
    assert!(job.view().unwrap().http.certificate_validation);
    job.must("resume");
    // Presented before anything is asked of the server: leaf and issuers as they came.
    let question = checker.next();
    let decode = |text: &str| {
        // Compared in base64: the other side of the same alphabet.
        base64(text)
    };
    assert_eq!(decode(&question.certificate), issued.chain[0]);
    assert_eq!(question.chain.iter().map(|text| decode(text)).collect::<Vec<_>>(), [issued.chain[1].clone()]);
    assert_eq!((question.file, question.encoding), (0, 1));
    assert_eq!(question.server, format!("127.0.0.1:{}", nginx.port(0)));
    assert_eq!(nginx.requests(), Vec::<String>::new(), "no request yet");
    // Only in SUSPENDED, ERROR and TRANSFERRED may it be set.
    assert_eq!(Checker::listen(&job).err().as_deref(), Some("0x80200075"));
    // Refused: the program's own code, context 8, and it is tried again, asking again.
    assert!(answer(&job, question.check, "0x80004005").is_success());
    assert_eq!(answer(&job, question.check, "0x00000000").status, 404, "a question has one answer");
    assert_eq!(job.wait(&[TransientError, Error], LONG), TransientError);
    let (code, context, _) = error(&job);
    assert_eq!((code.as_str(), context), ("0x80004005", ErrorContext::ServerCertificateCallback));
    job.must("resume");
    let question = checker.next();
    assert!(answer(&job, question.check, "0x00000000").is_success());
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    assert_eq!(nginx.requests().len(), 1);
    // Accepted for the life of the job: another file of the same server asks nothing, even when nobody listens.
    drop(checker);
    let more = json!({ "files": [{ "remote_name": url, "local_name": user.path("g") }] });
    assert!(door.ask("POST", &job.path("/files"), Some(&more)).unwrap().is_success());
    job.must("resume");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    // Setting it anew forgets what was accepted; then nobody is there any more: ERROR.
    drop(Checker::listen(&job).unwrap());
    let more = json!({ "files": [{ "remote_name": url, "local_name": user.path("h") }] });
    assert!(door.ask("POST", &job.path("/files"), Some(&more)).unwrap().is_success());
    job.must("resume");
    assert_eq!(job.wait(&[Transferred, Error, TransientError], LONG), Error);
    let (code, context, _) = error(&job);
    assert_eq!((code.as_str(), context), ("0x80200074", ErrorContext::ServerCertificateCallback));
    // Not required any more.
    let stopped = door.ask("DELETE", &job.path("/certificate-checks"), None).unwrap();
    assert!(stopped.is_success(), "{stopped}");
    job.must("resume");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    // It can only tighten: a certificate that fails the normal checks is never presented.
    let url = format!("https://127.0.0.1:{}/f", nginx.port(1));
    let job = new(&user, &url, "x").create(&door);
    let mut checker = Checker::listen(&job).unwrap();
    job.must("resume");
    assert_eq!(code_of(&job), "0x80072F05");
    checker.reader.get_ref().set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut line = String::new();
    assert!(checker.reader.read_line(&mut line).is_err(), "nothing was asked: {line}");
}

fn code_of(job: &Job) -> String {
    code(job)
}

/// Base64, read by hand.
fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut out) = (0_u32, 0, Vec::new());
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        let value = ALPHABET.iter().position(|known| *known == byte).unwrap();
        bits = bits << 6 | u32::try_from(value).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from(bits >> count & 0xFF).unwrap());
        }
    }
    out
}

#[test]
fn server_certificate_validation_callback_validate_server_certificate_of_uploads() {
    let Some(folder) = folder("certificate checks of uploads") else { return };
    let known = Authority::root("known");
    put(&folder, "s", &known.issue(&Leaf::server()));
    let arrived = folder.path("www/in/f");
    let nginx = folder.start(&https(0, "s", "dav_methods PUT; create_full_put_path on;"));
    let user = trusting(&known, "");
    std::fs::write(user.path("f"), content().byte_range(0, SIZE)).unwrap();
    let door = user.wake();
    let url = format!("https://127.0.0.1:{}/in/f", nginx.port(0));
    let job = new(&user, &url, "f").kind("UPLOAD").create(&door);
    // Required, and the program has gone: not a word to that server.
    drop(Checker::listen(&job).unwrap());
    job.must("resume");
    assert_eq!(job.wait(&[Transferred, Error, TransientError], LONG), Error);
    let (code, context, _) = error(&job);
    assert_eq!((code.as_str(), context), ("0x80200074", ErrorContext::ServerCertificateCallback));
    assert_eq!(nginx.requests(), Vec::<String>::new());
    // Shown to a program that accepts it, it goes.
    let mut checker = Checker::listen(&job).unwrap();
    job.must("resume");
    let question = checker.next();
    assert_eq!(question.server, format!("127.0.0.1:{}", nginx.port(0)));
    assert_eq!(nginx.requests(), Vec::<String>::new());
    assert!(answer(&job, question.check, "0x00000000").is_success());
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    assert_eq!(std::fs::read(arrived).unwrap(), content().byte_range(0, SIZE));
}

#[test]
fn job_http_options3_set_server_certificate_validation_interface_ends_with_its_program() {
    let Some(folder) = folder("a checker that goes away") else { return };
    let known = Authority::root("known");
    put(&folder, "s", &known.issue(&Leaf::server()));
    let nginx = folder.start(&https(0, "s", ""));
    let user = trusting(&known, "");
    let door = user.wake();
    let url = format!("https://127.0.0.1:{}/f", nginx.port(0));
    let job = new(&user, &url, "f").create(&door);
    let mut first = Checker::listen(&job).unwrap();
    let mut second = Checker::listen(&job).unwrap();
    // The last one wins; the first one hears that it is out.
    let mut rest = String::new();
    assert_eq!(first.reader.read_to_string(&mut rest).unwrap(), 0, "{rest}");
    job.must("resume");
    let _ = second.next();
    drop(second);
    assert_eq!(job.wait(&[Transferred, Error, TransientError], LONG), Error, "with the question open");
    assert_eq!(error(&job).0, "0x80200074");
    // Set again and resumed, it goes on.
    let mut third = Checker::listen(&job).unwrap();
    job.must("resume");
    let check = third.next().check;
    assert!(answer(&job, check, "0x00000000").is_success());
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    assert_eq!(nginx.requests().len(), 1);
}

/// squid as a proxy that tunnels; `None` where it is not installed.
fn squid(user: &User) -> Option<(u16, Process)> {
    if !std::path::Path::new("/usr/sbin/squid").exists() {
        return None;
    }
    let port = own_port();
    let folder = user.sandbox().path().join("squid");
    std::fs::create_dir(&folder).unwrap();
    let root = folder.display();
    std::fs::write(
        folder.join("squid.conf"),
        format!(
            "http_port 127.0.0.1:{port}\nhttp_access allow all\ncache deny all\npid_filename none\naccess_log none\n\
             cache_log /dev/null\ncoredump_dir {root}\nnetdb_filename none\nshutdown_lifetime 0 seconds\n"
        ),
    )
    .unwrap();
    let spec =
        Spec::new("/usr/sbin/squid", folder.join("log")).arg("-N").arg("-f").arg(folder.join("squid.conf"));
    let process = spec.start().ok()?;
    let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    assert!(wait_until(Duration::from_secs(30), listens), "{}", process.log());
    Some((port, process))
}

#[test]
fn certificates_and_checks_work_through_a_proxy() {
    let Some(folder) = folder("HTTPS through a proxy") else { return };
    let (known, clients) = (Authority::root("known"), Authority::root("clients"));
    let nginx = mutual(folder, &known, &clients);
    let user = trusting(&known, "");
    let Some((proxy, _squid)) = squid(&user) else {
        return skip("HTTPS through a proxy", "squid is not installed (Debian: squid)");
    };
    let store = user.sandbox().home().join("alice.pem");
    let alice = clients.issue(&Leaf::client("example", "build", "alice"));
    std::fs::write(&store, format!("{}{}", alice.chain_pem, alice.key_pem)).unwrap();
    let door: Door = user.wake();
    for port in [0, 2] {
        let url = format!("https://127.0.0.1:{}/f", nginx.port(port));
        let list = json!({ "usage": "OVERRIDE", "list": format!("127.0.0.1:{proxy}") });
        let job = new(&user, &url, &format!("f{port}")).set("proxy", list).create(&door);
        let certificate = json!({ "store": store, "subject": "alice" });
        let set = door.ask("PUT", &job.path("/client-certificate"), Some(&certificate)).unwrap();
        assert!(set.is_success(), "{set}");
        let mut checker = Checker::listen(&job).unwrap();
        let outcome: Outcome = job.act("resume").json();
        assert_ne!(outcome.job.state, Suspended);
        let question = checker.next();
        assert!(question.server.ends_with(&nginx.port(port).to_string()), "the server, not the proxy");
        assert!(answer(&job, question.check, "0x00000000").is_success());
        assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
        let peer: JobState = job.state();
        assert_eq!(peer, Transferred);
    }
}
