use super::*;

const NOW: Mono = Mono(1_000);
const LATER: Mono = Mono(601_000);

fn facts(listener: bool, command: bool) -> Facts {
    Facts { wanted: true, listener, command, now: NOW }
}

fn owed() -> Owed {
    Owed::new(Subject::Transferred, 1)
}

#[test]
fn the_first_step_by_what_is_there() {
    for (listener, command, step) in [
        (false, false, Step::Nothing),
        (false, true, Step::Run),
        (true, false, Step::Call),
        (true, true, Step::Call),
    ] {
        assert_eq!(owed().next(facts(listener, command)), step, "{listener} {command}");
        let muted = Facts { wanted: false, ..facts(listener, command) };
        assert_eq!(owed().next(muted), Step::Nothing, "muted");
    }
}

/// spec/behaviour.md 31 rows 18 to 20 and spec/bits-core.md 6, "Targets" to "Command line result".
#[test]
fn what_follows_an_answer() {
    let rules = Rules::default();
    // (accepted by the callback, a program is set) -> next step, whole round failed
    for (accepted, command, step, failed) in [
        (true, false, Step::Nothing, false),
        (true, true, Step::Nothing, false),
        (false, true, Step::Run, false),
        (false, false, Step::At(LATER), true),
    ] {
        let mut owed = owed();
        assert_eq!(owed.called(accepted, command, LATER, &rules), failed);
        assert_eq!(owed.next(facts(true, command)), step, "{accepted} {command}");
    }
}

#[test]
fn callback_and_program_fail_and_the_whole_round_is_repeated() {
    let rules = Rules::default();
    let mut owed = owed();
    owed.called(false, true, LATER, &rules);
    assert!(owed.ran(false, LATER, &rules));
    assert_eq!(owed.next(facts(true, true)), Step::At(LATER));
    let then = Facts { now: LATER, ..facts(true, true) };
    assert_eq!(owed.next(then), Step::Call, "the callback is first again");
    owed.called(false, true, LATER, &rules);
    assert_eq!(owed.next(then), Step::Run);
    assert!(!owed.ran(true, LATER, &rules));
    assert_eq!((owed.next(then), owed.settled), (Step::Nothing, Some(Settled::Command)));
}

#[test]
fn a_refusal_counts_for_nothing_when_the_program_is_taken_away() {
    let mut owed = owed();
    owed.called(false, true, LATER, &Rules::default());
    assert_eq!(owed.next(facts(true, false)), Step::Call);
    assert_eq!(owed.next(facts(false, false)), Step::Nothing);
}

#[test]
fn retries_end_where_the_policy_says() {
    for (retries, rounds) in [(Some(0), 1), (Some(2), 3)] {
        let rules = Rules { retries, ..Rules::default() };
        let mut owed = owed();
        for round in 1..=rounds {
            assert_eq!(owed.settled, None, "round {round}");
            owed.ran(false, NOW, &rules);
        }
        assert_eq!(owed.settled, Some(Settled::GaveUp));
        // Somebody new asks.
        owed.registered();
        assert_eq!(owed.next(facts(true, true)), Step::Call);
    }
}

#[test]
fn whoever_comes_late_is_told_too() {
    let rules = Rules::default();
    for settled in [Settled::Callback, Settled::Command, Settled::GaveUp] {
        let mut told = Owed { settled: Some(settled), ..owed() };
        told.registered();
        assert_eq!(told.next(facts(true, false)), Step::Call, "{settled:?}");
    }
    // A program that is set after the event runs; not if a listener that is there has accepted it.
    for (settled, listener, step) in [
        (None, false, Step::Run),
        (Some(Settled::Callback), false, Step::Run),
        (Some(Settled::Callback), true, Step::Nothing),
        (Some(Settled::Command), false, Step::Run),
        (Some(Settled::GaveUp), false, Step::Run),
    ] {
        let mut told = Owed { settled, ..owed() };
        told.command_set(listener);
        assert_eq!(told.next(facts(listener, true)), step, "{settled:?} {listener}");
    }
    let mut waiting = owed();
    waiting.called(false, false, LATER, &rules);
    waiting.registered();
    assert_eq!(
        waiting.next(facts(true, false)),
        Step::Call,
        "a new listener does not wait for the old one's delay"
    );
}

#[test]
fn it_survives_being_stored() {
    let mut owed = owed();
    owed.ran(false, LATER, &Rules::default());
    let text = serde_json::to_string(&owed).unwrap();
    assert_eq!(serde_json::from_str::<Owed>(&text).unwrap(), owed);
}

#[test]
fn who_may_have_which_program_run() {
    let (alice, bob, root) = (Uid(1000), Uid(1001), Uid::ROOT);
    let rules = |commands| Rules { commands, ..Rules::default() };
    for (commands, setter, allowed) in [
        (Commands::OwnerOnly, alice, true),
        (Commands::OwnerOnly, root, false),
        (Commands::Allow, bob, true),
        (Commands::Deny, alice, false),
    ] {
        assert_eq!(rules(commands).check(alice, setter, "/bin/x").is_ok(), allowed, "{commands:?} {setter}");
    }
    let some = Rules { allowed_programs: vec!["/usr/bin/*".into()], ..Rules::default() };
    for (program, allowed) in [
        ("/usr/bin/x", true),
        ("/home/a/x", false),
        ("/usr/bin/../../home/a/x", false),
        ("/usr/bin/./x", false),
    ] {
        assert_eq!(some.check(alice, alice, program).is_ok(), allowed, "{program}");
    }
    assert!(Rules::default().check(alice, alice, "/a/../b").is_ok(), "\"*\" is everything");
}

#[test]
fn jobs_of_system_accounts_run_no_program() {
    let command = |set_by| NotifyCommand { program: "/bin/x".into(), parameters: None, set_by };
    let rules = Rules { commands: Commands::Allow, ..Rules::default() };
    let open = Rules { system_accounts: true, ..rules.clone() };
    for (owner, set_by) in [(0, None), (33, None), (65_534, None), (1000, Some(Uid::ROOT))] {
        let refused = rules.check_launch(Uid(owner), &command(set_by));
        assert_eq!(refused, Err("notify.allow_for_system_accounts"), "{owner} {set_by:?}");
        assert_eq!(open.check_launch(Uid(owner), &command(set_by)), Ok(()));
    }
    assert_eq!(rules.check_launch(Uid(1000), &command(Some(Uid(1001)))), Ok(()));
    assert_eq!(Rules::default().check_launch(Uid(1000), &command(Some(Uid(1001)))), Err("notify.commands"));
}

#[test]
fn pauses_of_a_refused_file_grow() {
    let pauses: Vec<_> = [1, 2, 3, 10, 11, 50].map(file_pause_ms).into();
    assert_eq!(pauses, [1_000, 2_000, 4_000, 512_000, 600_000, 600_000]);
}
