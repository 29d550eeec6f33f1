//! Other statuses than 200 and 206.

use std::time::{Duration, SystemTime};

use super::Facts;
use crate::behaviour::Behaviour;
use crate::origin::plan::{Fields, Plan};

const PORTAL: &str = "<!doctype html><title>Welcome</title><h1>Hotel WLAN</h1><form>Please log in</form>\n";

pub(super) fn plan(behaviour: Behaviour, facts: &Facts<'_>) -> Option<Plan> {
    let text = |fields: Fields| Plan::text(fields, "text/plain", "no\n", facts.head());
    let retry = |status, after: String| text(Fields::new(status).with("Retry-After", after));
    let refuses_head = |status| facts.head().then(|| text(Fields::new(status).with("Allow", "GET")));
    Some(match behaviour {
        Behaviour::Status(status) => of(status, facts),
        Behaviour::CaptivePortal => Plan::text(Fields::new(200), "text/html", PORTAL, facts.head()),
        Behaviour::RetryAfterSeconds => retry(429, "1".to_owned()),
        Behaviour::RetryAfterDate => {
            retry(429, httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(2)))
        }
        Behaviour::RetryAfterAbsurd => retry(429, "99999999999999999999".to_owned()),
        Behaviour::RetryAfterGarbage => retry(429, "soon".to_owned()),
        Behaviour::Busy => retry(503, "1".to_owned()),
        Behaviour::BusyTwice if facts.earlier_gets < 2 => text(Fields::new(503)),
        Behaviour::WantsBasic if facts.request.header("authorization").is_none() => of(401, facts),
        Behaviour::HeadRefused => refuses_head(405)?,
        Behaviour::HeadForbidden => refuses_head(403)?,
        Behaviour::HeadLies if facts.head() => facts.edited(|fields| {
            fields.set("Content-Length", (facts.file.size() + 1).to_string());
        }),
        Behaviour::HeadNoLength if facts.head() => facts.edited(|fields| fields.remove("Content-Length")),
        _ => return None,
    })
}

fn of(status: u16, facts: &Facts<'_>) -> Plan {
    let fields = Fields::new(status);
    let fields = match status {
        401 => fields.with("WWW-Authenticate", "Basic realm=\"test\""),
        405 => fields.with("Allow", "OPTIONS"),
        407 => fields.with("Proxy-Authenticate", "Basic realm=\"test\""),
        416 => fields.with("Content-Range", format!("bytes */{}", facts.file.size())),
        _ => fields,
    };
    match status {
        100..=199 | 204 | 304 => Plan::new(fields, Vec::new()),
        205 => Plan::new(fields.with("Content-Length", "0"), Vec::new()),
        _ => Plan::text(fields, "text/plain", "no\n", facts.head()),
    }
}
