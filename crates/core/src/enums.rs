//! Enumerations of the API, with the values of `bits.h` (spec/bits-core.md 2.3).

use serde::{Deserialize, Serialize};

macro_rules! api_enum {
    ($(#[$meta:meta])* $name:ident : $c_name:literal { $($(#[$vmeta:meta])* $variant:ident = $value:literal, $text:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        #[repr(u8)]
        pub enum $name { $($(#[$vmeta])* $variant = $value,)* }

        impl $name {
            /// The C name of the enumeration.
            pub const C_NAME: &'static str = $c_name;
            /// Every value, in numeric order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The enumerator's value, if defined.
            pub const fn from_value(value: i64) -> Option<Self> {
                match value { $($value => Some(Self::$variant),)* _ => None }
            }

            /// The numeric value of `bits.h`.
            pub const fn value(self) -> u8 { self as u8 }

            /// The name without the C prefix, as bitsadmin and the JSON forms print it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.pad(self.as_str()) }
        }

        impl std::str::FromStr for $name {
            type Err = UnknownName;
            fn from_str(text: &str) -> Result<Self, UnknownName> {
                let wanted = text.replace('-', "_");
                Self::ALL.iter().copied().find(|v| v.as_str().eq_ignore_ascii_case(&wanted)).ok_or(UnknownName)
            }
        }
    };
}

/// The text names no value of the enumeration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown name")]
pub struct UnknownName;

api_enum! {
    /// What a job moves, and where to.
    JobType: "BG_JOB_TYPE" {
        /// Server to client, any number of files.
        Download = 0, "DOWNLOAD";
        /// One file, client to server.
        Upload = 1, "UPLOAD";
        /// One file to a server application, then its reply comes back.
        UploadReply = 2, "UPLOAD_REPLY";
    }
}

api_enum! {
    /// State of a job (spec/bits-core.md 8).
    JobState: "BG_JOB_STATE" {
        /// Ready, waits for a turn.
        Queued = 0, "QUEUED";
        /// Contacting the server.
        Connecting = 1, "CONNECTING";
        /// Data is moving.
        Transferring = 2, "TRANSFERRING";
        /// Paused by creation or by Suspend.
        Suspended = 3, "SUSPENDED";
        /// Stopped; not retried without Resume.
        Error = 4, "ERROR";
        /// Stopped; will be retried.
        TransientError = 5, "TRANSIENT_ERROR";
        /// All data is there; waits for Complete or Cancel.
        Transferred = 6, "TRANSFERRED";
        /// Final: completed.
        Acknowledged = 7, "ACKNOWLEDGED";
        /// Final: cancelled.
        Cancelled = 8, "CANCELLED";
    }
}

impl JobState {
    /// ACKNOWLEDGED and CANCELLED: never left, not enumerated.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Acknowledged | Self::Cancelled)
    }

    /// CONNECTING and TRANSFERRING: a worker has the job.
    pub const fn is_running(self) -> bool {
        matches!(self, Self::Connecting | Self::Transferring)
    }
}

api_enum! {
    /// Priority level of a job.
    Priority: "BG_JOB_PRIORITY" {
        /// Not throttled; all foreground jobs run at once.
        Foreground = 0, "FOREGROUND";
        /// Highest background level.
        High = 1, "HIGH";
        /// The default.
        Normal = 2, "NORMAL";
        /// Lowest background level.
        Low = 3, "LOW";
    }
}

api_enum! {
    /// Where a job's proxy settings come from.
    ProxyUsage: "BG_JOB_PROXY_USAGE" {
        /// The owner's configured proxy (on Linux: policy, then the environment captured at creation).
        Preconfig = 0, "PRECONFIG";
        /// Direct.
        NoProxy = 1, "NO_PROXY";
        /// The lists given with the setting.
        Override = 2, "OVERRIDE";
        /// Auto-detected for each file.
        Autodetect = 3, "AUTODETECT";
    }
}

api_enum! {
    /// The part of the system in which a job's error arose (spec/bits-core.md 7.2).
    ErrorContext: "BG_ERROR_CONTEXT" {
        /// No error; never stored.
        None = 0, "NONE";
        /// Not known.
        Unknown = 1, "UNKNOWN";
        /// The service's own queue logic.
        GeneralQueueManager = 2, "GENERAL_QUEUE_MANAGER";
        /// While notifying the client.
        QueueManagerNotification = 3, "QUEUE_MANAGER_NOTIFICATION";
        /// The local file.
        LocalFile = 4, "LOCAL_FILE";
        /// The remote file.
        RemoteFile = 5, "REMOTE_FILE";
        /// Transport in general.
        GeneralTransport = 6, "GENERAL_TRANSPORT";
        /// The server application that received the upload.
        RemoteApplication = 7, "REMOTE_APPLICATION";
        /// The client's certificate callback.
        ServerCertificateCallback = 8, "SERVER_CERTIFICATE_CALLBACK";
    }
}

impl ErrorContext {
    /// The message id that GetErrorContextDescription looks up; not in enumerator order.
    pub const fn message(self) -> crate::hresult::HResult {
        use crate::hresult as h;
        match self {
            Self::None => h::BG_S_ERROR_CONTEXT_NONE,
            Self::Unknown => h::BG_E_ERROR_CONTEXT_UNKNOWN,
            Self::GeneralQueueManager => h::BG_E_ERROR_CONTEXT_GENERAL_QUEUE_MANAGER,
            Self::QueueManagerNotification => h::BG_E_ERROR_CONTEXT_QUEUE_MANAGER_NOTIFICATION,
            Self::LocalFile => h::BG_E_ERROR_CONTEXT_LOCAL_FILE,
            Self::RemoteFile => h::BG_E_ERROR_CONTEXT_REMOTE_FILE,
            Self::GeneralTransport => h::BG_E_ERROR_CONTEXT_GENERAL_TRANSPORT,
            Self::RemoteApplication => h::BG_E_ERROR_CONTEXT_REMOTE_APPLICATION,
            Self::ServerCertificateCallback => h::BG_E_ERROR_CONTEXT_SERVER_CERTIFICATE_CALLBACK,
        }
    }

    /// The context in words, as GetErrorContextDescription gives it.
    pub const fn text(self) -> &'static str {
        match self {
            Self::None => "Nothing has failed.",
            Self::Unknown => "The place of the failure is not known.",
            Self::GeneralQueueManager => "The failure arose in the service's own queue logic.",
            Self::QueueManagerNotification => "The failure arose while the client was being notified.",
            Self::LocalFile => "The failure concerns the file on this machine.",
            Self::RemoteFile => "The failure concerns the file on the server.",
            Self::GeneralTransport => "The failure arose in the connection, not in one particular file.",
            Self::RemoteApplication => {
                "The program on the server that received the upload reported the failure."
            }
            Self::ServerCertificateCallback => "The client's check of the server certificate failed.",
        }
    }

    /// GetFile gives the file for these contexts only.
    pub const fn names_a_file(self) -> bool {
        matches!(self, Self::LocalFile | Self::RemoteFile | Self::RemoteApplication)
    }

    /// GetProtocol gives the protocol for these contexts only.
    pub const fn names_a_protocol(self) -> bool {
        matches!(self, Self::RemoteFile | Self::GeneralTransport | Self::RemoteApplication)
    }
}

api_enum! {
    /// Whose challenge a credential answers.
    AuthTarget: "BG_AUTH_TARGET" {
        /// The server.
        Server = 1, "SERVER";
        /// The proxy.
        Proxy = 2, "PROXY";
    }
}

api_enum! {
    /// Authentication scheme of a credential.
    AuthScheme: "BG_AUTH_SCHEME" {
        /// Basic (clear text).
        Basic = 1, "BASIC";
        /// Digest challenge and response.
        Digest = 2, "DIGEST";
        /// NTLM.
        Ntlm = 3, "NTLM";
        /// SPNEGO: Kerberos or NTLM.
        Negotiate = 4, "NEGOTIATE";
        /// Passport; explicit credentials only.
        Passport = 5, "PASSPORT";
    }
}

/// `BG_NOTIFY_*` bits (spec/bits-core.md 2.3).
pub mod notify {
    /// The job reached TRANSFERRED.
    pub const JOB_TRANSFERRED: u32 = 0x01;
    /// The job reached ERROR.
    pub const JOB_ERROR: u32 = 0x02;
    /// Mutes everything; other bits are stored.
    pub const DISABLE: u32 = 0x04;
    /// The job changed.
    pub const JOB_MODIFICATION: u32 = 0x08;
    /// One file finished.
    pub const FILE_TRANSFERRED: u32 = 0x10;
    /// Byte ranges finished.
    pub const FILE_RANGES_TRANSFERRED: u32 = 0x20;
    /// Every defined bit.
    pub const ALL: u32 = 0x3F;
    /// Value of a new job.
    pub const DEFAULT: u32 = JOB_TRANSFERRED | JOB_ERROR;
}

/// EnumJobs flag: the jobs of all users (administrators only).
pub const ENUM_ALL_USERS: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &serde_json::Value, c_name: &str, rows: &[(u8, &str)]) {
        let list = json["enums"].as_array().unwrap();
        let row = list.iter().find(|e| e["name"] == c_name).unwrap_or_else(|| panic!("{c_name}"));
        let values = row["values"].as_array().unwrap();
        assert_eq!(values.len(), rows.len(), "{c_name}");
        for (value, (ours, text)) in values.iter().zip(rows) {
            assert_eq!(value["value"].as_u64().unwrap(), u64::from(*ours));
            assert_eq!(value["name"].as_str().unwrap(), format!("{c_name}_{text}"));
        }
    }

    #[test]
    fn values_and_names_are_those_of_the_specification() {
        let json: serde_json::Value =
            serde_json::from_str(include_str!("../../../spec/constants/bits-core.json")).unwrap();
        macro_rules! check_enum {
            ($($t:ty),*) => { $(
                let rows: Vec<_> = <$t>::ALL.iter().map(|v| (v.value(), v.as_str())).collect();
                check(&json, <$t>::C_NAME, &rows);
                for v in <$t>::ALL {
                    assert_eq!(<$t>::from_value(i64::from(v.value())), Some(*v));
                    assert_eq!(v.as_str().parse(), Ok(*v));
                }
                assert_eq!(<$t>::from_value(99), None);
            )* };
        }
        check_enum!(JobType, JobState, Priority, ProxyUsage, ErrorContext, AuthTarget, AuthScheme);
        for context in ErrorContext::ALL {
            let c_name = format!("BG_ERROR_CONTEXT_{}", context.as_str());
            assert_eq!(
                context.message().name(),
                json["error_context_messages"][&c_name].as_str(),
                "{c_name}"
            );
        }
    }
}
