//! Interfaces, addresses and the default route, by rtnetlink.
//!
//! A message of the kernel says only that something changed; then everything is read again, so that a lost message costs nothing.

mod judge;

use crate::facts::{Facts, Network};
use judge::{Address, Link, judge};
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{AsyncSocket, AsyncSocketExt, Socket, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;
use tokio::sync::watch::Sender;

/// Changes that come together count as one.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// Groups of messages: links, addresses and routes of both families.
const GROUPS: [u32; 5] = [1, 5, 7, 9, 11];
/// Addresses far away: which way would a packet to them take? None is sent.
const FAR: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111)),
];
/// Where the kernel shows its interfaces.
const INTERFACES: &str = "/sys/class/net";
/// Answers read for one question: far more than any machine has interfaces and addresses.
const ANSWERS_MAX: usize = 200_000;

/// The network as it is now.
///
/// # Errors
/// There is no netlink here, or the kernel does not answer.
pub(crate) fn scan() -> io::Result<Network> {
    let mut links = Vec::new();
    ask(RouteNetlinkMessage::GetLink(LinkMessage::default()), NLM_F_DUMP, |message| {
        if let RouteNetlinkMessage::NewLink(link) = message {
            links.push(read_link(&link));
        }
    })?;
    let mut addresses = Vec::new();
    ask(RouteNetlinkMessage::GetAddress(AddressMessage::default()), NLM_F_DUMP, |message| {
        if let RouteNetlinkMessage::NewAddress(address) = message {
            addresses.extend(read_address(&address));
        }
    })?;
    let mut ways = Vec::new();
    for far in FAR {
        let mut question = RouteMessage::default();
        let (family, bits) =
            if far.is_ipv4() { (AddressFamily::Inet, 32) } else { (AddressFamily::Inet6, 128) };
        question.header.address_family = family;
        question.header.destination_prefix_length = bits;
        question.attributes.push(RouteAttribute::Destination(RouteAddress::from(far)));
        // "Unreachable" is an answer, too: there is no way.
        let _ = ask(RouteNetlinkMessage::GetRoute(question), 0, |message| {
            if let RouteNetlinkMessage::NewRoute(route) = message {
                ways.extend(route.attributes.iter().find_map(|attribute| match attribute {
                    RouteAttribute::Oif(index) => Some(*index),
                    _ => None,
                }));
            }
        });
    }
    let mut network = judge(&links, &addresses, &ways);
    network.wwan = network.interface.as_deref().is_some_and(|name| is_wwan(Path::new(INTERFACES), name));
    Ok(network)
}

/// The drivers of cellular modems say so in sysfs. A modem that is dialled (`ppp0`) looks like any other line.
fn is_wwan(interfaces: &Path, name: &str) -> bool {
    let told = std::fs::read_to_string(interfaces.join(name).join("uevent"));
    told.is_ok_and(|told| told.lines().any(|line| line == "DEVTYPE=wwan"))
}

fn read_link(message: &LinkMessage) -> Link {
    let flags = message.header.flags;
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        loopback: flags.contains(LinkFlags::Loopback),
        carries: flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
        bridge: false,
        tunnel: false,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::LinkInfo(infos) => {
                link.bridge = infos.iter().any(|info| matches!(info, LinkInfo::Kind(InfoKind::Bridge)));
                link.tunnel = infos.iter().any(is_tunnel);
            }
            _ => {}
        }
    }
    link
}

fn is_tunnel(info: &LinkInfo) -> bool {
    use InfoKind::{Tun, Vti, Vti6, Wireguard, Xfrm};
    match info {
        LinkInfo::Kind(Tun | Wireguard | Xfrm | Vti | Vti6) => true,
        // OpenVPN's data channel in the kernel, as module and as part of it.
        LinkInfo::Kind(InfoKind::Other(kind)) => kind.starts_with("ovpn"),
        _ => false,
    }
}

fn read_address(message: &AddressMessage) -> Option<Address> {
    let mut own = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => own = Some(*address),
            AddressAttribute::Address(address) => own = own.or(Some(*address)),
            _ => {}
        }
    }
    Some(Address {
        link: message.header.index,
        address: own?,
        bits: message.header.prefix_len,
        wide: matches!(message.header.scope, AddressScope::Universe | AddressScope::Site),
    })
}

