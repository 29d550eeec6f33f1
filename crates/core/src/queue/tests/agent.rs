//! Downloads of the agent in the queue (spec/delivery-optimization-linux-agent.md, docs/decisions/0024).

use super::world::{ALICE, Plan, ROOT, World};
use crate::delivery::codes;
use crate::delivery::status::{self, State};
use crate::enums::JobState;
use crate::hresult as h;
use crate::id::JobId;
use crate::job::delivery::{NO_PROGRESS_S, RETENTION_S};
use crate::job::property::Property;
use crate::job::{Delivery, Dialect, DownloadCall, DownloadChange, FileId, NewFile, Setting};
use crate::queue::Call;
use crate::secret::Sealed;

const MADE: FileId = FileId { dev: 1, ino: 2, born_ns: 3 };

impl World {
    /// One of Alice's, with URL and path.
    fn agents(&mut self) -> JobId {
        self.agents_with(None)
    }

    fn agents_with(&mut self, login: Option<Sealed>) -> JobId {
        let mut new = self.plan(&Plan { files: 0, resume: false, ..Plan::default() });
        new.extras.dialect = Dialect::DeliveryOptimization;
        let (uri, path) = ("http://h/f".to_owned(), "/d/f".to_owned());
        new.delivery = Some(Box::new(Delivery { uri, path, login, ..Delivery::default() }));
        let id = self.q.create(ALICE, new, self.now).expect("created");
        self.drain();
        id
    }

    /// Its Start, after the worker made the file.
    fn deliver(&mut self, id: JobId) {
        let (remote, local) = ("http://h/f".to_owned(), "/d/f".to_owned());
        self.call(ALICE, id, Call::Deliver { remote, local, made: MADE }).expect("started");
    }

    fn delivery(&self, id: JobId) -> &Delivery {
        self.job(id).delivery.as_deref().expect("a download of the agent")
    }

    fn shown(&self, id: JobId) -> (State, h::HResult, h::HResult) {
        let told = status::of(self.job(id)).expect("a download of the agent");
        (told.state, told.error, told.extended)
    }
}

/// 7.4 and 7.5: what holds a download is no lack of progress, however long it lasts; it goes on by itself.
#[test]
fn a_gate_never_ends_a_download() {
    let mut w = World::new();
    let agents = w.agents();
    w.deliver(agents);
    w.connect(agents);
    w.network(false);
    let no_network = (State::Paused, h::S_OK, codes::DO_E_BLOCKED_BY_NO_NETWORK);
    assert_eq!(w.shown(agents), no_network);
    w.pass(100 * u64::from(NO_PROGRESS_S));
    assert_eq!(w.shown(agents), no_network);
    w.network(true);
    assert_eq!(w.shown(agents), (State::Transferring, h::S_OK, h::S_OK));
    // Between two gates the clock goes on where it stood.
    w.fail(agents, h::BG_E_HTTP_ERROR_503, Some(0));
    w.policy(true);
    w.pass(10 * u64::from(NO_PROGRESS_S));
    assert_eq!(w.shown(agents).0, State::Paused);
    assert_eq!(w.shown(agents).1, h::S_OK);
    w.policy(false);
    for _ in 0..40 {
        w.pass(10);
        if w.state(agents) == JobState::Connecting {
            w.fail(agents, h::BG_E_HTTP_ERROR_503, Some(0));
        }
    }
    assert_eq!(w.shown(agents).1, codes::DO_E_DOWNLOAD_NO_PROGRESS, "without a gate it ends");
}

/// The finished file stands at its place, and its client may use it without a finalize: at the end it is forgotten, not removed.
#[test]
fn retention_leaves_a_finished_file_where_it_is() {
    let mut w = World::new();
    let (done, half) = (w.agents(), w.agents());
    for id in [done, half] {
        w.deliver(id);
    }
    w.transfer(done);
    w.call(ALICE, half, Call::Suspend).unwrap();
    w.pass(RETENTION_S);
    assert_eq!(w.states(&[done, half]), [JobState::Cancelled; 2]);
    let kept = |id| w.job(id).files.iter().all(|file| file.completed);
    assert!(
        kept(done) && w.job(done).cancel_plan().remove.is_empty(),
        "also if it is done again after a crash"
    );
    assert!(!kept(half), "an incomplete file goes");
}

