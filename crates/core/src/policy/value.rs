//! Values of the policy: as they stand in a file ([`Raw`]) and as they are understood ([`Value`]).

use super::window::{Days, Hours};
use std::collections::BTreeMap;
use std::fmt;

/// A value of a file, whatever its syntax was.
#[derive(Clone, PartialEq, Debug)]
pub enum Raw {
    /// `true`, `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
    /// An array.
    List(Vec<Raw>),
    /// A table.
    Table(Tree),
    /// Something that no key takes, such as a date; as text.
    Other(String),
}

/// Names and values of a table.
pub type Tree = BTreeMap<String, Raw>;

impl fmt::Display for Raw {
    /// As it would stand in a file, for messages; at most some 60 characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 60;
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Text(text) => write!(f, "{:?}", text.chars().take(SHOWN).collect::<String>()),
            Self::List(list) => write!(f, "an array of {}", list.len()),
            Self::Table(_) => f.write_str("a table"),
            Self::Other(text) => f.write_str(&text.chars().take(SHOWN).collect::<String>()),
        }
    }
}

/// A limit of bandwidth.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rate {
    /// Nothing may be transferred.
    Blocked,
    /// At most so many bits a second; 2,000 or more.
    Limit(u64),
    /// No limit.
    Unlimited,
}

impl Rate {
    /// Smallest limit that is not a block, in bits a second (spec/policy.md C2).
    pub const SMALLEST: u64 = 2_000;

    /// From bits a second: 0 blocks, less than 2,000 becomes 2,000.
    pub const fn from_bits(bits_per_s: u64) -> Self {
        match bits_per_s {
            0 => Self::Blocked,
            n if n < Self::SMALLEST => Self::Limit(Self::SMALLEST),
            n => Self::Limit(n),
        }
    }

    /// Bits a second; `None` for no limit.
    pub const fn bits_per_s(self) -> Option<u64> {
        match self {
            Self::Blocked => Some(0),
            Self::Limit(bits) => Some(bits),
            Self::Unlimited => None,
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Blocked => f.write_str("0"),
            Self::Unlimited => f.write_str("unlimited"),
            Self::Limit(bits) if bits % 1_000_000 == 0 => write!(f, "{}Mbps", bits / 1_000_000),
            Self::Limit(bits) if bits % 1_000 == 0 => write!(f, "{}kbps", bits / 1_000),
            Self::Limit(bits) => write!(f, "{bits}bps"),
        }
    }
}

/// A value as it is understood. Which variant a key has is said by its [`super::Kind`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// Nothing is set, and there is no default.
    Unset,
    /// Yes or no.
    Bool(bool),
    /// A number.
    Int(i64),
    /// A duration in seconds.
    Seconds(u64),
    /// A limit of bandwidth.
    Rate(Rate),
    /// A size in bytes.
    Bytes(u64),
    /// Percent.
    Percent(u8),
    /// Days of the week.
    Days(Days),
    /// Hours of a day.
    Hours(Hours),
    /// Mask of network costs (spec/behaviour.md 21).
    Cost(u32),
    /// A text, or one of the words that the key knows.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
    /// Names and words.
    Map(BTreeMap<String, String>),
}

impl Value {
    /// As JSON, in the form a file takes.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Unset => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Int(value) => (*value).into(),
            Self::Percent(value) => (*value).into(),
            Self::Days(days) => days.names().into(),
            Self::List(list) => list.clone().into(),
            Self::Map(map) => {
                serde_json::Value::Object(map.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect())
            }
            Self::Rate(Rate::Blocked) => 0.into(),
            Self::Text(text) => text.clone().into(),
            Self::Seconds(_) | Self::Rate(_) | Self::Bytes(_) | Self::Hours(_) | Self::Cost(_) => {
                self.to_string().into()
            }
        }
    }
}

/// Seconds with the largest unit that leaves no rest: `90d`, `10m`.
pub fn duration_text(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let unit = UNITS.into_iter().find(|(size, _)| seconds > 0 && seconds.is_multiple_of(*size));
    unit.map_or_else(|| "0s".to_owned(), |(size, name)| format!("{}{name}", seconds / size))
}

fn size_text(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS.into_iter().find(|(size, _)| bytes > 0 && bytes.is_multiple_of(*size));
    unit.map_or_else(|| bytes.to_string(), |(size, name)| format!("{}{name}", bytes / size))
}

impl fmt::Display for Value {
    /// As it would stand in a file, texts without quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => f.write_str("none"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Seconds(seconds) => f.write_str(&duration_text(*seconds)),
            Self::Rate(rate) => write!(f, "{rate}"),
            Self::Bytes(bytes) => f.write_str(&size_text(*bytes)),
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Days(days) => f.write_str(&days.names().join(",")),
            Self::Hours(hours) => write!(f, "{hours}"),
            Self::Cost(mask) => match super::cost::name(*mask) {
                Some(name) => f.write_str(name),
                None => write!(f, "0x{mask:08X}"),
            },
            Self::Text(text) => f.write_str(text),
            Self::List(list) => write!(f, "[{}]", list.join(", ")),
            Self::Map(map) => {
                let pairs: Vec<_> = map.iter().map(|(k, v)| format!("{k}={v}")).collect();
                write!(f, "{{{}}}", pairs.join(", "))
            }
        }
    }
}
