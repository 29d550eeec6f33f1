//! Jobs that fetch what is asked for already: a second `get` of the same follows them instead of fetching it twice.

use crate::args::HttpOptions;
use crate::context::Context;
use crate::failure::Failure;
use crate::resolve::id_of;
use crate::text::{self, clean};
use openbits_api::{AddFile, DigestSourceRequest, FileView, JobView};
use openbits_client::{Action, Client, Error, JobQuery};
use openbits_core::secret::split_login;
use openbits_core::{JobState, JobType, hresult as h};
use std::collections::{BTreeMap, HashMap};

/// A job, and those of the wanted files that it fetches.
#[derive(Debug)]
pub(crate) struct Existing {
    pub(crate) job: JobView,
    pub(crate) files: Vec<AddFile>,
}

/// Own unfinished jobs that fetch any of these files to the same place; and the files that no job fetches.
pub(crate) async fn find(
    client: &Client,
    kind: JobType,
    files: Vec<AddFile>,
) -> Result<(Vec<Existing>, Vec<AddFile>), Error> {
    let query = JobQuery { files: true, ..JobQuery::default() };
    Ok(assign(client.jobs(&query).await?, kind, files))
}

fn assign(jobs: Vec<JobView>, kind: JobType, files: Vec<AddFile>) -> (Vec<Existing>, Vec<AddFile>) {
    let mut fetched_by = HashMap::new();
    for (i, job) in jobs.iter().enumerate() {
        if job.kind == kind && !job.state.is_final() {
            for file in job.files.iter().flatten() {
                fetched_by.insert((file.remote_name.as_str(), file.local_name.as_str()), (i, file));
            }
        }
    }
    let mut found: BTreeMap<usize, Vec<AddFile>> = BTreeMap::new();
    let mut rest = Vec::new();
    for file in files {
        // The service shows no users and passwords.
        let (remote, _) = split_login(&file.remote_name);
        match fetched_by.get(&(remote.as_str(), file.local_name.as_str())) {
            // A digest that the job does not check must be checked by a job that does.
            Some((i, view)) if checks(view, &file) => {
                found.entry(*i).or_default().push(file);
            }
            _ => rest.push(file),
        }
    }
    let mut jobs: Vec<Option<JobView>> = jobs.into_iter().map(Some).collect();
    let take = |(i, files): (usize, Vec<AddFile>)| Some(Existing { job: jobs[i].take()?, files });
    (found.into_iter().filter_map(take).collect(), rest)
}

/// The job's file is held to everything that is asked of it here.
fn checks(view: &FileView, file: &AddFile) -> bool {
    let same = |wanted: &Option<DigestSourceRequest>, has: &Option<String>| {
        wanted.as_ref().is_none_or(|source| Some(&source.location) == has.as_ref())
    };
    (file.sha256.is_none() || file.sha256 == view.sha256)
        && file.digests.iter().all(|digest| view.digests.contains(&digest.to_string()))
        && (file.size.is_none() || file.size == view.expected_size)
        && same(&file.checksum, &view.checksum)
        && same(&file.metalink, &view.metalink)
        && (file.pieces.is_none() || file.pieces == view.pieces)
        && file.ranges == view.ranges
}

impl Existing {
    /// Says that the job is followed, gives it the HTTP options of this command (the old ones may be why it failed), and resumes it if
    /// it does not go on by itself now.
    pub(crate) async fn go_on(&mut self, context: &Context, http: &HttpOptions) -> Result<(), Failure> {
        let (id, state) = (&self.job.id, self.job.state);
        let name = self.files.first().map_or("", |f| f.local_name.as_str());
        let what = match self.files.len() {
            0 | 1 => clean(name),
            n => format!("{} and {} more", clean(name), n - 1),
        };
        let stands = matches!(state, JobState::Suspended | JobState::Error | JobState::TransientError);
        let how = if stands { format!("was {state} and goes on") } else { format!("is {state}") };
        context
            .note(format!("bits: {what}: job {id} fetches it already; it {how} (`--new` makes another job)"));
        if let Some(error) = self.job.error.as_ref().filter(|_| state == JobState::Error) {
            context.note(format!(
                "bits: it had failed: {} {}",
                clean(&error.name),
                clean(&text::redact_urls_in(&error.text))
            ));
        }
        if !http.is_empty() {
            self.take(context, http).await?;
        }
        if !stands {
            return Ok(());
        }
        match context.client.act(id_of(id)?, Action::Resume).await {
            Ok(outcome) => self.job = outcome.job,
            // It went on or ended meanwhile: whoever follows it will see.
            Err(e) if e.is_code(h::BG_E_INVALID_STATE) || e.is_code(h::BG_E_NOT_FOUND) => {}
            Err(e) => return Err(e.into()),
        }
        Ok(())
    }

    async fn take(&self, context: &Context, http: &HttpOptions) -> Result<(), Failure> {
        let id = id_of(&self.job.id)?;
        context.client.set_properties(id, &http.properties).await?;
        if let Some(certificate) = &http.certificate {
            context.client.set_client_certificate(id, certificate).await?;
        }
        Ok(())
    }
}
