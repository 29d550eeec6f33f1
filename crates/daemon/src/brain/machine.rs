//! What is known about the machine, seen through the policy.

use super::Brain;
use crate::policy::Settings;
use openbits_core::Uid;
use openbits_core::events_log::Record;
use openbits_core::gate::Machine;
use openbits_link::Facts;

/// The machine as the queue sees it. What nobody tells is taken as harmless.
pub(super) fn machine(settings: &Settings, facts: &Facts) -> Machine {
    let policy = &settings.policy;
    let network = facts.network.as_ref();
    let connection = facts.connection.as_ref();
    let names: Vec<&str> = [
        connection.and_then(|connection| connection.name.as_deref()),
        network.and_then(|network| network.interface.as_deref()),
    ]
    .into_iter()
    .flatten()
    .collect();
    // A modem that is abroad costs nothing while the way out is another.
    let roaming = facts.roaming && connection.and_then(|connection| connection.mobile) != Some(false);
    let metered = connection.and_then(|connection| connection.metered);
    let present = facts.sessions.as_ref().filter(|_| policy.text("owner.presence") == Some("logged-on"));
    Machine {
        // Behind a portal nobody can be reached.
        network: network.is_none_or(|network| network.up) && !connection.is_some_and(|c| c.portal),
        cost: policy.cost_state(&names, metered, roaming),
        // NetworkManager knows what its connection goes through; without it the interface has to tell.
        cellular: connection
            .and_then(|connection| connection.mobile)
            .unwrap_or_else(|| network.is_some_and(|network| network.wwan)),
        // A tunnel that only some routes go through is not seen.
        vpn: network.is_some_and(|network| network.tunnel) || names.iter().any(|name| policy.names_vpn(name)),
        on_battery: facts.on_battery == Some(true),
        saver: facts.saver == Some(true),
        game: facts.game == Some(true),
        subnets: network.map(|network| network.subnets.clone()).unwrap_or_default(),
        present: present.map(|sessions| {
            let remote = sessions.remote.iter().filter(|_| policy.flag("owner.count_remote_sessions"));
            let lingering = sessions.lingering.iter().filter(|_| policy.flag("owner.count_lingering"));
            sessions.local.iter().chain(remote).chain(lingering).map(|uid| Uid(*uid)).collect()
        }),
    }
}

