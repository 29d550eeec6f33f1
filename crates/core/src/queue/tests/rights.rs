//! Who may call what: owner, administrator, others (spec/bits-core.md 4.2).

use super::world::{ALICE, BOB, Plan, ROOT, World, file};
use crate::caller::Caller;
use crate::enums::{JobState, JobType, Priority};
use crate::hresult::{self as h, HResult};
use crate::id::{JobId, Uid};
use crate::job::Setting;
use crate::job::property::Property;
use crate::queue::Call;

const DENIED: Result<HResult, HResult> = Err(h::E_ACCESSDENIED);

fn calls() -> Vec<Call> {
    let set = |property| Call::Set(vec![property]);
    vec![
        Call::AddFiles(vec![file(7)]),
        set(Property::DisplayName("n".into())),
        set(Property::Description("d".into())),
        set(Property::Priority(1)),
        set(Property::NotifyFlags(1)),
        set(Property::MinimumRetryDelay(60)),
        set(Property::NoProgressTimeout(60)),
        set(Property::Proxy { usage: 1, list: None, bypass: None }),
        set(Property::NotifyCommand { program: None, parameters: None }),
        set(Property::AutoComplete(false)),
        set(Property::Bind(None)),
        set(Property::Option(Setting::PeerCachingFlags(4))),
        set(Property::Option(Setting::MaximumDownloadTime(1))),
        Call::SetRemoteName { file: 0, name: "http://h/other".into(), login: None },
        Call::ReplaceRemotePrefix { old: "http://h/".into(), new: "http://i/".into(), login: None },
        Call::Resume,
        Call::Suspend,
        Call::Complete,
        Call::Cancel,
    ]
}

fn credentials(w: &mut World, caller: Caller, job: JobId) -> [Result<HResult, HResult>; 2] {
    let set = w.set_credentials(caller, job, (1, 1), Some("u"), Some("p"));
    [set, w.remove_credentials(caller, job, (1, 1))]
}

#[test]
fn every_call_on_a_users_job() {
    for call in calls() {
        let mut w = World::new();
        let job = w.create(ALICE, Plan { resume: false, ..Plan::default() });
        let before = w.job(job).clone();
        assert_eq!(w.call(BOB, job, call.clone()), DENIED, "{call:?}");
        assert_eq!(w.job(job), &before);
        assert!(w.call(ROOT, job, call.clone()).is_ok(), "an administrator needs no ownership: {call:?}");
        assert_eq!(w.job(job).owner, ALICE.uid);
        let job = w.create(ALICE, Plan { resume: false, ..Plan::default() });
        assert!(w.call(ALICE, job, call.clone()).is_ok(), "{call:?}");
    }
}

#[test]
fn every_call_on_a_job_of_root() {
    for call in calls() {
        let mut w = World::new();
        let job = w.create(ROOT, Plan { resume: false, ..Plan::default() });
        assert_eq!(w.call(ALICE, job, call.clone()), DENIED, "{call:?}");
        assert!(w.call(ROOT, job, call.clone()).is_ok(), "{call:?}");
    }
    let mut w = World::new();
    let job = w.create(ROOT, Plan::default());
    assert_eq!(w.q.job(ALICE, job).err(), Some(h::E_ACCESSDENIED), "not disguised as unknown");
    assert_eq!(w.call(ALICE, job, Call::TakeOwnership), DENIED);
    assert_eq!(credentials(&mut w, ROOT, job), [Ok(h::S_OK), Ok(h::S_OK)]);
    assert_eq!(w.job(job).owner.sid(), "S-1-5-18");
}

#[test]
fn credentials_are_the_owners_own_affair() {
    let mut w = World::new();
    let job = w.create(ALICE, Plan::default());
    assert_eq!(credentials(&mut w, ALICE, job), [Ok(h::S_OK), Ok(h::S_OK)]);
    assert_eq!(credentials(&mut w, ROOT, job), [DENIED, DENIED], "also for an administrator");
    assert_eq!(credentials(&mut w, BOB, job), [DENIED, DENIED]);
    w.call(ALICE, job, Call::Cancel).expect("cancels");
    assert_eq!(credentials(&mut w, ROOT, job), [DENIED, DENIED], "rights come before the state");
    assert_eq!(credentials(&mut w, ALICE, job), [Err(h::BG_E_INVALID_STATE); 2]);
    let unknown = JobId::from_bytes([9; 16]);
    assert_eq!(credentials(&mut w, ALICE, unknown), [Err(h::BG_E_NOT_FOUND); 2]);
}

