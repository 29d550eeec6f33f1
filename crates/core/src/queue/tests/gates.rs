//! Cost, power and the owner's presence (spec/behaviour.md 5.1, 21, 22; 31 row 34).

use super::world::{ALICE, BOB, Plan, World, file};
use crate::delivery::codes;
use crate::enums::{JobState, Priority};
use crate::gate::{Machine, OnBattery, Rules};
use crate::hresult as h;
use crate::id::{JobId, Uid};
use crate::job::Setting;
use crate::job::property::Property;
use crate::limits::Limits;
use crate::policy::cost::{self, Masks};
use crate::queue::{Call, NewJob, PolicyBlocks, Reason};
use crate::subnet::Subnets;
use JobState::{Connecting, Queued, TransientError};
use std::collections::BTreeSet;

impl World {
    fn machine(&mut self, change: impl FnOnce(&mut Machine)) {
        let mut machine = self.q.machine().clone();
        change(&mut machine);
        self.q.set_machine(machine, self.now);
        self.drain();
    }

    fn set_option(&mut self, id: JobId, setting: Setting) {
        self.set(id, Property::Option(setting)).expect("settable");
    }

    fn rules(&mut self, rules: Rules) {
        self.q.set_gate_rules(rules, self.now);
        self.drain();
    }

    /// A job of Alice's at NORMAL level that comes from this URL.
    fn from(&mut self, url: &str) -> JobId {
        let plan = self.plan(&Plan::default());
        let new = NewJob { files: vec![crate::job::NewFile { remote: url.to_owned(), ..file(0) }], ..plan };
        let id = self.q.create(ALICE, new, self.now).expect("created");
        self.drain();
        id
    }
}

const UNCONSTRAINED: u32 = 0x8000_0021;

/// FOREGROUND jobs may use every network, the others those of this mask.
fn masks(background: u32) -> Limits {
    let cost_masks = Masks::new([cost::ALWAYS, background, background, background]);
    Limits { cost_masks, ..Limits::default() }
}

/// Row 34, and spec/policy.md D row 10.
#[test]
fn a_network_that_costs_holds_those_whose_mask_forbids_it() {
    let mut w = World::new();
    let (normal, foreground) = (w.job_at(Priority::Normal), w.job_at(Priority::Foreground));
    w.connect(normal);
    w.set_limits(masks(UNCONSTRAINED));
    assert_eq!(w.states(&[normal, foreground]), [JobState::Transferring, Connecting]);
    w.machine(|m| m.cost = cost::USAGE_BASED);
    assert_eq!(w.states(&[normal, foreground]), [TransientError, Connecting]);
    assert_eq!((w.error(normal), w.job(normal).error_count), (h::BG_E_BLOCKED_BY_COST_TRANSFER_POLICY, 0));
    assert_eq!((w.reason(normal), w.q.why(normal).expect("known").until), (Reason::BlockedByCost, None));
    w.pass(10_000);
    assert_eq!(w.state(normal), TransientError, "no timer ends it");
    w.set_priority(normal, Priority::Foreground);
    assert_eq!(w.state(normal), Connecting, "at once");
    w.set_priority(normal, Priority::Low);
    assert_eq!(w.state(normal), TransientError);
    w.set_limits(masks(cost::ALWAYS));
    assert_eq!(w.state(normal), Connecting, "the policy's mask changes at once, too");
    w.set_limits(masks(UNCONSTRAINED));
    assert_eq!(w.state(normal), TransientError);
    w.machine(|m| m.cost = cost::UNRESTRICTED);
    assert_eq!(w.state(normal), Connecting);
}

