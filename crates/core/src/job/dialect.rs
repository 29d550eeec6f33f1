//! Whose rules a job follows: three generations of callers share one queue.
//!
//! A dialect is chosen at creation and never changes. What all have in common (owner, state machine, limits, politeness, "why") does not
//! ask for it; only what the older or younger interface does differently does.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Whose rules a job follows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// BITS 1.0 and later (spec/bits-core.md).
    #[default]
    Bits,
    /// A job of a group of `qmgr.h` (spec/qmgr-legacy.md).
    Group,
    /// Delivery Optimization (spec/delivery-optimization-com.md, spec/delivery-optimization-linux-agent.md).
    DeliveryOptimization,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 3] = [Self::Bits, Self::Group, Self::DeliveryOptimization];

    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bits => "bits",
            Self::Group => "group",
            Self::DeliveryOptimization => "delivery_optimization",
        }
    }

    /// The ordinary one: not stored, not shown.
    pub const fn is_bits(&self) -> bool {
        matches!(self, Self::Bits)
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Extras;

    #[test]
    fn the_word_of_the_api_is_what_is_stored() {
        for dialect in Dialect::ALL {
            assert_eq!(serde_json::to_value(dialect).unwrap(), dialect.as_str());
        }
    }

    /// Rows of earlier versions have none: they are ordinary jobs, and ordinary jobs are stored as before.
    #[test]
    fn an_ordinary_job_is_stored_as_before() {
        let old: Extras = serde_json::from_str("{}").unwrap();
        assert_eq!(old.dialect, Dialect::Bits);
        assert!(!serde_json::to_string(&old).unwrap().contains("dialect"));
        let group = Extras { dialect: Dialect::Group, ..Extras::NONE };
        let text = serde_json::to_string(&group).unwrap();
        assert_eq!(serde_json::from_str::<Extras>(&text).unwrap(), group);
    }
}
