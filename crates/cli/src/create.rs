//! Creating a job once, also when the service dies in the middle of the call.

use crate::context::Context;
use crate::text;
use openbits_api::{CreateJob, JobView};
use openbits_client::{Error, new_job_id};

/// Creates a job. If it stays unknown whether there is one, says its GUID.
pub(crate) async fn create(context: &Context, mut job: CreateJob) -> Result<JobView, Error> {
    let id = new_job_id()?;
    job.id = Some(id.to_string());
    match context.client.create_job(&job).await {
        Ok(outcome) => Ok(outcome.job),
        Err(e) => {
            if matches!(e, Error::Interrupted | Error::Timeout(_)) {
                text::note([format!(
                    "bits: whether job {id} was created is not known; `bits show {id}` will tell"
                )]);
            }
            Err(e)
        }
    }
}
