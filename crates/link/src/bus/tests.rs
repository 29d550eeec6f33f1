use super::*;
use crate::facts::Connection as Network;
use openbits_testkit::bus::{Bus, Property as P};
use std::collections::BTreeSet;
use std::time::Instant;

/// Facts of a bus that this process alone uses: the address is in the environment, and nextest gives each test a process.
struct Lab {
    bus: Bus,
    facts: tokio::sync::watch::Receiver<Facts>,
    _task: tokio::task::JoinSet<()>,
}

impl Lab {
    fn start(which: Which) -> Option<Self> {
        let bus = match Bus::start() {
            Ok(bus) => bus,
            Err(why) => {
                eprintln!("SKIPPED: {why}");
                return None;
            }
        };
        let (sender, facts) = tokio::sync::watch::channel(Facts::default());
        let address = bus.address().to_owned();
        let mut task = tokio::task::JoinSet::new();
        task.spawn(async move {
            let connection =
                zbus::connection::Builder::address(address.as_str()).build().await.expect("connects");
            serve(&connection, which, &sender).await.expect("the bus answers");
            sources::forget(which, &sender);
            std::future::pending::<()>().await;
        });
        Some(Self { bus, facts, _task: task })
    }

    async fn until(&mut self, what: &str, wanted: impl FnMut(&Facts) -> bool) {
        let begun = Instant::now();
        let seen = tokio::time::timeout(Duration::from_secs(10), self.facts.wait_for(wanted)).await;
        assert!(seen.is_ok_and(|seen| seen.is_ok()), "{what}: {:?}", self.facts.borrow());
        eprintln!("{what}: {:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn network_manager_tells_cost_name_and_portal() {
    let Some(mut lab) = Lab::start(Which::System) else { return };
    let nm = lab.bus.service("org.freedesktop.NetworkManager");
    let (path, interface) = ("/org/freedesktop/NetworkManager", "org.freedesktop.NetworkManager");
    let active = "/org/freedesktop/NetworkManager/ActiveConnection/7";
    nm.set(active, "org.freedesktop.NetworkManager.Connection.Active", "Id", P::Text("phone".into()));
    nm.set(path, interface, "PrimaryConnection", P::Path(active.into()));
    nm.set(path, interface, "PrimaryConnectionType", P::Text("802-11-wireless".into()));
    nm.set(path, interface, "Connectivity", P::U32(4));
    nm.set(path, interface, "Metered", P::U32(1));
    let phone =
        Network { name: Some("phone".into()), metered: Some(true), mobile: Some(false), portal: false };
    lab.until("metered", |facts| facts.connection.as_ref() == Some(&phone)).await;
    for (value, expected) in [(4, Some(false)), (3, Some(true)), (0, None), (2, Some(false))] {
        nm.set(path, interface, "Metered", P::U32(value));
        lab.until("a change", |facts| facts.connection.as_ref().is_some_and(|c| c.metered == expected)).await;
    }
    nm.set(path, interface, "Connectivity", P::U32(2));
    lab.until("a portal", |facts| facts.connection.as_ref().is_some_and(|c| c.portal)).await;
    drop(nm);
    lab.until("it is gone", |facts| facts.connection.is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cellular_connection_is_known_by_its_device() {
    let Some(mut lab) = Lab::start(Which::System) else { return };
    let nm = lab.bus.service("org.freedesktop.NetworkManager");
    let (path, interface) = ("/org/freedesktop/NetworkManager", "org.freedesktop.NetworkManager");
    let (active, active_interface) = (
        "/org/freedesktop/NetworkManager/ActiveConnection/7",
        "org.freedesktop.NetworkManager.Connection.Active",
    );
    let (device, device_interface) =
        ("/org/freedesktop/NetworkManager/Devices/4", "org.freedesktop.NetworkManager.Device");
    nm.set(active, active_interface, "Id", P::Text("phone".into()));
    nm.set(path, interface, "PrimaryConnection", P::Path(active.into()));
    let mobile = |wanted: Option<bool>| {
        move |facts: &Facts| facts.connection.as_ref().is_some_and(|connection| connection.mobile == wanted)
    };
    // By the type alone, while no device is told.
    for (kind, expected) in [("gsm", true), ("802-3-ethernet", false), ("bluetooth", true)] {
        nm.set(path, interface, "PrimaryConnectionType", P::Text(kind.into()));
        lab.until(kind, mobile(Some(expected))).await;
    }
    nm.set(active, active_interface, "Devices", P::Paths(vec![device.into()]));
    // NM_DEVICE_TYPE: 5 Bluetooth, 8 modem, 1 Ethernet, 0 unknown; then what the type of the connection says.
    for (kind, name, expected) in [
        (5, "bnep0", false),
        (5, "ppp0", true),
        (1, "eth0", false),
        (8, "wwan0", true),
        (2, "wlan0", false),
        (0, "", true),
    ] {
        nm.set(device, device_interface, "IpInterface", P::Text(name.into()));
        nm.set(device, device_interface, "DeviceType", P::U32(kind));
        // Only the manager's own signals lead to questions.
        nm.set(path, interface, "Metered", P::U32(kind));
        lab.until(name, mobile(Some(expected))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn power_and_modem() {
    let Some(mut lab) = Lab::start(Which::System) else { return };
    let power = lab.bus.service("org.freedesktop.UPower");
    power.set("/org/freedesktop/UPower", "org.freedesktop.UPower", "OnBattery", P::Bool(true));
    lab.until("battery", |facts| facts.on_battery == Some(true)).await;
    power.set("/org/freedesktop/UPower", "org.freedesktop.UPower", "OnBattery", P::Bool(false));
    lab.until("mains", |facts| facts.on_battery == Some(false)).await;
    let profiles = lab.bus.service("net.hadess.PowerProfiles");
    let set = |name: &str| {
        profiles.set(
            "/net/hadess/PowerProfiles",
            "net.hadess.PowerProfiles",
            "ActiveProfile",
            P::Text(name.into()),
        );
    };
    set("power-saver");
    lab.until("the saver is on", |facts| facts.saver == Some(true)).await;
    set("balanced");
    lab.until("the saver is off", |facts| facts.saver == Some(false)).await;
    let modems = lab.bus.service("org.freedesktop.ModemManager1");
    let modem = "/org/freedesktop/ModemManager1/Modem/0";
    modems.set(modem, "org.freedesktop.ModemManager1.Modem", "State", P::I32(11));
    let registration = |state| {
        modems.set(
            modem,
            "org.freedesktop.ModemManager1.Modem.Modem3gpp",
            "RegistrationState",
            P::U32(state),
        );
    };
    registration(5);
    lab.until("abroad", |facts| facts.roaming).await;
    registration(1);
    lab.until("at home", |facts| !facts.roaming).await;
    registration(10);
    lab.until("abroad again", |facts| facts.roaming).await;
    drop((modems, profiles, power));
    lab.until("all gone", |facts| *facts == Facts::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logind_tells_who_is_there() {
    let Some(mut lab) = Lab::start(Which::System) else { return };
    let logind = lab.bus.service("org.freedesktop.login1");
    let session = |name: &str, class: &str, state: &str, remote: bool| {
        let path = format!("/org/freedesktop/login1/session/{name}");
        let interface = "org.freedesktop.login1.Session";
        logind.set(&path, interface, "Class", P::Text(class.into()));
        logind.set(&path, interface, "State", P::Text(state.into()));
        logind.set(&path, interface, "Remote", P::Bool(remote));
    };
    session("c1", "user", "active", false);
    session("s2", "user", "online", true);
    session("g", "greeter", "active", false);
    session("old", "user", "closing", false);
    logind.set("/org/freedesktop/login1/user/_1003", "org.freedesktop.login1.User", "Linger", P::Bool(true));
    logind.set("/org/freedesktop/login1/user/_1001", "org.freedesktop.login1.User", "Linger", P::Bool(false));
    logind.people(&[(1001, "c1"), (1002, "s2"), (120, "g"), (1004, "old")], &[1001, 1003]);
    let set = |uids: &[u32]| uids.iter().copied().collect::<BTreeSet<u32>>();
    lab.until("who is there", |facts| {
        facts.sessions.as_ref().is_some_and(|sessions| {
            (&sessions.local, &sessions.remote, &sessions.lingering)
                == (&set(&[1001]), &set(&[1002]), &set(&[1003]))
        })
    })
    .await;
    logind.people(&[(1002, "s2")], &[]);
    lab.until("one left", |facts| {
        facts.sessions.as_ref().is_some_and(|s| s.local.is_empty() && !s.remote.is_empty())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_game_is_noticed_and_answers_of_another_kind_are_not_believed() {
    let Some(mut lab) = Lab::start(Which::Session) else { return };
    let game = lab.bus.service("com.feralinteractive.GameMode");
    let set = |value| {
        game.set("/com/feralinteractive/GameMode", "com.feralinteractive.GameMode", "ClientCount", value);
    };
    set(P::I32(1));
    lab.until("a game", |facts| facts.game == Some(true)).await;
    set(P::Text("many".into()));
    lab.until("nonsense is unknown", |facts| facts.game.is_none()).await;
    set(P::I32(0));
    lab.until("no game", |facts| facts.game == Some(false)).await;
}
