//! Statuses of success (section 7.2 and 7.3): for these downloads 201 to 204 are as good as 200.

use crate::raw::Raw;
use crate::sdk::code;
use crate::service::Service;
use std::time::{Duration, Instant};

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn with(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\r\n{body}")
}

#[test]
fn statuses_of_success_are_the_file() {
    let service = Service::start();
    let length = "Content-Length: 5\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n";
    let nothing = "Content-Length: 0\r\n";
    let rows = [
        ("200 OK", length, "hello", "hello"),
        ("201 Created", length, "hello", "hello"),
        ("202 Accepted", length, "hello", "hello"),
        ("203 Non-Authoritative Information", length, "hello", "hello"),
        ("203 Non-Authoritative Information", chunked, "5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("201 Created", nothing, "", ""),
        ("204 No Content", "", "", ""),
        ("204 No Content", nothing, "", ""),
    ];
    for (n, (status, headers, body, file)) in rows.into_iter().enumerate() {
        let origin = Raw::new(with(status, headers, body));
        let name = format!("f{n}");
        let download = service.sdk().make(&origin.url(), &service.path(&name)).unwrap();
        download.start().unwrap();
        let done = download.reaches("Transferred", seconds(10));
        let size = file.len() as u64;
        assert_eq!((done.total, done.transferred, done.error, done.extended), (size, size, 0, 0), "{status}");
        download.finalize().unwrap();
        assert_eq!(std::fs::read_to_string(service.path(&name)).unwrap(), file, "{status}");
        assert_eq!(origin.asked(), 1, "{status}: once");
    }
}

/// What is no success stays none: 205, statuses that nobody knows.
#[test]
fn other_statuses_of_success_are_failures() {
    let service = Service::start();
    for status in ["205 Reset Content", "207 Multi-Status", "226 IM Used"] {
        let origin = Raw::new(with(status, "Content-Length: 5\r\n", "hello"));
        let name = status.split_once(' ').unwrap().0;
        let download = service.sdk().make(&origin.url(), &service.path(name)).unwrap();
        download.start().unwrap();
        let end = Instant::now() + seconds(10);
        while download.status().error == 0 {
            assert!(Instant::now() < end, "{status}: {:?}", download.status());
            std::thread::sleep(Duration::from_millis(50));
        }
        let failed = download.status();
        assert_eq!((failed.error, failed.transferred), (code(0x8019_0001), 0), "{status}");
        origin.answers(with("201 Created", "Content-Length: 2\r\n", "ok"));
        download.pause().unwrap();
        download.start().unwrap();
        download.reaches("Transferred", seconds(20));
        assert_eq!(std::fs::read_to_string(service.path(name)).unwrap(), "ok", "{status}");
    }
}

/// The rule is that of these downloads: an ordinary job still takes 201 for no file.
#[test]
fn an_ordinary_job_takes_no_other_status_for_a_file() {
    use openbits_client::Action;
    let service = Service::start();
    let origin = Raw::new(with("201 Created", "Content-Length: 5\r\n", "hello"));
    let client = service.client();
    let file = openbits_api::AddFile {
        remote_name: origin.url(),
        local_name: service.path("g").display().to_string(),
        ..openbits_api::AddFile::default()
    };
    let job = openbits_api::CreateJob {
        id: None,
        display_name: "plain".to_owned(),
        kind: openbits_core::JobType::Download,
        files: vec![file],
        resume: true,
        properties: openbits_api::SetProperties::default(),
        environment_proxy: None,
        dialect: openbits_core::job::Dialect::Bits,
    };
    let id = client.create_job(&job).unwrap().job.id.parse().unwrap();
    let failed = || client.job(id, false, false).unwrap().state == openbits_core::JobState::TransientError;
    assert!(openbits_testkit::wait_until(seconds(20), failed), "{:?}", client.job(id, false, false));
    client.act(id, Action::Cancel).unwrap();
}
