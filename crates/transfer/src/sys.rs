//! The only unsafe code of this crate: four system calls that no safe library offers.
#![allow(unsafe_code)]

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

/// Sets `TCP_WINDOW_CLAMP`: the largest receive window that is offered to the sender, in bytes. Best effort; nothing for a socket that is
/// not TCP. The kernel never takes back what was offered already.
pub(crate) fn set_window_clamp(socket: BorrowedFd<'_>, bytes: u64) {
    let value = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    // SAFETY: the descriptor is open for the call, the pointer is to a live c_int, and its exact size is given.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_WINDOW_CLAMP,
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
