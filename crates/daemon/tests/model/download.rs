//! Downloads of IDOManager through the service's door (spec/delivery-optimization-com.md 3 and 4).

use crate::common::{NOWHERE, Service, refusal, wait};
use crate::process;
use openbits_api::{
    CreateDownload, DownloadProperties, DownloadView, RangeView, SetProperties, StartDownload,
};
use openbits_client::{Action, Client, DownloadAction, Error, Timeouts};
use openbits_core::JobId;
use openbits_core::delivery::codes;
use openbits_core::delivery::download::State;
use openbits_core::hresult::{self as h, HResult, S_OK};
use openbits_core::job::Dialect;
use openbits_core::{JobState, Secret};
use openbits_testkit::{Behaviour, Certificate, Content, Origin, OriginFile, OriginOptions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);
const INVALID: Result<(), HResult> = Err(codes::DO_E_INVALID_STATE);
const SIZE: u64 = 300_000;

fn code<T>(result: Result<T, Error>) -> Result<(), HResult> {
    result.map(drop).map_err(refusal)
}

impl Service {
    /// A download of `url` into the file `name`.
    fn download(&self, url: &str, name: &str) -> JobId {
        let properties = DownloadProperties {
            uri: Some(url.to_owned()),
            local_path: Some(self.path(name).display().to_string()),
            ..DownloadProperties::default()
        };
        let new = CreateDownload { properties, environment_proxy: None };
        self.client.create_download(&new).unwrap().id.parse().unwrap()
    }

    fn show(&self, id: JobId) -> DownloadView {
        self.client.download(id).unwrap()
    }

    fn begin(&self, id: JobId, ranges: Option<&[(u64, Option<u64>)]>) -> Result<(), HResult> {
        let view = |&(offset, length): &(u64, Option<u64>)| RangeView { offset, length };
        let start = StartDownload { ranges: ranges.map(|ranges| ranges.iter().map(view).collect()) };
        code(self.client.start_download(id, &start))
    }

    fn download_act(&self, id: JobId, action: DownloadAction) -> Result<(), HResult> {
        code(self.client.act_on_download(id, action))
    }

    /// With other properties than those of [`Service::download`].
    fn download_with(&self, properties: DownloadProperties) -> Result<JobId, HResult> {
        let new = CreateDownload { properties, environment_proxy: None };
        self.client.create_download(&new).map(|view| view.id.parse().unwrap()).map_err(refusal)
    }

    fn set_download(&self, id: JobId, properties: DownloadProperties) -> Result<(), HResult> {
        code(self.client.set_download(id, &properties))
    }

    fn enumerate(&self, category: Option<(&str, &str)>) -> Result<Vec<String>, HResult> {
        self.client.downloads(category).map(|found| found.ids).map_err(refusal)
    }

    /// A download that stopped at byte 100,000 of its file, since the server sends no more, and was paused.
    fn paused(&self, origin: &Origin, name: &str) -> JobId {
        origin.hold(name, 100_000);
        let id = self.download(&origin.url(name), name);
        self.begin(id, None).unwrap();
        assert!(origin.wait_held(name, LONG));
        wait("bytes", || (self.show(id).bytes_transferred > 0).then_some(()));
        self.download_act(id, DownloadAction::Pause).unwrap();
        id
    }

    fn content(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// What is left of temporary files.
    fn leftovers(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path("")).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "tmp")).collect()
    }

    fn download_reaches(&self, id: JobId, state: State) -> DownloadView {
        wait(&format!("{state:?}"), || Some(self.show(id)).filter(|view| view.state == state))
    }
}

/// State, Error, ExtendedError.
fn told(view: &DownloadView) -> (State, HResult, HResult) {
    let number = |text: &str| openbits_api::error::parse_code(text).unwrap();
    (view.state, number(&view.error), number(&view.extended_error))
}

const fn user_pause() -> (State, HResult, HResult) {
    (State::Paused, S_OK, S_OK)
}

fn none() -> DownloadProperties {
    DownloadProperties::default()
}

/// An origin with a file of [`SIZE`] bytes of each of these names.
fn origin(names: &[&str]) -> Origin {
    let origin = Origin::start();
    for (seed, name) in (1..).zip(names) {
        origin.put(name, Content::new(seed, SIZE));
    }
    origin
}

/// Row 4 of the checklist: there and back, the file is right.
#[test]
fn do_download_start() {
    let (origin, content) = (Origin::start(), Content::new(7, 300_000));
    origin.put("file", content.clone());
    let service = Service::start();
    let id = service.download(&origin.url("file"), "file");
    let view = service.show(id);
    assert_eq!((view.state, view.bytes_total, view.bytes_transferred), (State::Created, 0, 0));
    assert_eq!(service.job(id).dialect, Dialect::DeliveryOptimization);
    service.begin(id, None).unwrap();
    let view = service.download_reaches(id, State::Transferred);
    assert_eq!((view.bytes_total, view.bytes_transferred), (300_000, 300_000));
    assert!(!service.path("file").exists(), "not in its place before it is finalized");
    service.begin(id, None).unwrap();
    assert_eq!(service.show(id).state, State::Transferred);
    service.download_act(id, DownloadAction::Finalize).unwrap();
    assert_eq!(std::fs::read(service.path("file")).unwrap(), content.byte_range(0, 300_000));
    assert_eq!(service.show(id).state, State::Finalized);
    assert_eq!(service.begin(id, None), Err(codes::DO_E_INVALID_STATE));
}

