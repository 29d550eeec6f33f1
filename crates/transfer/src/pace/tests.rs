//! Real sockets on an address of this machine that is no loopback one: such peers are paced.

use super::*;
use crate::rate::Shaped;
use std::os::fd::BorrowedFd;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// An address of this machine that others can reach; nothing is sent to find it.
fn outer_address() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind(("0.0.0.0", 0)).ok()?;
    socket.connect(("203.0.113.1", 9)).ok()?;
    socket
        .local_addr()
        .ok()
        .map(|address| address.ip())
        .filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

/// The DSCP code point that a socket marks its packets with.
fn code_point(socket: BorrowedFd<'_>) -> u8 {
    rustix::net::sockopt::ip_tos(socket).expect("a socket of IPv4") >> 2
}

/// A server that sends without end, and a connection to it.
async fn connect(address: IpAddr) -> (TcpStream, Rc<OwnedFd>) {
    let listener = TcpListener::bind((address, 0)).await.expect("listens");
    let there = listener.local_addr().expect("an address");
    tokio::task::spawn_local(async move {
        let (mut peer, _) = listener.accept().await.expect("connects");
        let piece = vec![7; 64 << 10];
        while peer.write_all(&piece).await.is_ok() {}
    });
    let stream = TcpStream::connect(there).await.expect("connects");
    let socket = Rc::new(stream.as_fd().try_clone_to_owned().expect("a descriptor"));
    (stream, socket)
}

#[tokio::test]
async fn background_sockets_are_marked_as_lower_effort_and_unmarked_when_they_are_free() {
    let Some(address) = outer_address() else {
        println!("SKIPPED: this machine has no address but the loopback");
        return;
    };
    tokio::task::LocalSet::new()
        .run_until(async {
            let pacers = Pacers::default();
            for priority in [Priority::High, Priority::Normal, Priority::Low] {
                let (stream, socket) = connect(address).await;
                let (_stream, tap) = Shaped::new(stream);
                assert_eq!(code_point(socket.as_fd()), 0);
                let paced = pacers.join(address, &socket, &tap, priority).expect("is paced");
                assert_eq!(code_point(socket.as_fd()), 1, "LE of RFC 8622 is 000001");
                drop(paced);
                assert_eq!(
                    code_point(socket.as_fd()),
                    0,
                    "a connection that is kept for later is an ordinary one"
                );
            }
            let (stream, socket) = connect(address).await;
            let (_stream, tap) = Shaped::new(stream);
            assert!(
                pacers.join(address, &socket, &tap, Priority::Foreground).is_none(),
                "FOREGROUND is not paced"
            );
            assert_eq!(code_point(socket.as_fd()), 0);
            let (stream, socket) = connect([127, 0, 0, 1].into()).await;
            let (_stream, tap) = Shaped::new(stream);
            let near = pacers.join([127, 0, 0, 1].into(), &socket, &tap, Priority::Normal);
            assert!(near.is_none(), "a peer on this machine shares no link");
        })
        .await;
}

#[tokio::test]
async fn connections_to_one_peer_share_a_controller_and_a_window() {
    let Some(address) = outer_address() else {
        println!("SKIPPED: this machine has no address but the loopback");
        return;
    };
    tokio::task::LocalSet::new()
        .run_until(async {
            let pacers = Pacers::default();
            let mut held = Vec::new();
            for _ in 0..3 {
                let (stream, socket) = connect(address).await;
                let (mut stream, tap) = Shaped::new(stream);
                let paced = pacers.join(address, &socket, &tap, Priority::Normal).expect("is paced");
                tokio::task::spawn_local(async move {
                    let mut buffer = vec![0; 64 << 10];
                    while stream.read(&mut buffer).await.is_ok_and(|got| got > 0) {}
                });
                held.push(paced);
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert_eq!(pacers.paths.borrow().len(), 1);
            let states: Vec<_> = held.iter().map(Paced::state).collect();
            assert!(states[0].base_us.is_some() && states[0].window_bytes > 0, "{:?}", states[0]);
            assert!(states.iter().all(|state| state.window_bytes == states[0].window_bytes));
            assert!(!states[0].blind, "this machine has TCP timestamps");
            held.clear();
            tokio::time::sleep(Duration::from_millis(30)).await;
            assert!(!pacers.paths.borrow()[&address].ticking.get(), "without connections nothing ticks");
        })
        .await;
}
