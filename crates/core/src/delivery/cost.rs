//! DODownloadCostPolicy, and what a job makes of it (spec/delivery-optimization-com.md 6).

use crate::hresult::{self as h, HResult};

/// `DODownloadCostPolicy`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum CostPolicy {
    /// On any network.
    Always = 0,
    /// On no metered network.
    Unrestricted = 1,
    /// Not near or over the data limit.
    Standard = 2,
    /// Not when roaming.
    NoRoaming = 3,
    /// Not over the data limit.
    NoSurcharge = 4,
    /// Not on a cellular network.
    NoCellular = 5,
}

/// Policy, its `BITS_JOB_TRANSFER_POLICY` mask (the job's `cost_flags`), and whether cellular networks are closed to the job.
const TABLE: [(CostPolicy, u32, bool); 6] = [
    (CostPolicy::Always, 0x8000_00FF, false),
    (CostPolicy::Unrestricted, 0x8000_0021, false),
    (CostPolicy::Standard, 0x8000_0067, false),
    (CostPolicy::NoRoaming, 0x8000_007F, false),
    (CostPolicy::NoSurcharge, 0x8000_006F, false),
    (CostPolicy::NoCellular, 0x8000_00FF, true),
];

impl CostPolicy {
    /// From the number of `deliveryoptimization.h`.
    ///
    /// # Errors
    /// `E_INVALIDARG` above 5.
    pub fn from_value(value: u32) -> Result<Self, HResult> {
        let found = TABLE.iter().find(|(policy, ..)| *policy as u32 == value);
        found.map(|(policy, ..)| *policy).ok_or(h::E_INVALIDARG)
    }

    /// The number of `deliveryoptimization.h`.
    pub const fn value(self) -> u32 {
        self as u32
    }

    /// The job's `cost_flags` and `disallow_cellular`.
    pub const fn to_job(self) -> (u32, bool) {
        let (_, mask, no_cellular) = TABLE[self as usize];
        (mask, no_cellular)
    }

    /// The policy that a job's mask comes from. `disallow_cellular` makes a difference to ALWAYS alone: beside another mask it is the
    /// property of its own (DisallowOnCellular). `None`: a mask that no policy has.
    pub fn of_job(cost_flags: u32, disallow_cellular: bool) -> Option<Self> {
        if disallow_cellular && cost_flags == TABLE[0].1 {
            return Some(Self::NoCellular);
        }
        TABLE.iter().find(|(_, mask, _)| *mask == cost_flags).map(|(policy, ..)| *policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::cost;

    /// `BITS_JOB_TRANSFER_POLICY` of spec/delivery-optimization-com.md 6, by name.
    #[test]
    fn every_policy_and_back() {
        for (value, name, cellular) in [
            (0, "always", true),
            (1, "unconstrained", true),
            (2, "unless-near-limit", true),
            (3, "unless-roaming", true),
            (4, "unless-surcharge", true),
            (5, "always", false),
        ] {
            let policy = CostPolicy::from_value(value).unwrap();
            assert_eq!(policy.value(), value);
            let (mask, disallow) = policy.to_job();
            assert_eq!((cost::name(mask), disallow), (Some(name), !cellular), "{policy:?}");
            assert_eq!(CostPolicy::of_job(mask, disallow), Some(policy));
        }
        for value in [6, 7, u32::MAX] {
            assert_eq!(CostPolicy::from_value(value), Err(h::E_INVALIDARG));
        }
    }

    #[test]
    fn a_job_that_others_set_up() {
        assert_eq!(CostPolicy::of_job(0x8000_0067, true), Some(CostPolicy::Standard));
        assert_eq!(CostPolicy::of_job(0x8000_00FF, true), Some(CostPolicy::NoCellular));
        for mask in [0, 1, 0xFF, 0x8000_0001] {
            assert_eq!(CostPolicy::of_job(mask, false), None, "{mask:#x}");
        }
    }
}