#[test]
fn do_download_start_with_ranges() {
    let (origin, content) = (Origin::start(), Content::new(8, 300_000));
    origin.put("file", content.clone());
    let service = Service::start();
    let id = service.download(&origin.url("file"), "file");
    service.begin(id, Some(&[(0, Some(100)), (200, Some(1000))])).unwrap();
    let view = service.download_reaches(id, State::Transferred);
    assert_eq!((view.bytes_total, view.bytes_transferred), (1100, 1100));
    // Another portion, and then what is left.
    service.begin(id, Some(&[(5000, Some(10))])).unwrap();
    let view = service.download_reaches(id, State::Transferred);
    assert_eq!((view.bytes_total, view.bytes_transferred), (10, 10));
    service.download_act(id, DownloadAction::Finalize).unwrap();
    let got = std::fs::read(service.path("file")).unwrap();
    assert_eq!(got.len(), 5010);
    assert_eq!(
        (&got[..100], &got[200..1200], &got[5000..]),
        (
            &content.byte_range(0, 100)[..],
            &content.byte_range(200, 1000)[..],
            &content.byte_range(5000, 10)[..]
        )
    );
    assert!(got[100..200].iter().all(|b| *b == 0), "a gap");
}

/// Row 1 of the checklist; nothing is left of a refused one.
#[test]
fn do_manager_create_download() {
    let service = Service::start();
    let id = service.download_with(none()).unwrap();
    let view = service.show(id);
    assert_eq!(told(&view), (State::Created, S_OK, S_OK));
    assert_eq!((view.bytes_total, view.bytes_transferred, view.ranges), (0, 0, None));
    let set = DownloadProperties {
        no_progress_timeout_seconds: Some(86_400),
        foreground_priority: Some(false),
        ..none()
    };
    assert_eq!(view.properties, set, "what was never set is not there");
    let job = service.job(id);
    assert_eq!((job.cost_flags, job.cost_flags_set), (0x8000_0067, true), "Standard in the background");
    assert_eq!((job.state, job.display_name.as_str()), (JobState::Suspended, "Delivery Optimization"));
    for refused in [
        DownloadProperties { uri: Some("ftp://h/f".into()), ..none() },
        DownloadProperties { security_flags: Some(2), ..none() },
        DownloadProperties { http_custom_headers: Some(Secret::new("Host: h")), ..none() },
    ] {
        assert_eq!(service.download_with(refused), Err(h::E_INVALIDARG));
    }
    assert_eq!(service.enumerate(None), Ok(vec![id.to_string()]));
}

/// Row 7 of the checklist.
#[test]
fn do_manager_enum_downloads() {
    let (service, origin) = (Service::start(), origin(&["a", "b"]));
    assert_eq!(service.enumerate(None), Err(codes::DO_E_NO_DOWNLOADS));
    let a = service.download(&origin.url("a"), "a");
    let b = service.download(&origin.url("b"), "b");
    let named =
        DownloadProperties { content_id: Some("Id".into()), display_name: Some("Name".into()), ..none() };
    service.set_download(b, named).unwrap();
    assert_eq!(service.enumerate(None), Ok(vec![a.to_string(), b.to_string()]));
    let (url, path) = (origin.url("b"), service.path("b").display().to_string());
    let upper = b.to_string().to_uppercase();
    for (property, value) in [
        ("id", upper.as_str()),
        ("uri", &url),
        ("content_id", "Id"),
        ("display_name", "Name"),
        ("local_path", &path),
    ] {
        assert_eq!(service.enumerate(Some((property, value))), Ok(vec![b.to_string()]), "{property}");
        let nothing = service.enumerate(Some((property, "name")));
        assert_eq!(nothing, Err(codes::DO_E_NO_DOWNLOADS), "{property}");
    }
    for property in ["cost_policy", "callback_freq_seconds", "name"] {
        assert_eq!(service.enumerate(Some((property, "1"))), Err(h::E_INVALIDARG), "{property}");
    }
    service.begin(a, None).unwrap();
    service.download_reaches(a, State::Transferred);
    service.download_act(a, DownloadAction::Finalize).unwrap();
    service.download_act(b, DownloadAction::Abort).unwrap();
    assert_eq!(service.enumerate(None), Err(codes::DO_E_NO_DOWNLOADS));
}

#[test]
fn do_download_start_without_what_it_needs() {
    let (service, origin) = (Service::start(), origin(&["a"]));
    let start = |properties| {
        let id = service.download_with(properties).unwrap();
        let refused = service.begin(id, None).unwrap_err();
        assert_eq!(service.show(id).state, State::Created);
        refused
    };
    let (uri, path) = (Some(origin.url("a")), |name: &str| Some(service.path(name).display().to_string()));
    let content = || Some("content".to_owned());
    assert_eq!(start(none()), codes::DO_E_DOWNLOAD_NO_URI);
    let by_content = DownloadProperties { content_id: content(), local_path: path("a"), ..none() };
    assert_eq!(start(by_content), codes::DO_E_DOWNLOAD_NO_URI);
    let nowhere = DownloadProperties { uri: uri.clone(), ..none() };
    assert_eq!(start(nowhere), codes::DO_E_FILE_DOWNLOADSINK_UNSPECIFIED);
    std::fs::create_dir(service.path("folder")).unwrap();
    for (local, expected) in [
        ("relative".to_owned(), h::ERROR_INVALID_NAME),
        (format!("{}/", service.path("folder").display()), h::ERROR_INVALID_NAME),
        (format!("/{}", "x".repeat(300)), h::ERROR_INVALID_NAME),
        (service.path("none/f").display().to_string(), h::ERROR_PATH_NOT_FOUND),
        (service.path("folder").display().to_string(), h::E_ACCESSDENIED),
    ] {
        let properties = DownloadProperties { uri: uri.clone(), local_path: Some(local.clone()), ..none() };
        assert_eq!(start(properties), expected, "{local}");
    }
    // What was missing may be set.
    let id = service.download_with(DownloadProperties { uri, ..none() }).unwrap();
    assert!(service.begin(id, None).is_err());
    service.set_download(id, DownloadProperties { local_path: path("a"), ..none() }).unwrap();
    service.begin(id, None).unwrap();
    service.download_reaches(id, State::Transferred);
}

