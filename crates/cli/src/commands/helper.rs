//! `bits helper`: a second identity for a job.

use super::outcome;
use crate::args::{Helper, OneJob};
use crate::context::{Context, print, print_json};
use crate::failure::Failure;
use crate::resolve;
use openbits_core::JobId;

pub(super) async fn run(context: &Context, command: &Helper) -> Result<(), Failure> {
    let client = &context.client;
    match command {
        Helper::Ticket(OneJob { job }) => {
            let ticket = client.helper_ticket(resolve::job(client, job).await?).await?;
            if context.json { print_json(&ticket) } else { print(&ticket.ticket) }
        }
        Helper::Set { job, ticket } => {
            // A helper cannot look the job up: it is not his.
            let id = match (job.parse::<JobId>(), ticket) {
                (Ok(id), Some(_)) => id,
                _ => resolve::job(client, job).await?,
            };
            let set = client.set_helper_token(id, ticket.as_deref()).await?;
            if context.json { print_json(&set) } else { Ok(()) }
        }
        Helper::Clear(OneJob { job }) => {
            let id = resolve::job(client, job).await?;
            outcome(context, &client.clear_helper_token(id).await?)
        }
    }
}
