//! Silence, slowness, and connections that end or go on when they should not.

use std::time::Duration;

use super::Facts;
use crate::behaviour::Behaviour;
use crate::origin::plan::{End, Head, Plan, Step};

pub(super) fn plan(behaviour: Behaviour, facts: &Facts<'_>) -> Option<Plan> {
    let mut plan = facts.good();
    match behaviour {
        Behaviour::NeverAnswers => plan = Plan::raw(None, vec![Step::Stall], End::CutClose),
        Behaviour::AnswersLate => {
            // The header goes out with the steps so that the pause comes before it.
            plan.edit_bytes(|bytes| bytes);
            plan.steps.insert(0, Step::Pause(Duration::from_secs(1)));
        }
        Behaviour::ClosesUnanswered => plan = Plan::raw(None, Vec::new(), End::CutClose),
        Behaviour::ResetsUnanswered => plan = Plan::raw(None, Vec::new(), End::CutReset),
        Behaviour::StallsInHeader => {
            if let Head::Fields(fields) = &plan.head {
                let mut bytes = fields.to_bytes();
                bytes.truncate(bytes.len() / 2);
                plan = Plan::raw(None, vec![Step::Bytes(bytes), Step::Stall], End::CutClose);
            }
        }
        Behaviour::StallsInBody => {
            plan = facts.cut(End::CutClose);
            if plan.body().is_some() {
                plan.steps.push(Step::Stall);
            }
        }
        Behaviour::Trickle => {
            if let Some((content, start, end)) = plan.body() {
                let every = Duration::from_secs(1);
                plan.steps = vec![Step::Trickle { content: content.clone(), start, end, every }];
            }
        }
        Behaviour::KeepAliveLie => plan.end = End::Close,
        Behaviour::UnaskedSecondAnswer => {
            plan.steps.push(Step::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nEVIL!".to_vec()));
        }
        Behaviour::HeadWithBody if facts.head() => {
            let content = facts.file.content.clone();
            plan.steps = vec![Step::Body { start: 0, end: content.size(), content }];
        }
        _ => return None,
    }
    Some(plan)
}
