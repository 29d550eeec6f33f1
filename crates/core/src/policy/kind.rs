//! Types of values: what is accepted, in which range (spec/policy.md C2).

use super::cost;
use super::value::{Rate, Raw, Value, duration_text};
use super::window::{Days, Hours};
use std::fmt;

/// Longest text, and most elements of a list or table.
const TEXT_MAX: usize = 4096;
const LIST_MAX: usize = 1024;

/// Type and range of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// The same, or a word.
    IntOr {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
        /// The word.
        word: &'static str,
    },
    /// Seconds, or a text with `s m h d w`.
    Duration {
        /// Shortest, in seconds.
        min_s: u64,
        /// Longest, in seconds.
        max_s: u64,
    },
    /// The same, or a word.
    DurationOr {
        /// Shortest, in seconds.
        min_s: u64,
        /// Longest, in seconds.
        max_s: u64,
        /// The word.
        word: &'static str,
    },
    /// Kilobits a second, or a text with a unit, or `unlimited`; 0 blocks.
    Rate,
    /// A number of bits a second, or a text with a unit.
    BitRate {
        /// Lowest, in bits a second.
        min: u64,
        /// Highest, in bits a second.
        max: u64,
    },
    /// Bytes, or a text with a decimal or binary unit.
    Size,
    /// A number, or a text with `%`.
    Percent {
        /// Smallest.
        min: u8,
        /// Largest.
        max: u8,
    },
    /// Days or ranges of days.
    Days,
    /// From one hour to another.
    Hours,
    /// A named set of network costs, its number 1 to 5, or a mask.
    Cost,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Any text of at most 4,096 bytes without control characters.
    Text,
    /// Up to 1,024 texts.
    List,
    /// Some of these words, at least one.
    Words(&'static [&'static str]),
    /// A table of names, each with one of the states of a network.
    States,
}

/// Highest rate: 4,294,967,200 kilobits a second.
pub const RATE_MAX_KBPS: u64 = 4_294_967_200;

impl Kind {
    /// Understands a value; the error says what is expected instead.
    pub fn parse(&self, raw: &Raw) -> Result<Value, String> {
        self.read(raw).ok_or_else(|| format!("{raw} is not {self}"))
    }

    fn read(&self, raw: &Raw) -> Option<Value> {
        let value = match (*self, raw) {
            (Self::Bool, Raw::Bool(value)) => Value::Bool(*value),
            (Self::Int { .. } | Self::IntOr { .. }, Raw::Int(n)) => Value::Int(*n),
            (Self::IntOr { word, .. } | Self::DurationOr { word, .. }, Raw::Text(text)) if text == word => {
                Value::Text(text.clone())
            }
            (Self::Duration { .. } | Self::DurationOr { .. }, Raw::Int(n)) => {
                Value::Seconds(u64::try_from(*n).ok()?)
            }
            (Self::Duration { .. } | Self::DurationOr { .. }, Raw::Text(text)) => {
                Value::Seconds(exact(text, &DURATION_UNITS)?)
            }
            (Self::Rate, Raw::Int(n)) => {
                let kbps = u64::try_from(*n).ok().filter(|n| *n <= RATE_MAX_KBPS)?;
                Value::Rate(Rate::from_bits(kbps * 1000))
            }
            (Self::Rate, Raw::Text(text)) if text == "unlimited" => Value::Rate(Rate::Unlimited),
            (Self::Rate, Raw::Text(text)) => Value::Rate(Rate::from_bits(bits(text)?)),
            (Self::BitRate { .. }, Raw::Int(n)) => Value::Rate(Rate::from_bits(u64::try_from(*n).ok()?)),
            (Self::BitRate { .. }, Raw::Text(text)) => Value::Rate(Rate::from_bits(bits(text)?)),
            (Self::Size, Raw::Int(n)) => Value::Bytes(u64::try_from(*n).ok()?),
            (Self::Size, Raw::Text(text)) => Value::Bytes(scaled(text, &SIZE_UNITS)?),
            (Self::Percent { .. }, Raw::Int(n)) => Value::Percent(u8::try_from(*n).ok()?),
            (Self::Percent { .. }, Raw::Text(text)) => {
                Value::Percent(u8::try_from(exact(text.strip_suffix('%')?, &[("", 1)])?).ok()?)
            }
            (Self::Days, Raw::Text(text)) => Value::Days(Days::parse(text)?),
            (Self::Days, Raw::List(list)) => {
                let days = list.iter().map(|day| match day {
                    Raw::Text(text) => Days::parse(text),
                    _ => None,
                });
                Value::Days(days.collect::<Option<Vec<_>>>()?.into_iter().reduce(Days::union)?)
            }
            (Self::Hours, Raw::Text(text)) => Value::Hours(Hours::parse(text)?),
            (Self::Cost, Raw::Int(n @ 1..=5)) => Value::Cost(cost::NAMED[usize::try_from(*n - 1).ok()?].1),
            (Self::Cost, Raw::Int(n)) => Value::Cost(u32::try_from(*n).ok()?),
            (Self::Cost, Raw::Text(text)) => {
                Value::Cost(cost::NAMED.iter().find(|(name, _)| name == text)?.1)
            }
            (Self::Word(words), Raw::Text(text)) if words.contains(&text.as_str()) => {
                Value::Text(text.clone())
            }
            (Self::Text, Raw::Text(text)) => Value::Text(text.clone()),
            (Self::List | Self::Words(_), Raw::List(list)) => {
                let text = |raw: &Raw| match raw {
                    Raw::Text(text) => Some(text.clone()),
                    _ => None,
                };
                Value::List(list.iter().map(text).collect::<Option<_>>()?)
            }
            (Self::States, Raw::Table(table)) => {
                let pair = |(name, state): (&String, &Raw)| match state {
                    Raw::Text(state) => Some((name.clone(), state.clone())),
                    _ => None,
                };
                Value::Map(table.iter().map(pair).collect::<Option<_>>()?)
            }
            _ => return None,
        };
        self.contains(&value).then_some(value)
    }

