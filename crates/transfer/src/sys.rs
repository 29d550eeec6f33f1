//! The only unsafe code of this crate: four system calls that no safe library offers, and the system's GSSAPI library.
#![allow(unsafe_code)]

pub(crate) mod gssapi;

use std::os::fd::{AsRawFd, BorrowedFd};

/// Sets `SO_RCVLOWAT`: the socket becomes readable only when so many bytes wait in it. Best effort.
///
/// The caller must never set it above what is still to come, or the reader sleeps for ever.
pub(crate) fn set_receive_low_water(socket: BorrowedFd<'_>, bytes: u32) {
    let value = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    // SAFETY: the descriptor is open for the call, the pointer is to a live c_int, and its exact size is given.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        );
    }
}

/// Lets the disk begin to write what the file has in memory, without waiting. A hint: the sync that follows decides.
pub(crate) fn start_writing(file: BorrowedFd<'_>) {
    // SAFETY: the descriptor is open for the call, and no memory is passed.
    unsafe {
        libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE);
    }
}

/// Closes every descriptor from `first` on.
///
/// Only for the very start of a process that owns none of them yet.
pub(crate) fn close_from(first: u32) -> bool {
    // SAFETY: closing descriptors is memory safe; the caller promises that nothing in this process uses them (the only
    // caller runs before any file is opened).
    unsafe {
        libc::syscall(libc::SYS_close_range, libc::c_long::from(first), libc::c_long::from(u32::MAX), 0) == 0
    }
}

/// What the kernel knows of a TCP connection, as far as pacing needs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TcpFacts {
    /// TCP timestamps are in use: the receiver's round-trip time can rise.
    pub(crate) timestamps: bool,
    /// Smoothed round-trip time of a sender, in microseconds; 0 = unknown.
    pub(crate) rtt_us: u32,
    /// Round-trip time as a receiver measures it, in microseconds; 0 = unknown.
    pub(crate) receive_rtt_us: u32,
    /// Bytes that the peer acknowledged.
    pub(crate) acknowledged: u64,
    /// Bytes that came in order.
    pub(crate) received: u64,
}

/// Reads `TCP_INFO`. `None`: the socket is none of TCP, or the kernel tells less than is needed.
pub(crate) fn tcp_facts(socket: BorrowedFd<'_>) -> Option<TcpFacts> {
    // `struct tcp_info` of linux/tcp.h, which only ever grows at its end.
    const OPTIONS: usize = 5;
    const RTT: usize = 68;
    const RECEIVE_RTT: usize = 92;
    const ACKNOWLEDGED: usize = 120;
    const RECEIVED: usize = 128;
    const NEEDED: usize = 136;
    const WITH_TIMESTAMPS: u8 = 1;
    let mut info = [0_u8; 256];
    let mut length = info.len() as libc::socklen_t;
    // SAFETY: the descriptor is open for the call; the kernel writes at most `length` bytes into a live array of that size.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result != 0 || (length as usize) < NEEDED {
        return None;
    }
    let small = |at: usize| u32::from_ne_bytes(info[at..at + 4].try_into().expect("four bytes"));
    let large = |at: usize| u64::from_ne_bytes(info[at..at + 8].try_into().expect("eight bytes"));
    Some(TcpFacts {
        timestamps: info[OPTIONS] & WITH_TIMESTAMPS != 0,
        rtt_us: small(RTT),
        receive_rtt_us: small(RECEIVE_RTT),
        acknowledged: large(ACKNOWLEDGED),
        received: large(RECEIVED),
    })
}

/// Sets `TCP_WINDOW_CLAMP`: the largest window that the peer is told. Best effort.
pub(crate) fn set_window_clamp(socket: BorrowedFd<'_>, bytes: u64) {
    let value = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_WINDOW_CLAMP, value);
}

/// Marks what the socket sends with a DSCP code point, on IPv4 and IPv6. Best effort.
pub(crate) fn set_dscp(socket: BorrowedFd<'_>, code_point: u8) {
    let value = libc::c_int::from(code_point << 2);
    set_option(socket, libc::IPPROTO_IP, libc::IP_TOS, value);
    set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, value);
}

fn set_option(socket: BorrowedFd<'_>, level: libc::c_int, name: libc::c_int, value: libc::c_int) {
    // SAFETY: the descriptor is open for the call, the pointer is to a live c_int, and its exact size is given.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        );
    }
}

/// Sets `SO_MAX_PACING_RATE` in bytes per second; `u64::MAX` lifts it. Best effort.
pub(crate) fn set_pacing_rate(socket: BorrowedFd<'_>, rate: u64) {
    // SAFETY: the descriptor is open for the call, the pointer is to a live u64, and its exact size is given.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MAX_PACING_RATE,
            (&raw const rate).cast(),
            size_of::<u64>() as libc::socklen_t,
        );
    }
}

/// Chooses the congestion control of a sender. Best effort: the kernel refuses what is not loaded or not allowed.
pub(crate) fn set_congestion_control(socket: BorrowedFd<'_>, name: &std::ffi::CStr) {
    // SAFETY: the descriptor is open for the call, and the pointer is to a live string of the given length.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_CONGESTION,
            name.as_ptr().cast(),
            name.count_bytes() as libc::socklen_t,
        );
    }
}
