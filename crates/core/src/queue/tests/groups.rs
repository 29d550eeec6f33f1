//! Groups in the queue: ids, owners, ends, callbacks (spec/qmgr-legacy.md 4, 5, 8 to 10).

use super::world::{ALICE, BOB, ROOT, SIZE, World, file};
use crate::caller::Caller;
use crate::enums::{JobState, JobType, notify};
use crate::group::{Group, GroupCall, GroupData, Variant, property, qm_status};
use crate::hresult::{self as h, HResult};
use crate::id::JobId;
use crate::job::property::Property;
use crate::job::{Dialect, Extras, NewFile};
use crate::queue::{Call, CallbackKind, NewJob};

fn id(n: u8) -> JobId {
    JobId::from_bytes([n; 16])
}

fn new_group(id: JobId) -> NewJob {
    let group = Some(Box::new(GroupData { seed: Some(self::id(0xEE)), ..GroupData::default() }));
    NewJob {
        id,
        display_name: String::new(),
        kind: JobType::Download,
        properties: vec![Property::NotifyFlags(notify::JOB_ERROR)],
        files: Vec::new(),
        resume: false,
        extras: Extras { dialect: Dialect::Group, group, ..Extras::NONE },
        delivery: None,
        download: None,
    }
}

impl World {
    fn create_group(&mut self, caller: Caller, id: JobId) -> Result<JobId, HResult> {
        let result = self.q.create(caller, new_group(id), self.now).map_err(|f| f.code);
        self.drain();
        result
    }

    fn create_job(&mut self, caller: Caller, group: JobId, job: JobId) -> Result<HResult, HResult> {
        self.call(caller, group, Call::Group(GroupCall::CreateJob(job)))
    }

    /// A group of Alice's with its job and so many files.
    fn group_with(&mut self, n: u8, files: u32) -> JobId {
        let group = self.create_group(ALICE, id(n)).unwrap();
        self.create_job(ALICE, group, id(n + 100)).unwrap();
        if files > 0 {
            let files: Vec<NewFile> = (0..files).map(file).collect();
            self.call(ALICE, group, Call::AddFiles(files)).unwrap();
        }
        group
    }

    fn cancel_group(&mut self, group: JobId) -> Result<HResult, HResult> {
        self.call(ALICE, group, Call::Group(GroupCall::Cancel))
    }

    fn status(&self, group: JobId) -> Result<u32, HResult> {
        self.q.group(ALICE, group).map(Group::status).map_err(|f| f.code)
    }

    /// Only the first file is there.
    fn first_file(&mut self, group: JobId) {
        self.connect(group);
        self.checkpoint(group, 0, SIZE);
    }

    fn set_flags(&mut self, group: JobId, bits: i64) {
        let call = GroupCall::SetProperty(property::id::NOTIFYFLAGS, Variant::number(bits));
        self.call(ALICE, group, Call::Group(call)).unwrap();
    }
}

/// Ids of groups, of modern jobs and of jobs in groups, whoever owns them.
#[test]
fn q_mgr_create_group_takes_no_id_twice() {
    let mut w = World::new();
    let modern = w.create(BOB, super::world::Plan::default());
    let group = w.group_with(1, 0);
    for taken in [id(0), group, id(101), modern] {
        for caller in [ALICE, BOB, ROOT] {
            assert_eq!(w.create_group(caller, taken), Err(h::E_INVALIDARG), "{taken}");
        }
    }
    assert_eq!(w.status(group), Ok(0x180), "suspended and incomplete");
    assert_eq!(w.cancel_group(group), Ok(h::S_OK));
    assert_eq!(w.create_group(BOB, id(101)), Ok(id(101)), "the ids are free again");
    assert_eq!(w.create_group(ALICE, group), Ok(group));
    assert_eq!(w.status(group), Ok(0x180), "the new group, not the former one");
    w.crash();
    assert_eq!(w.create_group(ALICE, group), Err(h::E_INVALIDARG), "also after a restart");
}

