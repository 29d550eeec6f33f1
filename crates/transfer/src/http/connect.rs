//! A TCP connection: resolve, race the addresses (RFC 8305), bind to what the job says.

use crate::failure::{Outcome, transport, with};
use futures_util::stream::{FuturesUnordered, StreamExt};
use openbits_core::classify::Class;
use openbits_core::hresult::*;
use openbits_core::{ErrorContext, HResult};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};

/// Head start of each address before the next is tried too.
const STAGGER: Duration = Duration::from_millis(250);
/// Addresses tried for one name.
const MAX_ADDRESSES: usize = 16;

/// What connections are bound to.
#[derive(Clone, Debug)]
enum Bind {
    Nothing,
    Address(IpAddr),
    Interface(String),
}

/// Connects to a host by name or address.
pub(super) async fn tcp(host: &str, port: u16, bind: Option<&str>) -> Outcome<TcpStream> {
    let bind = match bind {
        None => Bind::Nothing,
        Some(text) => match text.parse() {
            Ok(address) => Bind::Address(address),
            Err(_) => Bind::Interface(checked_interface(text)?),
        },
    };
    let addresses = resolve(host, port, &bind).await?;
    let mut waiting = addresses.into_iter();
    let mut racing = FuturesUnordered::new();
    let mut first_error: Option<Box<openbits_core::plan::Fail>> = None;
    loop {
        if let Some(address) = waiting.next() {
            let bind = bind.clone();
            racing.push(async move {
                connect_one(address, &bind).await.map_err(|error| failed(&error, address, &bind))
            });
        } else if racing.is_empty() {
            return Err(first_error
                .unwrap_or_else(|| transport(ERROR_WINHTTP_NAME_NOT_RESOLVED, "The host has no address.")));
        }
        let stagger = async {
            if waiting.len() == 0 { std::future::pending().await } else { tokio::time::sleep(STAGGER).await }
        };
        tokio::select! {
            Some(result) = racing.next() => match result {
                Ok(stream) => return Ok(stream),
                Err(fail) => _ = first_error.get_or_insert(fail),
            },
            () = stagger => {}
        }
    }
}

async fn resolve(host: &str, port: u16, bind: &Bind) -> Outcome<Vec<SocketAddr>> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found: Vec<SocketAddr> = match bare.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => tokio::net::lookup_host((bare, port))
            .await
            .map_err(|error| {
                transport(
                    ERROR_WINHTTP_NAME_NOT_RESOLVED,
                    format!("The name {bare} cannot be resolved: {error}."),
                )
            })?
            .collect(),
    };
    let usable = |address: &&SocketAddr| match bind {
        Bind::Address(source) => source.is_ipv4() == address.is_ipv4(),
        _ => true,
    };
    // Families in turn, beginning with the one that the resolver prefers.
    let kept: Vec<SocketAddr> = found.iter().filter(usable).copied().collect();
    let Some(prefer_v6) = kept.first().map(SocketAddr::is_ipv6) else {
        return Err(transport(
            ERROR_WINHTTP_NAME_NOT_RESOLVED,
            format!("The name {bare} has no address of the kind that the job is bound to."),
        ));
    };
    let (mut a, mut b): (Vec<_>, Vec<_>) =
        kept.into_iter().partition(|address| address.is_ipv6() == prefer_v6);
    let mut order = Vec::with_capacity(a.len() + b.len());
    a.reverse();
    b.reverse();
    while !a.is_empty() || !b.is_empty() {
        order.extend(a.pop());
        order.extend(b.pop());
    }
    order.truncate(MAX_ADDRESSES);
    Ok(order)
}

async fn connect_one(address: SocketAddr, bind: &Bind) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    match bind {
        Bind::Nothing => {}
        Bind::Address(source) => {
            socket.bind(&SocketAddr::new(*source, 0).into())?;
        }
        Bind::Interface(name) => socket.bind_device(Some(name.as_bytes()))?,
    }
    TcpSocket::from_std_stream(socket.into()).connect(address).await
}

fn checked_interface(name: &str) -> Outcome<String> {
    let legal = !name.is_empty() && name.len() < 16 && !name.contains(['/', '\0', ' ']);
    let exists = legal && std::path::Path::new("/sys/class/net").join(name).exists();
    if exists {
        return Ok(name.to_owned());
    }
    // It may come (a tunnel that is down): wait for it.
    Err(transport(
        ERROR_CAN_NOT_COMPLETE,
        format!("The network interface {name:?} that the job is bound to does not exist."),
    ))
}

fn failed(error: &io::Error, address: SocketAddr, bind: &Bind) -> Box<openbits_core::plan::Fail> {
    match (bind, error.raw_os_error()) {
        (Bind::Interface(name), Some(libc::EPERM | libc::EACCES)) => with(
            ErrorContext::GeneralTransport,
            E_ACCESSDENIED,
            Class::Fatal,
            format!("Binding to the network interface {name} is not permitted."),
        ),
        (Bind::Address(source), Some(libc::EADDRNOTAVAIL)) => transport(
            ERROR_CAN_NOT_COMPLETE,
            format!("The address {source} that the job is bound to is not on this machine."),
        ),
        (Bind::Interface(name), Some(libc::ENODEV)) => {
            transport(ERROR_CAN_NOT_COMPLETE, format!("The network interface {name} does not exist."))
        }
        _ => transport(
            io_code(error, ERROR_WINHTTP_CANNOT_CONNECT),
            format!("Cannot connect to {address}: {error}."),
        ),
    }
}

/// The code for an I/O error of a socket.
pub(super) fn io_code(error: &io::Error, otherwise: HResult) -> HResult {
    match error.kind() {
        io::ErrorKind::TimedOut => ERROR_WINHTTP_TIMEOUT,
        io::ErrorKind::NetworkUnreachable => ERROR_CAN_NOT_COMPLETE,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
            ERROR_WINHTTP_CONNECTION_ERROR
        }
        _ => otherwise,
    }
}
