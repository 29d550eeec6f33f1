use super::*;
use proptest::prelude::*;

/// The plain model: one flag for each byte.
fn model(operations: &[(bool, u64, u64)]) -> (RangeSet, Vec<bool>) {
    let mut set = RangeSet::new();
    let mut bytes = vec![false; 64];
    for &(add, start, len) in operations {
        let range = start..(start + len).min(64);
        if add {
            set.insert(range.clone());
        } else {
            set.remove(range.clone());
        }
        for byte in range {
            bytes[usize::try_from(byte).unwrap()] = add;
        }
    }
    (set, bytes)
}

proptest! {
    #[test]
    fn behaves_as_a_set_of_bytes(operations in prop::collection::vec((any::<bool>(), 0u64..64, 0u64..20), 0..40)) {
        let (set, bytes) = model(&operations);
        prop_assert_eq!(set.len(), bytes.iter().filter(|b| **b).count() as u64);
        for start in 0..64u64 {
            for end in start..64 {
                let all = (start..end).all(|b| bytes[usize::try_from(b).unwrap()]);
                prop_assert_eq!(set.contains(start..end), all);
            }
        }
        let gaps: RangeSet = set.gaps(3..61).collect();
        for byte in 0..64u64 {
            let missing = (3..61).contains(&byte) && !bytes[usize::try_from(byte).unwrap()];
            prop_assert_eq!(gaps.contains(byte..byte + 1), missing);
        }
        prop_assert_eq!(set.first_gap(0..64), set.gaps(0..64).next());
        let parts: RangeSet = set.parts(3..61).collect();
        for byte in 0..64u64 {
            let there = (3..61).contains(&byte) && bytes[usize::try_from(byte).unwrap()];
            prop_assert_eq!(parts.contains(byte..byte + 1), there);
        }
        prop_assert_eq!(set.parts(3..61).count(), parts.count());
        prop_assert!(set.covers(&parts) && parts.covers(&set) == (parts == set));
    }

    #[test]
    fn stays_sorted_separate_and_survives_json(operations in prop::collection::vec((any::<bool>(), 0u64..64, 0u64..20), 0..40)) {
        let (set, _) = model(&operations);
        let flat: Vec<u64> = set.clone().into();
        prop_assert!(flat.windows(2).all(|w| w[0] < w[1]));
        let text = serde_json::to_string(&set).unwrap();
        prop_assert_eq!(serde_json::from_str::<RangeSet>(&text).unwrap(), set);
    }

    #[test]
    fn arbitrary_json_never_makes_a_broken_set(flat in prop::collection::vec(0u64..30, 0..8)) {
        if let Ok(set) = RangeSet::try_from(flat.clone()) {
            prop_assert_eq!(Vec::from(set), flat);
        }
    }
}

#[test]
fn extremes_do_not_overflow() {
    let mut set = RangeSet::prefix(u64::MAX);
    assert_eq!(set.len(), u64::MAX);
    set.remove(1..u64::MAX - 1);
    assert_eq!(set.count(), 2);
    assert_eq!(set.first_gap(0..u64::MAX), Some(1..u64::MAX - 1));
    assert!(RangeSet::new().first_gap(5..5).is_none());
}
