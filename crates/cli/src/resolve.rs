//! JOB arguments: GUID, unique beginning of a GUID, exact name (spec/tools.md A1, D3 rules 5 and 6).

use crate::failure::Failure;
use openbits_client::{Client, JobQuery};
use openbits_core::JobId;
use std::collections::BTreeMap;

/// Fewest digits of a GUID's beginning.
const PREFIX_MIN: usize = 6;

/// The GUID that an argument means. A GUID is not looked up: the call that follows says whether it exists.
pub(crate) async fn job(client: &Client, text: &str) -> Result<JobId, Failure> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    // Root's own jobs come first; if none fits, those of all users.
    let scopes: &[bool] = if rustix::process::geteuid().is_root() { &[false, true] } else { &[false] };
    for &all_users in scopes {
        let mut found = BTreeMap::new();
        let by_name = JobQuery { name: Some(text.to_owned()), all_users, ..JobQuery::default() };
        for job in client.jobs(&by_name).await? {
            if job.display_name == text {
                found.insert(job.id.clone(), job);
            }
        }
        if let Some(prefix) = prefix(text) {
            // The service is asked for the part before the first hyphen; the rest is compared here.
            let first = prefix[..prefix.len().min(8)].to_owned();
            let by_prefix = JobQuery { id_prefix: Some(first), all_users, ..JobQuery::default() };
            for job in client.jobs(&by_prefix).await? {
                if job.id.replace('-', "").to_ascii_lowercase().starts_with(&prefix) {
                    found.insert(job.id.clone(), job);
                }
            }
        }
        let mut jobs: Vec<_> = found.into_values().collect();
        match jobs.len() {
            0 => {}
            1 => return id_of(&jobs.remove(0).id),
            _ => return Err(Failure::Ambiguous { name: text.to_owned(), jobs }),
        }
    }
    Err(Failure::NotFound(text.to_owned()))
}

/// The digits, without hyphens and brace, if the text can be the beginning of a GUID.
fn prefix(text: &str) -> Option<String> {
    let digits: String = text.strip_prefix('{').unwrap_or(text).chars().filter(|c| *c != '-').collect();
    let fits = (PREFIX_MIN..=32).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then(|| digits.to_ascii_lowercase())
}

/// The GUID of a job that the service named.
pub(crate) fn id_of(text: &str) -> Result<JobId, Failure> {
    text.parse().map_err(|_| openbits_client::Error::Protocol(format!("`{text}` is not a GUID")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_of_guids() {
        assert_eq!(prefix("3B0c7a").as_deref(), Some("3b0c7a"));
        assert_eq!(prefix("{3b0c7a52-1").as_deref(), Some("3b0c7a521"));
        for not in ["3b0c7", "nightly", "", "3b0c7g", "{", "------"] {
            assert_eq!(prefix(not), None, "{not}");
        }
    }
}
