//! From the right answer to the wrong one: every behaviour as a function from a request to a plan.

mod framing;
mod protocol;
mod ranges;
mod redirects;
mod status;
mod timing;
mod validators;

use super::file::OriginFile;
use super::good;
use super::log::Door;
use super::plan::{End, Plan, Step};
use super::request::Request;
use super::state::Shared;
use crate::behaviour::Behaviour;

/// What a behaviour may look at.
pub(crate) struct Facts<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) request: &'a Request,
    pub(crate) file: &'a OriginFile,
    pub(crate) door: Door,
    /// Number of the connection on this origin.
    pub(crate) connection: u64,
    /// Requests other than HEAD for this file before this one.
    pub(crate) earlier_gets: u32,
    /// Requests for this file before this one.
    pub(crate) earlier: u32,
}

impl Facts<'_> {
    fn head(&self) -> bool {
        self.request.is_head()
    }

    fn good(&self) -> Plan {
        good::answer(self.request, self.file)
    }

    /// The right answer for a changed file.
    fn good_for(&self, file: &OriginFile) -> Plan {
        good::answer(self.request, file)
    }

    /// The right answer, changed in its header fields.
    fn edited(&self, change: impl FnOnce(&mut super::plan::Fields)) -> Plan {
        let mut plan = self.good();
        plan.edit(change);
        plan
    }

    /// The right answer, with its body cut where the behaviour strikes.
    fn cut(&self, end: End) -> Plan {
        let mut plan = self.good();
        if let Some((content, from, to)) = plan.body() {
            let content = content.clone();
            plan.steps = vec![Step::Body { content, start: from, end: self.file.strike(from, to) }];
            plan.end = end;
        }
        plan
    }
}

/// The answer that `facts.file.behaviour` gives.
pub(crate) fn answer(facts: &Facts<'_>) -> Plan {
    let spent = facts.file.times.is_some_and(|times| facts.earlier_gets >= times);
    let behaviour = if spent { Behaviour::Good } else { facts.file.behaviour };
    None.or_else(|| ranges::plan(behaviour, facts))
        .or_else(|| validators::plan(behaviour, facts))
        .or_else(|| framing::plan(behaviour, facts))
        .or_else(|| status::plan(behaviour, facts))
        .or_else(|| redirects::plan(behaviour, facts))
        .or_else(|| protocol::plan(behaviour, facts))
        .or_else(|| timing::plan(behaviour, facts))
        .unwrap_or_else(|| facts.good())
}