/// DisallowOnCellular: whatever the network costs, and for every level.
#[test]
fn a_cellular_network_holds_those_that_stay_away_from_it() {
    let mut w = World::new();
    let (careful, other) = (w.job_at(Priority::Foreground), w.job_at(Priority::Foreground));
    w.set_option(careful, Setting::DisallowCellular(true));
    assert_eq!(w.states(&[careful, other]), [Connecting, Connecting]);
    w.machine(|m| m.cellular = true);
    assert_eq!(w.states(&[careful, other]), [TransientError, Connecting]);
    assert_eq!((w.error(careful), w.job(careful).error_count), (h::BG_E_BLOCKED_BY_COST_TRANSFER_POLICY, 0));
    assert_eq!(
        (w.reason(careful), w.q.why(careful).expect("known").until),
        (Reason::BlockedByCellular, None)
    );
    assert_eq!(
        w.job(careful).wait.and_then(codes::of_wait).map(crate::HResult::bits),
        Some(0x80D0_3803),
        "its name in Delivery Optimization"
    );
    w.pass(10_000);
    assert_eq!(w.state(careful), TransientError, "no timer ends it");
    w.set_option(careful, Setting::DisallowCellular(false));
    assert_eq!(w.state(careful), Connecting, "at once");
    w.set_option(other, Setting::DisallowCellular(true));
    assert_eq!(w.state(other), TransientError, "also while it runs");
    w.machine(|m| m.cellular = false);
    assert_eq!(w.state(other), Connecting);
    // What comes from this machine needs no network.
    let near = w.from("http://127.0.0.1/f");
    w.set_option(near, Setting::DisallowCellular(true));
    w.machine(|m| m.cellular = true);
    assert_ne!(w.state(near), TransientError);
}

#[test]
fn battery_saver_and_game_hold_with_their_codes_and_let_go_at_once() {
    type Change = fn(&mut Machine, bool);
    let rules = Rules { on_battery: OnBattery::ForegroundOnly, saver_holds: true, game_holds: true };
    let cases: [(Change, _, _); 3] = [
        (|m, on| m.on_battery = on, h::BG_E_BLOCKED_BY_BATTERY_POLICY, Reason::OnBattery),
        (|m, on| m.saver = on, h::BG_E_BLOCKED_BY_BATTERY_SAVER, Reason::PowerSaver),
        (|m, on| m.game = on, h::BG_E_BLOCKED_BY_GAME_MODE, Reason::GameMode),
    ];
    for (change, code, reason) in cases {
        let mut w = World::new();
        w.rules(rules);
        let (running, waiting) = (w.job_at(Priority::High), w.job_at(Priority::Low));
        let foreground = w.job_at(Priority::Foreground);
        w.machine(|m| change(m, true));
        assert_eq!(w.states(&[running, waiting, foreground]), [TransientError, TransientError, Connecting]);
        for id in [running, waiting] {
            assert_eq!((w.error(id), w.reason(id), w.job(id).error_count), (code, reason, 0));
        }
        w.crash();
        assert_eq!(
            w.states(&[running, waiting]),
            [Connecting, Queued],
            "a new start knows of no battery yet"
        );
        w.rules(rules);
        w.machine(|m| change(m, true));
        assert_eq!(w.state(running), TransientError);
        w.machine(|m| change(m, false));
        assert_eq!(w.states(&[running, waiting]), [Connecting, Queued]);
    }
    let mut w = World::new();
    let foreground = w.job_at(Priority::Foreground);
    w.rules(Rules { on_battery: OnBattery::Stop, ..Rules::default() });
    w.machine(|m| m.on_battery = true);
    assert_eq!(
        (w.state(foreground), w.error(foreground)),
        (TransientError, h::BG_E_BLOCKED_BY_BATTERY_POLICY)
    );
}

#[test]
fn of_several_closed_gates_one_is_told_and_all_have_to_open() {
    let mut w = World::new();
    w.set_limits(masks(UNCONSTRAINED));
    w.rules(Rules { saver_holds: true, ..Rules::default() });
    let job = w.job_at(Priority::Normal);
    w.machine(|m| (m.saver, m.cost) = (true, cost::ROAMING));
    assert_eq!(w.error(job), h::BG_E_BLOCKED_BY_COST_TRANSFER_POLICY);
    w.machine(|m| m.cost = cost::UNRESTRICTED);
    assert_eq!((w.state(job), w.error(job)), (TransientError, h::BG_E_BLOCKED_BY_BATTERY_SAVER));
    w.machine(|m| m.network = false);
    w.machine(|m| m.saver = false);
    assert_eq!((w.state(job), w.error(job)), (TransientError, h::BG_E_NETWORK_DISCONNECTED));
    w.machine(|m| m.network = true);
    assert_eq!(w.state(job), Connecting);
}

