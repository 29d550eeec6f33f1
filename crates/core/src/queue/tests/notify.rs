//! Callbacks and programs (spec/bits-core.md 5.2, 5.3, 6; spec/behaviour.md 16, 31 rows 17 to 20).

use super::world::{ALICE, BOB, Plan, ROOT, SIZE, World};
use crate::caller::Caller;
use crate::enums::{JobState, notify as flag};
use crate::events_log::Record;
use crate::hresult as h;
use crate::id::{JobId, Uid};
use crate::job::options::Setting;
use crate::job::property::Property;
use crate::limits::Limits;
use crate::notify::{ANSWER_MS, Commands, Rules};
use crate::queue::{Call, CallId, CallbackKind, ListenerId, ProgramEnd};

const DELAY_S: u64 = 600;

impl World {
    fn set_program(&mut self, id: JobId, program: &str) {
        let program = (!program.is_empty()).then(|| program.to_owned());
        let set = Property::NotifyCommand { program, parameters: None };
        self.call(ALICE, id, Call::Set(vec![set])).expect("settable");
    }

    fn flags(&mut self, id: JobId, flags: u32) {
        self.call(ALICE, id, Call::Set(vec![Property::NotifyFlags(flags)])).expect("settable");
    }

    fn listen(&mut self, caller: Caller, id: JobId) -> ListenerId {
        let listener = self.q.listen(caller);
        self.q.set_notify_interface(caller, id, Some(listener)).expect("registered");
        self.drain();
        listener
    }

    fn hang_up(&mut self, listener: ListenerId) {
        self.q.unlisten(listener, self.now);
        self.drain();
    }

    /// The calls since the last look.
    fn calls(&mut self) -> Vec<CallbackKind> {
        self.callbacks.drain(..).map(|callback| callback.kind).collect()
    }

    /// The one call that waits for an answer.
    fn open_call(&mut self) -> CallId {
        let open: Vec<_> = self.callbacks.drain(..).filter_map(|callback| callback.call).collect();
        assert_eq!(open.len(), 1, "one call: {open:?}");
        open[0]
    }

    fn reply(&mut self, call: CallId, code: crate::HResult) {
        self.q.answer_callback(ALICE, call, code, self.now).expect("awaited");
        self.drain();
    }

    fn ends(&mut self, end: &ProgramEnd) {
        assert_eq!(self.programs.len(), 1, "one program runs");
        let call = self.programs.remove(0).call;
        self.q.on_program(call, end, self.now);
        self.drain();
    }

    fn logged(&mut self, number: u16) -> usize {
        let count = self.records.iter().filter(|r| r.kind.number == number).count();
        self.records.retain(|r| r.kind.number != number);
        count
    }

    fn transferred(&mut self) -> JobId {
        let id = self.create(ALICE, Plan::default());
        self.transfer(id);
        id
    }
}

