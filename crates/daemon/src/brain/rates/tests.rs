use super::*;

fn workers(all: &[(u32, [u64; 4])]) -> BTreeMap<Uid, PerClass<u64>> {
    all.iter().map(|(uid, [a, b, c, d])| (Uid(*uid), [*a, *b, *c, *d, 0, 0])).collect()
}

fn limit(rate: Rate) -> Limit {
    Limit { rate, rule: None, until: None }
}

fn tell(sharing: &mut Sharing, owner: Uid, parts: PerClass<Option<u64>>) {
    let [a, b, c, d, front, back] = parts;
    let rates = Rates { levels: [a, b, c, d], delivery: [front, back], ..Rates::default() };
    sharing.sent.insert(owner, (1, rates));
}

fn sharing(background: Rate) -> Sharing {
    let mut sharing = Sharing::default();
    for priority in [Priority::High, Priority::Normal, Priority::Low] {
        sharing.set(priority, &limit(background), &limit(Rate::Unlimited), Rate::Unlimited);
    }
    sharing
}

#[test]
fn one_limit_for_all_that_runs() {
    let mut sharing = sharing(Rate::Limit(8_000_000));
    assert_eq!(sharing.near_free, [false, true, true, true]);
    let alone = sharing.divide(&workers(&[(1, [1, 0, 1, 0])]));
    assert_eq!(alone[&Uid(1)][..4], [None, Some(1_000_000), Some(1_000_000), Some(1_000_000)]);
    let two = workers(&[(1, [0, 0, 1, 0]), (2, [0, 0, 3, 0])]);
    let parts = sharing.divide(&two);
    assert_eq!((parts[&Uid(1)][2], parts[&Uid(2)][2]), (Some(250_000), Some(750_000)), "by jobs");
    // Levels of one worker share, too.
    let levels = sharing.divide(&workers(&[(1, [0, 1, 0, 1])]))[&Uid(1)];
    assert_eq!((levels[1], levels[3]), (Some(500_000), Some(500_000)));
    // No level gets more than its own limit, and the others get the rest.
    sharing.set(Priority::Low, &limit(Rate::Limit(800_000)), &limit(Rate::Unlimited), Rate::Unlimited);
    let levels = sharing.divide(&workers(&[(1, [0, 1, 0, 1])]))[&Uid(1)];
    assert_eq!((levels[1], levels[3]), (Some(900_000), Some(100_000)));
}

#[test]
fn what_one_does_not_use_goes_to_the_others() {
    let mut sharing = sharing(Rate::Limit(8_000_000));
    let two = workers(&[(1, [0, 0, 1, 0]), (2, [0, 0, 1, 0])]);
    let parts = sharing.divide(&two);
    for (owner, levels) in parts {
        tell(&mut sharing, owner, levels);
    }
    sharing.moved(Uid(1), [0, 0, 20_000, 0], [0; 2], 500);
    sharing.moved(Uid(2), [0, 0, 250_000, 0], [0; 2], 500);
    let parts = sharing.divide(&two);
    assert_eq!((parts[&Uid(1)][2], parts[&Uid(2)][2]), (Some(100_000), Some(900_000)));
    // Another limit: everybody begins anew, also if his last report comes late.
    sharing.set(Priority::Normal, &limit(Rate::Limit(80_000_000)), &limit(Rate::Unlimited), Rate::Unlimited);
    let fair = Some(5_000_000);
    assert_eq!(sharing.divide(&two).values().map(|levels| levels[2]).collect::<Vec<_>>(), [fair, fair]);
    sharing.moved(Uid(1), [0, 0, 50_000, 0], [0; 2], 500);
    assert_eq!(sharing.divide(&two)[&Uid(1)][2], fair);
    sharing.set(Priority::Normal, &limit(Rate::Limit(8_000_000)), &limit(Rate::Unlimited), Rate::Unlimited);
    sharing.moved(Uid(1), [0, 0, 1 << 48, 0], [0; 2], 0);
    assert_eq!(
        sharing.divide(&two)[&Uid(1)][2],
        Some(500_000),
        "a report of nonsense takes no more than a fair part"
    );
}

#[test]
fn delivery_optimization_has_limits_of_its_own_beside() {
    let mut sharing = Sharing::default();
    let none = limit(Rate::Unlimited);
    for &priority in Priority::ALL {
        let delivery = if priority == Priority::Foreground { 8_000_000 } else { 1_600_000 };
        sharing.set(priority, &none, &none, Rate::Limit(delivery));
    }
    // Two background jobs of the first, one of the second, and a third who has nothing to do with it.
    let of = |levels: [u64; 4], delivery: [u64; 2]| {
        let [a, b, c, d] = levels;
        [a, b, c, d, delivery[0], delivery[1]]
    };
    let all = BTreeMap::from([
        (Uid(1), of([0, 1, 1, 0], [0, 2])),
        (Uid(2), of([1, 0, 1, 0], [1, 1])),
        (Uid(3), of([0, 0, 1, 0], [0, 0])),
    ]);
    let parts = sharing.divide(&all);
    let delivery =
        |parts: &BTreeMap<Uid, PerClass<Option<u64>>>, uid| (parts[&Uid(uid)][4], parts[&Uid(uid)][5]);
    assert_eq!(delivery(&parts, 1).1, Some(133_333));
    assert_eq!(delivery(&parts, 2), (Some(1_000_000), Some(66_666)));
    assert!(sharing.is_shared(&all) && parts[&Uid(3)][..4] == [None; 4]);
    // Alone, nobody reports: also with a limit of either kind.
    sharing.set(Priority::Normal, &limit(Rate::Limit(800_000)), &none, Rate::Limit(1_600_000));
    let alone = BTreeMap::from([(Uid(1), of([0, 0, 1, 0], [0, 1]))]);
    assert!(!sharing.is_shared(&alone));
    assert_eq!(
        sharing.divide(&alone)[&Uid(1)],
        [None, None, Some(100_000), None, Some(1_000_000), Some(200_000)]
    );
    // What one does not use goes to the other.
    let two = BTreeMap::from([(Uid(1), of([0, 1, 0, 0], [0, 1])), (Uid(2), of([0, 1, 0, 0], [0, 1]))]);
    for (owner, parts) in sharing.divide(&two) {
        tell(&mut sharing, owner, parts);
    }
    sharing.moved(Uid(1), [0; 4], [0, 1_000], 500);
    sharing.moved(Uid(2), [0; 4], [0, 50_000], 500);
    let parts = sharing.divide(&two);
    assert_eq!((delivery(&parts, 1).1, delivery(&parts, 2).1), (Some(12_500), Some(187_500)));
}
