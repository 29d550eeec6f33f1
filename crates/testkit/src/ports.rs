//! Ports that nobody else gets, for peers that have to be told theirs, and for addresses where nobody may answer.
//!
//! A port that was bound to 0 and let go is anybody's: the kernel may give it to the test beside this one a moment later. These lie below
//! the range from which the kernel gives ports, and a name in the kernel's abstract space (which belongs to the network namespace, as
//! ports do, and goes with the process) keeps other tests from taking them.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::{Mutex, PoisonError};

/// Ports that are held by one name.
const BLOCK: u16 = 16;
/// Blocks below the kernel's range that are tried.
const BLOCKS: u16 = 750;

/// A held block.
struct Block {
    next: u16,
    end: u16,
    /// Its name.
    _held: UnixListener,
}

/// What this process holds, to its end.
static HELD: Mutex<Vec<Block>> = Mutex::new(Vec::new());

/// A port of loopback that nobody listens at, and that nobody else gets while this process runs.
///
/// # Panics
/// As [`own_ports`].
#[must_use]
pub fn own_port() -> u16 {
    own_ports(1)
}

/// The first of `count` (at most 16) such ports in a row.
///
/// # Panics
/// When 16 are too few, or all 12,000 are taken.
#[must_use]
pub fn own_ports(count: u16) -> u16 {
    assert!(count <= BLOCK, "at most {BLOCK} ports in a row");
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some(block) = held.last_mut()
            && block.next + count <= block.end
        {
            let first = block.next;
            block.next += count;
            if (first..first + count).all(is_free) {
                return first;
            }
            continue;
        }
        held.push(block());
    }
}

/// Not taken by a program that knows nothing of these names.
fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// A block of nobody.
fn block() -> Block {
    let bottom = lowest_of_the_kernel() - BLOCK * BLOCKS;
    // Begins anywhere: a port that another test has just left may still have connections that wait for their end.
    let mut rng = crate::Rng::new(u64::from(std::process::id()) ^ moment());
    for _ in 0..u32::from(BLOCKS) * 8 {
        let number = u16::try_from(rng.below(u64::from(BLOCKS))).expect("less than 750");
        let name = SocketAddr::from_abstract_name(format!("openbits-testkit-ports-{number}"));
        // Taken: the next one.
        if let Ok(held) = UnixListener::bind_addr(&name.expect("a short name")) {
            let next = bottom + number * BLOCK;
            return Block { next, end: next + BLOCK, _held: held };
        }
    }
    panic!("all ports of the tests are taken");
}

fn moment() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| u64::from(now.subsec_nanos()) << 20)
}

/// Where the range begins from which the kernel gives ports.
fn lowest_of_the_kernel() -> u16 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let lowest = range.split_whitespace().next().and_then(|word| word.parse().ok());
    // Below 1024 ports are root's.
    lowest.unwrap_or(32_768).max(BLOCK * BLOCKS + 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn nobody_gets_a_port_twice_and_the_kernel_gives_none_of_them() {
        let mut seen = BTreeSet::new();
        for count in [1, 4, 16, 1, 16] {
            let first = own_ports(count);
            for port in first..first + count {
                assert!(seen.insert(port) && port < lowest_of_the_kernel(), "{port}");
                assert!(TcpListener::bind(("127.0.0.1", port)).is_ok(), "{port}");
            }
        }
        let threads: Vec<_> = (0..8).map(|_| std::thread::spawn(own_port)).collect();
        for thread in threads {
            assert!(seen.insert(thread.join().unwrap()));
        }
        // Every block has its name, and a second holder is refused.
        let held = HELD.lock().unwrap();
        for block in held.iter() {
            let number = (block.end - BLOCK - (lowest_of_the_kernel() - BLOCK * BLOCKS)) / BLOCK;
            let name = format!("openbits-testkit-ports-{number}");
            assert!(UnixListener::bind_addr(&SocketAddr::from_abstract_name(name).unwrap()).is_err());
        }
    }

    #[test]
    fn a_port_where_somebody_listens_is_not_free() {
        let port = own_port();
        assert!(is_free(port));
        let _foreign = TcpListener::bind(("127.0.0.1", port)).unwrap();
        assert!(!is_free(port));
    }
}
