//! Wrong answers to range requests.

use super::Facts;
use crate::behaviour::Behaviour;
use crate::origin::good::{self, Wanted, content_range};
use crate::origin::plan::{Fields, Plan, Step};

pub(super) fn plan(behaviour: Behaviour, facts: &Facts<'_>) -> Option<Plan> {
    let total = facts.file.size();
    let one = match good::wanted(facts.request, facts.file) {
        Wanted::Ranges(ranges) if ranges.len() == 1 => Some(ranges[0]),
        _ => None,
    };
    let asked = facts.request.header("range").is_some();
    let relabel = |label: &dyn Fn(u64, u64) -> String| {
        facts.edited(|fields| {
            if let Some((start, end)) = one {
                fields.set("Content-Range", label(start, end));
            }
        })
    };
    let all = || {
        let mut plan = good::whole(facts.request, facts.file);
        plan.edit(|fields| fields.remove("Accept-Ranges"));
        plan
    };
    Some(match behaviour {
        Behaviour::NoRanges => all(),
        Behaviour::RangesOnlyAfterFirst if facts.earlier_gets == 0 => all(),
        Behaviour::PartialNoContentRange => facts.edited(|fields| fields.remove("Content-Range")),
        Behaviour::PartialWrongStart => relabel(&|start, end| content_range(start + 1, end + 1, total)),
        Behaviour::PartialWrongEnd => relabel(&|start, end| content_range(start, end + 1, total)),
        Behaviour::PartialWrongTotal => relabel(&|start, end| content_range(start, end, total + 1)),
        Behaviour::PartialStarTotal => relabel(&|start, end| format!("bytes {start}-{}/*", end - 1)),
        Behaviour::PartialWrongUnit => relabel(&|start, end| format!("items {start}-{}/{total}", end - 1)),
        Behaviour::PartialGarbage => relabel(&|_, _| "bytes a-b/c".to_owned()),
        Behaviour::TotalChanges => {
            relabel(&|start, end| content_range(start, end, total + u64::from(facts.earlier)))
        }
        Behaviour::ContentRangeOddSpelling => facts.edited(|fields| {
            if let Some((start, end)) = one {
                fields.remove("Content-Range");
                let value = format!(" BYTES  {start}-{}/{total} ", end - 1);
                fields.headers.push(("content-RANGE".to_owned(), value));
            }
        }),
        Behaviour::PartialMultipart => {
            one.map_or_else(|| facts.good(), |range| good::multipart(facts.request, facts.file, &[range]))
        }
        Behaviour::PartialUnasked if !asked && total > 1 => {
            good::partial(facts.request, facts.file, (0, total / 2))
        }
        Behaviour::PartialShorter => one.map_or_else(
            || facts.good(),
            |(start, end)| {
                good::partial(facts.request, facts.file, (start, start + (end - start).div_ceil(2)))
            },
        ),
        Behaviour::PartialOtherRange => one.map_or_else(
            || facts.good(),
            |(start, end)| good::partial(facts.request, facts.file, (0, end - start)),
        ),
        Behaviour::PartialWrongBytes => {
            let mut plan = facts.good();
            if let Some((start, end)) = one {
                plan.steps = good::body(facts.request, facts.file, 0, end - start);
            }
            plan
        }
        Behaviour::AcceptRangesNone => facts.edited(|fields| fields.set("Accept-Ranges", "none")),
        Behaviour::Range416Once if asked => {
            let mut plan = refusal(facts, true);
            let mut file = facts.file.clone();
            file.behaviour = Behaviour::Good;
            plan.steps.push(Step::Replace(Box::new(file)));
            plan
        }
        Behaviour::Range416NoTotal if asked => refusal(facts, false),
        _ => return None,
    })
}

fn refusal(facts: &Facts<'_>, with_total: bool) -> Plan {
    let mut fields = Fields::new(416);
    if with_total {
        fields.set("Content-Range", format!("bytes */{}", facts.file.size()));
    }
    Plan::text(fields, "text/plain", "no such range\n", facts.head())
}
