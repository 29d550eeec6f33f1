//! Gates: conditions of the machine that hold jobs until they end, not until a timer fires (spec/behaviour.md 5, 21, 22).
//!
//! What is not known about the machine holds nobody.

use crate::enums::Priority;
use crate::hresult::{self as h, HResult};
use crate::id::Uid;
use crate::policy::cost;
use crate::subnet::Subnets;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Accounts below this uid are the system's: they are always present (spec/behaviour.md 5.1).
pub const FIRST_PERSON: u32 = 1000;

/// One gate. Where several are closed, a job waits before the first of this list.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// There is no network.
    Network,
    /// The bandwidth policy allows the job's level nothing.
    Policy,
    /// The network costs what the job does not want to pay.
    Cost,
    /// The network is a cellular one, and the job stays away from those.
    Cellular,
    /// The machine runs on battery.
    Battery,
    /// The power saver is on.
    Saver,
    /// A game runs.
    Game,
}

impl Gate {
    /// All of them, in the order in which they are looked at.
    pub const ALL: [Self; 7] =
        [Self::Network, Self::Policy, Self::Cost, Self::Cellular, Self::Battery, Self::Saver, Self::Game];

    /// Code of a job that waits before it.
    pub const fn code(self) -> HResult {
        match self {
            Self::Network => h::BG_E_NETWORK_DISCONNECTED,
            Self::Policy => h::BG_E_BLOCKED_BY_POLICY,
            // To callers of BITS it is one more network that the job may not use.
            Self::Cost | Self::Cellular => h::BG_E_BLOCKED_BY_COST_TRANSFER_POLICY,
            Self::Battery => h::BG_E_BLOCKED_BY_BATTERY_POLICY,
            Self::Saver => h::BG_E_BLOCKED_BY_BATTERY_SAVER,
            Self::Game => h::BG_E_BLOCKED_BY_GAME_MODE,
        }
    }
}

/// What is known about the machine now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Machine {
    /// A network is there.
    pub network: bool,
    /// State of the network's cost: bits of [`cost`].
    pub cost: u32,
    /// The way out is a cellular network.
    pub cellular: bool,
    /// The way out goes through a VPN.
    pub vpn: bool,
    /// It runs on battery.
    pub on_battery: bool,
    /// The power saver is on.
    pub saver: bool,
    /// A game runs.
    pub game: bool,
    /// Addresses that are reached without a router.
    pub subnets: Subnets,
    /// People who are present, if that matters; system accounts always are.
    pub present: Option<BTreeSet<Uid>>,
}

impl Default for Machine {
    /// Nothing is known: every gate is open.
    fn default() -> Self {
        Self {
            network: true,
            cost: cost::UNRESTRICTED,
            cellular: false,
            vpn: false,
            on_battery: false,
            saver: false,
            game: false,
            subnets: Subnets::default(),
            present: None,
        }
    }
}

impl Machine {
    /// True if jobs of this owner may run, as far as his presence goes.
    pub fn is_present(&self, owner: Uid) -> bool {
        owner.0 < FIRST_PERSON || self.present.as_ref().is_none_or(|present| present.contains(&owner))
    }
}

/// Who is held while the machine runs on battery (`power.on_battery`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnBattery {
    /// Nobody.
    #[default]
    Run,
    /// Background jobs.
    ForegroundOnly,
    /// Everybody.
    Stop,
}

/// Which networks a job may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Networks {
    /// Of these costs: a mask of [`cost`].
    pub costs: u32,
    /// Cellular ones, too.
    pub cellular: bool,
}

/// What the policy makes of the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rules {
    /// On battery.
    pub on_battery: OnBattery,
    /// The power saver holds background jobs.
    pub saver_holds: bool,
    /// A game holds background jobs.
    pub game_holds: bool,
}

impl Rules {
    /// True if the gate is closed for a job of this level that may use these networks. [`Gate::Policy`] has its own times and is never
    /// closed here.
    pub const fn closes(
        &self,
        gate: Gate,
        machine: &Machine,
        priority: Priority,
        networks: Networks,
    ) -> bool {
        let background = !matches!(priority, Priority::Foreground);
        match gate {
            Gate::Network => !machine.network,
            Gate::Policy => false,
            // Nothing on Linux reports congestion.
            Gate::Cost => !cost::may_run(networks.costs, machine.cost, false),
            Gate::Cellular => machine.cellular && !networks.cellular,
            Gate::Battery if machine.on_battery => match self.on_battery {
                OnBattery::Run => false,
                OnBattery::ForegroundOnly => background,
                OnBattery::Stop => true,
            },
            Gate::Battery => false,
            Gate::Saver => self.saver_holds && machine.saver && background,
            Gate::Game => self.game_holds && machine.game && background,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(rules: &Rules, machine: &Machine, priority: Priority) -> Vec<Gate> {
        let costs = if priority == Priority::Foreground { cost::ALWAYS } else { 0x8000_0021 };
        let networks = Networks { costs, cellular: true };
        Gate::ALL.into_iter().filter(|gate| rules.closes(*gate, machine, priority, networks)).collect()
    }

    #[test]
    fn a_cellular_network_is_closed_to_the_jobs_that_say_so_whatever_it_costs() {
        let rules = Rules::default();
        for (in_use, allowed, closed) in
            [(false, false, false), (false, true, false), (true, false, true), (true, true, false)]
        {
            let machine = Machine { cellular: in_use, ..Machine::default() };
            for priority in Priority::ALL {
                let networks = Networks { costs: cost::ALWAYS, cellular: allowed };
                assert_eq!(rules.closes(Gate::Cellular, &machine, *priority, networks), closed);
                assert!(!rules.closes(Gate::Cost, &machine, *priority, networks));
            }
        }
    }

    #[test]
    fn a_machine_of_which_nothing_is_known_holds_nobody() {
        let strictest = Rules { on_battery: OnBattery::Stop, saver_holds: true, game_holds: true };
        for priority in Priority::ALL {
            assert_eq!(closed(&strictest, &Machine::default(), *priority), []);
        }
        assert!(Machine::default().is_present(Uid(1000)));
    }

    #[test]
    fn each_gate_and_who_is_exempt() {
        let machine = Machine {
            network: false,
            cost: 0x40,
            on_battery: true,
            saver: true,
            game: true,
            ..Machine::default()
        };
        let rules = Rules { on_battery: OnBattery::ForegroundOnly, saver_holds: true, game_holds: true };
        let background = [Gate::Network, Gate::Cost, Gate::Battery, Gate::Saver, Gate::Game];
        for priority in [Priority::High, Priority::Normal, Priority::Low] {
            assert_eq!(closed(&rules, &machine, priority), background);
        }
        assert_eq!(closed(&rules, &machine, Priority::Foreground), [Gate::Network]);
        let stop = Rules { on_battery: OnBattery::Stop, ..rules };
        assert_eq!(closed(&stop, &machine, Priority::Foreground), [Gate::Network, Gate::Battery]);
        assert_eq!(closed(&Rules::default(), &machine, Priority::Low), [Gate::Network, Gate::Cost]);
        let all = Networks { costs: cost::ALWAYS, cellular: true };
        assert!(!rules.closes(Gate::Cost, &machine, Priority::Low, all));
    }

    #[test]
    fn system_accounts_are_always_present() {
        let machine = Machine { present: Some(BTreeSet::from([Uid(1001)])), ..Machine::default() };
        let present: Vec<_> =
            [0, 33, 999, 1000, 1001].into_iter().filter(|uid| machine.is_present(Uid(*uid))).collect();
        assert_eq!(present, [0, 33, 999, 1001]);
    }
}