#[test]
fn what_comes_from_this_machine_needs_no_network_and_costs_nothing() {
    let mut w = World::new();
    w.set_limits(masks(UNCONSTRAINED));
    let (own, other) = (w.from("http://127.0.0.1:8080/x"), w.from("http://192.168.1.7/x"));
    w.machine(|m| (m.network, m.cost) = (false, cost::ROAMING));
    assert_eq!(w.states(&[own, other]), [Connecting, TransientError]);
    let late = w.from("http://[::1]/y");
    assert_eq!((w.state(late), w.reason(late)), (Queued, Reason::WaitsForTurn));
    w.transfer(own);
    assert_eq!(w.state(late), Connecting);
    // A file from elsewhere makes it need the network.
    let more = vec![crate::job::NewFile { remote: "http://h/".into(), local: "/d/more".into(), ..file(1) }];
    w.call(ALICE, late, Call::AddFiles(more)).expect("added");
    assert_eq!((w.state(late), w.error(late)), (TransientError, h::BG_E_NETWORK_DISCONNECTED));
}

/// spec/policy.md A5: the limits of the schedule do not hold for servers in the own subnet.
#[test]
fn a_level_that_is_held_may_spare_neighbours() {
    let mut w = World::new();
    let net = [("192.168.1.1".parse().expect("an address"), 24)];
    w.machine(|m| m.subnets = Subnets::new(net));
    let near = w.from("http://192.168.1.7/x");
    w.pass(1);
    let far = w.from("http://192.168.2.7/x");
    let all = PolicyBlocks::NONE.hold(Priority::Normal, None);
    w.q.set_policy_blocks(all.spare_near(Priority::Normal), None, w.now);
    w.drain();
    assert_eq!(w.states(&[near, far]), [Connecting, TransientError]);
    w.q.set_policy_blocks(all, None, w.now);
    w.drain();
    assert_eq!(w.states(&[near, far]), [TransientError, TransientError]);
    w.q.set_policy_blocks(PolicyBlocks::NONE, None, w.now);
    w.drain();
    assert_eq!(w.states(&[near, far]), [Connecting, Queued]);
}

#[test]
fn jobs_of_people_who_are_away_stay_queued_and_hold_nobody_up() {
    let mut w = World::new();
    let (alices, bobs) = (w.job_at(Priority::Normal), w.create(BOB, Plan::default()));
    w.connect(alices);
    w.checkpoint(alices, 0, 400);
    let only = |uids: &[u32]| Some(uids.iter().map(|uid| Uid(*uid)).collect::<BTreeSet<_>>());
    w.machine(|m| m.present = only(&[1001]));
    assert_eq!(w.states(&[alices, bobs]), [Queued, Connecting]);
    assert_eq!((w.reason(alices), w.job(alices).files[0].done.len()), (Reason::OwnerAbsent, 400));
    w.machine(|m| m.present = only(&[]));
    assert_eq!(w.states(&[alices, bobs]), [Queued, Queued]);
    w.pass(100);
    assert_eq!((w.q.running().count(), w.q.next_deadline().is_some()), (0, true));
    w.machine(|m| m.present = only(&[1000]));
    assert_eq!(w.states(&[alices, bobs]), [Connecting, Queued]);
    w.machine(|m| m.present = None);
    assert_eq!(w.reason(bobs), Reason::WaitsForTurn);
}

#[test]
fn conformance_33_a_helper_token_ends_with_its_owners_session() {
    let mut w = World::new();
    let (helped, plain) = (w.job_at(Priority::Foreground), w.job_at(Priority::Foreground));
    let flags = Property::Option(Setting::HelperTokenFlags(3));
    w.set(helped, flags).expect("settable");
    w.machine(|m| (m.network, m.present) = (false, Some([Uid(1000)].into())));
    assert_eq!(w.states(&[helped, plain]), [TransientError, TransientError]);
    w.machine(|m| m.present = Some([].into()));
    assert_eq!(w.states(&[helped, plain]), [JobState::Error, TransientError]);
    assert_eq!(w.error(helped), h::BG_E_TOKEN_REQUIRED);
    w.machine(|m| (m.network, m.present) = (true, Some([Uid(1000)].into())));
    assert_eq!(w.states(&[helped, plain]), [JobState::Error, Connecting]);
    // Without the flags it needs no token.
    w.set(helped, Property::Option(Setting::HelperTokenFlags(0))).expect("settable");
    assert_eq!(w.call(ALICE, helped, Call::Resume), Ok(h::S_OK));
    assert_eq!(w.state(helped), Connecting);
}
