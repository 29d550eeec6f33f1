//! A slow link inside this machine, for tests of who gets how much of it.
//!
//! It is the loopback interface of a network namespace, with a queue of the kernel's in front of it: packets of Ethernet's size leave at
//! the rate of the link, in both directions together, and one that finds the queue full is dropped. A server listens at [`FAR`]: to
//! programs that is no address of the loopback, though it is.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use nix::sched::{CloneFlags, unshare};

/// The address of servers behind the link (of TEST-NET-1, RFC 5737).
pub const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// Bytes that leave at once, to make up for a kernel that looks at its clock every few milliseconds.
const BURST_BYTES: u32 = 32 << 10;

/// Puts the calling thread, and every process and thread that it starts from now on, behind a link of so many Mbit/s (at least 1) with a
/// queue of so many milliseconds.
///
/// False if that is not allowed here: it takes root, and `ip` and `tc` of iproute2. The thread may then be without any network, and the
/// test is to end.
#[must_use]
pub fn enter(mbit_per_s: u32, queue_ms: u32) -> bool {
    let queue_bytes = mbit_per_s.saturating_mul(125).saturating_mul(queue_ms);
    let lines = [
        "ip link set lo up".to_owned(),
        "ip link set lo mtu 1500".to_owned(),
        format!("ip addr add {FAR}/32 dev lo"),
        format!("tc qdisc add dev lo root tbf rate {mbit_per_s}mbit burst {BURST_BYTES} limit {queue_bytes}"),
        // A machine with nothing but a loopback counts as one without a network.
        "ip link add c0 type veth peer name c1".to_owned(),
        "ip addr add 10.77.0.1/24 dev c0".to_owned(),
        "ip link set c0 up".to_owned(),
        "ip link set c1 up".to_owned(),
    ];
    unshare(CloneFlags::CLONE_NEWNET).is_ok() && lines.iter().all(|line| succeeds(line))
}

fn succeeds(line: &str) -> bool {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).stdin(Stdio::null()).status().is_ok_and(|status| status.success())
}
