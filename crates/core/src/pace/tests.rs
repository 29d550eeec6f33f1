//! The controller on simulated paths: alone, beside others, on bad paths, and over many random ones.

use super::link::{Link, World};
use super::{Config, Controller, Mode, Sample};
use crate::enums::Priority;

const NORMAL: Config = Config::for_priority(Priority::Normal);

/// Number of random paths; the long runs set more.
fn seeds() -> u64 {
    std::env::var("OPENBITS_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}

#[test]
fn alone_it_uses_the_link_and_holds_a_short_queue() {
    for (mbit, rtt) in [(10.0, 30.0), (50.0, 30.0), (50.0, 10.0), (50.0, 80.0), (100.0, 30.0)] {
        let mut w = World::new(Link::new(mbit, rtt));
        let flow = w.scavenger(NORMAL, 0.0);
        w.run(3.0);
        let used = w.run(7.0)[flow];
        let (median, high) = w.queue_ms(7.0);
        assert!(used > 0.95, "{mbit} Mbit/s, {rtt} ms: uses {used:.3}; {:?}", w.view(flow));
        assert!(median <= 8.0 && high <= 15.0, "{mbit} Mbit/s, {rtt} ms: queue {median:.1} / {high:.1} ms");
    }
}

#[test]
fn it_leaves_for_another_flow_and_comes_back() {
    for mbit in [10.0, 50.0, 100.0] {
        let mut alone = World::new(Link::new(mbit, 30.0));
        let other = alone.ordinary(0.0, 20.0);
        let solo = alone.run(20.0)[other];

        let mut w = World::new(Link::new(mbit, 30.0));
        let flow = w.scavenger(NORMAL, 0.0);
        let other = w.ordinary(10.0, 30.0);
        w.run(10.0);
        let first = w.run(1.0);
        let shares = w.run(19.0);
        let kept = (first[other] + 19.0 * shares[other]) / (20.0 * solo);
        assert!(kept > 0.95, "{mbit} Mbit/s: the other flow keeps {kept:.3} of {solo:.3}");
        assert!(shares[flow] < 0.03, "{mbit} Mbit/s: takes {:.3} beside it", shares[flow]);
        w.run(2.5);
        let back = w.run(1.0)[flow];
        assert!(
            back > 0.9,
            "{mbit} Mbit/s: {back:.3} of the link 2.5 s after it is free; {:?}",
            w.view(flow)
        );
    }
}

#[test]
fn a_late_start_into_a_full_link_takes_little() {
    let mut w = World::new(Link::new(50.0, 30.0));
    let other = w.ordinary(0.0, 60.0);
    let flow = w.scavenger(NORMAL, 10.0);
    w.run(10.0);
    let shares = w.run(20.0);
    assert!(shares[other] > 0.9 && shares[flow] < 0.08, "{shares:?}");
}

#[test]
fn two_of_our_kind_take_turns() {
    let mut w = World::new(Link::new(20.0, 30.0));
    let a = w.scavenger(NORMAL, 0.0);
    let b = w.scavenger(NORMAL, 7.0);
    w.run(10.0);
    let shares = w.run(240.0);
    let (low, high) = (shares[a].min(shares[b]), shares[a].max(shares[b]));
    assert!(low + high > 0.85, "together they use {:.3}", low + high);
    assert!(high / low < 2.0, "{shares:?}");
}

#[test]
fn a_longer_route_is_learnt() {
    let mut w = World::new(Link::new(50.0, 30.0));
    let flow = w.scavenger(NORMAL, 0.0);
    w.run(10.0);
    w.reroute(50.0);
    w.run(20.0);
    let used = w.run(5.0)[flow];
    assert!(used > 0.9, "{used:.3}; {:?}", w.view(flow));
}

#[test]
fn a_shorter_route_is_learnt_at_once() {
    let mut w = World::new(Link::new(50.0, 50.0));
    let flow = w.scavenger(NORMAL, 0.0);
    w.run(10.0);
    w.reroute(30.0);
    w.run(3.0);
    let used = w.run(5.0)[flow];
    assert!(used > 0.9, "{used:.3}; {:?}", w.view(flow));
}

#[test]
fn a_path_that_jitters_is_used_left_and_taken_back() {
    for (mbit, jitter_ms) in [(50.0, 2.0), (50.0, 5.0), (50.0, 8.0), (10.0, 5.0)] {
        let mut w = World::new(Link { jitter_ms, ..Link::new(mbit, 30.0) });
        let flow = w.scavenger(NORMAL, 0.0);
        w.run(3.0);
        let used = w.run(7.0)[flow];
        assert!(used > 0.9, "{mbit} Mbit/s, {jitter_ms} ms: {used:.3}; {:?}", w.view(flow));
        let other = w.ordinary(0.0, 20.0);
        w.run(1.0);
        let shares = w.run(19.0);
        assert!(shares[other] > 0.9 && shares[flow] < 0.05, "{mbit} Mbit/s, {jitter_ms} ms: {shares:?}");
        w.run(3.0);
        let back = w.run(1.0)[flow];
        assert!(back > 0.85, "{mbit} Mbit/s, {jitter_ms} ms: back to {back:.3}; {:?}", w.view(flow));
    }
}

/// What a flow that comes in bursts gets alone, what it gets beside us, and what we get.
fn beside_bursts(link: Link, burst: f64, pause_ms: f64) -> (f64, f64, f64) {
    let mut alone = World::new(link);
    let solo = alone.bursty(0.0, 160.0, burst, pause_ms);
    alone.run(4.0);
    let undisturbed = alone.run(60.0)[solo];
    let mut w = World::new(link);
    let flow = w.scavenger(NORMAL, 0.0);
    let other = w.bursty(6.0, 160.0, burst, pause_ms);
    w.run(10.0);
    let shares = w.run(60.0);
    (undisturbed, shares[other], shares[flow])
}

#[test]
fn the_leftover_of_a_flow_that_comes_in_bursts_is_used_without_being_felt() {
    // Mbit/s, bytes of a burst, milliseconds between two, what it keeps, part of the leftover that is used.
    for (mbit, burst, pause_ms, keeps, used) in [
        // Short gaps: a small window in them. Before, a twentieth of the leftover was used.
        (50.0, 1e6, 200.0, 0.99, 0.4),
        (50.0, 1e6, 400.0, 0.99, 0.25),
        (50.0, 4e6, 800.0, 0.98, 0.1),
        // A film, by the piece: the link is filled between two pieces.
        (20.0, 2.5e6, 4000.0, 0.93, 0.8),
        (20.0, 2.5e6, 2000.0, 0.94, 0.65),
    ] {
        let (alone, beside, own) = beside_bursts(Link::new(mbit, 30.0), burst, pause_ms);
        assert!(beside > keeps * alone, "{burst} every {pause_ms} ms gets {beside:.3} of {alone:.3}");
        let leftover = 1.0 - beside;
        assert!(own > used * leftover, "{burst} every {pause_ms} ms: {own:.3} of {leftover:.3}");
    }
}

#[test]
fn a_flow_that_never_pauses_is_not_taken_for_bursts() {
    // Its queue is short or empty after each loss, the shorter the buffer is.
    for (mbit, buffer_ms, keeps) in
        [(50.0, 60.0, 0.98), (50.0, 20.0, 0.95), (50.0, 10.0, 0.9), (10.0, 20.0, 0.8)]
    {
        let link = Link { buffer_ms, ..Link::new(mbit, 30.0) };
        let (alone, beside, own) = beside_bursts(link, 1e12, 0.0);
        assert!(
            beside > keeps * alone,
            "{mbit} Mbit/s, {buffer_ms} ms: {beside:.3} of {alone:.3}, ours {own:.3}"
        );
    }
}

#[test]
fn it_is_never_slower_because_the_server_was_slow() {
    for (mbit, slow) in [(50.0, 0.05), (50.0, 0.5), (10.0, 0.1)] {
        let mut w = World::new(Link::new(mbit, 30.0));
        let flow = w.scavenger(NORMAL, 0.0);
        w.run(5.0);
        w.serve(flow, Some(slow * mbit));
        for _ in 0..20 {
            w.run(0.5);
            assert_ne!(w.mode(flow), Mode::Yield, "{mbit}: a slow server is not somebody else");
        }
        w.serve(flow, None);
        w.run(1.5);
        let used = w.run(2.0)[flow];
        assert!(used > 0.9, "{mbit} Mbit/s after {slow}: {used:.3}; {:?}", w.view(flow));
    }
    // From the beginning: what the server gave is not what the path has.
    let mut w = World::new(Link::new(50.0, 30.0));
    let flow = w.scavenger(NORMAL, 0.0);
    w.serve(flow, Some(3.0));
    w.run(20.0);
    w.serve(flow, None);
    w.run(5.0);
    let used = w.run(2.0)[flow];
    assert!(used > 0.9, "{used:.3}; {:?}", w.view(flow));
}

#[test]
fn stalls_of_the_own_machine_are_not_taken_for_traffic() {
    let mut w = World::new(Link { stalls: 200, ..Link::new(50.0, 30.0) });
    let flow = w.scavenger(NORMAL, 0.0);
    w.run(5.0);
    let used = w.run(30.0)[flow];
    assert!(used > 0.85, "{used:.3}; {:?}", w.view(flow));
}

#[test]
fn priorities_differ_in_how_soon_they_come_back() {
    let back = |priority| {
        let mut w = World::new(Link::new(50.0, 30.0));
        let flow = w.scavenger(Config::for_priority(priority), 0.0);
        w.ordinary(6.0, 8.0);
        w.run(8.0);
        let mut waited = 0.0;
        while w.run(0.1)[flow] < 0.8 && waited < 10.0 {
            waited += 0.1;
        }
        waited
    };
    let (high, normal, low) = (back(Priority::High), back(Priority::Normal), back(Priority::Low));
    assert!(high <= normal && normal < low && low < 9.0, "{high:.1} {normal:.1} {low:.1}");
}

#[test]
fn without_a_signal_the_window_follows_what_is_delivered() {
    let mut controller = Controller::new(NORMAL);
    let (mut now, mut delivered, mut window) = (0, 0_u64, 14_480);
    for _ in 0..1000 {
        now += super::TICK_US;
        // 5 Mbit/s arrive, whatever the window.
        delivered += 6_250;
        window = controller.tick(&Sample {
            now_us: now,
            delivered,
            rtt_us: None,
            connections: 1,
            others: None,
            held: false,
        });
    }
    // 1.7 times a round trip of the delay that is assumed, and some segments.
    assert!((2_896..80_000).contains(&window), "{window}");
}

#[test]
fn traffic_of_the_own_machine_ends_the_turn_at_once() {
    let mut w = World::new(Link::new(50.0, 30.0));
    let flow = w.scavenger(NORMAL, 0.0);
    w.run(5.0);
    assert_eq!(w.mode(flow), Mode::Fill);
    let mut controller = Controller::new(NORMAL);
    let (mut now, mut delivered) = (0, 0_u64);
    let mut step = |others| {
        now += super::TICK_US;
        delivered += 62_500;
        controller.tick(&Sample {
            now_us: now,
            delivered,
            rtt_us: Some(30_000),
            connections: 1,
            others,
            held: false,
        });
        controller.view().mode
    };
    while step(None) != Mode::Fill {}
    for _ in 0..100 {
        step(None);
    }
    let mut ticks = 0;
    while step(Some(4e6)) != Mode::Yield {
        ticks += 1;
        assert!(ticks < 20, "a fifth of a second");
    }
}

#[test]
fn random_paths_never_stop_it_nor_let_it_be_felt() {
    let mut worst = (1.0_f64, 0.0_f64);
    for seed in 1..=seeds() {
        let pick = |shift: u32, low: f64, high: f64| {
            let mixed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(shift) >> 40;
            low + (high - low) * (mixed as f64 / (1_u64 << 24) as f64)
        };
        let link = Link {
            buffer_ms: pick(7, 60.0, 400.0),
            seed,
            ..Link::new(pick(0, 4.0, 60.0), pick(13, 8.0, 120.0))
        };
        let mut w = World::new(link);
        let flow = w.scavenger(NORMAL, 0.0);
        let other = w.ordinary(8.0, 16.0);
        w.run(4.0);
        let used = w.run(4.0)[flow];
        w.run(1.5);
        let shares = w.run(6.5);
        w.run(4.0);
        let back = w.run(2.0)[flow];
        worst = (worst.0.min(used).min(back), worst.1.max(shares[flow]));
        assert!(used > 0.8, "{link:?}: uses {used:.3}; {:?}", w.view(flow));
        assert!(shares[flow] < 0.25 && shares[other] > 0.5, "{link:?}: {shares:?}");
        assert!(back > 0.7, "{link:?}: back to {back:.3}; {:?}", w.view(flow));
    }
    eprintln!("worst: uses {:.3}, takes {:.3} beside another", worst.0, worst.1);
}

mod properties {
    use super::super::{Controller, MSS, Sample};
    use super::NORMAL;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is measured, the window is finite, and never below two segments for each connection.
        #[test]
        fn any_measurement_gives_a_usable_window(
            steps in prop::collection::vec((0_u64..200_000, 0_u64..50_000_000, prop::option::of(any::<u32>()), 1_u32..64, any::<bool>()), 1..300)
        ) {
            let mut controller = Controller::new(NORMAL);
            let (mut now, mut delivered) = (0_u64, 0_u64);
            for (wait, bytes, rtt_us, connections, held) in steps {
                now += wait;
                delivered += bytes;
                let window = controller.tick(&Sample { now_us: now, delivered, rtt_us, connections, others: None, held });
                prop_assert!(window >= (2.0 * MSS * f64::from(connections)) as u64 && window <= 1_000_000_000_000_000);
                let view = controller.view();
                prop_assert!(view.since_us <= now);
            }
        }
    }
}
