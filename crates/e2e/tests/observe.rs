//! What an administrator sees: journal, metrics, histories, `bits doctor`.

#![allow(clippy::unwrap_used, reason = "a test")]

use openbits_api::EventView;
use openbits_core::JobState::{Error, Transferred};
use openbits_e2e::{NewJob, User, program, skip};
use openbits_testkit::{Content, Origin, own_port, wait_until};
use std::io::{BufRead as _, Read as _, Write as _};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

fn bits() -> PathBuf {
    program(env!("CARGO_BIN_EXE_bits-under-test"))
}

/// A job that is transferred and one in ERROR.
fn two_jobs(user: &User, origin: &Origin) -> (String, String) {
    origin.put("f", Content::new(1, 50_000));
    let job = |name: &str| {
        NewJob::new(name).file(&origin.url(name), &user.path(name)).started().create(&user.door())
    };
    let (good, bad) = (job("f"), job("missing"));
    assert_eq!(good.wait(&[Transferred, Error], LONG), Transferred);
    assert_eq!(bad.wait(&[Transferred, Error], LONG), Error);
    (good.id, bad.id)
}

/// A journal that does not keep up for a moment is left out (docs/decisions/0016), and on a busy machine this one does not now and then.
#[test]
fn events_reach_the_journal_with_their_numbers_and_fields() {
    let missing: Vec<Vec<String>> =
        (0..6).map(|_| missing_in_the_journal()).take_while(|m| !m.is_empty()).collect();
    assert!(missing.len() < 6, "in each of six runs some do not come: {missing:#?}");
}

/// Runs two jobs to their ends, and says which events the journal did not get.
fn missing_in_the_journal() -> Vec<String> {
    let user = User::new(bits());
    let path = user.sandbox().path().join("journal");
    let journal = UnixDatagram::bind(&path).unwrap();
    journal.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let is_over = Arc::clone(&over);
    let reader = std::thread::spawn(move || {
        let mut seen: Vec<String> = Vec::new();
        let mut buffer = vec![0; 65_536];
        loop {
            let may_end = is_over.load(Ordering::SeqCst);
            match journal.recv(&mut buffer) {
                Ok(got) => seen.push(String::from_utf8_lossy(&buffer[..got]).into_owned()),
                Err(_) if may_end => return seen,
                Err(_) => {}
            }
        }
    });
    let mut service = user.start(&["--journal", path.to_str().unwrap()]);
    let origin = Origin::start();
    let (good, bad) = two_jobs(&user, &origin);
    service.terminate(LONG).unwrap();
    over.store(true, Ordering::SeqCst);
    let seen = reader.join().unwrap();
    let with = |number: u16, line: &str| {
        seen.iter().any(|event| event.contains(&format!("BITS_EVENT={number}\n")) && event.contains(line))
    };
    let uid = format!("JOB_OWNER_UID={}\n", rustix::process::getuid().as_raw());
    let wanted = [
        (301, "PRIORITY=7\n".to_owned()),
        (306, "BITS_SECONDS=".to_owned()),
        (3, format!("JOB_ID={good}\n")),
        (3, uid),
        (16_403, "BITS_LOCAL=".to_owned()),
        (59, format!("JOB_ID={good}\n")),
        (60, "BITS_BYTESTRANSFERRED=50000\n".to_owned()),
        (61, "BITS_HR=0x80190194\n".to_owned()),
        (211, format!("JOB_ID={bad}\n")),
        (211, "MESSAGE_ID=8d1f5c3e6b0a4f529a470b2dc1e700d3\n".to_owned()),
        (83, "BITS_TITLE=notify.timeout\n".to_owned()),
        (304, String::new()),
    ];
    let missing = wanted.into_iter().filter(|(number, line)| !with(*number, line));
    missing.map(|(number, line)| format!("event {number} with {line:?} in {seen:#?}")).collect()
}