/// One question and its answers.
fn ask(
    question: RouteNetlinkMessage,
    flags: u16,
    mut answer: impl FnMut(RouteNetlinkMessage),
) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut message = NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::from(question));
    message.header.flags = NLM_F_REQUEST | flags;
    message.header.sequence_number = 1;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    let dump = flags & NLM_F_DUMP != 0;
    for _ in 0..ANSWERS_MAX {
        let (datagram, _) = socket.recv_from_full()?;
        let mut rest = &datagram[..];
        while let Some(length) = length_of(rest) {
            let (one, more) = rest.split_at(length);
            // Each message is padded to a multiple of four.
            rest = more.get(length.next_multiple_of(4) - length..).unwrap_or_default();
            match NetlinkMessage::<RouteNetlinkMessage>::deserialize(one).map(|message| message.payload) {
                Ok(NetlinkPayload::InnerMessage(inner)) => {
                    answer(inner);
                    if !dump {
                        return Ok(());
                    }
                }
                Ok(NetlinkPayload::Done(_)) => return Ok(()),
                Ok(NetlinkPayload::Error(error)) => return Err(error.to_io()),
                // What a newer kernel adds is of no interest here.
                Ok(_) | Err(_) => {}
            }
        }
        if datagram.is_empty() {
            break;
        }
    }
    Err(io::Error::other("the answer of the kernel has no end"))
}

/// Length of the message at the front, if it is whole.
fn length_of(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    (16..=bytes.len()).contains(&length).then_some(length)
}

/// True if a datagram of the kernel says something about links, addresses or the default route.
fn matters(datagram: &[u8]) -> bool {
    const NEW_ROUTE: u16 = 24;
    const DEL_ROUTE: u16 = 25;
    let mut rest = datagram;
    while let Some(length) = length_of(rest) {
        let (one, more) = rest.split_at(length);
        rest = more.get(length.next_multiple_of(4) - length..).unwrap_or_default();
        let kind = u16::from_ne_bytes([one[4], one[5]]);
        // A routing daemon changes thousands of routes; only those with a prefix of no bits are of interest.
        let prefix_bits = one.get(17).copied().unwrap_or(0);
        if !matches!(kind, NEW_ROUTE | DEL_ROUTE) || prefix_bits == 0 {
            return true;
        }
    }
    false
}

fn listen() -> io::Result<TokioSocket> {
    let mut socket = <TokioSocket as AsyncSocket>::new(NETLINK_ROUTE)?;
    socket.socket_mut().bind_auto()?;
    for group in GROUPS {
        socket.socket_ref().add_membership(group)?;
    }
    Ok(socket)
}

/// Reads the network again whenever the kernel says that it changed.
pub(crate) async fn watch(facts: Sender<Facts>) {
    let socket = match listen() {
        Ok(socket) => socket,
        Err(error) => {
            tracing::warn!(%error, "changes of the network are not noticed");
            return;
        }
    };
    let mut first = true;
    loop {
        // What changed before the first look at the messages is seen by that look.
        if !first && !changed(&socket).await {
            return;
        }
        first = false;
        match scan() {
            Ok(network) => {
                facts.send_if_modified(|facts| {
                    let differs = facts.network.as_ref() != Some(&network);
                    facts.network = Some(network);
                    differs
                });
            }
            Err(error) => tracing::warn!(%error, "the network cannot be looked at"),
        }
    }
}

/// Waits for a message that matters and for those that follow it. False: there will be none any more.
async fn changed(socket: &TokioSocket) -> bool {
    let mut buffer = Vec::with_capacity(32 << 10);
    let mut until: Option<tokio::time::Instant> = None;
    loop {
        buffer.clear();
        let received = match until {
            None => socket.recv(&mut buffer).await,
            Some(end) => match tokio::time::timeout_at(end, socket.recv(&mut buffer)).await {
                Ok(received) => received,
                Err(_) => return true,
            },
        };
        let news = match received {
            Ok(()) => matters(&buffer),
            // ENOBUFS: messages were lost. Whatever they said is seen by reading again.
            Err(error) if error.raw_os_error() == Some(105) => true,
            Err(error) => {
                tracing::warn!(%error, "changes of the network are not noticed any more");
                return false;
            }
        };
        if news {
            until.get_or_insert_with(|| tokio::time::Instant::now() + DEBOUNCE);
        }
    }
}

#[cfg(test)]
mod tests;
