use super::*;
use proptest::prelude::*;

/// Moves bytes for so long with readers that each keep one reservation; bytes moved by each.
fn run(bucket: &mut Bucket, readers: usize, begin_us: u64, end_us: u64) -> Vec<u64> {
    let mut moved = vec![0; readers];
    let slice = bucket.slice();
    let mut due: Vec<_> = (0..readers).map(|_| bucket.reserve(begin_us, slice)).collect();
    loop {
        let next = (0..readers).min_by_key(|at| due[*at]).expect("a reader");
        let now = due[next].max(begin_us);
        if now >= end_us {
            return moved;
        }
        moved[next] += slice;
        due[next] = bucket.reserve(now, slice);
    }
}

#[test]
fn a_limit_is_kept_within_a_hundredth_and_shared_evenly() {
    for rate in [250, 2_000, 125_000, 1_000_000, 10_000_000, 100_000_000, 10_000_000_000] {
        for readers in [1, 4, 9] {
            let mut bucket = Bucket::new(rate);
            let seconds = 400;
            let moved = run(&mut bucket, readers, 5_000_000, (5 + seconds) * 1_000_000);
            let total: u64 = moved.iter().sum();
            let expected = rate * seconds;
            let slack = expected / 100 + bucket.slice() * readers as u64;
            assert!(total.abs_diff(expected) <= slack, "{rate} {readers}: {total}");
            let (least, most) = (moved.iter().min(), moved.iter().max());
            assert!(most.expect("some") - least.expect("some") <= bucket.slice(), "{moved:?}");
        }
    }
}

#[test]
fn what_did_not_move_is_free_again() {
    let mut bucket = Bucket::new(1_000_000);
    assert_eq!(bucket.reserve(1_000_000, 50_000), 1_000_000);
    bucket.give_back(50_000);
    assert_eq!(bucket.reserve(1_000_000, 50_000), 1_000_000);
    assert_eq!(bucket.reserve(1_000_000, 50_000), 1_050_000);
    assert_eq!(bucket.reserve(1_000_000, 1), 1_100_000);
}

#[test]
fn a_pause_is_caught_up_by_a_tenth_of_a_second_at_most() {
    let mut bucket = Bucket::new(1_000_000);
    bucket.reserve(1_000_000, 1);
    let (mut at_once, now) = (0, 60_000_000);
    while bucket.reserve(now, 1_000) <= now {
        at_once += 1_000;
    }
    assert!((100_000..=101_000).contains(&at_once), "{at_once}");
}

#[test]
fn another_rate_counts_from_now_on() {
    let mut bucket = Bucket::new(250);
    bucket.reserve(1_000_000, 512);
    assert!(bucket.reserve(1_000_000, 512) > 3_000_000);
    bucket.set_rate(1_500_000, 1_000_000);
    assert!(bucket.reserve(1_500_000, 50_000) <= 1_500_000);
    assert_eq!(bucket.reserve(1_500_000, 50_000), 1_550_000);
    assert_eq!(Bucket::new(0).rate(), RATE_MIN);
}

proptest! {
    /// Whatever the clock does: never more than the limit over the time that really passed, and never a stop for ever.
    #[test]
    fn clocks_may_jump(
        rate in prop_oneof![1_u64..10_000, 10_000_u64..1_000_000_000, Just(u64::MAX / 2)],
        steps in proptest::collection::vec((any::<i64>(), 0_u64..2_000_000, 1_u64..600_000), 1..60),
    ) {
        let mut bucket = Bucket::new(rate);
        let mut now = 1_u64 << 40;
        for (jump, passes, bytes) in steps {
            if jump % 3 == 0 {
                now = now.saturating_add_signed(jump >> 16).min(1 << 60);
            }
            now = now.saturating_add(passes);
            let at = bucket.reserve(now, bytes);
            prop_assert!(at <= now.saturating_add(AHEAD_MAX_US), "not for ever");
            prop_assert!(at.saturating_add(BURST_US) >= now, "no more than the burst is caught up");
        }
    }

    #[test]
    fn a_steady_clock_never_lets_more_through(
        rate in 250_u64..2_000_000_000,
        steps in proptest::collection::vec((0_u64..500_000, 1_u64..300_000), 1..100),
    ) {
        let mut bucket = Bucket::new(rate);
        let (begin, mut now, mut moved) = (1_000_000_u64, 1_000_000_u64, 0_u64);
        for (passes, bytes) in steps {
            now += passes;
            now = now.max(bucket.reserve(now, bytes));
            // The bytes of this step move at `now`; those before have moved by then.
            let passed_us = now - begin + BURST_US;
            let allowed = u128::from(rate) * u128::from(passed_us + 1) / 1_000_000 + 1;
            prop_assert!(u128::from(moved) <= allowed, "{} > {}", moved, allowed);
            moved += bytes;
        }
    }

    #[test]
    fn shares_are_complete_and_fair(
        total in 1_u64..u64::MAX / 4,
        wants in proptest::collection::vec((prop_oneof![1_u64..1_000_000, Just(u64::MAX)], 0_u64..20), 0..12),
    ) {
        let wants: Vec<Want> = wants.into_iter().map(|(most, weight)| Want { most, weight }).collect();
        let parts = shares(total, &wants);
        let sum: u128 = parts.iter().map(|part| u128::from(*part)).sum();
        let active: Vec<_> = wants.iter().zip(&parts).filter(|(want, _)| want.weight > 0).collect();
        prop_assert!(sum <= u128::from(total) + active.len() as u128, "no more than there is");
        let wanted: u128 = active.iter().map(|(want, _)| u128::from(want.most)).sum();
        let weights: u128 = active.iter().map(|(want, _)| u128::from(want.weight)).sum();
        prop_assert!(sum + weights + active.len() as u128 >= u128::from(total).min(wanted), "nothing is left that somebody wants");
        for (want, part) in &active {
            prop_assert!(**part >= 1 && **part <= want.most.max(1));
            let fair = u128::from(total) * u128::from(want.weight) / weights;
            prop_assert!(u128::from(**part) + 1 >= fair.min(u128::from(want.most)), "at least his fair part");
        }
        for (want, part) in wants.iter().zip(&parts) {
            prop_assert!(want.weight > 0 || *part == 0);
        }
    }
}

#[test]
fn who_uses_little_leaves_the_rest_and_gets_it_back_when_he_needs_it() {
    let total = 1_000_000;
    let mut parts = vec![500_000, 500_000];
    // The first one's server gives 50 kB/s.
    let used = [50_000, 500_000];
    let wants = |parts: &[u64], used: [u64; 2]| -> Vec<Want> {
        parts
            .iter()
            .zip(used)
            .map(|(part, used)| Want { most: demand(*part, used, total), weight: 1 })
            .collect()
    };
    parts = shares(total, &wants(&parts, used));
    assert_eq!(parts, [112_500, 887_500]);
    // Now it gives whatever is taken.
    parts = shares(total, &wants(&parts, [112_500, 880_000]));
    assert_eq!(parts, [500_000, 500_000]);
}
