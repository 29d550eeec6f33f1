//! `bits watch`: a live table on a terminal, a line for each event otherwise.

use crate::args::Watch;
use crate::context::{Context, on_terminal, print, print_json};
use crate::failure::Failure;
use crate::{follow, resolve, show};
use openbits_api::error::exit;
use openbits_api::{EventKind, EventView, JobView};
use openbits_client::{Item, JobQuery};
use openbits_core::{JobId, hresult as h};
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Shortest time between two pictures.
const PICTURE: Duration = Duration::from_millis(250);
/// Most jobs in the live table; `bits list` shows all.
const ROWS_MAX: usize = 200;

pub(super) async fn run(context: &Context, args: &Watch) -> Result<u8, Failure> {
    let job = match &args.job {
        Some(text) => Some(resolve::job(&context.client, text).await?),
        None => None,
    };
    let info = context.client.service_info().await?;
    if let Some(id) = job {
        context.client.job(id, false, false).await?; // An unknown job is an error now, not an endless wait.
    }
    let mut events = follow::follow(&context.client, Some(info.last_event), job.into()).await?;
    if context.json || !on_terminal() {
        lines(context, job, &mut events).await
    } else {
        live(context, job, &mut events).await
    }
}

type Events = tokio::sync::mpsc::Receiver<Result<Item, openbits_client::Error>>;

/// The one job that is watched has ended.
fn is_end(job: Option<JobId>, event: &EventView) -> bool {
    job.is_some() && event.state.is_final()
}

async fn lines(context: &Context, job: Option<JobId>, events: &mut Events) -> Result<u8, Failure> {
    loop {
        match follow::next(events).await? {
            Item::Event(event) => {
                if context.json {
                    print_json(&event)?;
                } else {
                    print(show::event(&event))?;
                }
                if is_end(job, &event) {
                    return Ok(exit::OK);
                }
            }
            Item::Reconnected => context.note("bits: connected to the service again"),
        }
    }
}

async fn live(context: &Context, job: Option<JobId>, events: &mut Events) -> Result<u8, Failure> {
    let mut jobs = read(context, job).await?;
    let mut drawn = Instant::now();
    draw(&jobs)?;
    let mut is_new = false;
    loop {
        tokio::select! {
            item = follow::next(events) => {
                is_new = true;
                match item? {
                    Item::Event(event) if event.kind == EventKind::Gap => jobs = read(context, job).await?,
                    Item::Event(event) => {
                        let end = is_end(job, &event);
                        apply(context, &mut jobs, *event).await?;
                        if end {
                            draw(&jobs)?;
                            return Ok(exit::OK);
                        }
                    }
                    Item::Reconnected => jobs = read(context, job).await?,
                }
            }
            () = sleep_until(drawn + PICTURE), if is_new => {
                draw(&jobs)?;
                drawn = Instant::now();
                is_new = false;
            }
        }
    }
}

async fn read(context: &Context, job: Option<JobId>) -> Result<BTreeMap<String, JobView>, Failure> {
    let jobs = match job {
        Some(id) => vec![context.client.job(id, false, true).await?],
        None => context.client.jobs(&JobQuery::default()).await?,
    };
    Ok(jobs.into_iter().map(|j| (j.id.clone(), j)).collect())
}

async fn apply(
    context: &Context,
    jobs: &mut BTreeMap<String, JobView>,
    event: EventView,
) -> Result<(), Failure> {
    if event.seq.is_some() && !event.state.is_final() {
        match context.client.job(resolve::id_of(&event.job)?, false, false).await {
            Ok(job) => {
                jobs.insert(event.job, job);
                return Ok(());
            }
            // Gone already: its last event is on its way.
            Err(e) if e.is_code(h::BG_E_NOT_FOUND) || e.is_gone() => {}
            Err(e) => return Err(e.into()),
        }
    }
    if let Some(job) = jobs.get_mut(&event.job) {
        job.state = event.state;
        job.display_name = event.display_name;
        job.bytes_transferred = event.bytes_transferred;
        job.bytes_total = event.bytes_total;
        job.files_transferred = event.files_transferred;
        job.files_total = event.files_total;
    }
    Ok(())
}

/// Draws over the last picture: home, each line to its end, and nothing below.
fn draw(jobs: &BTreeMap<String, JobView>) -> Result<(), Failure> {
    let shown: Vec<JobView> = jobs.values().take(ROWS_MAX).cloned().collect();
    let mut lines = show::table(&shown);
    if jobs.len() > ROWS_MAX {
        lines.push(format!("and {} more", jobs.len() - ROWS_MAX));
    }
    let mut picture = String::from("\x1b[H");
    for line in lines {
        picture.push_str(&line);
        picture.push_str("\x1b[K\n");
    }
    picture.push_str("\x1b[J");
    let mut out = std::io::stdout().lock();
    out.write_all(picture.as_bytes())?;
    Ok(out.flush()?)
}