/// 4.2: overlapping, empty, outside.
#[test]
fn do_download_start_refuses_bad_ranges() {
    let (service, origin) = (Service::start(), origin(&["a"]));
    let id = service.download(&origin.url("a"), "a");
    for (ranges, expected) in [
        (&[(0, Some(0))][..], codes::DO_E_INVALID_RANGE),
        (&[(u64::MAX, Some(1))], codes::DO_E_INVALID_RANGE),
        (&[(u64::MAX - 1, Some(2))], codes::DO_E_INVALID_RANGE),
        (&[(0, Some(100)), (50, Some(1))], codes::DO_E_OVERLAPPING_RANGES),
        (&[(0, Some(100)), (0, Some(100))], codes::DO_E_OVERLAPPING_RANGES),
        (&[(50, None), (60, Some(1))], codes::DO_E_OVERLAPPING_RANGES),
    ] {
        assert_eq!(service.begin(id, Some(ranges)), Err(expected), "{ranges:?}");
        assert_eq!(service.show(id).state, State::Created);
    }
    // Only the headers tell how long the file is.
    service.begin(id, Some(&[(SIZE - 10, Some(11))])).unwrap();
    let view = service.download_reaches(id, State::Paused);
    assert_eq!(told(&view), (State::Paused, codes::DO_E_INVALID_RANGE, S_OK));
    service.begin(id, Some(&[(SIZE - 10, None)])).unwrap();
    let view = service.download_reaches(id, State::Transferred);
    assert_eq!((view.bytes_total, view.bytes_transferred), (10, 10));
    let outside = service.begin(id, Some(&[(SIZE, Some(1))]));
    assert_eq!(outside, Err(codes::DO_E_INVALID_RANGE), "now it is known");
    assert_eq!(service.show(id).state, State::Transferred);
}

#[test]
fn do_download_start_with_ranges_needs_a_server_that_has_them() {
    let (service, origin) = (Service::start(), Origin::start());
    origin.put("a", OriginFile::new(Content::new(1, SIZE)).behaviour(Behaviour::NoRanges));
    let id = service.download(&origin.url("a"), "a");
    service.begin(id, Some(&[(1000, Some(10))])).unwrap();
    let view = service.download_reaches(id, State::Paused);
    assert_eq!(told(&view), (State::Paused, codes::DO_E_INSUFFICIENT_RANGE_SUPPORT, S_OK));
    // From the first byte to the last is the whole file, which any server has.
    service.begin(id, Some(&[(0, None)])).unwrap();
    service.download_reaches(id, State::Transferred);
    service.download_act(id, DownloadAction::Finalize).unwrap();
    assert_eq!(service.content("a"), Content::new(1, SIZE).byte_range(0, SIZE));
}

/// A list without entries is the whole file, at any Start.
#[test]
fn do_download_start_with_no_ranges_is_the_whole_file() {
    let (service, origin) = (Service::start(), origin(&["a"]));
    let id = service.download(&origin.url("a"), "a");
    service.begin(id, Some(&[(100, Some(10))])).unwrap();
    service.download_reaches(id, State::Transferred);
    service.begin(id, Some(&[])).unwrap();
    let view = service.download_reaches(id, State::Transferred);
    assert_eq!((view.bytes_total, view.bytes_transferred, view.ranges), (SIZE, SIZE, None));
    service.download_act(id, DownloadAction::Finalize).unwrap();
    assert_eq!(service.content("a"), Content::new(1, SIZE).byte_range(0, SIZE));
}

/// Row 4 of the checklist, and NULL that carries on where the pause was.
#[test]
fn do_download_pause() {
    let (service, origin) = (Service::start(), origin(&["a"]));
    let id = service.paused(&origin, "a");
    let view = service.show(id);
    assert_eq!(told(&view), user_pause());
    assert!((1..=100_000).contains(&view.bytes_transferred), "{}", view.bytes_transferred);
    assert_eq!(view.bytes_total, SIZE);
    service.download_act(id, DownloadAction::Pause).unwrap();
    assert_eq!(told(&service.show(id)), user_pause(), "twice is once");
    assert_eq!(service.download_act(id, DownloadAction::Finalize), INVALID);
    origin.release("a");
    origin.clear_log();
    service.begin(id, None).unwrap();
    service.download_reaches(id, State::Transferred);
    assert!(origin.requests("a").iter().all(|request| request.range().is_some()), "not from the beginning");
    service.download_act(id, DownloadAction::Pause).unwrap();
    assert_eq!(service.show(id).state, State::Transferred);
    service.download_act(id, DownloadAction::Finalize).unwrap();
    assert_eq!(service.content("a"), Content::new(1, SIZE).byte_range(0, SIZE));
    assert_eq!(service.download_act(id, DownloadAction::Pause), INVALID);
    let created = service.download(NOWHERE, "b");
    service.download_act(created, DownloadAction::Pause).unwrap();
    assert_eq!(service.show(created).state, State::Created);
}

/// NULL goes on with what is pending of the ranges.
#[test]
fn do_download_pause_between_ranges() {
    let (service, origin) = (Service::start(), origin(&["a"]));
    origin.hold("a", 150_000);
    let id = service.download(&origin.url("a"), "a");
    service.begin(id, Some(&[(0, Some(1000)), (150_000, Some(1000))])).unwrap();
    assert!(origin.wait_held("a", LONG));
    service.download_act(id, DownloadAction::Pause).unwrap();
    let view = service.show(id);
    assert_eq!((told(&view), view.bytes_total, view.bytes_transferred), (user_pause(), 2000, 1000));
    origin.release("a");
    service.begin(id, None).unwrap();
    let view = service.download_reaches(id, State::Transferred);
    assert_eq!((view.bytes_total, view.bytes_transferred), (2000, 2000));
    service.download_act(id, DownloadAction::Finalize).unwrap();
    let (got, content) = (service.content("a"), Content::new(1, SIZE));
    assert_eq!(got.len(), 151_000);
    assert_eq!(got[150_000..], content.byte_range(150_000, 1000));
}