    /// True if the value is of this type and in its range.
    pub fn contains(&self, value: &Value) -> bool {
        let plain = |text: &str| text.len() <= TEXT_MAX && !text.chars().any(char::is_control);
        match (*self, value) {
            (Self::Bool, Value::Bool(_)) | (Self::Size, Value::Bytes(_)) | (Self::Days, Value::Days(_)) => {
                true
            }
            (Self::Int { min, max } | Self::IntOr { min, max, .. }, Value::Int(n)) => (min..=max).contains(n),
            (Self::IntOr { word, .. } | Self::DurationOr { word, .. }, Value::Text(text)) => text == word,
            (Self::Duration { min_s, max_s } | Self::DurationOr { min_s, max_s, .. }, Value::Seconds(s)) => {
                (min_s..=max_s).contains(s)
            }
            (Self::Rate, Value::Rate(rate)) => {
                rate.bits_per_s().is_none_or(|bits| bits <= RATE_MAX_KBPS * 1000) && *rate != Rate::Limit(0)
            }
            (Self::BitRate { min, max }, Value::Rate(Rate::Limit(bits))) => (min..=max).contains(bits),
            (Self::Percent { min, max }, Value::Percent(n)) => (min..=max).contains(n),
            (Self::Hours, Value::Hours(hours)) => hours.is_valid(),
            (Self::Cost, Value::Cost(mask)) => mask & !cost::DEFINED == 0 && mask & 0xFF != 0,
            (Self::Word(words), Value::Text(text)) => words.contains(&text.as_str()),
            (Self::Text, Value::Text(text)) => plain(text),
            (Self::List, Value::List(list)) => list.len() <= LIST_MAX && list.iter().all(|t| plain(t)),
            (Self::Words(words), Value::List(list)) => {
                !list.is_empty() && list.len() <= LIST_MAX && list.iter().all(|t| words.contains(&t.as_str()))
            }
            (Self::States, Value::Map(map)) => {
                map.len() <= LIST_MAX
                    && map.iter().all(|(name, state)| {
                        plain(name) && cost::STATES.iter().any(|(word, _)| word == state)
                    })
            }
            _ => false,
        }
    }
}

