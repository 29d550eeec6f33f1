//! Threads for the program's own code where it may take its time: made when there is something to do, gone soon after. What waits for a
//! thread waits in line; who hands work on never waits.

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What the program's code may use; as much as a program's own first thread has.
pub(crate) const STACK_BYTES: usize = 8 << 20;

/// Something to do.
pub(crate) type Work = Box<dyn FnOnce() + Send>;

thread_local! {
    static IS_ONE: Cell<bool> = const { Cell::new(false) };
}

/// True on such a thread: the program's code runs here.
pub(crate) fn is_here() -> bool {
    IS_ONE.get()
}

/// Threads of one kind.
pub(crate) struct Turns {
    name: &'static str,
    threads_max: usize,
    /// A thread without work ends after this time.
    idle: Duration,
    state: Mutex<State>,
    more: Condvar,
}

struct State {
    /// The process whose threads these are: a child of fork has none of them.
    pid: u32,
    /// Bounded by those who hand on: each has one piece of work at a time.
    waiting: VecDeque<Work>,
    threads: usize,
    idle: usize,
}

impl Turns {
    pub(crate) const fn new(name: &'static str, threads_max: usize, idle: Duration) -> Self {
        let state = State { pid: 0, waiting: VecDeque::new(), threads: 0, idle: 0 };
        Self { name, threads_max, idle, state: Mutex::new(state), more: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let pid = std::process::id();
        if state.pid != pid {
            // The objects are the parent's.
            std::mem::forget(std::mem::take(&mut state.waiting));
            (state.pid, state.threads, state.idle) = (pid, 0, 0);
        }
        state
    }

    /// Has it done. If there is no thread, and none can be made, it is dropped.
    pub(crate) fn hand(&'static self, work: Work) {
        let mut state = self.state();
        state.waiting.push_back(work);
        if state.waiting.len() > state.idle && state.threads < self.threads_max {
            let thread = std::thread::Builder::new().name(self.name.to_owned()).stack_size(STACK_BYTES);
            if thread.spawn(|| self.work()).is_ok() {
                state.threads += 1;
            } else if state.threads == 0 {
                let dropped = state.waiting.pop_back();
                drop(state);
                drop(dropped);
                return;
            }
        }
        drop(state);
        self.more.notify_one();
    }

    fn work(&self) {
        IS_ONE.set(true);
        while let Some(work) = self.next() {
            // A panic is the library's own: the program's exceptions do not come through.
            drop(catch_unwind(AssertUnwindSafe(work)));
        }
    }

    fn next(&self) -> Option<Work> {
        let mut state = self.state();
        loop {
            if let Some(work) = state.waiting.pop_front() {
                return Some(work);
            }
            state.idle += 1;
            let (back, waited) =
                self.more.wait_timeout(state, self.idle).unwrap_or_else(PoisonError::into_inner);
            state = back;
            state.idle -= 1;
            if waited.timed_out() && state.waiting.is_empty() {
                // In a child of fork, made by the program's own code on such a thread, this one was never counted.
                state.threads = state.threads.saturating_sub(1);
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
    use std::time::Instant;

    const LONG: Duration = Duration::from_secs(30);

    /// Work that waits until it may go on, and says its number then.
    fn gate(turns: &'static Turns, number: usize, said: &SyncSender<usize>) -> impl FnOnce() {
        let (go, may) = sync_channel::<()>(1);
        let said = said.clone();
        turns.hand(Box::new(move || {
            may.recv_timeout(LONG).unwrap();
            assert!(is_here());
            said.send(number).unwrap();
        }));
        move || go.send(()).unwrap()
    }

    fn nothing_comes(said: &Receiver<usize>) {
        assert!(said.recv_timeout(Duration::from_millis(100)).is_err());
    }

    #[test]
    fn work_that_takes_its_time_holds_up_only_what_is_beyond_the_limit() {
        static TURNS: Turns = Turns::new("test-turns", 2, Duration::from_millis(50));
        assert!(!is_here());
        let (say, said) = sync_channel(8);
        let first = gate(&TURNS, 1, &say);
        let second = gate(&TURNS, 2, &say);
        let third = gate(&TURNS, 3, &say);
        third();
        nothing_comes(&said);
        second();
        assert_eq!((said.recv_timeout(LONG), said.recv_timeout(LONG)), (Ok(2), Ok(3)));
        // A panic costs no thread.
        TURNS.hand(Box::new(|| panic!("on purpose")));
        gate(&TURNS, 4, &say)();
        assert_eq!(said.recv_timeout(LONG), Ok(4));
        first();
        assert_eq!(said.recv_timeout(LONG), Ok(1));
        // Without work the threads end, and come back.
        let begin = Instant::now();
        while TURNS.state().threads > 0 {
            assert!(begin.elapsed() < LONG);
            std::thread::sleep(Duration::from_millis(10));
        }
        gate(&TURNS, 5, &say)();
        assert_eq!(said.recv_timeout(LONG), Ok(5));
    }
}