#[test]
fn do_download_abort() {
    let (service, origin) = (Service::start(), origin(&["a", "b", "c"]));
    let created = service.download(&origin.url("a"), "created");
    let paused = service.paused(&origin, "a");
    assert_eq!(service.leftovers().len(), 1);
    origin.hold("b", 100_000);
    let moving = service.download(&origin.url("b"), "b");
    service.begin(moving, None).unwrap();
    assert!(origin.wait_held("b", LONG));
    let there = service.download(&origin.url("c"), "c");
    service.begin(there, None).unwrap();
    service.download_reaches(there, State::Transferred);
    let failed = service.download(&origin.url("none"), "failed");
    service.begin(failed, None).unwrap();
    service.download_reaches(failed, State::Paused);
    for id in [created, paused, moving, there, failed] {
        service.download_act(id, DownloadAction::Abort).unwrap();
        assert_eq!(told(&service.show(id)), (State::Aborted, S_OK, S_OK));
        assert_eq!(service.begin(id, None), INVALID);
        assert_eq!(service.begin(id, Some(&[(0, Some(1))])), INVALID);
        for action in [DownloadAction::Pause, DownloadAction::Finalize, DownloadAction::Abort] {
            assert_eq!(service.download_act(id, action), INVALID);
        }
        let set = DownloadProperties { blocking_mode: Some(true), ..none() };
        assert_eq!(service.set_download(id, set), INVALID);
    }
    assert_eq!(std::fs::read_dir(service.path("")).unwrap().count(), 0, "neither files nor temporary ones");
    assert_eq!(service.enumerate(None), Err(codes::DO_E_NO_DOWNLOADS));
}

/// 4.7: a second download to the path of a paused one.
#[test]
fn do_download_abort_by_a_second_one_to_the_same_path() {
    let (service, origin) = (Service::start(), origin(&["a", "b"]));
    let first = service.paused(&origin, "a");
    let second = service.download(&origin.url("b"), "a");
    assert_eq!(service.show(first).state, State::Paused);
    service.begin(second, None).unwrap();
    assert_eq!(service.show(first).state, State::Aborted);
    service.download_reaches(second, State::Transferred);
    service.download_act(second, DownloadAction::Finalize).unwrap();
    assert_eq!(service.content("a"), Content::new(2, SIZE).byte_range(0, SIZE));
    wait("the first one's temporary file is gone", || service.leftovers().is_empty().then_some(()));
}

#[test]
fn do_download_finalize() {
    let (service, origin) = (Service::start(), origin(&["a"]));
    let id = service.download(&origin.url("a"), "a");
    assert_eq!(service.download_act(id, DownloadAction::Finalize), INVALID);
    origin.hold("a", 1000);
    service.begin(id, None).unwrap();
    assert_eq!(service.download_act(id, DownloadAction::Finalize), INVALID);
    assert_eq!(service.show(id).state, State::Transferring, "and goes on");
    origin.release("a");
    service.download_reaches(id, State::Transferred);
    assert!(!service.path("a").exists());
    service.download_act(id, DownloadAction::Finalize).unwrap();
    assert_eq!(told(&service.show(id)), (State::Finalized, S_OK, S_OK));
    assert_eq!(service.content("a"), Content::new(1, SIZE).byte_range(0, SIZE));
    assert_eq!((service.begin(id, None), service.begin(id, Some(&[]))), (INVALID, INVALID));
    for action in [DownloadAction::Finalize, DownloadAction::Pause, DownloadAction::Abort] {
        assert_eq!(service.download_act(id, action), INVALID);
    }
    assert!(service.path("a").exists(), "it is the client's");
}

/// Row 10 of the checklist. What is wrong may be put right, and Start tries again.
#[test]
fn do_download_get_status_of_errors() {
    let (service, origin) = (Service::start(), Origin::start());
    for status in [403_u16, 404] {
        let name = status.to_string();
        origin.put(&name, OriginFile::new(Content::new(1, SIZE)).behaviour(Behaviour::Status(status)));
        let id = service.download(&origin.url(&name), &name);
        service.begin(id, None).unwrap();
        let view = service.download_reaches(id, State::Paused);
        let code = HResult::from_bits(0x8019_0000 | u32::from(status));
        assert_eq!(told(&view), (State::Paused, code, S_OK));
        service.download_act(id, DownloadAction::Pause).unwrap();
        assert_eq!(told(&service.show(id)), (State::Paused, code, S_OK), "a pause takes no error back");
        origin.set_behaviour(&name, Behaviour::Good);
        service.begin(id, None).unwrap();
        service.download_reaches(id, State::Transferred);
    }
    let id = service.download("http://nobody.invalid/f", "nobody");
    service.begin(id, None).unwrap();
    let view = service.download_reaches(id, State::Paused);
    let (_, error, extended) = told(&view);
    assert!(error != extended && (error == S_OK || extended == S_OK), "{view:?}");
}

