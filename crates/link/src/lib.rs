//! What the machine knows of network, cost, power, and who is logged on, as a stream of facts.
//!
//! Facts come from the kernel (rtnetlink) and, where they run, from NetworkManager, ModemManager, UPower, power-profiles-daemon, logind
//! and GameMode over D-Bus. Whatever is not there leaves its facts unknown; nothing is polled, and nobody is woken while nothing changes.
#![forbid(unsafe_code)]

mod bus;
mod facts;
mod kernel;
pub mod peer;
mod sources;

pub use facts::{Connection, Facts, Network, Sessions};

use tokio::sync::watch;
use tokio::task::JoinSet;

/// Which services are asked besides the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Options {
    /// Also those on the bus of the user's session (GameMode): for a user's own service.
    pub session_bus: bool,
}

/// Watches the machine until it is dropped.
#[derive(Debug)]
pub struct Watcher {
    facts: watch::Receiver<Facts>,
    _tasks: JoinSet<()>,
}

impl Watcher {
    /// Begins to watch. What the kernel knows is known at once, the rest as soon as its services have answered. Needs a tokio runtime.
    pub fn start(options: Options) -> Self {
        let network = kernel::scan();
        if let Err(error) = &network {
            tracing::warn!(%error, "the kernel does not tell about the network; it counts as being there");
        }
        let (sender, facts) = watch::channel(Facts { network: network.ok(), ..Facts::default() });
        let mut tasks = JoinSet::new();
        tasks.spawn(kernel::watch(sender.clone()));
        tasks.spawn(bus::watch(bus::Which::System, sender.clone()));
        if options.session_bus {
            tasks.spawn(bus::watch(bus::Which::Session, sender));
        }
        Self { facts, _tasks: tasks }
    }

    /// The facts as they are now, and whenever they change.
    pub fn facts(&self) -> watch::Receiver<Facts> {
        self.facts.clone()
    }
}