#[test]
fn job2_set_notify_cmd_line_runs_at_transferred_and_error() {
    let mut w = World::new();
    let id = w.create(ALICE, Plan::default());
    let set = Property::NotifyCommand {
        program: Some("/opt/p".into()),
        parameters: Some(r#"/opt/p "a b" $HOME"#.into()),
    };
    w.call(ALICE, id, Call::Set(vec![set])).unwrap();
    assert_eq!(w.logged(6), 1);
    assert_eq!(w.programs, [], "nothing happened yet");
    w.fail(id, h::BG_E_HTTP_ERROR_404, None);
    let program = w.programs[0].clone();
    assert_eq!((program.job, program.uid, program.state), (id, ALICE.uid, JobState::Error));
    assert_eq!((program.program.as_str(), program.error), ("/opt/p", Some(h::BG_E_HTTP_ERROR_404)));
    assert_eq!(program.arguments, ["/opt/p", "a b", "$HOME"]);
    w.ends(&ProgramEnd::Exit(0));
    w.pass(10 * DELAY_S);
    assert_eq!(w.programs, [], "done is done");
    w.call(ALICE, id, Call::Resume).unwrap();
    w.transfer(id);
    assert_eq!(w.programs[0].state, JobState::Transferred, "every entry is a new event");
    assert_eq!(w.programs[0].error, None);
}

#[test]
fn job2_set_notify_cmd_line_checks() {
    let mut w = World::new();
    let id = w.create(ALICE, Plan::default());
    let set = |w: &mut World, program: Option<&str>, parameters: Option<&str>| {
        let (program, parameters) = (program.map(str::to_owned), parameters.map(str::to_owned));
        w.call(ALICE, id, Call::Set(vec![Property::NotifyCommand { program, parameters }]))
    };
    let long = "x".repeat(4001);
    for (program, parameters, result) in [
        (Some("/p"), Some("/p x"), Ok(h::S_OK)),
        (Some("/p"), None, Ok(h::S_OK)),
        (Some("/p"), Some(""), Ok(h::S_OK)),
        (None, Some("x"), Err(h::E_INVALIDARG)),
        (Some("p"), None, Err(h::E_INVALIDARG)),
        (Some("/p\0"), None, Err(h::E_INVALIDARG)),
        (Some(long.as_str()), None, Err(h::BG_E_STRING_TOO_LONG)),
        (Some("/p"), Some(long.as_str()), Err(h::BG_E_STRING_TOO_LONG)),
        (Some("/p"), Some(&long[1..]), Ok(h::S_OK)),
        (None, None, Ok(h::S_OK)),
    ] {
        assert_eq!(set(&mut w, program, parameters), result, "{program:?}");
    }
    assert_eq!(w.job(id).notify_command, None);
}

#[test]
fn job2_set_notify_cmd_line_takes_arguments_too() {
    let mut w = World::new();
    let id = w.create(ALICE, Plan::default());
    let set = |words: &[&str]| {
        Call::Set(vec![Property::NotifyArguments(words.iter().map(|w| (*w).to_owned()).collect())])
    };
    w.call(ALICE, id, set(&["/opt/my p", "a\"b", "", "c d\\"])).unwrap();
    let command = w.job(id).notify_command.clone().expect("set");
    assert_eq!(command.program, "/opt/my p");
    assert_eq!(command.arguments(), ["/opt/my p", "a\"b", "", "c d\\"]);
    assert_eq!(w.call(ALICE, id, set(&["p"])), Err(h::E_INVALIDARG));
    assert_eq!(w.call(ALICE, id, set(&["/p\"q"])), Err(h::E_INVALIDARG), "no command line says that");
    w.call(ALICE, id, set(&[])).unwrap();
    assert_eq!(w.job(id).notify_command, None);
}

#[test]
fn job2_get_notify_cmd_line_survives_a_restart_and_not_a_new_owner() {
    let mut w = World::new();
    let id = w.create(ALICE, Plan { files: 0, resume: false, ..Plan::default() });
    w.set_program(id, "/opt/p");
    w.crash();
    assert_eq!(w.job(id).notify_command.as_deref().map(|c| c.program.as_str()), Some("/opt/p"));
    w.call(ROOT, id, Call::TakeOwnership).unwrap();
    assert_eq!(w.job(id).notify_command, None);
}

#[test]
fn job2_set_notify_cmd_line_row_20_runs_again_after_the_delay_until_the_job_is_over() {
    for last in [Call::Complete, Call::Cancel] {
        let mut w = World::new();
        let id = w.create(ALICE, Plan::default());
        w.set_program(id, "/opt/p");
        w.transfer(id);
        for _ in 0..3 {
            w.ends(&ProgramEnd::Exit(1));
            assert_eq!((w.logged(63), w.logged(16_390)), (1, 1));
            w.pass(DELAY_S - 1);
            assert_eq!(w.programs.len(), 0, "not before the delay");
            w.pass(1);
        }
        w.call(ALICE, id, last).unwrap();
        w.ends(&ProgramEnd::Exit(1));
        w.pass(10 * DELAY_S);
        assert_eq!(w.programs, [], "the job is over");
    }
}

#[test]
fn a_launch_that_fails_is_tried_again() {
    let mut w = World::new();
    let id = w.create(ALICE, Plan::default());
    w.set_program(id, "/nowhere");
    w.transfer(id);
    w.ends(&ProgramEnd::NotStarted("no such file".into()));
    assert_eq!((w.logged(64), w.logged(63), w.logged(16_390)), (1, 0, 1));
    w.pass(DELAY_S);
    w.ends(&ProgramEnd::TimedOut);
    assert_eq!(w.logged(63), 1);
    w.pass(DELAY_S);
    w.ends(&ProgramEnd::Signal(9));
    w.pass(DELAY_S);
    w.ends(&ProgramEnd::Exit(0));
    assert_eq!(w.q.under_way(), 0, "every turn is given back");
}

#[test]
fn retries_and_what_is_owed_survive_a_restart() {
    let mut w = World::new();
    let id = w.create(ALICE, Plan::default());
    w.set_program(id, "/opt/p");
    w.transfer(id);
    w.crash();
    assert_eq!(w.programs.len(), 1, "nobody knows how it ended: it runs again");
    w.ends(&ProgramEnd::Exit(1));
    w.pass(100);
    w.crash();
    assert_eq!(w.programs.len(), 0, "the delay goes on");
    w.pass(DELAY_S - 100);
    w.ends(&ProgramEnd::Exit(0));
    w.crash();
    assert_eq!(w.programs.len(), 0, "and so does the end");
    let idle = w.q.next_deadline().map(|at| at.since_ms(w.now.mono));
    assert!(idle.is_none_or(|ms| ms > 86_400_000), "nothing is due, nobody wakes up: {idle:?}");
}

#[test]
fn flags_steer_programs_and_only_the_two_events() {
    for (flags, runs) in [(0, false), (1, true), (2, false), (3, true), (7, false), (8 | 0x30, false)] {
        let mut w = World::new();
        let id = w.create(ALICE, Plan::default());
        w.set_program(id, "/opt/p");
        w.flags(id, flags);
        w.transfer(id);
        assert_eq!(!w.programs.is_empty(), runs, "{flags:#x}");
        if !runs {
            // A muted event stays pending, and is delivered when it is asked for.
            w.flags(id, 3);
            assert_eq!(w.programs.len(), 1, "{flags:#x}");
        }
    }
}

#[test]
fn a_program_set_after_the_event_runs() {
    let mut w = World::new();
    let id = w.transferred();
    w.set_program(id, "/opt/p");
    w.ends(&ProgramEnd::Exit(0));
    w.set_program(id, "/opt/p");
    assert_eq!(w.programs.len(), 0, "the same again is nothing new");
    w.set_program(id, "/opt/q");
    assert_eq!(w.programs.len(), 1);
}

#[test]
fn the_policy_holds_programs() {
    let with = |notify| Limits { notify, ..Limits::default() };
    let program =
        || Call::Set(vec![Property::NotifyCommand { program: Some("/opt/p".into()), parameters: None }]);
    for rules in [
        Rules { commands: Commands::Deny, ..Rules::default() },
        Rules { allowed_programs: vec!["/usr/bin/*".into()], ..Rules::default() },
    ] {
        let mut w = World::with(with(rules.clone()));
        let id = w.create(ALICE, Plan::default());
        assert_eq!(w.call(ALICE, id, program()), Err(h::E_ACCESSDENIED));
        // One that was set before a change waits for another change.
        w.set_limits(Limits::default());
        w.call(ALICE, id, program()).unwrap();
        w.set_limits(with(rules));
        w.transfer(id);
        assert_eq!(w.programs.len(), 0);
        w.set_limits(Limits::default());
        assert_eq!(w.programs.len(), 1);
    }
    let mut w = World::new();
    let id = w.create(ALICE, Plan::default());
    assert_eq!(w.call(ROOT, id, program()), Err(h::E_ACCESSDENIED), "owner-only");
    w.set_limits(with(Rules { commands: Commands::Allow, system_accounts: true, ..Rules::default() }));
    w.call(ROOT, id, program()).unwrap();
    w.transfer(id);
    assert_eq!(w.programs[0].uid, Uid::ROOT, "it runs as who set it");
    let mut w = World::new();
    let id = w.create(ROOT, Plan::default());
    w.call(ROOT, id, program()).unwrap();
    w.transfer(id);
    assert_eq!(w.programs.len(), 0, "never for a system account");
}

#[test]
fn no_more_than_four_at_a_time_for_each_user() {
    let mut w = World::with(Limits { max_foreground: 0, ..Limits::default() });
    let make = |w: &mut World, caller| {
        let plan = Plan { priority: crate::enums::Priority::Foreground, ..Plan::default() };
        let id = w.create(caller, plan);
        let set = Property::NotifyCommand { program: Some("/opt/p".into()), parameters: None };
        w.call(caller, id, Call::Set(vec![set])).unwrap();
        w.transfer(id);
        id
    };
    let ids: Vec<_> = (0..6).map(|_| make(&mut w, ALICE)).collect();
    assert_eq!(w.programs.len(), 4);
    make(&mut w, BOB);
    assert_eq!(w.programs.len(), 5, "another user has turns of his own");
    // One that waited is gone: the turn goes on to the next.
    w.call(ALICE, ids[4], Call::Cancel).unwrap();
    let call = w.programs.remove(0).call;
    w.q.on_program(call, &ProgramEnd::Exit(0), w.now);
    w.drain();
    assert_eq!(w.programs.last().map(|p| p.job), Some(ids[5]));
}

#[test]
fn job_set_notify_interface_row_17_calls_also_after_the_event() {
    let mut w = World::new();
    let id = w.transferred();
    assert!(!w.q.has_notify_interface(id));
    let listener = w.listen(ALICE, id);
    let call = w.open_call();
    w.reply(call, h::S_OK);
    w.pass(10 * DELAY_S);
    assert_eq!(w.calls(), []);
    // The client dies and comes back: the event is told again.
    w.hang_up(listener);
    w.listen(ALICE, id);
    assert_eq!(w.calls(), [CallbackKind::Transferred]);
}

#[test]
fn job_set_notify_interface_rules() {
    let mut w = World::new();
    let id = w.create(ALICE, Plan::default());
    let (alices, bobs) = (w.q.listen(ALICE), w.q.listen(BOB));
    let mut set = |caller, id, listener| w.q.set_notify_interface(caller, id, listener).map_err(|f| f.code);
    assert_eq!(set(BOB, id, Some(bobs)), Err(h::E_ACCESSDENIED));
    assert_eq!(set(ALICE, id, Some(bobs)), Err(h::E_INVALIDARG), "a listener is its user's");
    assert_eq!(set(ALICE, JobId::from_bytes([9; 16]), Some(alices)), Err(h::BG_E_NOT_FOUND));
    assert_eq!(set(ALICE, id, None), Ok(h::S_OK));
    assert_eq!(set(ALICE, id, Some(alices)), Ok(h::S_OK));
    w.call(ALICE, id, Call::Cancel).unwrap();
    let over = w.q.set_notify_interface(ALICE, id, Some(alices)).map_err(|f| f.code);
    assert_eq!(over, Err(h::BG_E_INVALID_STATE));
    assert!(!w.q.has_notify_interface(id));
}

#[test]
fn job_get_notify_interface_tells_the_last_one_and_no_dead_one() {
    let mut w = World::new();
    let id = w.create(ALICE, Plan::default());
    let first = w.listen(ALICE, id);
    let second = w.listen(ALICE, id);
    assert!(w.q.has_notify_interface(id));
    w.hang_up(first);
    assert!(w.q.has_notify_interface(id), "the last one wins");
    w.transfer(id);
    assert_eq!(w.callbacks.iter().map(|c| c.listener).collect::<Vec<_>>(), [second]);
    w.hang_up(second);
    assert!(!w.q.has_notify_interface(id));
    w.crash();
    assert!(!w.q.has_notify_interface(id), "it does not survive the service");
}

#[test]
fn callback_job_transferred_rows_18_and_19() {
    for (code, runs) in [(h::S_OK, false), (h::S_FALSE, false), (h::E_FAIL, true)] {
        let mut w = World::new();
        let id = w.create(ALICE, Plan::default());
        w.set_program(id, "/opt/p");
        w.listen(ALICE, id);
        w.transfer(id);
        assert_eq!(w.programs.len(), 0, "the callback comes first");
        let call = w.open_call();
        w.reply(call, code);
        w.pass(10 * DELAY_S);
        assert_eq!(w.programs.len(), usize::from(runs), "{code}");
        if runs {
            w.ends(&ProgramEnd::Exit(0));
            w.pass(10 * DELAY_S);
        }
        assert_eq!(w.calls(), [], "{code}: not called again for this event");
    }
}

#[test]
fn callback_job_error_is_called_until_it_accepts() {
    let mut w = World::new();
    let id = w.create(ALICE, Plan::default());
    w.listen(ALICE, id);
    w.fail(id, h::BG_E_HTTP_ERROR_503, Some(0));
    assert_eq!(w.state(id), JobState::TransientError);
    assert_eq!(w.calls(), [], "never for TRANSIENT_ERROR");
    w.pass(DELAY_S);
    w.fail(id, h::BG_E_HTTP_ERROR_404, None);
    for _ in 0..3 {
        assert_eq!(w.callbacks[0].kind, CallbackKind::Error);
        assert_eq!(w.callbacks[0].job.error.map(|(code, _)| code), Some(h::BG_E_HTTP_ERROR_404));
        let call = w.open_call();
        w.reply(call, h::E_FAIL);
        assert_eq!(w.logged(16_390), 1);
        w.pass(DELAY_S - 1);
        assert_eq!(w.calls(), []);
        w.pass(1);
    }
    let call = w.open_call();
    w.reply(call, h::S_OK);
    assert_eq!(w.q.answer_callback(ALICE, call, h::S_OK, w.now), Err(h::BG_E_NOT_FOUND), "answered once");
    w.pass(10 * DELAY_S);
    assert_eq!(w.calls(), []);
}

#[test]
fn callback_job_error_of_a_state_that_is_over_is_dropped() {
    let mut w = World::new();
    let id = w.create(ALICE, Plan::default());
    w.listen(ALICE, id);
    w.fail(id, h::BG_E_HTTP_ERROR_404, None);
    let first = w.open_call();
    // The callback resumes the job before it returns, and the job fails again.
    w.call(ALICE, id, Call::Resume).unwrap();
    w.fail(id, h::BG_E_HTTP_ERROR_404, None);
    assert_eq!(w.calls(), [], "one call at a time for a job");
    w.reply(first, h::S_OK);
    assert_eq!(w.calls(), [CallbackKind::Error], "the late answer is not the new entry's");
}

#[test]
fn callback_job_transferred_without_an_answer_is_repeated() {
    let mut w = World::new();
    let id = w.create(ALICE, Plan::default());
    let listener = w.listen(ALICE, id);
    w.transfer(id);
    assert_eq!(w.calls(), [CallbackKind::Transferred]);
    w.pass(ANSWER_MS.cast_unsigned() / 1000 + DELAY_S);
    let call = w.open_call();
    assert_eq!(w.q.answer_callback(BOB, call, h::S_OK, w.now), Err(h::E_ACCESSDENIED));
    // Its connection breaks: the program, if there is one, is next.
    w.set_program(id, "/opt/p");
    assert_eq!(w.programs.len(), 0);
    w.hang_up(listener);
    assert_eq!(w.programs.len(), 1);
}

#[test]
fn callback_job_modification_is_told_no_more_often_than_the_interval() {
    let mut w = World::new();
    let id = w.create(ALICE, Plan::default());
    w.flags(id, flag::DEFAULT | flag::JOB_MODIFICATION);
    w.set(id, Property::Option(Setting::MinimumNotificationInterval(500))).unwrap();
    w.listen(ALICE, id);
    w.connect(id);
    assert_eq!(w.calls(), [CallbackKind::Modification], "the first at once");
    for bytes in 1..50 {
        w.bytes(id, 0, bytes);
    }
    assert_eq!(w.calls(), [], "the others wait");
    w.pass(1);
    assert_eq!(w.calls(), [CallbackKind::Modification], "one for all of them");
    assert_eq!(w.q.under_way(), 0, "nobody waits for an answer");
    w.pass(10);
    assert_eq!(w.calls(), []);
    w.call(ALICE, id, Call::Cancel).unwrap();
    let last = w.callbacks.last().expect("a last one").job.clone();
    assert_eq!(last.state, JobState::Cancelled);
}

#[test]
fn callback_job_modification_follows_the_jobs_own_interval() {
    let mut w = World::new();
    let id = w.create(ALICE, Plan::default());
    w.flags(id, flag::JOB_MODIFICATION);
    w.call(ALICE, id, Call::Set(vec![Property::Option(Setting::MinimumNotificationInterval(3000))])).unwrap();
    w.listen(ALICE, id);
    w.connect(id);
    w.bytes(id, 0, 10);
    assert_eq!(w.calls(), [CallbackKind::Modification]);
    w.pass(2);
    assert_eq!(w.calls(), []);
    w.pass(1);
    assert_eq!(w.calls(), [CallbackKind::Modification]);
    w.call(ALICE, id, Call::Set(vec![Property::Option(Setting::MinimumNotificationInterval(0))])).unwrap();
    w.calls();
    for bytes in 11..15 {
        w.bytes(id, 0, bytes);
        assert_eq!(w.calls(), [CallbackKind::Modification], "no limit");
    }
}

#[test]
fn callback_job_modification_is_not_for_who_did_not_ask() {
    for flags in [flag::DEFAULT, flag::DEFAULT | flag::JOB_MODIFICATION | flag::DISABLE] {
        let mut w = World::new();
        let id = w.create(ALICE, Plan::default());
        w.flags(id, flags);
        w.listen(ALICE, id);
        w.connect(id);
        w.bytes(id, 0, 10);
        w.pass(5);
        assert_eq!(w.calls(), [], "{flags:#x}");
    }
}

#[test]
fn job_set_notify_flags_takes_effect_for_what_happened_before() {
    let mut w = World::new();
    let id = w.transferred();
    w.flags(id, flag::DEFAULT | flag::DISABLE);
    w.listen(ALICE, id);
    assert_eq!(w.calls(), []);
    w.flags(id, flag::DEFAULT);
    assert_eq!(w.calls(), [CallbackKind::Transferred]);
    let wrong = w.call(ALICE, id, Call::Set(vec![Property::NotifyFlags(0x40)]));
    assert_eq!(wrong, Err(h::E_NOTIMPL));
}

#[test]
fn callback2_file_transferred_one_after_the_other_and_before_the_job() {
    let mut w = World::new();
    let id = w.create(ALICE, Plan { files: 3, ..Plan::default() });
    w.flags(id, flag::DEFAULT | flag::FILE_TRANSFERRED);
    w.listen(ALICE, id);
    w.transfer(id);
    for index in 0..3 {
        assert_eq!(w.callbacks[0].kind, CallbackKind::FileTransferred(index));
        let call = w.open_call();
        if index == 1 {
            w.reply(call, h::E_FAIL);
            w.pass(1);
            assert_eq!(w.callbacks[0].kind, CallbackKind::FileTransferred(1), "called again");
            let call = w.open_call();
            w.reply(call, h::S_OK);
        } else {
            w.reply(call, h::S_OK);
        }
    }
    assert_eq!(w.calls(), [CallbackKind::Transferred]);
}

#[test]
fn callback2_file_transferred_is_remembered_over_restarts() {
    let mut w = World::new();
    let id = w.create(ALICE, Plan { files: 2, ..Plan::default() });
    w.flags(id, flag::FILE_TRANSFERRED);
    w.listen(ALICE, id);
    w.connect(id);
    w.checkpoint(id, 0, SIZE);
    let call = w.open_call();
    w.reply(call, h::S_OK);
    w.checkpoint(id, 1, SIZE);
    assert_eq!(w.calls(), [CallbackKind::FileTransferred(1)]);
    w.crash();
    w.listen(ALICE, id);
    assert_eq!(w.calls(), [CallbackKind::FileTransferred(1)], "what was not accepted is told again");
}

#[test]
fn callback3_file_ranges_transferred_tells_what_is_new() {
    let mut w = World::new();
    let id = w.create(ALICE, Plan::default());
    w.flags(id, flag::FILE_RANGES_TRANSFERRED);
    w.set(id, Property::Option(Setting::MinimumNotificationInterval(500))).unwrap();
    w.listen(ALICE, id);
    w.connect(id);
    w.checkpoint(id, 0, 100);
    let ranges = |from, to| {
        let mut set = crate::RangeSet::new();
        set.insert(from..to);
        CallbackKind::RangesTransferred(0, set)
    };
    assert_eq!(w.calls(), [ranges(0, 100)]);
    w.checkpoint(id, 0, 200);
    w.checkpoint(id, 0, 300);
    assert_eq!(w.calls(), [], "not so often");
    w.pass(1);
    assert_eq!(w.calls(), [ranges(100, 300)]);
    assert_eq!(w.q.under_way(), 0, "lossy: no answer is awaited");
}

#[test]
fn what_happens_is_logged_with_its_numbers() {
    let mut w = World::new();
    let id = w.create(ALICE, Plan::default());
    w.call(ALICE, id, Call::Suspend).unwrap();
    w.call(ALICE, id, Call::Resume).unwrap();
    w.set(id, Property::DisplayName("other".into())).unwrap();
    w.fail(id, h::BG_E_HTTP_ERROR_404, None);
    w.call(ROOT, id, Call::Resume).unwrap();
    w.transfer(id);
    w.call(ROOT, id, Call::Complete).unwrap();
    let numbers: Vec<_> = w.records.iter().filter(|r| r.job == Some(id)).map(|r| r.kind.number).collect();
    assert_eq!(numbers, [3, 16_403, 1, 2, 1, 16_387, 61, 211, 1, 59, 60, 4]);
    let last = w.records.last().expect("completed");
    assert!(last.fields.contains(&("User", "0".to_owned())), "{last:?}");
    let other = w.create(ALICE, Plan::default());
    w.call(ROOT, other, Call::Cancel).unwrap();
    assert_eq!((w.logged(5), w.logged(16_384)), (1, 1));
}

#[test]
fn what_a_worker_notes_is_logged_for_the_present_attempt_only() {
    let mut w = World::new();
    let id = w.create(ALICE, Plan::default());
    let attempt = w.attempt(id).expect("runs");
    let record = |w: &World| Record::of_job(203, w.job(id)).with("server", "example.org:443");
    w.q.on_note(id, attempt, record(&w));
    w.drain();
    assert_eq!(w.logged(203), 1);
    w.q.on_note(id, crate::AttemptId(attempt.0 + 1), record(&w));
    w.drain();
    assert_eq!(w.logged(203), 0, "of an attempt that there is not");
}

#[test]
fn callback3_file_ranges_transferred_is_for_those_who_want_it() {
    let mut w = World::new();
    let id = w.create(ALICE, Plan::default());
    w.flags(id, flag::JOB_TRANSFERRED);
    w.set(id, Property::Option(Setting::MinimumNotificationInterval(500))).unwrap();
    w.listen(ALICE, id);
    w.connect(id);
    w.checkpoint(id, 0, 100);
    w.pass(1);
    assert_eq!(w.calls(), []);
    w.flags(id, flag::FILE_RANGES_TRANSFERRED);
    w.checkpoint(id, 0, 200);
    assert_eq!(w.calls().len(), 1);
    w.checkpoint(id, 0, 300);
    w.flags(id, flag::JOB_TRANSFERRED);
    w.pass(1);
    assert_eq!(w.calls(), [], "nobody wants what was held back");
}
