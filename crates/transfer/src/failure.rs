//! Making [`Fail`] values of what goes wrong outside of an answer.

use openbits_core::classify::{self, Class};
use openbits_core::hresult::*;
use openbits_core::plan::Fail;
use openbits_core::{ErrorContext, HResult};
use rustix::io::Errno;

/// Result of everything inside an attempt.
pub(crate) type Outcome<T> = Result<T, Box<Fail>>;

/// The network between us and the server.
pub(crate) fn transport(code: HResult, detail: impl Into<String>) -> Box<Fail> {
    with(ErrorContext::GeneralTransport, code, classify::hresult(code), detail)
}

/// The local file.
pub(crate) fn local(errno: Errno, what: &str) -> Box<Fail> {
    let code = HResult::from_errno(errno.raw_os_error());
    local_code(code, format!("{what}: {errno}"))
}

/// The local file, from a `std` error.
pub(crate) fn local_io(error: &std::io::Error, what: &str) -> Box<Fail> {
    match error.raw_os_error() {
        Some(errno) => local(Errno::from_raw_os_error(errno), what),
        None => local_code(E_FAIL, format!("{what}: {error}")),
    }
}

/// The local file, with a code of our own.
pub(crate) fn local_code(code: HResult, detail: impl Into<String>) -> Box<Fail> {
    with(ErrorContext::LocalFile, code, classify::hresult(code), detail)
}

/// Any context and class.
pub(crate) fn with(
    context: ErrorContext,
    code: HResult,
    class: Class,
    detail: impl Into<String>,
) -> Box<Fail> {
    Box::new(Fail { code, context, class, retry_after_ms: None, discard: false, detail: detail.into() })
}
