//! Masks of network costs (spec/behaviour.md 21, spec/policy.md A6).

use crate::enums::Priority;

/// Bit of a network without known cost.
pub const UNRESTRICTED: u32 = 0x01;
/// Bit of a network that is paid by use.
pub const USAGE_BASED: u32 = 0x40;
/// Bit of roaming.
pub const ROAMING: u32 = 0x80;
/// Option: the job may run although the network reports congestion.
pub const IGNORE_CONGESTION: u32 = 0x8000_0000;
/// Every state, and the option to ignore congestion.
pub const ALWAYS: u32 = 0x8000_00FF;
/// Bits that a mask may have: the states, the reserved bit, and the option to ignore congestion.
pub const DEFINED: u32 = 0xC000_00FF;

/// The named sets: word of the policy file, mask.
pub const NAMED: [(&str, u32); 5] = [
    ("always", ALWAYS),
    ("unless-roaming", 0x8000_007F),
    ("unless-surcharge", 0x8000_006F),
    ("unless-near-limit", 0x8000_0067),
    ("unconstrained", 0x8000_0021),
];

/// States of a connection, for `cost.override`: word and bit.
pub const STATES: [(&str, u32); 8] = [
    ("unrestricted", UNRESTRICTED),
    ("capped", 0x02),
    ("below-cap", 0x04),
    ("near-cap", 0x08),
    ("over-cap-charged", 0x10),
    ("over-cap-throttled", 0x20),
    ("usage-based", USAGE_BASED),
    ("roaming", ROAMING),
];

/// Word for a mask, if it has one.
pub fn name(mask: u32) -> Option<&'static str> {
    NAMED.iter().find(|(_, m)| *m == mask).map(|(name, _)| *name)
}

/// Masks for jobs that have none of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Masks([u32; 4]);

impl Masks {
    /// What holds when nobody says anything (spec/behaviour.md 21, Linux).
    pub const DEFAULT: Self = Self([ALWAYS, 0x8000_006F, 0x8000_006F, 0x8000_0021]);

    /// One for each priority, in numeric order.
    pub const fn new(masks: [u32; 4]) -> Self {
        Self(masks)
    }

    /// The mask that holds for a job: its own, if it was set, else that of its priority (spec/policy.md B).
    pub const fn of(&self, own: Option<u32>, priority: Priority) -> u32 {
        match own {
            Some(mask) => mask,
            None => self.0[priority as usize],
        }
    }
}

/// True if a job with this mask may run on a network in this state (the bits of [`STATES`] that are true of it).
///
/// Every bit has to be allowed: with "any bit" a roaming network without a cap (0x81) would pass a mask that leaves out roaming
/// (spec/bits-extended.md 6.4). A network without any bit counts as [`UNRESTRICTED`].
pub const fn allows(mask: u32, state: u32) -> bool {
    let state = if state & 0xFF == 0 { UNRESTRICTED } else { state & 0xFF };
    state & !mask == 0
}

/// The whole decision: the mask against the state, and congestion unless the mask ignores it (spec/bits-extended.md 6.4).
///
/// A job that may not run waits in TRANSIENT_ERROR with `BG_E_BLOCKED_BY_COST_TRANSFER_POLICY`.
pub const fn may_run(mask: u32, state: u32, congested: bool) -> bool {
    allows(mask, state) && (!congested || mask & IGNORE_CONGESTION != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of spec/bits-extended.md 6.4; columns in the order of [`NAMED`].
    #[test]
    fn masks_against_states() {
        let rows = [
            (0x00, [true, true, true, true, true]),
            (0x01, [true, true, true, true, true]),
            (0x02, [true, true, true, true, false]),
            (0x04, [true, true, true, true, false]),
            (0x08, [true, true, true, false, false]),
            (0x10, [true, true, false, false, false]),
            (0x20, [true, true, true, true, true]),
            (0x40, [true, true, true, true, false]),
            (0x80, [true, false, false, false, false]),
            (0x81, [true, false, false, false, false]),
            (0x82, [true, false, false, false, false]),
        ];
        for (state, expected) in rows {
            for ((name, mask), runs) in NAMED.into_iter().zip(expected) {
                assert_eq!(may_run(mask, state, false), runs, "{name} {state:#x}");
                assert_eq!(may_run(mask, state, true), runs, "named sets ignore congestion: {name}");
                assert!(!may_run(mask & !IGNORE_CONGESTION, state, true));
            }
            assert!(!may_run(IGNORE_CONGESTION, state, false), "no state allowed: never runs");
        }
    }
}