impl Brain {
    /// Gates close and open by the facts and the policy as they are now.
    pub(super) fn review_machine(&mut self) {
        let facts = self.facts.borrow_and_update().clone();
        let machine = machine(&self.settings, &facts);
        let before = self.queue.machine();
        let mut records = Vec::new();
        if machine.network != before.network {
            tracing::info!(network = machine.network, ?facts, "the network");
        }
        if machine.cost != before.cost {
            records.push(Record::new(37).with("nlmCost", format!("{:#04x}", machine.cost)));
        }
        if machine.cellular != before.cellular {
            tracing::info!(cellular = machine.cellular, ?facts, "the network");
        }
        let power = |m: &Machine| (m.on_battery, m.saver, m.game);
        if power(&machine) != power(before) {
            let (on_battery, saver, game) = power(&machine);
            let state = format!("on_battery={on_battery} saver={saver} game={game}");
            records.push(Record::new(212).with("SystemEvent", state));
        }
        for record in records {
            self.log(&record);
        }
        let now = self.clock.now();
        self.queue.set_gate_rules(self.settings.policy.gate_rules(), now);
        self.queue.set_machine(machine, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openbits_core::policy::{Layer, Origin, Raw, Tree, cost};
    use openbits_link::{Connection, Network, Sessions};

    fn settings(keys: &[(&str, Raw)]) -> Settings {
        let mut tree = Tree::new();
        for (name, value) in keys {
            let mut parts = name.split('.').peekable();
            let mut at = &mut tree;
            while let Some(part) = parts.next() {
                if parts.peek().is_none() {
                    at.insert(part.to_owned(), value.clone());
                    break;
                }
                let next = at.entry(part.to_owned()).or_insert_with(|| Raw::Table(Tree::new()));
                let Raw::Table(table) = next else { panic!("a table") };
                at = table;
            }
        }
        let layer = Layer { origin: Origin::Administrator, file: "test".to_owned(), tree };
        Settings::of(&[layer], Vec::new(), 0).expect("usable")
    }

    fn text(text: &str) -> Raw {
        Raw::Text(text.to_owned())
    }

    fn connected(name: &str, metered: Option<bool>) -> Facts {
        let connection =
            Connection { name: Some(name.to_owned()), metered, mobile: Some(true), portal: false };
        let network = Network { up: true, interface: Some("wwan0".to_owned()), ..Network::default() };
        Facts { connection: Some(connection), network: Some(network), ..Facts::default() }
    }

    #[test]
    fn what_nobody_tells_holds_nobody() {
        assert_eq!(machine(&settings(&[]), &Facts::default()), Machine::default());
        assert_eq!(
            machine(&settings(&[("owner.presence", text("logged-on"))]), &Facts::default()).present,
            None
        );
    }

    #[test]
    fn a_vpn_is_known_from_the_kernel_or_by_its_name() {
        let vpn = |facts: &Facts| machine(&settings(&[]), facts).vpn;
        assert!(!vpn(&connected("phone", None)) && vpn(&connected("My VPN", None)));
        let network = Network { tunnel: true, ..Network::default() };
        assert!(vpn(&Facts { network: Some(network), ..Facts::default() }));
        let named = [("delivery_optimization.vpn_keywords", Raw::List(vec![text("wwan")]))];
        assert!(machine(&settings(&named), &connected("phone", None)).vpn, "by the interface's");
    }

    #[test]
    fn the_cost_is_the_systems_word_unless_the_policy_knows_better() {
        let cost = |keys: &[(&str, Raw)], facts: &Facts| machine(&settings(keys), facts).cost;
        let unknown_metered = [("cost.treat_unknown_as", text("metered"))];
        for (metered, plain, careful) in
            [(Some(true), 0x40, 0x40), (Some(false), 0x01, 0x01), (None, 0x01, 0x40)]
        {
            let facts = connected("phone", metered);
            assert_eq!((cost(&[], &facts), cost(&unknown_metered, &facts)), (plain, careful), "{metered:?}");
        }
        let abroad = Facts { roaming: true, ..connected("phone", Some(true)) };
        assert_eq!(cost(&[], &abroad), cost::USAGE_BASED | cost::ROAMING);
        let mut wired = abroad.clone();
        wired.connection.as_mut().expect("set").mobile = Some(false);
        assert_eq!(cost(&[], &wired), cost::USAGE_BASED, "the modem is not the way out");
        let word = |name: &str, word: &str| {
            let table: Tree = [(name.to_owned(), text(word))].into_iter().collect();
            [("cost.override", Raw::Table(table))]
        };
        assert_eq!(cost(&word("phone", "near-cap"), &abroad), 0x08, "by the connection's name");
        assert_eq!(cost(&word("wwan0", "unrestricted"), &abroad), 0x01, "by the interface's");
        assert_eq!(cost(&word("other", "near-cap"), &connected("phone", None)), 0x01);
    }

    #[test]
    fn a_cellular_network_is_known_from_networkmanager_or_from_the_interface() {
        for (told, wwan, expected) in [
            (None, false, false),
            (None, true, true),
            (Some(true), false, true),
            (Some(false), false, false),
            // Its word goes first.
            (Some(false), true, false),
        ] {
            let mut facts = connected("phone", None);
            facts.connection.as_mut().expect("set").mobile = told;
            facts.network.as_mut().expect("set").wwan = wwan;
            assert_eq!(machine(&settings(&[]), &facts).cellular, expected, "{told:?} {wwan}");
        }
        let network = Network { wwan: true, ..Network::default() };
        let alone = Facts { network: Some(network), ..Facts::default() };
        assert!(machine(&settings(&[]), &alone).cellular, "no NetworkManager");
    }

    #[test]
    fn a_portal_is_no_network() {
        let mut facts = connected("hotel", None);
        assert!(machine(&settings(&[]), &facts).network);
        facts.connection.as_mut().expect("set").portal = true;
        assert!(!machine(&settings(&[]), &facts).network);
    }

    #[test]
    fn who_is_present_is_the_policys_choice() {
        let set = |uids: &[u32]| uids.iter().copied().collect();
        let sessions = Sessions { local: set(&[1001]), remote: set(&[1002]), lingering: set(&[1003]) };
        let facts = Facts { sessions: Some(sessions), ..Facts::default() };
        let present = |keys: &[(&str, Raw)]| -> Option<Vec<u32>> {
            let present = machine(&settings(keys), &facts).present;
            present.map(|present| present.iter().map(|uid| uid.0).collect())
        };
        let strict = ("compat.strict", Raw::Bool(true));
        assert_eq!(present(&[]), None);
        assert_eq!(present(std::slice::from_ref(&strict)), Some(vec![1001, 1002, 1003]));
        let no_remote = ("owner.count_remote_sessions", Raw::Bool(false));
        let no_linger = ("owner.count_lingering", Raw::Bool(false));
        assert_eq!(present(&[strict.clone(), no_remote.clone()]), Some(vec![1001, 1003]));
        assert_eq!(present(&[strict, no_remote, no_linger]), Some(vec![1001]));
    }
}