impl fmt::Display for Kind {
    /// Type and range in words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |words: &[&str]| words.iter().map(|w| format!("{w:?}")).collect::<Vec<_>>().join(", ");
        let duration = |min: u64, max: u64| {
            let max = if max == u64::from(u32::MAX) { "…".to_owned() } else { duration_text(max) };
            format!("a duration of {} to {max}", duration_text(min))
        };
        match *self {
            Self::Bool => f.write_str("true or false"),
            Self::Int { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::IntOr { min, max, word } => write!(f, "a whole number from {min} to {max}, or {word:?}"),
            Self::Duration { min_s, max_s } => f.write_str(&duration(min_s, max_s)),
            Self::DurationOr { min_s, max_s, word } => write!(f, "{}, or {word:?}", duration(min_s, max_s)),
            Self::Rate => f.write_str("a rate of 0 to 4294967200 kbps, or \"unlimited\""),
            Self::BitRate { min, max } => write!(f, "a rate of {min} to {max} bit/s"),
            Self::Size => f.write_str("a size"),
            Self::Percent { min, max } => write!(f, "{min} to {max} percent"),
            Self::Days => f.write_str("days of the week such as [\"mon-fri\"]"),
            Self::Hours => f.write_str("hours such as \"08-17\" or \"22:30-06:00\""),
            Self::Cost => f.write_str(
                "\"always\", \"unless-roaming\", \"unless-surcharge\", \"unless-near-limit\", \"unconstrained\", \
                 their number 1 to 5, or a mask of cost bits",
            ),
            Self::Word(list) => write!(f, "one of {}", words(list)),
            Self::Text => f.write_str("a text"),
            Self::List => f.write_str("a list of texts"),
            Self::Words(list) => write!(f, "a list of some of {}", words(list)),
            Self::States => {
                let states: Vec<_> = cost::STATES.iter().map(|(word, _)| *word).collect();
                write!(f, "a table of connections, each one of {}", words(&states))
            }
        }
    }
}

const DURATION_UNITS: [(&str, u64); 6] =
    [("", 1), ("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400), ("w", 604_800)];

const SIZE_UNITS: [(&str, u64); 11] = [
    ("", 1),
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Units of rates, in bits a second. A text without a unit is refused: it could mean kilobits or bits.
const RATE_UNITS: [(&str, u64); 18] = [
    ("bps", 1),
    ("kbps", 1_000),
    ("Kbps", 1_000),
    ("Mbps", 1_000_000),
    ("Gbps", 1_000_000_000),
    ("bit/s", 1),
    ("kbit/s", 1_000),
    ("Mbit/s", 1_000_000),
    ("Gbit/s", 1_000_000_000),
    ("B/s", 8),
    ("kB/s", 8_000),
    ("KB/s", 8_000),
    ("MB/s", 8_000_000),
    ("GB/s", 8_000_000_000),
    ("KiB/s", 8 << 10),
    ("MiB/s", 8 << 20),
    ("GiB/s", 8 << 30),
    ("mbps", 1_000_000),
];

fn bits(text: &str) -> Option<u64> {
    let bits = scaled(text, &RATE_UNITS)?;
    // What is not zero must not become a block by rounding.
    let zero = text.bytes().all(|b| !(b'1'..=b'9').contains(&b));
    if bits == 0 && !zero { Some(1) } else { Some(bits) }
}

fn split<'a>(text: &'a str, units: &[(&str, u64)]) -> Option<(&'a str, u64)> {
    let number = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text[number.len()..].trim();
    let factor = units.iter().find(|(name, _)| *name == unit)?.1;
    Some((number.trim_start(), factor))
}

/// A whole number with a unit.
fn exact(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, factor) = split(text, units)?;
    digits(number)?.checked_mul(factor)
}

/// A number with a unit, with up to six decimals; rounded down.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, factor) = split(text, units)?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    if decimals.len() > 6 {
        return None;
    }
    let scale = 10_u64.pow(u32::try_from(decimals.len()).ok()?);
    let part = u128::from(digits(decimals)?) * u128::from(factor) / u128::from(scale);
    digits(whole)?.checked_mul(factor)?.checked_add(u64::try_from(part).ok()?)
}

fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}
