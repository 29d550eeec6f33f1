//! Creating a job once, also when the service dies in the middle of the call.

use crate::context::Context;
use crate::text;
use openbits_api::{CreateJob, JobView, SetClientCertificate};
use openbits_client::{Action, Error, new_job_id};

/// Creates a job. If it stays unknown whether there is one, says its GUID.
///
/// A client certificate is looked for in the owner's reach, which is a call of its own: the job is started only when it was found, and
/// does not stay when it was not.
pub(crate) async fn create(
    context: &Context,
    mut job: CreateJob,
    certificate: Option<&SetClientCertificate>,
) -> Result<JobView, Error> {
    let id = new_job_id()?;
    job.id = Some(id.to_string());
    let resume = job.resume;
    job.resume &= certificate.is_none();
    let created = match context.client.create_job(&job).await {
        Ok(outcome) => outcome.job,
        Err(e) => {
            if matches!(e, Error::Interrupted | Error::Timeout(_)) {
                text::note([format!(
                    "bits: whether job {id} was created is not known; `bits show {id}` will tell"
                )]);
            }
            return Err(e);
        }
    };
    let Some(certificate) = certificate else { return Ok(created) };
    let dressed = async {
        let outcome = context.client.set_client_certificate(id, certificate).await?;
        if resume { context.client.act(id, Action::Resume).await } else { Ok(outcome) }
    };
    match dressed.await {
        Ok(outcome) => Ok(outcome.job),
        Err(e) => {
            if let Err(left) = context.client.act(id, Action::Cancel).await {
                text::note([format!("bits: job {id} could not be cancelled: {left}")]);
            }
            Err(e)
        }
    }
}
