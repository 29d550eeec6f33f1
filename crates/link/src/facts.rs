//! The facts. `None` means that nobody tells.

use openbits_core::subnet::Subnets;
use std::collections::BTreeSet;

/// What is known about the machine.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Facts {
    /// From the kernel.
    pub network: Option<Network>,
    /// The connection in use, from NetworkManager.
    pub connection: Option<Connection>,
    /// A modem that carries data is in a foreign network.
    pub roaming: bool,
    /// The machine runs on battery.
    pub on_battery: Option<bool>,
    /// The power saver is on.
    pub saver: Option<bool>,
    /// A program asked for game mode.
    pub game: Option<bool>,
    /// Who is logged on, from logind.
    pub sessions: Option<Sessions>,
}

/// Network interfaces and routes.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Network {
    /// There is a way to other machines.
    pub up: bool,
    /// Interface of the default route.
    pub interface: Option<String>,
    /// The kernel knows that interface as a cellular modem's.
    pub wwan: bool,
    /// The kernel knows that interface as a tunnel's: WireGuard, tun and tap, IPsec.
    pub tunnel: bool,
    /// Addresses that are reached without a router.
    pub subnets: Subnets,
}

/// The connection that the default route belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Connection {
    /// Its name, such as that of a wireless network.
    pub name: Option<String>,
    /// It is paid by use; `None`: nobody knows.
    pub metered: Option<bool>,
    /// It goes through a cellular modem, a telephone's over Bluetooth (dial-up networking) included; `None`: nobody knows.
    pub mobile: Option<bool>,
    /// It ends at a portal that wants somebody to log on.
    pub portal: bool,
}

/// People by the kind of their presence; one may be in several.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Sessions {
    /// With a session at the machine.
    pub local: BTreeSet<u32>,
    /// With a session from another machine, such as ssh.
    pub remote: BTreeSet<u32>,
    /// Whose services run without a session.
    pub lingering: BTreeSet<u32>,
}
