//! What can go wrong between a caller and the service.

use crate::start::StartError;
use openbits_api::Problem;
use openbits_api::socket::SocketError;
use std::path::PathBuf;
use std::time::Duration;

/// Why a call gave no answer, or a refusal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody answers on the socket.
    #[error("no service answers on {}: {source}", path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The place of the socket cannot be trusted.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The user's own service did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The service refused the call.
    #[error("{} ({}): {}", .0.name, .0.hresult, .0.detail)]
    Problem(Box<Problem>),
    /// The connection broke after the request was sent: it may or may not have been carried out.
    #[error("the service went away during the call; whether it was carried out is not known")]
    Interrupted,
    /// No answer in time.
    #[error("no answer from the service within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// The kernel gives no random numbers for a GUID.
    #[error("no random numbers: {0}")]
    Random(String),
    /// The answer is not what the contract says.
    #[error("the service's answer cannot be understood: {0}")]
    Protocol(String),
}

impl Error {
    /// The service's refusal, if it is one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// The service refused with this code.
    pub fn is_code(&self, code: openbits_core::HResult) -> bool {
        self.problem().is_some_and(|p| p.code() == code)
    }

    /// The service is not there (as opposed to: it answered, and not as wished).
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Start(_) | Self::Interrupted | Self::Timeout(_))
    }
}