/// 4.3: Paused, Error 0, ExtendedError the cause; it ends by itself.
#[test]
fn do_download_get_status_of_transient_trouble() {
    let (service, origin) = (Service::start(), Origin::start());
    origin.put("a", OriginFile::new(Content::new(1, SIZE)).behaviour(Behaviour::Status(503)));
    let id = service.download(&origin.url("a"), "a");
    // The interface has no property for it; the job has.
    let soon = SetProperties { minimum_retry_delay_s: Some(5), ..SetProperties::default() };
    service.set(id, soon).unwrap();
    service.begin(id, None).unwrap();
    let trouble = (State::Paused, S_OK, h::BG_E_HTTP_ERROR_503);
    let view = service.download_reaches(id, State::Paused);
    assert_eq!(told(&view), trouble);
    service.download_act(id, DownloadAction::Pause).unwrap();
    assert_eq!(told(&service.show(id)), user_pause(), "now it is the client's");
    service.begin(id, None).unwrap();
    wait("trouble", || (told(&service.show(id)) == trouble).then_some(()));
    origin.set_behaviour("a", Behaviour::Good);
    let view = service.download_reaches(id, State::Transferred);
    assert_eq!(told(&view), (State::Transferred, S_OK, S_OK));
}

/// 4.7: the temporary file is removed while the download is paused.
#[test]
fn do_download_get_status_of_lost_data() {
    let (service, origin) = (Service::start(), origin(&["a"]));
    let id = service.paused(&origin, "a");
    let temporary = service.leftovers().remove(0);
    assert_eq!(service.show(id).temporary_path.as_deref(), temporary.to_str());
    std::fs::remove_file(temporary).unwrap();
    origin.release("a");
    service.begin(id, None).unwrap();
    let view = wait("an error", || Some(service.show(id)).filter(|view| view.state != State::Transferring));
    assert_eq!(told(&view), (State::Paused, h::ERROR_FILE_NOT_FOUND, S_OK));
    // Whoever starts it once more has it from the beginning.
    service.begin(id, None).unwrap();
    service.download_reaches(id, State::Transferred);
    service.download_act(id, DownloadAction::Finalize).unwrap();
    assert_eq!(service.content("a"), Content::new(1, SIZE).byte_range(0, SIZE));
}

/// 4.4: what comes back, and what never does.
#[test]
fn do_download_get_property() {
    let (service, origin) = (Service::start(), origin(&["a"]));
    let set = DownloadProperties {
        uri: Some("http://u:p@127.0.0.1:1/a".into()),
        content_id: Some("content".into()),
        display_name: Some("name".into()),
        local_path: Some("/nowhere/f".into()),
        http_custom_headers: Some(Secret::new("A: b\n")),
        cost_policy: Some(3),
        security_flags: Some(0x100),
        callback_freq_percent: Some(10),
        callback_freq_seconds: Some(7),
        no_progress_timeout_seconds: Some(60),
        foreground_priority: Some(true),
        blocking_mode: Some(true),
        correlation_vector: Some("cv.1".into()),
        integrity_check_mandatory: Some(false),
        total_size_bytes: Some(SIZE),
        http_allow_secure_to_non_secure_redirect: Some(true),
        non_volatile: Some(true),
        ..none()
    };
    let id = service.download_with(set.clone()).unwrap();
    let read = DownloadProperties {
        uri: Some("http://127.0.0.1:1/a".into()),
        http_custom_headers: None,
        security_flags: None,
        ..set
    };
    assert_eq!(service.show(id).properties, read);
    // An empty text takes back.
    let back = DownloadProperties {
        uri: Some(String::new()),
        content_id: Some(String::new()),
        display_name: Some(String::new()),
        local_path: Some(String::new()),
        correlation_vector: Some(String::new()),
        ..none()
    };
    service.set_download(id, back).unwrap();
    let read = DownloadProperties {
        uri: None,
        content_id: None,
        display_name: None,
        local_path: None,
        correlation_vector: None,
        ..read
    };
    assert_eq!(service.show(id).properties, read);
    // The real size, where none was set; the defaults of the levels.
    let id = service.download(&origin.url("a"), "a");
    let no_progress = || service.show(id).properties.no_progress_timeout_seconds;
    let foreground = |on| DownloadProperties { foreground_priority: Some(on), ..none() };
    service.set_download(id, foreground(true)).unwrap();
    assert_eq!(no_progress(), Some(3_600));
    service.set_download(id, foreground(false)).unwrap();
    assert_eq!(no_progress(), Some(86_400));
    assert_eq!(service.show(id).properties.total_size_bytes, None);
    service.begin(id, None).unwrap();
    let view = service.download_reaches(id, State::Transferred);
    assert_eq!(view.properties.total_size_bytes, Some(SIZE));
}

#[test]
fn do_download_set_property_refuses_values() {
    let service = Service::start();
    let id = service.download(NOWHERE, "a");
    let before = service.show(id).properties;
    let text = |n: usize| Some("x".repeat(n));
    for refused in [
        DownloadProperties { uri: Some("file:///etc/passwd".into()), ..none() },
        DownloadProperties { uri: Some("nothing".into()), ..none() },
        DownloadProperties { content_id: text(2201), ..none() },
        DownloadProperties { display_name: text(257), ..none() },
        DownloadProperties { local_path: text(5000), ..none() },
        DownloadProperties { correlation_vector: text(2201), ..none() },
        DownloadProperties { cost_policy: Some(6), ..none() },
        DownloadProperties { security_flags: Some(0x400), ..none() },
        DownloadProperties { callback_freq_percent: Some(101), ..none() },
        DownloadProperties { no_progress_timeout_seconds: Some(59), ..none() },
        // All or none.
        DownloadProperties { blocking_mode: Some(true), cost_policy: Some(6), ..none() },
        DownloadProperties { foreground_priority: Some(true), security_flags: Some(0x400), ..none() },
    ] {
        assert_eq!(service.set_download(id, refused.clone()), Err(h::E_INVALIDARG), "{refused:?}");
        assert_eq!(service.show(id).properties, before);
    }
}

