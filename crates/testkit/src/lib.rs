//! Tools of the tests and benches: a hostile HTTP origin on loopback ([`Origin`]), a proxy that cuts connections
//! ([`Cutter`]), a harness that starts, kills and measures processes ([`process`]) in a home of their own ([`Sandbox`]).
#![forbid(unsafe_code)]

pub mod apache;
#[cfg(feature = "tls")]
pub mod authority;
mod background;
pub mod balancer;
mod behaviour;
#[cfg(feature = "bus")]
pub mod bus;
pub mod ceph;
mod content;
mod cutter;
pub mod kdc;
mod nginx;
pub mod npm;
mod origin;
mod ports;
pub mod process;
mod rng;
pub mod samba;
mod sandbox;
mod servers;
pub mod squid;
mod wait;

pub use behaviour::{Behaviour, UnknownBehaviour};
pub use content::{Content, hex};
pub use cutter::{CutHow, CutPlan, Cutter};
pub use nginx::Nginx;
#[cfg(feature = "tls")]
pub use origin::Certificate;
pub use origin::{Door, Etag, Exchange, OnAccept, Origin, OriginFile, OriginOptions, Outcome};
pub use ports::{own_port, own_ports};
pub use rng::Rng;
pub use sandbox::Sandbox;
pub use servers::{ServerFolder, Servers};
pub use wait::{sha256_file, wait_until};

/// A folder below /tmp that a peer with fewer rights may enter; removed when dropped.
fn peer_folder(prefix: &str) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::Builder::new().prefix(prefix).tempdir_in("/tmp").expect("/tmp can be written");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    folder
}
