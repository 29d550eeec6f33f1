//! Which limit of bandwidth holds, and until when (spec/policy.md A4, A5, B).
//!
//! Strongest first: the maintenance profile in its window; the work profile in its window, else the nonwork profile; the simple
//! limit. A profile with a fault counts as if it were not there: without a work profile every hour is a nonwork hour.

use super::value::Rate;
use super::window::{LocalClock, Window, next_edge, week_minute};
use crate::enums::Priority;

/// How far ahead a change is looked for, in seconds: two weeks and a day, because a change of the zone's offset can swallow a
/// window of one week.
const HORIZON_S: i64 = 15 * 86_400;

/// Limits of the background levels: HIGH, NORMAL, LOW.
pub type Levels = [Rate; 3];

/// Limits inside a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Profile {
    /// When.
    pub window: Window,
    /// How much.
    pub levels: Levels,
}

/// The first generation: one limit inside daily hours, one outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Simple {
    /// When.
    pub window: Window,
    /// Inside.
    pub rate: Rate,
    /// Outside.
    pub off_rate: Rate,
}

/// Everything about bandwidth.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Bandwidth {
    /// First generation, if enabled.
    pub simple: Option<Simple>,
    /// Work and nonwork profiles are enabled.
    pub schedule: bool,
    /// Work profile, if it is enabled and without fault.
    pub work: Option<Profile>,
    /// Nonwork profile, likewise.
    pub nonwork: Option<Levels>,
    /// Maintenance profile, likewise.
    pub maintenance: Option<Profile>,
    /// The second generation does not limit servers in the own subnet.
    pub ignore_on_lan: bool,
    /// Limit of FOREGROUND jobs, if they have one at all: never more than HIGH jobs have.
    pub foreground: Option<Rate>,
}

/// The limit that holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// How much.
    pub rate: Rate,
    /// Key that says so; `None`: nothing limits.
    pub rule: Option<&'static str>,
    /// When it changes, in seconds since 1970; `None`: not by time.
    pub until: Option<i64>,
}

const WORK: [&str; 3] = ["bandwidth.work.high", "bandwidth.work.normal", "bandwidth.work.low"];
const NONWORK: [&str; 3] = ["bandwidth.nonwork.high", "bandwidth.nonwork.normal", "bandwidth.nonwork.low"];
const MAINTENANCE: [&str; 3] =
    ["bandwidth.maintenance.high", "bandwidth.maintenance.normal", "bandwidth.maintenance.low"];

type Decision = (Rate, Option<&'static str>);

impl Bandwidth {
    /// The limit at an instant. `on_lan`: the server is in the own subnet.
    pub fn limit_now(&self, clock: &impl LocalClock, unix_s: i64, priority: Priority, on_lan: bool) -> Limit {
        let decide = |at: i64| self.decide(week_minute(clock, at), priority, on_lan);
        let (rate, rule) = decide(unix_s);
        let edges = self.edges();
        let mut at = unix_s;
        let until = std::iter::from_fn(|| {
            at = next_edge(clock, at, &edges).filter(|next| *next - unix_s <= HORIZON_S)?;
            Some(at)
        });
        let until =
            if edges.is_empty() { None } else { until.into_iter().find(|at| decide(*at) != (rate, rule)) };
        Limit { rate, rule, until }
    }

    /// The limit in a minute of the week (0 = Monday 00:00).
    fn decide(&self, minute: u32, priority: Priority, on_lan: bool) -> Decision {
        let level = match priority {
            Priority::Foreground => {
                let Some(own) = self.foreground else { return (Rate::Unlimited, None) };
                let (rate, rule) = self.decide(minute, Priority::High, on_lan);
                return if own < rate { (own, Some("bandwidth.foreground")) } else { (rate, rule) };
            }
            Priority::High => 0,
            Priority::Normal => 1,
            Priority::Low => 2,
        };
        let lan = on_lan && self.ignore_on_lan;
        let limited = |rate: Rate, rule| (rate, (rate != Rate::Unlimited).then_some(rule));
        if let Some(profile) = self.maintenance.filter(|p| p.window.contains(minute)) {
            return if lan {
                (Rate::Unlimited, None)
            } else {
                limited(profile.levels[level], MAINTENANCE[level])
            };
        }
        if self.schedule {
            let work = self.work.filter(|p| p.window.contains(minute));
            return match (work, self.nonwork) {
                _ if lan => (Rate::Unlimited, None),
                (Some(work), _) => limited(work.levels[level], WORK[level]),
                (None, Some(levels)) => limited(levels[level], NONWORK[level]),
                (None, None) => (Rate::Unlimited, None),
            };
        }
        match self.simple {
            Some(simple) if simple.window.contains(minute) => limited(simple.rate, "bandwidth.simple.rate"),
            Some(simple) => limited(simple.off_rate, "bandwidth.simple.off_rate"),
            None => (Rate::Unlimited, None),
        }
    }

    /// Minutes of the day at which anything may change.
    fn edges(&self) -> Vec<u32> {
        let windows =
            [self.simple.map(|s| s.window), self.work.map(|p| p.window), self.maintenance.map(|p| p.window)];
        windows.into_iter().flatten().flat_map(Window::edges).collect()
    }
}