#[test]
fn group_create_job_order_of_checks() {
    let mut w = World::new();
    let group = w.create_group(ALICE, id(1)).unwrap();
    let other = w.group_with(2, 1);
    for taken in [id(0), id(1), other, id(102)] {
        assert_eq!(w.create_job(ALICE, group, taken), Err(h::E_INVALIDARG), "{taken}");
    }
    assert_eq!(w.create_job(BOB, group, id(50)), Err(h::E_ACCESSDENIED));
    assert_eq!(w.create_job(ALICE, group, id(50)), Ok(h::S_OK));
    assert_eq!(w.create_job(ALICE, group, id(51)), Err(h::E_NOTIMPL), "a second one");
    w.crash();
    assert_eq!(w.create_job(ALICE, group, id(51)), Err(h::E_NOTIMPL), "it was stored");
    assert_eq!(w.create_group(ALICE, id(50)), Err(h::E_INVALIDARG), "and so is its id");
    w.call(ALICE, other, Call::Resume).unwrap();
    assert_eq!(w.create_job(ALICE, other, id(52)), Err(h::QM_E_INVALID_STATE));
}

#[test]
fn calls_of_groups_on_other_jobs_find_nothing() {
    let mut w = World::new();
    let modern = w.create(ALICE, super::world::Plan::default());
    let missing = Err(h::QM_E_ITEM_NOT_FOUND);
    assert_eq!(w.create_job(ALICE, modern, id(50)), missing);
    assert_eq!(w.cancel_group(modern), missing);
    assert_eq!(w.status(modern), missing.map(|_: HResult| 0));
    assert_eq!(w.status(id(99)), missing.map(|_: HResult| 0), "neither is what is not there");
    assert_eq!(w.q.find_group(BOB, modern).map(|_| ()).map_err(|f| f.code), Err(h::E_ACCESSDENIED));
}

/// Complete if a file is finished, Cancel otherwise; gone in both cases.
#[test]
fn group_cancel_group_delivers_finished_files() {
    for (finished, state) in
        [(0, JobState::Cancelled), (1, JobState::Acknowledged), (2, JobState::Acknowledged)]
    {
        let mut w = World::new();
        let group = w.group_with(1, 2);
        w.call(ALICE, group, Call::Resume).unwrap();
        match finished {
            0 => w.connect(group),
            1 => w.first_file(group),
            _ => w.transfer(group),
        }
        let code = w.cancel_group(group).unwrap();
        assert!(code.is_ok(), "{code:?}");
        assert_eq!(w.state(group), state, "{finished} finished");
        let completed: Vec<bool> = w.job(group).files.iter().map(|f| f.completed).collect();
        assert_eq!(completed, [finished > 0, finished > 1]);
        assert_eq!(w.status(group), Err(h::QM_E_INVALID_STATE), "who still holds it hears that it is gone");
        assert_eq!(w.cancel_group(group), Err(h::BG_E_INVALID_STATE));
        assert_eq!(w.q.groups(ALICE), []);
    }
}

#[test]
fn q_mgr_enum_groups_in_the_order_of_creation() {
    let mut w = World::new();
    let mut mine = Vec::new();
    for n in [9, 3, 7] {
        mine.push(w.create_group(ALICE, id(n)).unwrap());
        w.pass(1);
    }
    w.create(ALICE, super::world::Plan::default());
    let theirs = w.create_group(BOB, id(1)).unwrap();
    assert_eq!(w.q.groups(ALICE), mine, "no modern jobs, nobody else's");
    assert_eq!(w.q.groups(BOB), [theirs]);
    mine.push(theirs);
    assert_eq!(w.q.groups(ROOT), mine, "all of them for an administrator");
    assert_eq!(w.job(theirs).owner, BOB.uid, "who owns them as before");
}

/// GetGroup by an administrator is TakeOwnership; by others it is refused or changes nothing.
#[test]
fn q_mgr_get_group_finds_what_the_caller_may_use() {
    let mut w = World::new();
    let group = w.group_with(1, 1);
    let find = |w: &World, caller| w.q.find_group(caller, group).map(|_| ()).map_err(|f| f.code);
    assert_eq!((find(&w, ALICE), find(&w, ROOT)), (Ok(()), Ok(())));
    assert_eq!(find(&w, BOB), Err(h::E_ACCESSDENIED));
    let class = GroupCall::SetProperty(7, Variant::text("084f6593-3800-4e08-9b59-99fa59addf82"));
    w.call(ALICE, group, Call::Group(class)).unwrap();
    assert_eq!(w.call(ROOT, group, Call::TakeOwnership), Ok(h::S_OK));
    assert_eq!(find(&w, ALICE), Err(h::E_ACCESSDENIED), "it is root's now");
    assert_eq!(w.q.group(ROOT, group).unwrap().job_id(), Some(id(101)), "with its job");
    assert_eq!(w.q.group(ROOT, group).unwrap().property(7), Ok(Variant::text("")), "not his class");
    w.call(ROOT, group, Call::Group(GroupCall::Cancel)).unwrap();
    assert_eq!(find(&w, ROOT), Err(h::QM_E_ITEM_NOT_FOUND), "GetGroup finds no group that is gone");
}