/// What only jobs of BITS do would make of it what no client of the agent expects: a pause without a reason.
#[test]
fn calls_that_would_lead_elsewhere() {
    let mut w = World::new();
    let id = w.agents();
    for property in [
        Property::Option(Setting::OnDemandMode(true)),
        Property::Option(Setting::HighPerformance(true)),
        Property::Option(Setting::DynamicContent(true)),
        Property::HttpMethod("PUT".to_owned()),
    ] {
        assert_eq!(w.set(id, property.clone()), Err(h::E_NOTIMPL), "{property:?}");
    }
}

/// What the old owner gave is not used by the new one.
#[test]
fn a_download_that_changes_hands() {
    let mut w = World::new();
    let login = || Some(Sealed::new("sealed"));
    let (unmade, made) = (w.agents_with(login()), w.agents_with(login()));
    w.deliver(made);
    for (id, path) in [(unmade, ""), (made, "/d/f")] {
        w.call(ROOT, id, Call::TakeOwnership).unwrap();
        assert_eq!((w.delivery(id).login.as_ref(), &*w.delivery(id).path), (None, path));
    }
}

/// The agent tells what is fetched, whichever door said so.
#[test]
fn another_url_from_another_door() {
    let mut w = World::new();
    let id = w.agents();
    w.deliver(id);
    let name = Call::SetRemoteName { file: 0, name: "http://other/f".to_owned(), login: None };
    w.call(ALICE, id, name).unwrap();
    assert_eq!(w.delivery(id).uri, "http://other/f");
    assert_eq!(&*w.job(id).files[0].remote, "http://other/f");
}

/// That a worker was asked to make the file is known after a crash, until it is heard what came of it.
#[test]
fn the_question_for_the_file() {
    let mut w = World::new();
    let id = w.agents();
    assert!(!w.q.begin_making(id), "the first question");
    w.drain();
    w.crash();
    assert!(w.q.begin_making(id), "its answer was not heard");
    w.q.not_made(id);
    w.drain();
    assert!(!w.q.begin_making(id), "it was");
    assert!(!w.q.is_made(MADE));
    w.deliver(id);
    assert!(w.q.is_made(MADE) && !w.delivery(id).making);
}

/// The file of a stream is the library's; a path for it from another door would be used at Finalize.
#[test]
fn the_file_of_a_stream_is_not_to_be_chosen() {
    let mut w = World::new();
    let mut new = w.plan(&Plan { files: 0, resume: false, ..Plan::default() });
    new.extras.dialect = Dialect::DeliveryOptimization;
    let own = Some("/cache/stream".to_owned());
    let begin = DownloadChange { path: own.clone(), stream: Some(true), ..DownloadChange::default() };
    new.download = Some(Box::new(begin.clone()));
    let id = w.q.create(ALICE, new, w.now).unwrap();
    w.drain();
    let set = |w: &mut World, change| w.call(ALICE, id, Call::Download(DownloadCall::Set(Box::new(change))));
    let path = DownloadChange { path: Some("/d/f".to_owned()), ..DownloadChange::default() };
    assert_eq!(set(&mut w, path.clone()), Err(codes::DO_E_FILE_DOWNLOADSINK_ALREADY_SET));
    assert_eq!(w.job(id).download.as_deref().unwrap().path, own);
    // The stream is taken away.
    let none = DownloadChange { path: Some(String::new()), stream: Some(false), ..DownloadChange::default() };
    set(&mut w, none).unwrap();
    set(&mut w, path).unwrap();
    let file = w.job(id).download.as_deref().unwrap().new_file();
    assert_eq!(file.map(|file: NewFile| file.local), Err(codes::DO_E_DOWNLOAD_NO_URI));
    set(&mut w, begin).unwrap();
}