/// 4.4: what the first Start fixes, and a URL while it is paused.
#[test]
fn do_download_set_property_after_the_start() {
    let (service, origin) = (Service::start(), origin(&["a"]));
    let id = service.paused(&origin, "a");
    let path = Some(service.path("b").display().to_string());
    for fixed in [
        DownloadProperties { local_path: path, ..none() },
        DownloadProperties { stream: Some(true), ..none() },
        DownloadProperties { total_size_bytes: Some(1), ..none() },
    ] {
        assert_eq!(service.set_download(id, fixed), INVALID);
    }
    let free = DownloadProperties {
        display_name: Some("n".into()),
        foreground_priority: Some(true),
        cost_policy: Some(1),
        non_volatile: Some(true),
        ..none()
    };
    service.set_download(id, free).unwrap();
    assert_eq!(service.show(id).properties.foreground_priority, Some(true));
    assert_eq!(service.job(id).display_name, "n");
    let url = |text: String| DownloadProperties { uri: Some(text), ..none() };
    assert_eq!(service.set_download(id, url(String::new())), Err(h::E_INVALIDARG));
    assert_eq!(service.set_download(id, url("ftp://h/f".into())), Err(h::E_INVALIDARG));
    // The same file by another name: it goes on where it was.
    service.set_download(id, url(origin.other_url("a"))).unwrap();
    assert_eq!(service.show(id).properties.uri, Some(origin.other_url("a")));
    origin.clear_log();
    origin.release("a");
    service.begin(id, None).unwrap();
    service.download_reaches(id, State::Transferred);
    let requests = origin.requests("a");
    assert!(requests.iter().all(|request| request.door == openbits_testkit::Door::Other));
    assert_eq!(service.set_download(id, url(origin.url("a"))), INVALID, "not any more");
    service.download_act(id, DownloadAction::Finalize).unwrap();
    assert_eq!(service.content("a"), Content::new(1, SIZE).byte_range(0, SIZE));
}

/// Of another file nothing is mixed with what is there.
#[test]
fn do_download_set_property_uri_of_another_file() {
    let (service, origin) = (Service::start(), origin(&["a", "b"]));
    let id = service.paused(&origin, "a");
    service.set_download(id, DownloadProperties { uri: Some(origin.url("b")), ..none() }).unwrap();
    service.begin(id, None).unwrap();
    service.download_reaches(id, State::Transferred);
    service.download_act(id, DownloadAction::Finalize).unwrap();
    assert_eq!(service.content("a"), Content::new(2, SIZE).byte_range(0, SIZE));
}

/// A fatal error by a wrong URL is put right by another.
#[test]
fn do_download_set_property_uri_after_an_error() {
    let (service, origin) = (Service::start(), origin(&["a"]));
    let id = service.download(&origin.url("none"), "a");
    service.begin(id, None).unwrap();
    let view = service.download_reaches(id, State::Paused);
    assert_eq!(told(&view).1, h::BG_E_HTTP_ERROR_404);
    service.set_download(id, DownloadProperties { uri: Some(origin.url("a")), ..none() }).unwrap();
    service.begin(id, None).unwrap();
    service.download_reaches(id, State::Transferred);
}

/// HttpCustomHeaders: lines end as they like, and those without a colon are left out.
#[test]
fn do_download_set_property_http_custom_headers() {
    let (service, origin) = (Service::start(), origin(&["a"]));
    let id = service.download(&origin.url("a"), "a");
    let headers = Secret::new("X-One: 1\nName=value\nX-Two: 2\r\n");
    service.set_download(id, DownloadProperties { http_custom_headers: Some(headers), ..none() }).unwrap();
    service.begin(id, None).unwrap();
    service.download_reaches(id, State::Transferred);
    let requests = origin.requests("a");
    assert!(!requests.is_empty());
    for request in requests {
        assert_eq!((request.header("x-one"), request.header("x-two")), (Some("1"), Some("2")));
        assert!(request.headers.iter().all(|(name, value)| !name.contains("Name") && value != "value"));
    }
    let refused = Secret::new("Host: h\n");
    let refused = DownloadProperties { http_custom_headers: Some(refused), ..none() };
    assert_eq!(service.set_download(id, refused), Err(h::E_INVALIDARG));
}

/// CostPolicy: the mask of the job (6).
#[test]
fn do_download_set_property_cost_policy() {
    let service = Service::start();
    let id = service.download(NOWHERE, "a");
    for (policy, mask) in
        [(0, 0x8000_00FF), (1, 0x8000_0021), (2, 0x8000_0067), (3, 0x8000_007F), (4, 0x8000_006F)]
    {
        service.set_download(id, DownloadProperties { cost_policy: Some(policy), ..none() }).unwrap();
        assert_eq!((service.job(id).cost_flags, service.job(id).cost_flags_set), (mask, true), "{policy}");
        assert_eq!(service.show(id).properties.cost_policy, Some(policy));
    }
    let other = service.download(NOWHERE, "b");
    for (on, mask) in [(true, 0x8000_00FF), (false, 0x8000_0067)] {
        service.set_download(other, DownloadProperties { foreground_priority: Some(on), ..none() }).unwrap();
        assert_eq!(service.job(other).cost_flags, mask, "the default of the level");
    }
}

fn secure_origin() -> Origin {
    let options = OriginOptions { https: Some(Certificate::Good), ..OriginOptions::default() };
    Origin::start_with(options).unwrap()
}

/// SecurityFlags: the authority is not known unless that is ignored.
#[test]
fn do_download_set_property_security_flags() {
    let (service, origin) = (Service::start(), secure_origin());
    origin.put("a", Content::new(1, SIZE));
    let id = service.download(&origin.https_url("a").unwrap(), "a");
    service.begin(id, None).unwrap();
    let view = service.download_reaches(id, State::Paused);
    assert!(told(&view) != user_pause(), "{view:?}");
    service.download_act(id, DownloadAction::Pause).unwrap();
    service.set_download(id, DownloadProperties { security_flags: Some(0x100), ..none() }).unwrap();
    assert_eq!(service.job(id).http.security_flags, 0x8);
    service.begin(id, None).unwrap();
    service.download_reaches(id, State::Transferred);
}

