//! Calls of the service. Each runs on the calling thread, over a connection that no other thread uses meanwhile: no thread has to be
//! woken for it, and a call that takes its time holds up nobody else (docs/decisions/0020).

use crate::quiet::Quiet;
use crate::start::starter;
use openbits_client::{Choice, Client, Endpoint, Environment, Error, Timeouts};
use openbits_core::hresult::{self as h, HResult};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Idle connections that are kept; more are closed.
const IDLE_MAX: usize = 8;

/// A call that the service does not answer fails after a minute; what may be repeated is repeated for some seconds after the service
/// went away.
const TIMEOUTS: Timeouts =
    Timeouts { call: Duration::from_secs(60), return_of_service: Duration::from_secs(5) };

/// A connection, with what drives it.
struct Lane {
    runtime: Runtime,
    client: Client,
}

struct Pool {
    /// The process that made the lanes: a child of fork makes its own.
    pid: u32,
    idle: Vec<Lane>,
    /// The service that answered first is this process's service.
    endpoint: Option<Endpoint>,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { pid: 0, idle: Vec::new(), endpoint: None });

fn pool() -> MutexGuard<'static, Pool> {
    // Nothing is half changed in it, ever.
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    let pid = std::process::id();
    if pool.pid != pid {
        // Closing them would disturb the parent's: both share the kernel's lists of what to wait for.
        std::mem::forget(std::mem::take(&mut pool.idle));
        pool.pid = pid;
    }
    pool
}

/// A client of this process's service, without a connection yet.
///
/// # Errors
/// The place of the service cannot be trusted.
pub(crate) fn client() -> Result<Client, Error> {
    let environment = Environment::of_process();
    let known = pool().endpoint.clone();
    let endpoint = known.map_or_else(|| environment.find(&Choice::Any), Ok)?;
    Ok(Client::new(endpoint, starter(&environment), TIMEOUTS))
}

fn open() -> Result<Lane, HResult> {
    let client = client().map_err(|e| code(&e))?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|_| h::E_OUTOFMEMORY)?;
    Ok(Lane { runtime, client })
}

/// Makes a call and waits for its answer.
///
/// # Errors
/// The service's refusal, or the code for its absence.
pub(crate) fn call<T>(call: impl AsyncFnOnce(&Client) -> Result<T, Error>) -> Result<T, HResult> {
    let _quiet = Quiet::new();
    let idle = pool().idle.pop();
    let lane = idle.map_or_else(open, Ok)?;
    let answer = lane.runtime.block_on(call(&lane.client));
    let mut pool = pool();
    if matches!(answer, Ok(_) | Err(Error::Problem(_))) && pool.endpoint.is_none() {
        pool.endpoint = Some(lane.client.endpoint().clone());
    }
    // While nobody has answered, the next call looks for the service anew.
    if pool.idle.len() < IDLE_MAX && pool.endpoint.as_ref() == Some(lane.client.endpoint()) {
        pool.idle.push(lane);
    }
    answer.map_err(|e| code(&e))
}

/// What a caller hears of an error: the service's own code, else what a COM proxy says of a server that is gone (spec/bits-core.md 5).
pub(crate) fn code(error: &Error) -> HResult {
    match error {
        Error::Problem(problem) => match problem.code() {
            code if code.is_ok() => h::E_FAIL,
            h::RPC_E_DISCONNECTED => h::RPC_S_SERVER_UNAVAILABLE,
            code => code,
        },
        Error::Socket(_) => h::E_ACCESSDENIED,
        error if error.is_gone() => h::RPC_S_SERVER_UNAVAILABLE,
        _ => h::E_UNEXPECTED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openbits_api::Problem;

    #[test]
    fn errors_become_the_codes_that_callers_know() {
        let refused = |code| Error::Problem(Box::new(Problem::new(code, "x")));
        assert_eq!(code(&refused(h::BG_E_EMPTY)), h::BG_E_EMPTY);
        assert_eq!(code(&refused(h::RPC_E_DISCONNECTED)), h::RPC_S_SERVER_UNAVAILABLE);
        assert_eq!(code(&Error::Interrupted), h::RPC_S_SERVER_UNAVAILABLE);
        assert_eq!(code(&Error::Timeout(Duration::ZERO)), h::RPC_S_SERVER_UNAVAILABLE);
        assert_eq!(code(&Error::Protocol("x".to_owned())), h::E_UNEXPECTED);
    }
}
