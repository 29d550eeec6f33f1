//! Who is at the other end of a loopback TCP connection, by the kernel's word (sock_diag(7)).
//!
//! TCP has no SO_PEERCRED. The kernel does tell the user of any socket of this network namespace by its addresses, and the answer is
//! worth something under three conditions, all of which are checked here or by the caller (docs/decisions/0024):
//!
//! * the peer's socket is ESTABLISHED and still belongs to a process (inode not 0): of one whose process has closed it the kernel tells
//!   uid 0, which anybody could bring about by closing early;
//! * the question names both addresses, so it is about exactly one connection;
//! * after the answer our own end still has a peer ([`uid`]'s caller looks, with getpeername): while it has, the same pair of addresses
//!   cannot belong to another connection, so the answer was about this one.

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_SOCK_DIAG};
use std::io;
use std::net::SocketAddrV4;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const AF_INET: u8 = 2;
const IPPROTO_TCP: u8 = 6;
const ESTABLISHED: u8 = 1;
/// Length of the request: netlink header and `inet_diag_req_v2`.
const REQUEST: usize = 16 + 56;
/// Length of an answer: netlink header and `inet_diag_msg`.
const ANSWER: usize = 16 + 72;
/// What the kernel tells of a user that has no number in our user namespace.
const OVERFLOW_UID: u32 = 65_534;

/// The user of the socket at `peer` that is connected to `own`.
///
/// # Errors
/// The kernel does not tell, or what it tells names nobody: the connection is to be refused.
pub fn uid(peer: SocketAddrV4, own: SocketAddrV4) -> io::Result<u32> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.set_non_blocking(true)?;
    socket.send(&question(peer, own), 0)?;
    // The kernel answers while the question is being sent: there is nothing to wait for.
    let mut buffer = Vec::with_capacity(8192);
    socket.recv(&mut buffer, 0)?;
    answer(&buffer, peer, own)
}

fn question(peer: SocketAddrV4, own: SocketAddrV4) -> [u8; REQUEST] {
    let mut bytes = [0_u8; REQUEST];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &u32::try_from(REQUEST).expect("small").to_ne_bytes());
    put(4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(6, &NLM_F_REQUEST.to_ne_bytes());
    put(8, &1_u32.to_ne_bytes());
    put(16, &[AF_INET, IPPROTO_TCP, 0, 0]);
    put(20, &u32::MAX.to_ne_bytes()); // states
    put(24, &ends(peer, own));
    put(64, &[0xFF; 8]); // no cookie
    bytes
}

/// Ports and addresses as they are in a message: 2 + 2 + 16 + 16 bytes.
fn ends(peer: SocketAddrV4, own: SocketAddrV4) -> [u8; 36] {
    let mut bytes = [0_u8; 36];
    bytes[..2].copy_from_slice(&peer.port().to_be_bytes());
    bytes[2..4].copy_from_slice(&own.port().to_be_bytes());
    bytes[4..8].copy_from_slice(&peer.ip().octets());
    bytes[20..24].copy_from_slice(&own.ip().octets());
    bytes
}

fn answer(bytes: &[u8], peer: SocketAddrV4, own: SocketAddrV4) -> io::Result<u32> {
    let refused = |why: &str| Err(io::Error::other(why.to_owned()));
    let number = |at: usize| {
        let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
        four.map(u32::from_ne_bytes)
    };
    let kind = bytes.get(4..6).and_then(|two| two.try_into().ok()).map(u16::from_ne_bytes);
    if kind == Some(NLMSG_ERROR) {
        let errno = number(16).unwrap_or(0).cast_signed().saturating_neg();
        return Err(io::Error::from_raw_os_error(errno));
    }
    if kind != Some(SOCK_DIAG_BY_FAMILY) || bytes.len() < ANSWER {
        return refused("the kernel's answer is not understood");
    }
    if bytes[16] != AF_INET || bytes[20..56] != ends(peer, own) {
        return refused("the kernel tells of another connection");
    }
    let (Some(uid), Some(inode)) = (number(16 + 64), number(16 + 68)) else { return refused("short") };
    if bytes[17] != ESTABLISHED || inode == 0 {
        return refused("the peer has closed its end");
    }
    if uid == OVERFLOW_UID || uid == u32::MAX {
        return refused("the peer has no user id here");
    }
    Ok(uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    fn v4(address: std::net::SocketAddr) -> SocketAddrV4 {
        match address {
            std::net::SocketAddr::V4(address) => address,
            std::net::SocketAddr::V6(_) => panic!("IPv4 was asked for"),
        }
    }

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        (client, server)
    }

    #[test]
    fn the_kernel_names_the_user_of_a_connection() {
        use std::os::unix::fs::MetadataExt as _;
        let (_client, server) = pair();
        let (peer, own) = (v4(server.peer_addr().unwrap()), v4(server.local_addr().unwrap()));
        let me = std::fs::metadata("/proc/self").unwrap().uid();
        assert_eq!(uid(peer, own).unwrap(), me);
    }

    /// Otherwise everybody could be root: by closing before the service looks.
    #[test]
    fn a_connection_whose_process_is_gone_belongs_to_nobody() {
        let (client, server) = pair();
        let (peer, own) = (v4(server.peer_addr().unwrap()), v4(server.local_addr().unwrap()));
        drop(client);
        assert!(uid(peer, own).is_err());
        let nobody = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1);
        assert!(uid(nobody, own).is_err());
    }

    #[test]
    fn an_answer_about_anything_else_is_refused() {
        let (peer, own) = (
            SocketAddrV4::new([127, 0, 0, 1].into(), 4000),
            SocketAddrV4::new([127, 0, 0, 1].into(), 50_000),
        );
        let good = || {
            let mut bytes = [0_u8; ANSWER];
            bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
            bytes[16..18].copy_from_slice(&[AF_INET, ESTABLISHED]);
            bytes[20..56].copy_from_slice(&ends(peer, own));
            bytes[80..84].copy_from_slice(&1000_u32.to_ne_bytes());
            bytes[84..88].copy_from_slice(&77_u32.to_ne_bytes());
            bytes
        };
        assert_eq!(answer(&good(), peer, own).unwrap(), 1000);
        let spoilt: [(usize, u8); 7] = [
            (4, 9),   // another kind of message
            (16, 10), // IPv6
            (17, 4),  // FIN_WAIT1
            (20, 1),  // another port
            (24, 10), // another address
            (84, 0),  // no inode
            (43, 2),  // another address of ours
        ];
        for (at, value) in spoilt {
            let mut bytes = good();
            bytes[at] = value;
            assert!(answer(&bytes, peer, own).is_err(), "{at}");
        }
        let mut bytes = good();
        bytes[80..84].copy_from_slice(&OVERFLOW_UID.to_ne_bytes());
        assert!(answer(&bytes, peer, own).is_err(), "nobody");
        for length in 0..ANSWER {
            assert!(answer(&good()[..length], peer, own).is_err(), "{length}");
        }
    }
}
