//! Creating a job once, also when the service dies in the middle of the call.

use openbits_api::{CreateJob, EnvironmentProxyView, JobView};
use openbits_client::{Client, Error, JobQuery};
use std::collections::HashSet;

/// Creates a job. If the answer is lost, looks whether the job is there before creating it again.
///
/// `known` are the GUIDs that cannot be meant: jobs that were there before this call.
pub(crate) async fn create(
    client: &Client,
    job: &CreateJob,
    known: &HashSet<String>,
) -> Result<JobView, Error> {
    match client.create_job(job).await {
        Ok(outcome) => return Ok(outcome.job),
        Err(Error::Interrupted) => {}
        Err(e) => return Err(e),
    }
    let query = JobQuery { name: Some(job.display_name.clone()), files: true, ..JobQuery::default() };
    let found = client.jobs(&query).await?.into_iter().find(|j| !known.contains(&j.id) && is_this(j, job));
    match found {
        Some(found) => Ok(found),
        None => Ok(client.create_job(job).await?.job),
    }
}

fn is_this(found: &JobView, wanted: &CreateJob) -> bool {
    let files = found.files.as_deref().unwrap_or_default();
    found.kind == wanted.kind
        && files.len() == wanted.files.len()
        && files
            .iter()
            .zip(&wanted.files)
            .all(|(f, w)| f.remote_name == w.remote_name && f.local_name == w.local_name)
}

/// GUIDs of the caller's jobs with this name.
pub(crate) async fn known(client: &Client, name: &str) -> Result<HashSet<String>, Error> {
    let query = JobQuery { name: Some(name.to_owned()), ..JobQuery::default() };
    Ok(client.jobs(&query).await?.into_iter().map(|j| j.id).collect())
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
