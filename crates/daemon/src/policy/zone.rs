//! The time zone of the schedule.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use openbits_core::policy::window::{LocalClock, Offset};

/// Where the system keeps its zone, and all zones.
pub const LOCAL_ZONE: &str = "/etc/localtime";
const ZONES: &str = "/usr/share/zoneinfo";

/// A zone; read once, so that a decision does not wait for the disk.
#[derive(Clone, Debug)]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone of the machine as it is now: `TZ` if it is set, else the system's file, else UTC.
    pub fn local() -> Self {
        if std::env::var_os("TZ").is_some_and(|v| !v.is_empty()) {
            return Self(TimeZone::system());
        }
        // Read here and not by the library, which remembers it for minutes.
        let bytes = std::fs::read(LOCAL_ZONE).unwrap_or_default();
        Self(TimeZone::tzif("Local", &bytes).unwrap_or(TimeZone::UTC))
    }

    /// `local`, or a name such as `Europe/Berlin`.
    pub fn named(name: &str) -> Result<Self, String> {
        match name {
            "local" => return Ok(Self::local()),
            "UTC" => return Ok(Self(TimeZone::UTC)),
            _ => {}
        }
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_+-".contains(&b));
        if !plain || name.starts_with('/') || name.len() > 100 {
            return Err("not the name of a zone".to_owned());
        }
        let bytes = std::fs::read(format!("{ZONES}/{name}")).map_err(|e| format!("no such zone: {e}"))?;
        TimeZone::tzif(name, &bytes).map(Self).map_err(|e| e.to_string())
    }
}

impl LocalClock for Zone {
    fn offset(&self, unix_s: i64) -> Offset {
        let Ok(at) = Timestamp::from_second(unix_s) else { return Offset { seconds: 0, until: None } };
        let until = self.0.following(at).next().map(|change| change.timestamp().as_second());
        Offset { seconds: self.0.to_offset(at).seconds(), until }
    }
}
