//! One alarm on the clock that counts sleep: fires when the machine wakes up, too. Costs nothing while it is not set.

use openbits_core::Mono;
use rustix::fd::OwnedFd;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io;
use tokio::io::unix::AsyncFd;

use crate::clock::Clock;

/// A timer descriptor on `CLOCK_BOOTTIME`.
#[derive(Debug)]
pub struct Alarm {
    timer: AsyncFd<OwnedFd>,
    set_for: Option<Mono>,
}

impl Alarm {
    /// An alarm that is not set. Needs a tokio runtime.
    pub fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        // SAFETY: the AsyncFd owns the descriptor; nobody else has it, and it stays open until the AsyncFd is dropped.
        #[allow(unsafe_code, reason = "registers a descriptor that it owns")]
        let timer = unsafe { AsyncFd::register(timer)? };
        Ok(Self { timer, set_for: None })
    }

    /// Sets it for an instant, or takes it back.
    pub fn set(&mut self, at: Option<Mono>, clock: Clock) -> io::Result<()> {
        if at == self.set_for {
            return Ok(());
        }
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = match at {
            None => zero,
            Some(at) => {
                // One millisecond at least: zero would disarm.
                let wait = clock.until(at).max(std::time::Duration::from_millis(1));
                let seconds = i64::try_from(wait.as_secs()).unwrap_or(i64::MAX).min(86_400 * 365 * 10);
                Timespec { tv_sec: seconds, tv_nsec: i64::from(wait.subsec_nanos()) }
            }
        };
        timerfd_settime(
            self.timer.get_ref(),
            TimerfdTimerFlags::empty(),
            &Itimerspec { it_interval: zero, it_value: value },
        )?;
        self.set_for = at;
        Ok(())
    }

    /// Waits until it fires; for ever while it is not set.
    pub async fn fired(&mut self) {
        loop {
            let Ok(mut guard) = self.timer.readable().await else { return std::future::pending().await };
            let mut count = [0u8; 8];
            match guard.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut count)?)) {
                Ok(_) => {
                    self.set_for = None;
                    return;
                }
                Err(_would_block) => {}
            }
        }
    }
}