/// A redirect from https to http is refused by default.
#[test]
fn do_download_set_property_http_allow_secure_to_non_secure_redirect() {
    let (service, origin) = (Service::start(), secure_origin());
    origin.put("a", OriginFile::new(Content::new(1, SIZE)).behaviour(Behaviour::RedirectPlain));
    let id = service.download(&origin.https_url("a").unwrap(), "a");
    service.set_download(id, DownloadProperties { security_flags: Some(0x100), ..none() }).unwrap();
    service.begin(id, None).unwrap();
    let view = service.download_reaches(id, State::Paused);
    assert!(!told(&view).1.is_ok(), "{view:?}");
    assert!(origin.requests("a").iter().all(|request| request.door == openbits_testkit::Door::Tls));
    let allow = DownloadProperties { http_allow_secure_to_non_secure_redirect: Some(true), ..none() };
    service.set_download(id, allow).unwrap();
    assert_eq!(service.job(id).http.security_flags, 0x808, "the other flags stay");
    origin.set_behaviour("a", Behaviour::RedirectPlain);
    service.begin(id, None).unwrap();
    wait("the other door is asked", || {
        origin.requests("a").iter().any(|request| request.door == openbits_testkit::Door::Main).then_some(())
    });
}

/// The policy of the machine holds for another URL and another level as for those of the beginning.
#[test]
fn do_download_set_property_goes_by_the_policy() {
    let service = Service::with_policy(
        "[security]\ndenied_hosts = [\"denied.example\"]\n[integrity]\nrequire_digest = \"background\"\n",
    );
    let denied = Some("http://denied.example/f".to_owned());
    let id = service.download("http://denied.example/f", "a");
    let urgent = |on| DownloadProperties { foreground_priority: Some(on), ..none() };
    service.set_download(id, urgent(true)).unwrap();
    assert_eq!(service.begin(id, None), Err(h::E_ACCESSDENIED));
    let origin = origin(&["b"]);
    let id = service.download(&origin.url("b"), "b");
    assert_eq!(service.begin(id, None), Err(h::E_ACCESSDENIED), "a background download has no digest");
    service.set_download(id, urgent(true)).unwrap();
    origin.hold("b", 1000);
    service.begin(id, None).unwrap();
    assert_eq!(service.set_download(id, urgent(false)), Err(h::E_ACCESSDENIED));
    service.download_act(id, DownloadAction::Pause).unwrap();
    let other = DownloadProperties { uri: denied, ..none() };
    assert_eq!(service.set_download(id, other), Err(h::E_ACCESSDENIED));
    assert_eq!(service.show(id).properties.uri, Some(origin.url("b")));
}

/// NonVolatile: it goes on after the service was killed, in whatever state it was.
#[test]
fn do_download_set_property_non_volatile() {
    let (mut service, origin) = (Service::start(), origin(&["a", "b", "c"]));
    let keep = |service: &Service, id| {
        service.set_download(id, DownloadProperties { non_volatile: Some(true), ..none() }).unwrap();
    };
    let created = service.download(&origin.url("a"), "created");
    keep(&service, created);
    let paused = service.paused(&origin, "a");
    keep(&service, paused);
    origin.hold("b", 100_000);
    let moving = service.download(&origin.url("b"), "b");
    keep(&service, moving);
    service.begin(moving, Some(&[(50, Some(200_000))])).unwrap();
    assert!(origin.wait_held("b", LONG));
    let there = service.download(&origin.url("c"), "c");
    keep(&service, there);
    service.begin(there, None).unwrap();
    service.download_reaches(there, State::Transferred);
    service.restart();
    assert_eq!(service.enumerate(None).map(|ids| ids.len()), Ok(4));
    let state = |id| service.show(id).state;
    assert_eq!(
        (state(created), state(paused), state(there)),
        (State::Created, State::Paused, State::Transferred)
    );
    assert_eq!(told(&service.show(paused)), user_pause());
    origin.release("a");
    origin.release("b");
    service.begin(paused, None).unwrap();
    service.begin(created, None).unwrap();
    for id in [created, paused, moving, there] {
        service.download_reaches(id, State::Transferred);
        service.download_act(id, DownloadAction::Finalize).unwrap();
    }
    let whole = Content::new(1, SIZE).byte_range(0, SIZE);
    assert_eq!((service.content("created"), service.content("a")), (whole.clone(), whole));
    assert_eq!(service.content("b")[50..], Content::new(2, SIZE).byte_range(50, 200_000));
    assert_eq!(service.content("c"), Content::new(3, SIZE).byte_range(0, SIZE));
    assert_eq!(service.leftovers(), Vec::<PathBuf>::new());
}

/// Without it, a download ends with the service, and its temporary file with it.
#[test]
fn do_download_set_property_non_volatile_is_off_by_default() {
    let (mut service, origin) = (Service::start(), origin(&["a", "b"]));
    let created = service.download(&origin.url("a"), "created");
    let paused = service.paused(&origin, "a");
    let there = service.download(&origin.url("b"), "b");
    service.begin(there, None).unwrap();
    service.download_reaches(there, State::Transferred);
    let job = service.create(vec![service.file(NOWHERE, "job")]);
    assert_eq!(service.leftovers().len(), 2);
    origin.release("a");
    origin.clear_log();
    service.restart();
    assert_eq!(service.enumerate(None), Err(codes::DO_E_NO_DOWNLOADS));
    wait("the temporary files are gone", || service.leftovers().is_empty().then_some(()));
    for id in [created, paused, there] {
        assert_eq!(service.begin(id, None), INVALID, "{id}");
    }
    assert_eq!(service.job(job).state, JobState::Suspended, "jobs stay");
    assert!(origin.log().is_empty(), "nothing was fetched for nobody");
}

