//! No SIGPIPE out of a call.
//!
//! A socket whose service has died raises SIGPIPE in the thread that writes to it. Rust's own `main` ignores that signal; a program in C
//! or C++ dies of it. The library must not touch the process's handlers, so it blocks the signal in the thread for as long as it writes, and takes
//! away the one that its own write has raised.

use nix::libc;
use std::mem::MaybeUninit;

/// While this is there, its thread gets no SIGPIPE. Not to be sent to another thread.
pub(crate) struct Quiet {
    before: libc::sigset_t,
    /// The program had blocked the signal itself, and one was waiting: that one is not ours.
    was_pending: bool,
    /// What is there is one thread's.
    _here: std::marker::PhantomData<*const ()>,
}

impl Quiet {
    pub(crate) fn new() -> Self {
        let was_pending = is_pending();
        Self { before: block(), was_pending, _here: std::marker::PhantomData }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let set = pipe();
        let none = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        if !self.was_pending && is_pending() {
            // SAFETY: both point to what lives during the call; no information is asked for.
            unsafe { libc::sigtimedwait(&raw const set, std::ptr::null_mut(), &raw const none) };
        }
        // SAFETY: the mask is the one that this thread had; the old one is not asked for.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, std::ptr::null_mut()) };
    }
}

/// For a thread of the library: never again.
pub(crate) fn for_ever() {
    block();
}

/// Blocks the signal in this thread; the mask before.
fn block() -> libc::sigset_t {
    let set = pipe();
    let mut before = MaybeUninit::uninit();
    // SAFETY: the set is initialised; `before` is written, since the first argument is one that exists.
    unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, before.as_mut_ptr());
        before.assume_init()
    }
}

/// The set with SIGPIPE alone.
fn pipe() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set; SIGPIPE is a signal.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGPIPE);
        set.assume_init()
    }
}

fn is_pending() -> bool {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigpending initialises the set, and cannot fail with a pointer that is good.
    unsafe { libc::sigpending(set.as_mut_ptr()) == 0 && libc::sigismember(set.as_ptr(), libc::SIGPIPE) == 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_blocked() -> bool {
        let mut mask = MaybeUninit::uninit();
        // SAFETY: no new mask is given; the old one is written.
        unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), mask.as_mut_ptr());
            libc::sigismember(mask.as_ptr(), libc::SIGPIPE) == 1
        }
    }

    fn raise() {
        // SAFETY: the signal goes to this thread, which has it blocked.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGPIPE) };
    }

    #[test]
    fn the_signal_of_a_call_is_taken_away_and_the_mask_comes_back() {
        let quiet = Quiet::new();
        assert!(is_blocked());
        raise();
        assert!(is_pending());
        drop(quiet);
        assert!(!is_pending() && !is_blocked());
    }

    #[test]
    fn a_signal_that_the_program_waits_for_stays() {
        let outer = Quiet::new();
        raise();
        drop(Quiet::new());
        assert!(is_pending() && is_blocked());
        drop(outer);
        assert!(!is_pending());
    }
}
