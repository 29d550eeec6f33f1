//! Helper tokens: who may set them, whose worker runs, what happens when they are gone.

use super::world::{ALICE, BOB, Plan, ROOT, World};
use crate::caller::Caller;
use crate::enums::{JobState, Priority};
use crate::hresult::{self as h, HResult, S_OK};
use crate::id::{JobId, Uid};
use crate::job::Setting;
use crate::job::property::Property;
use crate::queue::Call;

const TICKET: [u8; 16] = [7; 16];

fn idle(w: &mut World) -> JobId {
    w.create(ALICE, Plan { resume: false, ..Plan::default() })
}

fn flags(w: &mut World, caller: Caller, id: JobId, bits: u32) -> Result<HResult, HResult> {
    w.call(caller, id, Call::Set(vec![Property::Option(Setting::HelperTokenFlags(bits))]))
}

/// Bob becomes the helper of Alice's job.
fn invite(w: &mut World, id: JobId) {
    assert_eq!(w.call(ALICE, id, Call::IssueHelperTicket(TICKET)), Ok(S_OK));
    assert_eq!(w.call(BOB, id, Call::SetHelperToken(Some(TICKET))), Ok(S_OK));
}

/// Whose worker has the job.
fn worker(w: &World, id: JobId) -> Uid {
    w.q.worker_of(id).expect("it runs")
}

#[test]
fn token_options_set_helper_token_is_the_callers_identity() {
    let mut w = World::new();
    let id = idle(&mut w);
    assert_eq!(w.call(ALICE, id, Call::SetHelperToken(None)), Ok(S_OK), "the owner himself");
    assert_eq!(w.q.helper(id), Some(ALICE.uid));
    assert_eq!(w.call(BOB, id, Call::SetHelperToken(None)), Err(h::E_ACCESSDENIED));
    assert_eq!(w.call(BOB, id, Call::SetHelperToken(Some(TICKET))), Err(h::E_ACCESSDENIED), "no such ticket");
    invite(&mut w, id);
    assert_eq!(w.q.helper(id), Some(BOB.uid), "it replaces the earlier one");
    assert_eq!(w.call(BOB, id, Call::SetHelperToken(Some(TICKET))), Err(h::E_ACCESSDENIED), "for one use");
    assert_eq!(w.call(BOB, id, Call::Suspend), Err(h::E_ACCESSDENIED), "a helper has no other right");
    assert_eq!(w.call(ROOT, id, Call::SetHelperToken(None)), Ok(S_OK), "an administrator may");
    assert_eq!(w.q.helper(id), Some(Uid::ROOT));
    w.call(ALICE, id, Call::Cancel).unwrap();
    assert_eq!(w.call(ALICE, id, Call::SetHelperToken(None)), Err(h::BG_E_INVALID_STATE));
}

#[test]
fn token_options_set_helper_token_by_a_ticket_in_time_and_no_administrator_for_a_user() {
    let mut w = World::new();
    let id = idle(&mut w);
    assert_eq!(w.call(BOB, id, Call::IssueHelperTicket(TICKET)), Err(h::E_ACCESSDENIED));
    w.call(ALICE, id, Call::IssueHelperTicket(TICKET)).unwrap();
    w.pass(300);
    assert_eq!(w.call(BOB, id, Call::SetHelperToken(Some(TICKET))), Err(h::E_ACCESSDENIED), "too late");
    w.call(ALICE, id, Call::IssueHelperTicket(TICKET)).unwrap();
    assert_eq!(w.call(ROOT, id, Call::SetHelperToken(Some(TICKET))), Err(h::E_ACCESSDENIED));
    assert_eq!(w.q.helper(id), None);
    w.call(ROOT, id, Call::IssueHelperTicket(TICKET)).unwrap();
    assert_eq!(w.call(ROOT, id, Call::SetHelperToken(Some(TICKET))), Ok(S_OK));
}

#[test]
fn token_options_set_helper_token_flags() {
    let mut w = World::new();
    let id = idle(&mut w);
    assert_eq!(flags(&mut w, ALICE, id, 4), Err(h::E_INVALIDARG));
    assert_eq!(flags(&mut w, BOB, id, 1), Err(h::E_ACCESSDENIED));
    for bits in [3, 2, 1, 0] {
        assert_eq!(flags(&mut w, ALICE, id, bits), Ok(S_OK), "any order with the token");
    }
    w.call(ROOT, id, Call::SetHelperToken(None)).unwrap();
    assert_eq!(flags(&mut w, ALICE, id, 1), Err(h::E_ACCESSDENIED), "an administrator's token");
    assert_eq!(flags(&mut w, ROOT, id, 1), Ok(S_OK));
    w.crash();
    assert_eq!(w.job(id).options().helper_flags, 1, "kept, unlike the token");
    assert_eq!(w.q.helper(id), None);
}

#[test]
fn token_options_get_helper_token_flags() {
    let mut w = World::new();
    let id = idle(&mut w);
    assert_eq!(w.job(id).options().helper_flags, 0);
    flags(&mut w, ALICE, id, 3).unwrap();
    w.call(ROOT, id, Call::TakeOwnership).unwrap();
    assert_eq!(w.job(id).options().helper_flags, 0, "cleared with the owner");
}

