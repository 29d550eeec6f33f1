//! `bits log`: what happened to a job, in order.

use crate::args::Log;
use crate::context::{Context, print, print_json};
use crate::failure::Failure;
use crate::{resolve, show};
use openbits_api::EventKind;
use openbits_api::error::exit;
use openbits_client::Item;
use openbits_core::hresult as h;

pub(super) async fn run(context: &Context, args: &Log) -> Result<u8, Failure> {
    let id = resolve::job(&context.client, &args.job).await?;
    let log = context.client.job_log(id).await?;
    for entry in &log.entries {
        if context.json { print_json(entry)? } else { print(show::log(entry))? }
    }
    let over = match context.client.job(id, false, false).await {
        Ok(_) => false,
        Err(e) if e.is_code(h::BG_E_NOT_FOUND) => true,
        Err(e) => return Err(e.into()),
    };
    if !args.follow || over {
        return Ok(exit::OK);
    }
    let last = log.entries.last().and_then(|entry| entry.seq).unwrap_or(0);
    let mut events = context.client.job_log_events(last, id).await?;
    loop {
        match events.next().await? {
            Item::Event(event) if event.kind == EventKind::Log => {
                if context.json {
                    print_json(&event)?;
                } else {
                    print(show::log(&event))?;
                }
            }
            Item::Event(event) if matches!(event.kind, EventKind::Acknowledged | EventKind::Cancelled) => {
                return Ok(exit::OK);
            }
            Item::Event(_) => {}
            Item::Reconnected => context.note("bits: connected to the service again"),
        }
    }
}
