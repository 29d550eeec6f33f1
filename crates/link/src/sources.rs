//! The services on the buses, what they are asked, and what their answers mean.

use crate::bus::{Properties, Which, call, properties};
use crate::facts::{Connection as Network, Facts, Sessions};
use std::collections::HashMap;
use tokio::sync::watch::Sender;
use zbus::{Connection, OwnedObjectPath, OwnedVariant};

/// Sessions and users that are asked about one by one.
const PEOPLE_MAX: usize = 1000;
/// Longest name of a connection that is kept, in bytes.
const NAME_MAX: usize = 256;

/// Devices of a connection that are asked.
const DEVICES_MAX: usize = 8;
/// NM_DEVICE_TYPE_BT
const BLUETOOTH: u32 = 5;
/// NM_DEVICE_TYPE_MODEM
const MODEM: u32 = 8;

/// A service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    kind: Kind,
    /// Name on the bus.
    name: &'static str,
    /// Rules for the signals that may change the answer, without their sender.
    signals: &'static [&'static str],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    NetworkManager,
    ModemManager,
    UPower,
    PowerProfiles,
    Logind,
    GameMode,
}

/// A change of the facts by one service.
pub(crate) type Tell = Box<dyn FnOnce(&mut Facts) + Send>;

const NM: &str = "org.freedesktop.NetworkManager";
const MM: &str = "org.freedesktop.ModemManager1";
const UPOWER: &str = "org.freedesktop.UPower";
const PROFILES: &str = "net.hadess.PowerProfiles";
const LOGIND: &str = "org.freedesktop.login1";
const GAMEMODE: &str = "com.feralinteractive.GameMode";

/// On the machine's bus.
pub(crate) const SYSTEM: &[Source] = &[
    Source {
        kind: Kind::NetworkManager,
        name: NM,
        signals: &["path='/org/freedesktop/NetworkManager',member='PropertiesChanged'"],
    },
    Source {
        kind: Kind::ModemManager,
        name: MM,
        // Not the modem itself: the quality of its signal changes all the time.
        signals: &[
            "member='PropertiesChanged',arg0='org.freedesktop.ModemManager1.Modem.Modem3gpp'",
            "member='StateChanged'",
            "member='InterfacesAdded'",
            "member='InterfacesRemoved'",
        ],
    },
    Source {
        kind: Kind::UPower,
        name: UPOWER,
        // Not the batteries: their charge changes all the time.
        signals: &["path='/org/freedesktop/UPower',member='PropertiesChanged'"],
    },
    Source { kind: Kind::PowerProfiles, name: PROFILES, signals: &["member='PropertiesChanged'"] },
    Source {
        kind: Kind::Logind,
        name: LOGIND,
        signals: &[
            "member='SessionNew'",
            "member='SessionRemoved'",
            "member='UserNew'",
            "member='UserRemoved'",
            // A session that ends is closing at first.
            "member='PropertiesChanged',arg0='org.freedesktop.login1.User'",
        ],
    },
];

/// On the bus of the user's session.
pub(crate) const SESSION: &[Source] =
    &[Source { kind: Kind::GameMode, name: GAMEMODE, signals: &["member='PropertiesChanged'"] }];

impl Source {
    /// Rules for the bus: its signals, and whether it comes or goes.
    pub(crate) fn rules(&self) -> impl Iterator<Item = String> {
        let Self { name, signals, .. } = *self;
        let comes =
            format!("type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{name}'");
        let signals = signals.iter().map(move |signal| format!("type='signal',sender='{name}',{signal}"));
        std::iter::once(comes).chain(signals)
    }

