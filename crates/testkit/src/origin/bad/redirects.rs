//! Redirects. The query parameter `hop` counts the steps taken.

use super::Facts;
use crate::behaviour::Behaviour;
use crate::origin::log::Door;
use crate::origin::plan::{Fields, Plan};

/// Length of the long `Location`, in bytes.
const LONG: usize = 60_000;

pub(super) fn plan(behaviour: Behaviour, facts: &Facts<'_>) -> Option<Plan> {
    let hop: Option<u16> = facts.request.query("hop").map(|text| text.parse().unwrap_or(u16::MAX));
    let name = facts.request.name();
    let here = base(facts);
    let landed = format!("/{name}?hop=1");
    let to = |status, place: String| {
        Plan::text(Fields::new(status).with("Location", place), "text/plain", "elsewhere\n", facts.head())
    };
    let once = |status, place: String| if hop.is_some() { facts.good() } else { to(status, place) };
    Some(match behaviour {
        Behaviour::Redirect(status) => once(status, format!("{here}{landed}")),
        Behaviour::RedirectChain(length) => {
            let done = hop.unwrap_or(0);
            if done >= length { facts.good() } else { to(302, format!("{here}/{name}?hop={}", done + 1)) }
        }
        Behaviour::RedirectLoop => to(302, format!("{here}/{name}")),
        Behaviour::RedirectCrossOrigin => once(302, format!("http://{}{landed}", facts.shared.other)),
        Behaviour::RedirectNoLocation => {
            Plan::text(Fields::new(302), "text/plain", "elsewhere\n", facts.head())
        }
        Behaviour::RedirectFile => to(302, "file:///etc/passwd".to_owned()),
        Behaviour::RedirectFtp => to(302, "ftp://127.0.0.1/file".to_owned()),
        Behaviour::RedirectPlain => once(302, format!("http://{}{landed}", facts.shared.main)),
        Behaviour::RedirectRelative => {
            let last = name.rsplit('/').next().unwrap_or_default();
            once(302, format!("{last}?hop=1"))
        }
        Behaviour::RedirectLong => {
            let start = format!("{here}{landed}&");
            let pad = LONG.saturating_sub(start.len());
            once(302, start + &"x".repeat(pad))
        }
        Behaviour::RedirectGarbage => to(302, "http://[::bad".to_owned()),
        _ => return None,
    })
}

/// Scheme and authority by which the client came here.
fn base(facts: &Facts<'_>) -> String {
    let (scheme, addr) = match facts.door {
        Door::Main => ("http", facts.shared.main),
        Door::Other => ("http", facts.shared.other),
        Door::Tls => ("https", facts.shared.tls.unwrap_or(facts.shared.main)),
    };
    format!("{scheme}://{}", facts.request.header("host").map_or_else(|| addr.to_string(), str::to_owned))
}
