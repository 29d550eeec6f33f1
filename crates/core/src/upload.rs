//! The BITS upload protocol as words and pure decisions, for both ends (spec/upload-protocol.md).
//!
//! The way of a request: [`Envelope`] (is this a packet at all?) -> [`Packet`] (which one, about which session) ->
//! [`Session`] and [`fragment::decide`] (what it does to the session) -> [`Ack`] or [`Refusal`] (what is answered).
//! Parsers take bytes from the network: they return errors and never panic.

mod ack;
pub mod client;
pub mod fragment;
pub mod grammar;
mod packet;
mod refusal;
mod session;
mod session_id;

pub use ack::{Ack, AckError, HostId, UnreadableAck};
pub use grammar::ContentRange;
pub use packet::{Envelope, Headers, Packet, PacketType};
pub use refusal::Refusal;
pub use session::{
    Door, Ending, Final, Notified, Phase, Progress, Session, Settle, Tombstone, Tus, TusConcat,
};
pub use session_id::{InvalidSessionId, SessionId};

/// The HTTP method of every packet; compared exactly (section 2).
pub const METHOD: &str = "BITS_POST";
/// The only protocol ever defined, as it is sent: lower case (section 3).
pub const PROTOCOL: &str = "{7df0354d-249b-430f-820d-3d2a9bef4931}";
/// Longest header value in bytes that a request may carry (section 2).
pub const MAX_HEADER_VALUE: usize = 4096;
/// Longest list of protocols that is read (section 4.1).
pub const MAX_PROTOCOLS: usize = 100;
/// Longest reply URL and notification URL in characters (section 13).
pub const MAX_URL: usize = 2200;
/// Longest host id in characters (section 12).
pub const MAX_HOST_ID: usize = 300;
/// Smallest fragment in bytes that a client sends, except the last one (section 5.3).
pub const MIN_FRAGMENT: u64 = 5 * 1024;
/// Largest fragment in bytes that a client sends (section 5.3).
pub const MAX_FRAGMENT: u64 = 13 * 1024 * 1024;
/// Inactivity after which a server removes a session, in seconds: 14 days (section 9.8).
pub const SESSION_TIMEOUT_S: u64 = 1_209_600;
/// A client's fallback time-out when the server names none, in seconds: never (section 7).
pub const NO_FALLBACK_S: u32 = u32::MAX;

/// Names of the headers, in the spelling of the wire (section 4).
pub mod header {
    /// Kind of packet.
    pub const PACKET_TYPE: &str = "BITS-Packet-Type";
    /// Session of the packet.
    pub const SESSION_ID: &str = "BITS-Session-Id";
    /// Protocols the client speaks.
    pub const SUPPORTED_PROTOCOLS: &str = "BITS-Supported-Protocols";
    /// The protocol the server chose.
    pub const PROTOCOL: &str = "BITS-Protocol";
    /// Next byte the server expects.
    pub const RECEIVED: &str = "BITS-Received-Content-Range";
    /// Where the reply of the back-end is.
    pub const REPLY_URL: &str = "BITS-Reply-URL";
    /// Host for the rest of the session.
    pub const HOST_ID: &str = "BITS-Host-Id";
    /// Seconds until a client gives that host up.
    pub const HOST_ID_FALLBACK: &str = "BITS-Host-Id-Fallback-Timeout";
    /// HRESULT, first documented name (section 4.3).
    pub const ERROR: &str = "BITS-Error";
    /// HRESULT, second documented name (section 4.3).
    pub const ERROR_CODE: &str = "BITS-Error-Code";
    /// Who failed: 0x5 the server, 0x7 the back-end.
    pub const ERROR_CONTEXT: &str = "BITS-Error-Context";
    /// To the back-end: the upload's URL (section 15).
    pub const ORIGINAL_URL: &str = "BITS-Original-Request-URL";
    /// To the back-end: path of the uploaded data (section 15).
    pub const REQUEST_FILE: &str = "BITS-Request-DataFile-Name";
    /// To the back-end: where to write the reply (section 15).
    pub const RESPONSE_FILE: &str = "BITS-Response-DataFile-Name";
    /// From the back-end: the reply is at this URL (section 15).
    pub const STATIC_RESPONSE_URL: &str = "BITS-Static-Response-URL";
    /// From the back-end: deliver the upload to its destination as well (section 15).
    pub const COPY_TO_DESTINATION: &str = "BITS-Copy-File-To-Destination";
}

#[cfg(test)]
mod tests;