    async fn ask(&self, bus: &Connection) -> zbus::Result<Tell> {
        let owner = call(
            bus,
            "org.freedesktop.DBus",
            "/org/freedesktop/DBus",
            "org.freedesktop.DBus",
            "GetNameOwner",
            &self.name,
        )
        .await?;
        // Questions go to the owner, so that nobody is started for them.
        let owner: String = owner.body().deserialize()?;
        match self.kind {
            Kind::NetworkManager => network_manager(bus, &owner).await,
            Kind::ModemManager => modem_manager(bus, &owner).await,
            Kind::UPower => {
                let all = properties(bus, &owner, "/org/freedesktop/UPower", UPOWER).await?;
                let on_battery = get::<bool>(&all, "OnBattery");
                Ok(Box::new(move |facts| facts.on_battery = on_battery))
            }
            Kind::PowerProfiles => {
                let all = properties(bus, &owner, "/net/hadess/PowerProfiles", PROFILES).await?;
                let saver = text(&all, "ActiveProfile").map(|profile| profile == "power-saver");
                Ok(Box::new(move |facts| facts.saver = saver))
            }
            Kind::Logind => {
                let sessions = logind(bus, &owner).await?;
                Ok(Box::new(move |facts| facts.sessions = Some(sessions)))
            }
            Kind::GameMode => {
                let all = properties(bus, &owner, "/com/feralinteractive/GameMode", GAMEMODE).await?;
                let game = get::<i32>(&all, "ClientCount").map(|clients| clients > 0);
                Ok(Box::new(move |facts| facts.game = game))
            }
        }
    }

    /// The service tells nothing.
    fn silent(&self) -> Tell {
        match self.kind {
            Kind::NetworkManager => Box::new(|facts| facts.connection = None),
            Kind::ModemManager => Box::new(|facts| facts.roaming = false),
            Kind::UPower => Box::new(|facts| facts.on_battery = None),
            Kind::PowerProfiles => Box::new(|facts| facts.saver = None),
            Kind::Logind => Box::new(|facts| facts.sessions = None),
            Kind::GameMode => Box::new(|facts| facts.game = None),
        }
    }
}

/// Asks all services of a bus; what does not answer is unknown.
pub(crate) async fn ask(bus: &Connection, which: Which) -> Vec<Tell> {
    let mut told = Vec::new();
    for source in of(which) {
        told.push(match source.ask(bus).await {
            Ok(tell) => tell,
            Err(error) => {
                tracing::debug!(service = source.name, %error, "tells nothing");
                source.silent()
            }
        });
    }
    told
}

/// The bus is gone, and with it what its services told.
pub(crate) fn forget(which: Which, facts: &Sender<Facts>) {
    facts.send_if_modified(|facts| {
        let before = facts.clone();
        of(which).iter().for_each(|source| source.silent()(facts));
        *facts != before
    });
}

const fn of(which: Which) -> &'static [Source] {
    match which {
        Which::System => SYSTEM,
        Which::Session => SESSION,
    }
}

fn get<'a, T: TryFrom<&'a OwnedVariant>>(all: &'a Properties, name: &str) -> Option<T> {
    T::try_from(all.get(name)?).ok()
}

fn text(all: &Properties, name: &str) -> Option<String> {
    get::<&str>(all, name).map(str::to_owned)
}

async fn network_manager(bus: &Connection, owner: &str) -> zbus::Result<Tell> {
    let all = properties(bus, owner, "/org/freedesktop/NetworkManager", NM).await?;
    let mut connection = Network {
        name: None,
        // NMMetered: 1 yes, 2 no, 3 and 4 the same as a guess, 0 unknown.
        metered: match get::<u32>(&all, "Metered") {
            Some(1 | 3) => Some(true),
            Some(2 | 4) => Some(false),
            _ => None,
        },
        mobile: text(&all, "PrimaryConnectionType")
            .filter(|kind| !kind.is_empty())
            .map(|kind| matches!(kind.as_str(), "gsm" | "cdma" | "bluetooth")),
        // NMConnectivityState: 2 portal.
        portal: get::<u32>(&all, "Connectivity") == Some(2),
    };
    let primary = all.get("PrimaryConnection").and_then(|path| path.try_clone().ok());
    if let Some(path) =
        primary.and_then(|path| OwnedObjectPath::try_from(path).ok()).filter(|path| path.as_str() != "/")
    {
        let active = "org.freedesktop.NetworkManager.Connection.Active";
        let all = properties(bus, owner, path.as_str(), active).await?;
        connection.name = text(&all, "Id").filter(|name| name.len() <= NAME_MAX);
        let devices = all.get("Devices").and_then(|paths| paths.try_clone().ok());
        let devices = devices.and_then(|paths| Vec::<OwnedObjectPath>::try_from(paths).ok());
        // What the connection goes through says more than its type: over Bluetooth there are two ways.
        let mut mobile = None;
        for device in devices.unwrap_or_default().iter().take(DEVICES_MAX) {
            let told = device_is_mobile(bus, owner, device.as_str()).await.unwrap_or_default();
            mobile = mobile.max(told);
        }
        connection.mobile = mobile.or(connection.mobile);
    }
    Ok(Box::new(move |facts| facts.connection = Some(connection)))
}