/// Rows 52 to 54 of spec/bits-core.md 10.
#[test]
fn values_of_credentials() {
    let mut w = World::new();
    let job = w.create(ALICE, Plan::default());
    let mut set = |slot, user, password| w.set_credentials(ALICE, job, slot, user, password);
    let (u, p) = (Some("u"), Some("p"));
    assert_eq!(set((0, 0), u, p), Err(h::BG_E_INVALID_AUTH_TARGET), "the target is looked at first");
    assert_eq!(set((3, 1), u, p), Err(h::BG_E_INVALID_AUTH_TARGET), "no masks");
    assert_eq!(set((1, 6), u, p), Err(h::BG_E_INVALID_AUTH_SCHEME));
    for scheme in [1, 2, 5] {
        assert_eq!(set((1, scheme), None, None), Err(h::E_INVALIDARG), "no logon credentials for {scheme}");
    }
    for scheme in [3, 4] {
        assert_eq!(set((2, scheme), None, None), Ok(h::S_OK));
    }
    assert_eq!(set((1, 1), u, None), Err(h::E_INVALIDARG));
    assert_eq!(set((1, 1), None, p), Err(h::E_INVALIDARG));
    assert_eq!(set((1, 1), u, p), Ok(h::S_OK));
    assert_eq!(set((1, 1), Some("other"), p), Ok(h::S_OK), "replaces");
    assert_eq!(w.job(job).credentials.len(), 3);
    let mut remove = |slot| w.remove_credentials(ALICE, job, slot);
    assert_eq!((remove((1, 1)), remove((1, 1))), (Ok(h::S_OK), Ok(h::S_FALSE)));
    assert_eq!(remove((0, 1)), Err(h::BG_E_INVALID_AUTH_TARGET));
    assert_eq!(remove((1, 0)), Err(h::BG_E_INVALID_AUTH_SCHEME));
}

#[test]
fn take_ownership() {
    let mut w = World::new();
    let job = w.create(ALICE, Plan { resume: false, ..Plan::default() });
    assert_eq!(w.call(ALICE, job, Call::TakeOwnership), DENIED, "not for the owner either");
    assert_eq!(w.call(BOB, job, Call::TakeOwnership), DENIED);
    assert_eq!(w.call(ROOT, job, Call::TakeOwnership), Ok(h::S_OK));
    assert_eq!((w.job(job).owner, w.state(job)), (Uid::ROOT, JobState::Suspended));
    assert_eq!(w.q.own_jobs(ALICE.uid, None).count() + w.q.own_jobs(Uid::ROOT, None).count(), 1);
    assert_eq!(w.q.job(ALICE, job).err(), Some(h::E_ACCESSDENIED));
    // By the present owner: success, nothing removed.
    assert_eq!(credentials(&mut w, ROOT, job)[0], Ok(h::S_OK));
    let notify = Property::NotifyCommand { program: Some("/bin/true".into()), parameters: None };
    w.set(job, notify).expect("settable");
    assert_eq!(w.call(ROOT, job, Call::TakeOwnership), Ok(h::S_OK));
    assert!(w.job(job).notify_command.is_some());
    w.call(ROOT, job, Call::Cancel).expect("cancels");
    assert_eq!(w.call(ROOT, job, Call::TakeOwnership), Err(h::BG_E_INVALID_STATE));
    let gone = w.create(ALICE, Plan::default());
    w.call(ALICE, gone, Call::Cancel).expect("cancels");
    assert_eq!(w.call(ALICE, gone, Call::TakeOwnership), DENIED, "rights come before the state");
}

#[test]
fn lists_show_a_user_his_own_jobs_and_an_administrator_all_on_demand() {
    let mut w = World::new();
    let jobs = [ALICE, BOB, ROOT, ALICE].map(|who| w.create(who, Plan::default()));
    let own = |w: &World, who: Caller| w.q.own_jobs(who.uid, None).count();
    assert_eq!((own(&w, ALICE), own(&w, BOB), own(&w, ROOT)), (2, 1, 1), "also for root only his own");
    assert_eq!(w.q.all_jobs(ALICE, None).err(), Some(h::E_ACCESSDENIED));
    assert_eq!(w.q.all_jobs(ROOT, None).expect("root").count(), 4);
    // Page by page, one by one, also when the job at the seam goes away.
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let next = w.q.all_jobs(ROOT, after).expect("root").next().map(|job| (job.owner, job.id));
        let Some((owner, id)) = next else { break };
        seen.push(id);
        after = Some((owner, id));
        w.call(ROOT, id, Call::Cancel).expect("cancels");
    }
    assert_eq!(seen.len(), jobs.len());
    assert!(jobs.iter().all(|id| seen.contains(id)));
}

#[test]
fn an_unknown_job_is_not_found_and_a_held_one_that_is_over_is_in_the_wrong_state() {
    let mut w = World::new();
    let unknown = JobId::from_bytes([9; 16]);
    let over = w.create(ALICE, Plan::default());
    w.call(ALICE, over, Call::Complete).expect("completes");
    for call in calls() {
        assert_eq!(w.call(ALICE, unknown, call.clone()), Err(h::BG_E_NOT_FOUND));
        assert_eq!(w.call(ALICE, over, call.clone()), Err(h::BG_E_INVALID_STATE));
        assert_eq!(w.call(BOB, over, call), DENIED);
    }
    assert_eq!(w.q.job(ALICE, over).err(), Some(h::BG_E_NOT_FOUND));
    assert_eq!(w.q.held_job(BOB, over).err(), Some(h::E_ACCESSDENIED));
    assert!(w.q.why(unknown).is_none());
}

#[test]
fn a_wrong_value_is_named_before_a_quota() {
    let mut w = World::new();
    for _ in 0..60 {
        w.create(ALICE, Plan { files: 0, resume: false, ..Plan::default() });
    }
    let mut new = w.plan(&Plan { priority: Priority::Normal, ..Plan::default() });
    new.properties.push(Property::NotifyFlags(0x40));
    assert_eq!(w.q.create(ALICE, new, w.now).map_err(|f| f.code), Err(h::E_NOTIMPL));
    let empty = Plan { files: 0, resume: true, kind: JobType::Download, ..Plan::default() };
    assert_eq!(w.try_create(BOB, &empty), Err(h::BG_E_EMPTY));
}