#[test]
fn token_options_get_helper_token_sid() {
    let mut w = World::new();
    let id = idle(&mut w);
    assert_eq!(w.q.helper(id), None);
    invite(&mut w, id);
    assert_eq!(w.q.helper(id).map(Uid::sid).as_deref(), Some("S-1-22-1-1001"));
    w.call(ROOT, id, Call::TakeOwnership).unwrap();
    assert_eq!(w.q.helper(id), None, "dropped with the owner");
}

#[test]
fn token_options_clear_helper_token() {
    let mut w = World::new();
    let id = idle(&mut w);
    assert_eq!(w.call(ALICE, id, Call::ClearHelperToken), Ok(S_OK), "also without one");
    invite(&mut w, id);
    flags(&mut w, ALICE, id, 1).unwrap();
    assert_eq!(w.call(BOB, id, Call::ClearHelperToken), Err(h::E_ACCESSDENIED));
    w.call(ALICE, id, Call::Resume).unwrap();
    assert_eq!(w.call(ALICE, id, Call::ClearHelperToken), Ok(S_OK));
    assert_eq!((w.state(id), w.error(id)), (JobState::Error, h::BG_E_TOKEN_REQUIRED));
    assert_eq!(w.job(id).options().helper_flags, 1, "the flags stay");
    w.call(ALICE, id, Call::Resume).unwrap();
    assert_eq!(w.error(id), h::BG_E_TOKEN_REQUIRED, "Resume alone does not help");
    flags(&mut w, ALICE, id, 0).unwrap();
    w.call(ALICE, id, Call::Resume).unwrap();
    assert_eq!(worker(&w, id), ALICE.uid);
}

#[test]
fn token_options_local_file_runs_the_job_in_the_helpers_worker() {
    let mut w = World::new();
    let id = w.job_at(Priority::Normal);
    invite(&mut w, id);
    assert_eq!(worker(&w, id), ALICE.uid, "without flags the token does nothing");
    flags(&mut w, ALICE, id, 2).unwrap();
    assert_eq!(worker(&w, id), ALICE.uid, "NETWORK is not about files");
    flags(&mut w, ALICE, id, 3).unwrap();
    assert_eq!(worker(&w, id), BOB.uid, "the running transfer moves over");
    w.transfer(id);
    assert_eq!(w.state(id), JobState::Transferred);
    w.workers = super::world::Workers::Manual;
    let ticket = w.begin_later(ALICE, id, Call::Complete);
    let (work, finish) = w.file_work(id).unwrap();
    assert_eq!(finish.owner, BOB.uid, "and so do the renames");
    w.file_work_done(work);
    assert_eq!(w.answer(ticket), Some(Ok(S_OK)));
}

#[test]
fn token_options_without_the_token_complete_waits_for_it() {
    let mut w = World::new();
    let id = w.job_at(Priority::Normal);
    invite(&mut w, id);
    flags(&mut w, ALICE, id, 1).unwrap();
    w.transfer(id);
    w.crash();
    assert_eq!(w.state(id), JobState::Transferred, "finished data needs no token to lie there");
    assert_eq!(w.call(ALICE, id, Call::Complete), Err(h::BG_E_TOKEN_REQUIRED));
    assert_eq!(w.state(id), JobState::Transferred);
    invite(&mut w, id);
    assert_eq!(w.call(ALICE, id, Call::Complete), Ok(S_OK));
}

#[test]
fn token_options_a_complete_cut_by_a_crash_waits_for_the_token() {
    let mut w = World::new();
    let id = w.job_at(Priority::Normal);
    invite(&mut w, id);
    flags(&mut w, ALICE, id, 1).unwrap();
    w.transfer(id);
    w.workers = super::world::Workers::Manual;
    let _ = w.begin_later(ALICE, id, Call::Complete);
    w.crash();
    assert_eq!((w.state(id), w.job(id).finishing), (JobState::Transferred, None));
    assert!(w.file_work(id).is_none(), "nobody touches the files with other rights");
    w.workers = super::world::Workers::Prompt;
    invite(&mut w, id);
    assert_eq!(w.call(ALICE, id, Call::Complete), Ok(S_OK));
}

/// Row 33 of spec/behaviour.md 31, for the helper and for the owner.
#[test]
fn conformance_33_helper_token_gone_after_logoff_while_the_network_is_away() {
    for user in [ALICE.uid, BOB.uid] {
        let mut w = World::new();
        let id = w.job_at(Priority::Normal);
        invite(&mut w, id);
        flags(&mut w, ALICE, id, 1).unwrap();
        w.connect(id);
        w.network(false);
        assert_eq!(w.error(id), h::BG_E_NETWORK_DISCONNECTED);
        w.q.user_logged_off(Uid(4711), w.now);
        w.drain();
        assert_eq!(w.state(id), JobState::TransientError, "somebody else");
        w.q.user_logged_off(user, w.now);
        w.drain();
        assert_eq!((w.state(id), w.error(id)), (JobState::Error, h::BG_E_TOKEN_REQUIRED));
        w.network(true);
        assert_eq!(w.state(id), JobState::Error);
        invite(&mut w, id);
        w.call(ALICE, id, Call::Resume).unwrap();
        assert_eq!(worker(&w, id), BOB.uid);
    }
}