#[test]
fn metrics_are_open_metrics_at_the_socket_and_at_a_port() {
    let user = User::new(bits());
    let port = std::net::SocketAddr::from(([127, 0, 0, 1], own_port()));
    let mut service = user.start(&["--metrics-address", &port.to_string()]);
    let origin = Origin::start();
    let _ = two_jobs(&user, &origin);
    let lines = [
        "openbits_jobs{state=\"transferred\"} 1\n",
        "openbits_jobs{state=\"error\"} 1\n",
        "openbits_jobs{state=\"queued\"} 0\n",
        "openbits_received_bytes_total 50000\n",
        "openbits_events_total{id=\"3\",level=\"information\"} 2\n",
        "openbits_events_total{id=\"61\",level=\"warning\"} 1\n",
        "# EOF\n",
    ];
    let ask = || user.door().ask("GET", "/metrics", None).unwrap();
    // An event counts when it is durable, a moment after the state that it tells of.
    let all = || String::from_utf8(ask().body).is_ok_and(|text| lines.iter().all(|line| text.contains(line)));
    assert!(wait_until(LONG, all), "{lines:?} in {}", ask());
    let reply = ask();
    assert!(
        reply.head.to_lowercase().contains("content-type: application/openmetrics-text"),
        "{}",
        reply.head
    );
    let text = String::from_utf8(reply.body).unwrap();
    let mut stream = std::net::TcpStream::connect(port).unwrap();
    write!(stream, "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    assert!(all.contains("openbits_jobs{state=\"error\"} 1\n"), "{all}");
    assert!(service.is_running());
    // Somebody else's parser.
    let script = "import sys; from prometheus_client.openmetrics.parser import text_string_to_metric_families as p; \
        print(sorted(f.name for f in p(sys.stdin.read())))";
    let parser = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut parser) = parser else { return skip("metrics", "there is no python3") };
    parser.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = parser.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    if complaint.contains("ModuleNotFoundError") {
        return skip("metrics", "python3-prometheus-client is not installed");
    }
    assert!(output.status.success(), "{complaint}\n{text}");
    let names = String::from_utf8_lossy(&output.stdout);
    assert!(names.contains("openbits_jobs") && names.contains("openbits_received_bytes"), "{names}");
}

#[test]
fn a_port_that_others_can_reach_is_refused() {
    let user = User::new(bits());
    let output = user.bits(&["service", "--user", "--metrics-address", "0.0.0.0:9"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("loopback"));
}

#[test]
fn bits_log_tells_the_story_of_a_job_also_after_its_end() {
    let user = User::new(bits());
    let _service = user.start(&[]);
    let origin = Origin::start();
    let (good, bad) = two_jobs(&user, &origin);
    let text = user.must(&["log", &bad]);
    for part in ["job created", "job resumed", "error: job error", "0x80190194"] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    let _ = user.must(&["complete", &good]);
    let text = user.must(&["log", &good, "--follow"]);
    assert!(text.lines().last().unwrap().contains("job completed"), "{text}");
    let lines = user.must(&["log", &good, "--json"]);
    let entries: Vec<EventView> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(entries.windows(2).all(|pair| pair[0].seq < pair[1].seq && pair[0].time_ms <= pair[1].time_ms));
    assert!(entries.iter().all(|entry| entry.log.is_some()));
    let unknown = user.bits(&["log", "00000000-0000-4000-8000-000000000000"]);
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn bits_log_follows_until_the_job_is_over() {
    let user = User::new(bits());
    let _service = user.start(&[]);
    let origin = Origin::start();
    let (good, _) = two_jobs(&user, &origin);
    let mut child = user.command(&["log", &good, "--follow"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    // It shows what was (the first line: the job was made); what comes is still to come.
    let mut text = String::new();
    assert!(out.read_line(&mut text).unwrap() > 0);
    assert!(!text.contains("job cancelled"), "{text}");
    let _ = user.must(&["cancel", &good]);
    out.read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success() && text.contains("job cancelled"), "{text}");
}

#[test]
fn bits_doctor_names_what_is_wrong() {
    let user = User::new(bits());
    // Nothing runs: that is a finding, and nothing is started.
    let output = user.bits(&["doctor"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("warn  service"), "{text}");
    assert!(!user.door().socket.exists(), "looking starts nothing");
    let _service = user.start(&[]);
    let origin = Origin::start();
    let (_, bad) = two_jobs(&user, &origin);
    let output = user.bits(&["doctor"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(10), "{text}");
    for part in ["ok    service", "ok    version", "ok    queue", &format!("FAIL  job       {bad}"), "try: "]
    {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    let output = user.bits(&["doctor", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["verdict"], "fail");
    let names: Vec<&str> =
        report["checks"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    for name in [
        "service", "version", "queue", "network", "limits", "policy", "job", "state", "clock", "tls",
        "proxy", "journal",
    ] {
        // Root has no limits.
        assert!(names.contains(&name) || name == "limits", "{name} in {names:?}");
    }
}
