//! Versions that change, and validators that do not tell.

use std::time::Duration;

use super::Facts;
use crate::behaviour::Behaviour;
use crate::content::Content;
use crate::origin::file::{Etag, OriginFile};
use crate::origin::good::{self, Wanted};
use crate::origin::plan::{End, Plan, Step};

pub(super) fn plan(behaviour: Behaviour, facts: &Facts<'_>) -> Option<Plan> {
    let file = facts.file.clone();
    let size = file.size();
    let later = |seconds: u64| file.last_modified.map(|at| at + Duration::from_secs(seconds));
    let tag = match &file.etag {
        Etag::Strong(text) | Etag::Weak(text) => text.clone(),
        Etag::Absent => "x".to_owned(),
    };
    let other = |size| file.with_content(file.content.successor(size));
    Some(match behaviour {
        Behaviour::EtagAlwaysNew => {
            facts.good_for(&file.clone().etag(Etag::Strong(format!("{tag}-{}", facts.earlier))))
        }
        Behaviour::DateAlwaysNew => {
            facts.good_for(&file.clone().etag(Etag::Absent).last_modified(later(u64::from(facts.earlier))))
        }
        Behaviour::WeakEtag => facts.good_for(&file.clone().etag(Etag::Weak(tag)).last_modified(None)),
        Behaviour::NoValidators => facts.good_for(&bare(&file)),
        Behaviour::OnlyDate => facts.good_for(&file.clone().etag(Etag::Absent)),
        Behaviour::OnlyEtag => facts.good_for(&file.clone().last_modified(None)),
        Behaviour::GarbageEtag => facts.edited(|fields| fields.set("ETag", tag)),
        Behaviour::GarbageDate => facts.edited(|fields| fields.set("Last-Modified", "yesterday")),
        Behaviour::FarmNodes => {
            let node = facts.connection % 3;
            facts.good_for(
                &file.clone().etag(Etag::Strong(format!("{tag}-node{node}"))).last_modified(later(node)),
            )
        }
        Behaviour::ChangesEtag => changes(facts, &file, other(size)),
        Behaviour::ChangesDate => {
            changes(facts, &file.clone().etag(Etag::Absent), other(size).etag(Etag::Absent))
        }
        Behaviour::ChangesSize => changes(
            facts,
            &file,
            OriginFile { content: file.content.successor(size + size / 2 + 1), ..file.clone() },
        ),
        Behaviour::ChangesSilently => {
            changes(facts, &file, OriginFile { content: file.content.successor(size), ..file.clone() })
        }
        Behaviour::IfRangeIgnored if file.changed => careless(facts, &file),
        Behaviour::IfRangeIgnored => changes(facts, &file, OriginFile { behaviour, ..other(size) }),
        Behaviour::IfRangeIgnoredNoValidators if file.changed => careless(facts, &bare(&file)),
        Behaviour::IfRangeIgnoredNoValidators => {
            changes(facts, &bare(&file), OriginFile { behaviour, ..other(size) })
        }
        Behaviour::TornBody => {
            let mut plan = facts.good();
            if let Some((content, start, end)) = plan.body() {
                let content = content.clone();
                let at = file.strike(start, end);
                let new = content.successor(size);
                plan.steps =
                    vec![Step::Body { content, start, end: at }, Step::Body { content: new, start: at, end }];
            }
            plan
        }
        Behaviour::FlippedByte => {
            let mut plan = facts.good();
            if let Some((content, start, end)) = plan.body().filter(|(_, start, end)| start < end) {
                let content = content.clone();
                let at = file.strike(start, end);
                let wrong: Vec<u8> = content.byte_range(at, 1).iter().map(|byte| byte ^ 1).collect();
                plan.steps = vec![
                    Step::Body { content: content.clone(), start, end: at },
                    Step::Body { content: Content::literal(wrong), start: 0, end: 1 },
                    Step::Body { content, start: at + 1, end },
                ];
            }
            plan
        }
        _ => return None,
    })
}

fn bare(file: &OriginFile) -> OriginFile {
    file.clone().etag(Etag::Absent).last_modified(None)
}

/// Answers from `old`, cut at the byte; from then on the file is `new`, and good unless `new` says otherwise. An answer
/// of less than two bytes (a probe) changes nothing.
fn changes(facts: &Facts<'_>, old: &OriginFile, new: OriginFile) -> Plan {
    let mut plan = facts.good_for(old);
    let Some((content, start, end)) = plan.body().filter(|(_, start, end)| end - start >= 2) else {
        return plan;
    };
    let behaviour = match new.behaviour {
        stays @ (Behaviour::IfRangeIgnored | Behaviour::IfRangeIgnoredNoValidators) => stays,
        _ => Behaviour::Good,
    };
    let cut = Step::Body { content: content.clone(), start, end: old.strike(start, end) };
    plan.steps = vec![cut, Step::Replace(Box::new(OriginFile { behaviour, changed: true, ..new }))];
    plan.end = End::CutClose;
    plan
}

/// Answers the range whatever `If-Range` says.
fn careless(facts: &Facts<'_>, file: &OriginFile) -> Plan {
    match good::wanted_unconditionally(facts.request, file.size()) {
        Wanted::Ranges(ranges) if ranges.len() == 1 => good::partial(facts.request, file, ranges[0]),
        _ => facts.good_for(file),
    }
}