/// A modem, or a telephone that is dialled over Bluetooth. `None`: it does not tell.
async fn device_is_mobile(bus: &Connection, owner: &str, path: &str) -> zbus::Result<Option<bool>> {
    let all = properties(bus, owner, path, "org.freedesktop.NetworkManager.Device").await?;
    let interface = text(&all, "IpInterface").filter(|name| !name.is_empty());
    Ok(match get::<u32>(&all, "DeviceType") {
        Some(MODEM) => Some(true),
        // The other way over Bluetooth is a network of its own (PAN), over `bnep0`.
        Some(BLUETOOTH) => interface.map(|name| name.starts_with("ppp")),
        // 0: unknown.
        Some(0) | None => None,
        Some(_) => Some(false),
    })
}

async fn modem_manager(bus: &Connection, owner: &str) -> zbus::Result<Tell> {
    type Objects = HashMap<OwnedObjectPath, HashMap<String, Properties>>;
    let path = "/org/freedesktop/ModemManager1";
    let answer =
        call(bus, owner, path, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", &()).await?;
    let objects: Objects = answer.body().deserialize()?;
    let roams = |interfaces: &HashMap<String, Properties>| {
        let modem = interfaces.get("org.freedesktop.ModemManager1.Modem");
        let network = interfaces.get("org.freedesktop.ModemManager1.Modem.Modem3gpp");
        // MMModemState: 11 connected. MMModem3gppRegistrationState: 5, 7 and 10 are the kinds of roaming.
        modem.and_then(|all| get::<i32>(all, "State")) == Some(11)
            && matches!(network.and_then(|all| get::<u32>(all, "RegistrationState")), Some(5 | 7 | 10))
    };
    let roaming = objects.values().any(roams);
    Ok(Box::new(move |facts| facts.roaming = roaming))
}

async fn logind(bus: &Connection, owner: &str) -> zbus::Result<Sessions> {
    const PATH: &str = "/org/freedesktop/login1";
    const MANAGER: &str = "org.freedesktop.login1.Manager";
    let mut found = Sessions::default();
    let answer = call(bus, owner, PATH, MANAGER, "ListSessions", &()).await?;
    let sessions: Vec<(String, u32, String, String, OwnedObjectPath)> = answer.body().deserialize()?;
    for (_, uid, _, _, path) in sessions.into_iter().take(PEOPLE_MAX) {
        // One that ended meanwhile is none.
        let Ok(all) = properties(bus, owner, path.as_str(), "org.freedesktop.login1.Session").await else {
            continue;
        };
        let class = text(&all, "Class").unwrap_or_default();
        let counts = matches!(
            class.as_str(),
            "user" | "user-early" | "user-light" | "background" | "background-light"
        );
        if !counts || text(&all, "State").as_deref() == Some("closing") {
            continue;
        }
        let remote = get::<bool>(&all, "Remote") == Some(true);
        (if remote { &mut found.remote } else { &mut found.local }).insert(uid);
    }
    let answer = call(bus, owner, PATH, MANAGER, "ListUsers", &()).await?;
    let users: Vec<(u32, String, OwnedObjectPath)> = answer.body().deserialize()?;
    for (uid, _, path) in users.into_iter().take(PEOPLE_MAX) {
        let Ok(all) = properties(bus, owner, path.as_str(), "org.freedesktop.login1.User").await else {
            continue;
        };
        if get::<bool>(&all, "Linger") == Some(true) {
            found.lingering.insert(uid);
        }
    }
    Ok(found)
}
