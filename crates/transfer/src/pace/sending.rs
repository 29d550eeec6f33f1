//! The window of a sender, in user space: what may be on its way (spec/politeness.md 8).
//!
//! The kernel's own window grows until the path is full, so a paced sender writes no more than the peer has room for in our own
//! window, and asks the kernel to spread it over the round trip.

use crate::sys;
use std::cell::{Cell, RefCell};
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll, Waker};

/// One connection's writing side. While nobody paces it, its window is endless.
#[derive(Debug)]
pub(crate) struct Sending {
    window: Cell<u64>,
    /// Bytes written, and acknowledged by the peer, since the pacing began.
    written: Cell<u64>,
    acknowledged: Cell<u64>,
    /// The kernel was told to spread what is sent.
    spread: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Default for Sending {
    fn default() -> Self {
        Self {
            window: Cell::new(u64::MAX),
            written: Cell::new(0),
            acknowledged: Cell::new(0),
            spread: Cell::new(false),
            waiting: RefCell::default(),
        }
    }
}

impl Sending {
    /// Begins to count.
    pub(super) fn begin(&self) {
        self.written.set(0);
        self.acknowledged.set(0);
    }

    /// The peer has acknowledged so many bytes since the pacing began.
    pub(super) fn acknowledged(&self, bytes: u64) {
        self.acknowledged.set(bytes);
    }

    fn in_flight(&self) -> u64 {
        self.written.get().saturating_sub(self.acknowledged.get())
    }

    /// Sets the window. `base_us`: the round trip without a queue, for a connection that mostly sends.
    pub(super) fn allow(&self, socket: BorrowedFd<'_>, window: u64, base_us: Option<u64>) {
        self.window.set(window);
        if let Some(base_us) = base_us.filter(|base| *base > 0) {
            // A quarter more than the window needs, so that the pacing itself limits nothing.
            sys::set_pacing_rate(socket, window.saturating_mul(1_250_000) / base_us);
            self.spread.set(true);
        }
        self.wake_if_room();
    }

    /// Whoever waits for room goes on if there is some.
    pub(super) fn wake_if_room(&self) {
        if self.in_flight() < self.window.get() {
            self.wake();
        }
    }

    /// Nobody waits to write, and little is on its way: the program has nothing to send.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.borrow().is_none() && self.in_flight() < self.window.get() / 2
    }

    /// Nothing holds it any more.
    pub(super) fn free(&self, socket: BorrowedFd<'_>) {
        self.window.set(u64::MAX);
        if self.spread.replace(false) {
            sys::set_pacing_rate(socket, u64::MAX);
        }
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    /// Bytes that may be written now. What the kernel has buffered counts too.
    pub(crate) fn poll_room(&self, cx: &Context<'_>) -> Poll<usize> {
        let room = self.window.get().saturating_sub(self.in_flight());
        if room == 0 {
            *self.waiting.borrow_mut() = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(usize::try_from(room).unwrap_or(usize::MAX))
    }

    /// True while writing is limited.
    pub(crate) fn is_limited(&self) -> bool {
        self.window.get() != u64::MAX
    }

    /// So many bytes were written.
    pub(crate) fn wrote(&self, bytes: usize) {
        self.written.set(self.written.get() + bytes as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn what_is_on_its_way_takes_the_room_until_it_is_acknowledged() {
        let socket = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let sending = Sending::default();
        let cx = Context::from_waker(Waker::noop());
        assert!(!sending.is_limited() && sending.poll_room(&cx).is_ready());
        sending.begin();
        sending.allow(socket.as_fd(), 3000, None);
        assert_eq!(sending.poll_room(&cx), Poll::Ready(3000));
        sending.wrote(2000);
        assert_eq!(sending.poll_room(&cx), Poll::Ready(1000));
        sending.wrote(1000);
        assert!(sending.poll_room(&cx).is_pending() && sending.waiting.borrow().is_some());
        sending.acknowledged(500);
        sending.allow(socket.as_fd(), 3000, Some(20_000));
        assert!(sending.waiting.borrow().is_none(), "who waited is woken");
        assert_eq!(sending.poll_room(&cx), Poll::Ready(500));
        sending.allow(socket.as_fd(), 1000, None);
        assert!(
            sending.poll_room(&cx).is_pending(),
            "a smaller window takes nothing back, and gives nothing"
        );
        sending.free(socket.as_fd());
        assert!(!sending.is_limited() && sending.waiting.borrow().is_none());
    }
}
