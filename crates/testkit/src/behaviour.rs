//! The behaviours a file on the origin may have.

/// How the origin answers requests for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Behaviour {
    /// Everything as RFC 9110 wants it: ranges, If-Range, HEAD, keep-alive.
    Good,
}
