//! `bits get`: download files, wait for them or leave them to the service.

mod existing;
mod interrupt;
mod plan;
mod screen;
pub(crate) mod wait;

use crate::args::{Get, HttpOptions};
use crate::context::{Context, print, print_json};
use crate::create;
use crate::failure::Failure;
use existing::Existing;
use openbits_api::AddFile;
use openbits_api::{CreateJob, SetProperties};
use openbits_core::{JobType, Priority};
use plan::Batch;

/// Seconds between attempts while somebody waits.
const WAITING_RETRY_DELAY_S: u32 = 5;

/// Runs the command; the exit code.
pub(crate) async fn run(context: &Context, args: &Get) -> Result<u8, Failure> {
    let plan = plan::plan(args)?;
    for skipped in &plan.skipped {
        context.note(format!("bits: {} exists; skipped", crate::text::clean(skipped)));
    }
    if plan.files.is_empty() {
        return Ok(0);
    }
    if args.transfer.background {
        background(context, args, plan.files).await
    } else {
        wait::run(context, args, plan.files).await
    }
}

pub(crate) async fn background(context: &Context, args: &Get, files: Vec<AddFile>) -> Result<u8, Failure> {
    let http = args.transfer.http.read()?;
    let info = context.client.service_info().await?;
    let (found, files) = existing(context, args, files).await?;
    let batches = plan::spread(files, args.jobs, info.limits.files_per_job);
    let count = batches.len();
    for mut one in found {
        one.go_on(context, &http).await?;
        if context.json { print_json(&one.job)? } else { print(&one.job.id)? }
    }
    for (done, batch) in batches.into_iter().enumerate() {
        let request = request(args, &http, &batch);
        let job = match create::create(context, request, http.certificate.as_ref()).await {
            Ok(job) => job,
            Err(e) => {
                if done > 0 {
                    context.note(format!("bits: {done} of {count} jobs are queued, the others are not"));
                }
                return Err(e.into());
            }
        };
        if context.json { print_json(&job)? } else { print(&job.id)? }
    }
    Ok(0)
}

fn kind(args: &Get) -> JobType {
    match &args.upload {
        None => JobType::Download,
        Some(upload) if upload.reply.is_some() => JobType::UploadReply,
        Some(_) => JobType::Upload,
    }
}

/// Jobs that fetch some of the files already, and the other files.
async fn existing(
    context: &Context,
    args: &Get,
    files: Vec<AddFile>,
) -> Result<(Vec<Existing>, Vec<AddFile>), Failure> {
    if args.transfer.new {
        Ok((Vec::new(), files))
    } else {
        Ok(existing::find(&context.client, kind(args), files).await?)
    }
}

/// The whole job in one request: there is either a started job with all its files, or none.
fn request(args: &Get, http: &HttpOptions, batch: &Batch) -> CreateJob {
    let transfer = &args.transfer;
    let waits = !transfer.background;
    let priority = transfer.priority.unwrap_or(if waits { Priority::Foreground } else { Priority::Normal });
    let retry = transfer.retry_delay.or(waits.then_some(WAITING_RETRY_DELAY_S));
    CreateJob {
        id: None,
        display_name: transfer.name.clone().unwrap_or_else(|| batch.name()),
        kind: kind(args),
        files: batch.files.clone(),
        resume: true,
        properties: SetProperties {
            priority: Some(priority),
            minimum_retry_delay_s: retry,
            no_progress_timeout_s: transfer.no_progress_timeout,
            auto_complete: Some(true),
            disallow_cellular: transfer.no_cellular.then_some(true),
            bind: transfer.interface.clone(),
            upload_protocol: args.upload.as_ref().map(|upload| upload.protocol),
            reply_file_name: args.upload.as_ref().and_then(|upload| upload.reply.clone()),
            ..http.properties.clone()
        },
        environment_proxy: openbits_client::environment_proxy(|name| std::env::var(name).ok()),
        dialect: openbits_core::job::Dialect::Bits,
    }
}