#[test]
fn job1_add_files_to_a_complete_group_makes_it_incomplete() {
    let mut w = World::new();
    let group = w.group_with(1, 1);
    w.call(ALICE, group, Call::Resume).unwrap();
    w.transfer(group);
    assert_eq!(w.status(group), Ok(qm_status::GROUP_COMPLETE | qm_status::GROUP_SUSPENDED));
    w.call(ALICE, group, Call::AddFiles(vec![file(7)])).unwrap();
    assert_eq!(w.status(group), Ok(qm_status::GROUP_INCOMPLETE | qm_status::GROUP_SUSPENDED));
    w.call(ALICE, group, Call::Resume).unwrap();
    assert_eq!(w.status(group), Ok(qm_status::GROUP_INCOMPLETE));
}

/// Only "complete" and "error" are told: the first if it is asked for, the second unless everything is muted. What is not accepted is
/// told again.
#[test]
fn callback1_on_status() {
    for (bits, done, failed) in
        [(0, false, true), (4, true, true), (0x40, false, false), (0x44, false, false)]
    {
        let mut w = World::new();
        let listener = w.q.listen(ALICE);
        let (good, bad) = (w.group_with(1, 1), w.group_with(2, 1));
        for group in [good, bad] {
            w.set_flags(group, bits);
            w.q.set_notify_interface(ALICE, group, Some(listener)).unwrap();
            w.call(ALICE, group, Call::Resume).unwrap();
            w.drain();
        }
        w.transfer(good);
        w.fail(bad, h::BG_E_HTTP_ERROR_404, None);
        let kinds = |w: &World, group| -> Vec<CallbackKind> {
            w.callbacks.iter().filter(|c| c.job.job == group).map(|c| c.kind.clone()).collect()
        };
        let expected = |told: bool, kind: CallbackKind| if told { vec![kind] } else { Vec::new() };
        assert_eq!(kinds(&w, good), expected(done, CallbackKind::Transferred), "{bits:#x}");
        assert_eq!(kinds(&w, bad), expected(failed, CallbackKind::Error), "{bits:#x}");
        let open: Vec<_> = w.callbacks.drain(..).filter_map(|c| c.call).collect();
        for call in &open {
            w.q.answer_callback(ALICE, *call, h::E_FAIL, w.now).unwrap();
            w.drain();
        }
        w.pass(24 * 3600);
        let again = w.callbacks.iter().filter(|c| c.call.is_some()).count();
        assert!(again >= open.len(), "again until it is accepted: {again}");
    }
}

/// There is nothing that would call OnProgress or OnProgressEx: bytes that move are told to nobody.
#[test]
fn callback1_on_progress_is_never_called() {
    let mut w = World::new();
    let listener = w.q.listen(ALICE);
    let group = w.group_with(1, 2);
    w.set_flags(group, 0x83);
    w.q.set_notify_interface(ALICE, group, Some(listener)).unwrap();
    w.call(ALICE, group, Call::Resume).unwrap();
    w.first_file(group);
    w.pass(60);
    assert_eq!(w.q.group(ALICE, group).unwrap().progress(3), Ok(u32::try_from(SIZE).unwrap()));
    assert_eq!(w.callbacks, []);
}

/// OnProgressEx is switched on by a bit that is stored and means nothing.
#[test]
fn callback1_on_progress_ex_is_never_called() {
    let mut w = World::new();
    let listener = w.q.listen(ALICE);
    let group = w.group_with(1, 1);
    w.set_flags(group, 0x80);
    w.q.set_notify_interface(ALICE, group, Some(listener)).unwrap();
    w.call(ALICE, group, Call::Resume).unwrap();
    w.transfer(group);
    assert_eq!(w.state(group), JobState::Transferred);
    assert_eq!(w.callbacks, [], "GROUP_DONE was not asked for");
}
