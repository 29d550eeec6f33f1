use super::*;

#[test]
fn only_what_matters_wakes_us() {
    let message = |kind: u16, prefix: u8, length: u32| {
        let mut bytes = vec![0_u8; 28];
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[17] = prefix;
        bytes
    };
    assert!(matters(&message(16, 9, 28)), "a link");
    assert!(matters(&message(24, 0, 28)), "a default route");
    assert!(!matters(&message(24, 24, 28)) && !matters(&message(25, 128, 28)), "other routes");
    assert!(matters(&[message(24, 24, 28), message(20, 24, 28)].concat()));
    // Nonsense does no harm.
    for bytes in [&[][..], &[1, 2, 3], &message(16, 0, 4), &message(16, 0, 29), &message(16, 0, u32::MAX)] {
        assert!(!matters(bytes));
    }
}

#[test]
fn this_machine_is_understood() {
    let network = scan().expect("every Linux has rtnetlink");
    let named = std::fs::read_dir("/sys/class/net").expect("sysfs").filter_map(Result::ok);
    let names: Vec<_> = named.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    assert!(network.interface.is_none_or(|interface| names.contains(&interface)), "{names:?}");
}

#[test]
fn modems_are_known_by_their_device_type() {
    let sysfs = tempfile::tempdir().expect("a folder");
    for (name, uevent, expected) in [
        ("wwan0", "DEVTYPE=wwan\nINTERFACE=wwan0\nIFINDEX=5\n", true),
        ("wlan0", "DEVTYPE=wlan\nINTERFACE=wlan0\nIFINDEX=3\n", false),
        ("eth0", "INTERFACE=eth0\nIFINDEX=2\n", false),
        // Its name alone makes no modem.
        ("wwan1", "INTERFACE=DEVTYPE=wwan\nIFINDEX=6\n", false),
    ] {
        std::fs::create_dir(sysfs.path().join(name)).expect("new");
        std::fs::write(sysfs.path().join(name).join("uevent"), uevent).expect("written");
        assert_eq!(is_wwan(sysfs.path(), name), expected, "{name}");
    }
    assert!(!is_wwan(sysfs.path(), "gone"));
}

/// A cable in a network namespace of its own: in, out, and in again. Needs root and `ip`.
#[test]
fn a_cable_is_noticed() {
    if let Err(why) = namespace() {
        eprintln!("SKIPPED: {why}");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (sender, mut facts) = tokio::sync::watch::channel(Facts::default());
        let watching = tokio::spawn(watch(sender));
        let mut until = async |what: &str, wanted: fn(&Network) -> bool| {
            let seen = facts.wait_for(|facts| facts.network.as_ref().is_some_and(wanted));
            let begun = std::time::Instant::now();
            let seen = tokio::time::timeout(Duration::from_secs(5), seen).await;
            assert!(seen.is_ok_and(|seen| seen.is_ok()), "{what}");
            begun.elapsed()
        };
        until("a fresh namespace has no network", |network| !network.up).await;
        ip("link add c0 type veth peer name c1");
        ip("addr add 10.77.0.1/24 dev c0");
        ip("link set c0 up");
        ip("link set c1 up");
        until("an address and a carrier", |network| {
            network.up && network.subnets.contains([10, 77, 0, 9].into()) && network.interface.is_none()
        })
        .await;
        ip("route add default via 10.77.0.2 dev c0");
        until("a default route", |network| network.interface.as_deref() == Some("c0")).await;
        ip("link set c1 down");
        let took = until("the carrier is lost, the route stays", |network| !network.up).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
        ip("link set c1 up");
        let took = until("the carrier is back", |network| network.up).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
        watching.abort();
    });
}

/// This thread in a network namespace of its own.
fn namespace() -> Result<(), String> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)
        .map_err(|e| format!("no network namespace: {e}"))?;
    let tried = std::process::Command::new("ip").args(["link", "set", "lo", "up"]).status();
    match tried {
        Ok(status) if status.success() => Ok(()),
        other => Err(format!("ip does not work: {other:?}")),
    }
}

fn ip(arguments: &str) {
    let status = std::process::Command::new("ip").args(arguments.split(' ')).status().expect("ip runs");
    assert!(status.success(), "ip {arguments}");
}
