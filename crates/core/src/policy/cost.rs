//! Masks of network costs (spec/behaviour.md 21, spec/policy.md A6).

use crate::enums::Priority;

/// Bit of a network without known cost.
pub const UNRESTRICTED: u32 = 0x01;
/// Bit of a network that is paid by use.
pub const USAGE_BASED: u32 = 0x40;
/// Bit of roaming.
pub const ROAMING: u32 = 0x80;
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

/// True if a job with this mask may run on a network in this state (one bit).
pub const fn allows(mask: u32, state: u32) -> bool {
    mask & state & 0xFF != 0
}
