//! `GET /metrics`: OpenMetrics (docs/metrics.md). Root sees the machine's numbers, everybody else those of the own jobs; no number has
//! a job or a user for a label, so that a busy service has as many lines as an idle one.

use crate::brain::View;
use openbits_core::events_log::{EventType, Record};
use openbits_core::{JobState, Uid};
use openbits_store::Stats;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};
use std::collections::{BTreeMap, HashMap};

/// Media type of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Events since the start, by number.
#[derive(Debug, Default)]
pub struct Counters {
    all: BTreeMap<u16, u64>,
    owners: HashMap<Uid, BTreeMap<u16, u64>>,
}

impl Counters {
    /// An event happened.
    pub fn count(&mut self, record: &Record) {
        let number = record.kind.number;
        *self.all.entry(number).or_default() += 1;
        if let Some(owner) = record.owner {
            *self.owners.entry(owner).or_default().entry(number).or_default() += 1;
        }
    }

    fn of(&self, owner: Option<Uid>) -> Option<&BTreeMap<u16, u64>> {
        match owner {
            None => Some(&self.all),
            Some(owner) => self.owners.get(&owner),
        }
    }
}

type Labels = Vec<(&'static str, String)>;

/// The numbers of one owner's jobs, or (`None`) of the machine.
pub fn text(view: &View<'_>, owner: Option<Uid>, mode: &str, stats: Stats) -> String {
    let mut registry = Registry::with_prefix("openbits");
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("mode", mode)];
    let build = Family::<Labels, Gauge>::default();
    build.get_or_create(&labels.map(|(name, value)| (name, value.to_owned())).to_vec()).set(1);
    registry.register("build_info", "The service's version and mode", build);
    let jobs = Family::<Labels, Gauge>::default();
    let states = view.queue.states(owner);
    for &state in JobState::ALL {
        let count = states[usize::from(state.value())];
        let label = vec![("state", state.as_str().to_ascii_lowercase())];
        jobs.get_or_create(&label).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    registry.register("jobs", "Jobs in the queue", jobs);
    let received = ConstCounter::new(view.queue.received(owner));
    registry.register_with_unit(
        "received",
        "Bytes that became durable since the start",
        Unit::Bytes,
        received,
    );
    let events = Family::<Labels, Counter>::default();
    for (number, count) in view.counters.of(owner).into_iter().flatten() {
        let level = EventType::of(*number).map_or("", |kind| kind.level.as_str());
        let label = vec![("id", number.to_string()), ("level", level.to_owned())];
        events.get_or_create(&label).inc_by(*count);
    }
    registry.register("events", "Events since the start, by the numbers of docs/events.md", events);
    if owner.is_none() {
        let up = i64::from(view.queue.network());
        registry.register("network_up", "The network is there", ConstGauge::new(up));
        let running = i64::try_from(view.queue.under_way()).unwrap_or(i64::MAX);
        let help = "Callbacks without an answer and notification programs that run";
        registry.register("notifications_in_flight", help, ConstGauge::new(running));
        registry.register(
            "store_commits",
            "Transactions of the queue's store",
            ConstCounter::new(stats.commits),
        );
        registry.register("store_operations", "Changes in them", ConstCounter::new(stats.ops));
    }
    let mut out = String::new();
    // Writing into a text cannot fail.
    let _ = encode(&mut out, &registry);
    out
}
