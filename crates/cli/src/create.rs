//! Creating a job once, also when the service dies in the middle of the call.

use crate::context::Context;
use crate::text;
use openbits_api::{CreateJob, EnvironmentProxyView, JobView, SetClientCertificate};
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

/// The proxy variables of an environment, as curl reads them: lower case first, upper case else, but never `HTTP_PROXY`, which
/// a web server would set from a request's `Proxy:` header.
pub(crate) fn environment_proxy(get: impl Fn(&str) -> Option<String>) -> Option<EnvironmentProxyView> {
    let read = |names: &[&str]| names.iter().find_map(|n| get(n).filter(|v| !v.is_empty()));
    let view = EnvironmentProxyView {
        http: read(&["http_proxy"]),
        https: read(&["https_proxy", "HTTPS_PROXY"]),
        all: read(&["all_proxy", "ALL_PROXY"]),
        no: read(&["no_proxy", "NO_PROXY"]),
    };
    (view != EnvironmentProxyView::default()).then_some(view)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxy_variables_are_read_as_curl_reads_them() {
        let read = |vars: &[(&str, &str)]| {
            environment_proxy(|n| vars.iter().find(|v| v.0 == n).map(|v| v.1.to_owned()))
        };
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[("HTTP_PROXY", "http://evil:1")]), None);
        assert_eq!(read(&[("http_proxy", "")]), None);
        let view = read(&[
            ("http_proxy", "a"),
            ("https_proxy", "b"),
            ("HTTPS_PROXY", "c"),
            ("ALL_PROXY", "d"),
            ("NO_PROXY", "e"),
        ])
        .unwrap();
        let texts = [view.http, view.https, view.all, view.no].map(Option::unwrap_or_default);
        assert_eq!(texts, ["a", "b", "d", "e"]);
    }
}