/// The calls of a job work on a download, too.
#[test]
fn do_download_pause_and_the_calls_of_its_job() {
    let (service, origin) = (Service::start(), origin(&["a"]));
    let id = service.paused(&origin, "a");
    origin.release("a");
    service.act(id, Action::Resume).unwrap();
    service.download_reaches(id, State::Transferred);
    assert_eq!(service.job(id).state, JobState::Transferred);
    service.act(id, Action::Complete).unwrap();
    assert_eq!(service.show(id).state, State::Finalized);
    assert!(service.path("a").exists());
    // And no other way round.
    let job = service.create(vec![service.file(NOWHERE, "job")]);
    assert_eq!(service.begin(job, None), Err(codes::DO_E_JOB_NOT_FOUND));
    for action in [DownloadAction::Pause, DownloadAction::Abort, DownloadAction::Finalize] {
        assert_eq!(service.download_act(job, action), Err(codes::DO_E_JOB_NOT_FOUND), "{action:?}");
    }
    assert_eq!(service.job(job).state, JobState::Suspended);
    let nobody = JobId::from_random_bytes([7; 16]);
    assert_eq!(service.begin(nobody, None), Err(codes::DO_E_JOB_NOT_FOUND));
    assert_eq!(service.client.download(nobody).map_err(refusal).unwrap_err(), codes::DO_E_JOB_NOT_FOUND);
}

/// Another user neither sees nor touches it; the administrator may.
#[test]
fn do_manager_enum_downloads_of_another_user() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: needs root");
        return;
    }
    let service = process::Service::start_as("--system", "");
    std::fs::set_permissions(service.folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mine = service.client.create_download(&CreateDownload::default()).unwrap().id;
    let id: JobId = mine.parse().unwrap();
    let endpoint = service.client.endpoint().clone();
    let theirs = std::thread::spawn(move || {
        // Of this thread alone.
        let (uid, gid) = (rustix::process::Uid::from_raw(54_321), rustix::process::Gid::from_raw(54_321));
        rustix::thread::set_thread_groups(&[]).unwrap();
        rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
        rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = Client::new(endpoint, None, Timeouts::default());
            let refused = |result: Result<(), Error>| result.map_err(refusal).unwrap_err();
            assert_eq!(refused(client.downloads(None).await.map(drop)), codes::DO_E_NO_DOWNLOADS);
            assert_eq!(refused(client.download(id).await.map(drop)), h::E_ACCESSDENIED);
            let start = StartDownload::default();
            assert_eq!(refused(client.start_download(id, &start).await.map(drop)), h::E_ACCESSDENIED);
            let set = DownloadProperties { blocking_mode: Some(true), ..DownloadProperties::default() };
            assert_eq!(refused(client.set_download(id, &set).await.map(drop)), h::E_ACCESSDENIED);
            for action in [DownloadAction::Pause, DownloadAction::Finalize, DownloadAction::Abort] {
                let result = client.act_on_download(id, action).await.map(drop);
                assert_eq!(refused(result), h::E_ACCESSDENIED, "{action:?}");
            }
            client.create_download(&CreateDownload::default()).await.unwrap().id
        })
    });
    let theirs = theirs.join().unwrap();
    assert_eq!(service.client.downloads(None).unwrap().ids, [mine], "those of the same caller");
    let id: JobId = theirs.parse().unwrap();
    assert_eq!(service.client.download(id).unwrap().owner_uid, 54_321);
    service.client.act_on_download(id, DownloadAction::Abort).unwrap();
}

/// The server's file changed while ranges of it came: all of them are fetched again, by whichever door it goes on.
#[test]
fn do_download_start_with_ranges_of_a_file_that_changes() {
    let (service, origin) = (Service::start(), origin(&["a"]));
    origin.hold("a", 150_000);
    let id = service.download(&origin.url("a"), "a");
    service.begin(id, Some(&[(0, Some(1000)), (150_000, Some(1000))])).unwrap();
    assert!(origin.wait_held("a", LONG));
    service.download_act(id, DownloadAction::Pause).unwrap();
    assert_eq!(service.show(id).bytes_transferred, 1000);
    let content = Content::new(9, SIZE);
    origin.put("a", content.clone());
    origin.release("a");
    service.begin(id, None).unwrap();
    let view = service.download_reaches(id, State::Paused);
    assert_eq!((told(&view).1, view.bytes_transferred), (h::BG_E_REMOTE_FILE_CHANGED, 0));
    assert_eq!(service.download_act(id, DownloadAction::Finalize), INVALID);
    service.act(id, Action::Resume).unwrap();
    let view = service.download_reaches(id, State::Transferred);
    assert_eq!((view.bytes_total, view.bytes_transferred), (2000, 2000));
    service.download_act(id, DownloadAction::Finalize).unwrap();
    let got = service.content("a");
    assert_eq!((got.len(), &got[..1000]), (151_000, &content.byte_range(0, 1000)[..]));
    assert_eq!(got[150_000..], content.byte_range(150_000, 1000));
}

/// What has to be checked is fetched as a whole.
#[test]
fn do_download_start_with_ranges_of_a_file_that_has_to_be_checked() {
    let (service, origin) = (Service::start(), origin(&["a"]));
    let id = service.download(&origin.url("a"), "a");
    let info = format!("{{\"PiecesHashFileUrl\":\"{}\"}}", origin.url("pieces"));
    let check = DownloadProperties {
        integrity_check_info: Some(info),
        integrity_check_mandatory: Some(true),
        ..none()
    };
    service.set_download(id, check).unwrap();
    let refused = service.begin(id, Some(&[(0, Some(SIZE))]));
    assert_eq!(refused, Err(codes::DO_E_INTEGRITYCHECKINFO_UNAVAILABLE));
    assert_eq!(service.show(id).state, State::Created);
}
