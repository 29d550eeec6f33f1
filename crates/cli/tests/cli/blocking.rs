//! The blocking client against the fake service.

use crate::stage;
use openbits_api::{CreateJob, EventKind};
use openbits_client::{Action, Client, Endpoint, Error, Item, JobQuery, Kind, Timeouts, blocking};
use openbits_core::{JobState, hresult as h};
use std::path::Path;
use std::time::Duration;

fn client(path: &Path, timeouts: Timeouts) -> blocking::Client {
    let endpoint = Endpoint { path: path.to_owned(), kind: Kind::Given, owner: None };
    blocking::Client::new(Client::new(endpoint, None, timeouts)).unwrap()
}

fn next(events: &mut blocking::EventStream) -> Item {
    events.next(Duration::from_secs(10)).unwrap().expect("an event within 10 s")
}

#[test]
fn calls_go_on_after_a_restart_also_those_that_must_not_be_repeated() {
    let (mut fake, _folder) = stage();
    let id = fake.with(|s| s.add("a", JobState::Suspended));
    let client = client(&fake.path, Timeouts::default());
    let job = id.parse().unwrap();
    assert_eq!(client.jobs(&JobQuery::default()).unwrap().len(), 1);
    fake.restart();
    assert_eq!(client.act(job, Action::Cancel).unwrap().job.state, JobState::Cancelled);
    fake.restart();
    let gone = client.job(job, false, false).unwrap_err();
    assert!(gone.is_code(h::BG_E_NOT_FOUND), "{gone}");
    assert_eq!(client.job(job, false, true).unwrap().state, JobState::Cancelled);
    fake.kill();
    assert!(matches!(client.service_info(), Err(Error::Unreachable { path, .. }) if path == fake.path));
}

#[test]
fn a_lost_answer_to_create_is_asked_for_again() {
    let (fake, _folder) = stage();
    fake.with(|s| s.breaks_create = true);
    let client = client(&fake.path, Timeouts::default());
    let job: CreateJob = serde_json::from_str(r#"{"display_name":"a"}"#).unwrap();
    let made = client.create_job(&job).unwrap().job;
    fake.with(|s| assert_eq!((s.created.len(), s.jobs.keys().collect::<Vec<_>>()), (1, vec![&made.id])));
    // A second job of the same content is a second job.
    assert_ne!(client.create_job(&job).unwrap().job.id, made.id);
}

#[test]
fn events_resume_at_their_cursor_without_loss_or_repetition() {
    let (mut fake, _folder) = stage();
    let id = fake.with(|s| s.add("a", JobState::Suspended));
    fake.with(|s| s.enter(&id, JobState::Queued, EventKind::Modified));
    let client = client(&fake.path, Timeouts::default());
    let mut events = client.events(None, None).unwrap();
    assert_eq!(events.next(Duration::from_millis(100)).unwrap(), None);
    fake.with(|s| s.enter(&id, JobState::Connecting, EventKind::Modified));
    assert!(matches!(next(&mut events), Item::Event(e) if e.seq == Some(2)));
    fake.kill();
    fake.with(|s| s.enter(&id, JobState::Transferring, EventKind::Modified));
    fake.restart();
    assert_eq!(next(&mut events), Item::Reconnected);
    assert!(matches!(next(&mut events), Item::Event(e) if e.seq == Some(3)));
    assert_eq!(events.cursor(), 3);
    // A call is not held up by somebody who waits for events.
    let waiter = std::thread::spawn(move || events.next(Duration::from_secs(10)).unwrap());
    assert_eq!(client.service_info().unwrap().last_event, 3);
    fake.with(|s| s.enter(&id, JobState::Error, EventKind::Error));
    assert!(matches!(waiter.join().unwrap(), Some(Item::Event(e)) if e.kind == EventKind::Error));
}

#[test]
fn a_service_that_stays_away_or_silent_is_given_up() {
    let (mut fake, folder) = stage();
    let short = Timeouts { call: Duration::from_millis(300), return_of_service: Duration::from_millis(500) };
    let client_of_fake = client(&fake.path, short);
    let mut events = client_of_fake.events(None, None).unwrap();
    fake.kill();
    assert!(matches!(events.next(Duration::from_secs(10)), Err(Error::Unreachable { .. })));

    let silent = folder.path().join("silent.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&silent).unwrap();
    assert!(matches!(client(&silent, short).service_info(), Err(Error::Timeout(_))));
}

#[test]
fn an_unexpected_owner_of_the_service_is_refused() {
    let (fake, _folder) = stage();
    let mine = rustix::process::geteuid().as_raw();
    for (owner, fits) in [(mine, true), (mine + 1, false)] {
        let endpoint = Endpoint { path: fake.path.clone(), kind: Kind::User, owner: Some(owner) };
        let client = blocking::Client::new(Client::new(endpoint, None, Timeouts::default())).unwrap();
        assert_eq!(client.service_info().is_ok(), fits);
    }
}
