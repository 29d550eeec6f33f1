//! Days, hours, and the local clock that they are read from.
//!
//! A window is what the clock on the wall shows: on the spring day 02:00 to 03:00 does not happen, on the autumn day it happens
//! twice and lasts two hours. A window belongs to the day on which it begins: Friday 22:00 to 06:00 ends on Saturday.

use std::fmt;

/// Minutes of a day.
pub const DAY_MIN: u32 = 24 * 60;
/// Minutes of a week.
pub const WEEK_MIN: u32 = 7 * DAY_MIN;
const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Days of the week; at least one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Days(u8);

impl Days {
    /// Every day.
    pub const ALL: Self = Self(0x7F);

    /// Reads one element: a day (`mon`), or a range of days (`mon-fri`, `fri-mon`).
    pub fn parse(text: &str) -> Option<Self> {
        let day = |name: &str| {
            let name = name.trim().to_ascii_lowercase();
            NAMES.iter().position(|n| *n == name)
        };
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (day(first)?, day(last)?),
            None => (day(text)?, day(text)?),
        };
        let count = (last + 7 - first) % 7 + 1;
        Some(Self((0..count).fold(0, |set, n| set | 1 << ((first + n) % 7))))
    }

    /// These days and those.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// True if the day is one of these; 0 = Monday.
    pub const fn contains(self, day: u32) -> bool {
        day < 7 && self.0 & (1 << day) != 0
    }

    /// Their names, Monday first.
    pub fn names(self) -> Vec<&'static str> {
        (0..7).zip(NAMES).filter(|(day, _)| self.contains(*day)).map(|(_, name)| name).collect()
    }
}

/// Hours of a day: from a minute (inclusive) to a minute (exclusive). Equal ones mean 24 hours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hours {
    from_min: u32,
    to_min: u32,
}

impl Hours {
    /// Reads `HH-HH` or `HH:MM-HH:MM`, hours 0 to 23.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |text: &str, max: u32| {
            let digits = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
            text.parse::<u32>().ok().filter(|n| digits && *n <= max)
        };
        let minute = |text: &str| match text.trim().split_once(':') {
            Some((hour, minute)) => Some(number(hour, 23)? * 60 + number(minute, 59)?),
            None => Some(number(text.trim(), 23)? * 60),
        };
        let (from, to) = text.split_once('-')?;
        Some(Self { from_min: minute(from)?, to_min: minute(to)? })
    }

    /// From (inclusive) and to (exclusive), as minutes of the day.
    pub const fn ends(self) -> (u32, u32) {
        (self.from_min, self.to_min)
    }

    /// Length in minutes, 1 to 1,440.
    pub const fn length_min(self) -> u32 {
        let length = (self.to_min + DAY_MIN - self.from_min) % DAY_MIN;
        if length == 0 { DAY_MIN } else { length }
    }

    /// Both ends are minutes of a day: true of every value that was parsed.
    pub const fn is_valid(self) -> bool {
        self.from_min < DAY_MIN && self.to_min < DAY_MIN
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from_min, self.to_min);
        if from % 60 == 0 && to % 60 == 0 {
            write!(f, "{:02}-{:02}", from / 60, to / 60)
        } else {
            write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
        }
    }
}

/// A weekly window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// The days on which it begins.
    pub days: Days,
    /// From when to when.
    pub hours: Hours,
}

impl Window {
    /// True if a minute of the week (0 = Monday 00:00) lies in the window.
    pub fn contains(self, week_minute: u32) -> bool {
        let (day, minute) = (week_minute / DAY_MIN % 7, week_minute % DAY_MIN);
        let begins = |day: u32, minute: u32| {
            self.days.contains(day)
                && minute >= self.hours.from_min
                && minute < self.hours.from_min + self.hours.length_min()
        };
        // Today's, or the rest of yesterday's.
        begins(day, minute) || begins((day + 6) % 7, minute + DAY_MIN)
    }

    /// Minutes of the day at which it begins or ends.
    pub(super) const fn edges(self) -> [u32; 2] {
        [self.hours.from_min, self.hours.to_min]
    }
}

/// What the local clock is ahead of UTC, and until when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offset {
    /// Seconds to add to UTC.
    pub seconds: i32,
    /// Instant of the next change, in seconds since 1970; `None`: no change is known.
    pub until: Option<i64>,
}

/// The rules of a time zone, for those who have no time zone database.
pub trait LocalClock {
    /// The offset at an instant, given in seconds since 1970.
    fn offset(&self, unix_s: i64) -> Offset;
}

/// A zone that never changes: seconds ahead of UTC.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fixed(pub i32);

impl LocalClock for Fixed {
    fn offset(&self, _: i64) -> Offset {
        Offset { seconds: self.0, until: None }
    }
}

/// Minute of the local week (0 = Monday 00:00) at an instant.
pub fn week_minute(clock: &impl LocalClock, unix_s: i64) -> u32 {
    let local_s = unix_s.saturating_add(clock.offset(unix_s).seconds.into());
    // 1970-01-01 was a Thursday: three days after Monday.
    let minute = local_s.div_euclid(60).saturating_add(3 * i64::from(DAY_MIN)).rem_euclid(WEEK_MIN.into());
    u32::try_from(minute).unwrap_or(0)
}

/// The first instant after `unix_s` at which one of the minutes of the day (all below 1,440) begins, or the zone changes its offset.
pub(super) fn next_edge(clock: &impl LocalClock, unix_s: i64, edges: &[u32]) -> Option<i64> {
    let offset = clock.offset(unix_s);
    let local_s = unix_s.checked_add(offset.seconds.into())?;
    let day_s = i64::from(DAY_MIN) * 60;
    let midnight = local_s - local_s.rem_euclid(day_s);
    let next = |edge: &u32| {
        let at = midnight + i64::from(*edge) * 60;
        if at > local_s { at } else { at + day_s }
    };
    let edge = edges.iter().map(next).min().map(|local| local - i64::from(offset.seconds));
    let change = offset.until.filter(|at| *at > unix_s);
    [edge, change].into_iter().flatten().min()
}
