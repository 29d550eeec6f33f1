//! Range sets from JSON: what is read keeps its rules through every operation.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openbits_core::RangeSet;

fn check(set: &RangeSet) {
    let ranges: Vec<_> = set.iter().collect();
    assert!(ranges.iter().all(|range| range.start < range.end));
    assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start), "touching: {set:?}");
    assert_eq!(set.len(), ranges.iter().map(|range| range.end - range.start).sum::<u64>());
    let missing: u64 = set.gaps(0..u64::MAX).map(|gap| gap.end - gap.start).sum();
    assert_eq!(u128::from(set.len()) + u128::from(missing), u128::from(u64::MAX));
}

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |b| *b == b'\n');
    let Some(Ok(set)) = parts.next().map(serde_json::from_slice::<RangeSet>) else { return };
    check(&set);
    let text = serde_json::to_vec(&set).expect("a list of numbers");
    assert_eq!(serde_json::from_slice::<RangeSet>(&text).expect("our own text"), set);
    assert_eq!(set.iter().collect::<RangeSet>(), set);
    let Some(Ok(other)) = parts.next().map(serde_json::from_slice::<RangeSet>) else { return };
    let mut both = set.clone();
    both.insert_all(&other);
    check(&both);
    assert!(set.iter().chain(other.iter()).all(|range| both.contains(range)));
    let mut rest = both.clone();
    for range in other.iter() {
        rest.remove(range.clone());
        check(&rest);
        assert_eq!(rest.first_gap(range.clone()), Some(range));
    }
    rest.insert_all(&other);
    assert_eq!(rest, both);
});
