//! Creating a job once, also when the service dies in the middle of the call.

use openbits_api::{CreateJob, EnvironmentProxyView, JobView};
use openbits_client::{Client, Error, JobQuery};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, sleep};

/// Pause between attempts to ask a service that went away.
const PAUSE: Duration = Duration::from_millis(200);

/// Creates a job. If the answer is lost, waits for the service and looks whether the job is there before creating it again.
pub(crate) async fn create(client: &Client, job: &CreateJob) -> Result<JobView, Error> {
    // The service is on this machine: its clock is ours.
    let begun = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
    let deadline = Instant::now() + client.timeouts().return_of_service;
    loop {
        match client.create_job(job).await {
            Ok(outcome) => return Ok(outcome.job),
            Err(Error::Interrupted) => {}
            Err(e) => return Err(e),
        }
        let query = JobQuery { name: Some(job.display_name.clone()), files: true, ..JobQuery::default() };
        let jobs = loop {
            match client.jobs(&query).await {
                Err(e) if e.is_gone() && Instant::now() < deadline => sleep(PAUSE).await,
                answer => break answer?,
            }
        };
        let is_new = |j: &JobView| u128::try_from(j.creation_time_ms).is_ok_and(|t| t >= begun);
        if let Some(found) = jobs.into_iter().find(|j| is_new(j) && is_this(j, job)) {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            return Err(Error::Interrupted);
        }
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
