//! How a command fails: what is said, and the exit code (spec/tools.md A1, D3).

use crate::text::{self, clean};
use openbits_api::error::{self, exit};
use openbits_api::{ErrorView, JobView};
use openbits_client::Error;
use openbits_core::hresult as h;
use std::io;
use std::path::PathBuf;

/// Why a command ends without success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Wrong arguments.
    #[error("{0}")]
    Usage(String),
    /// The service refused, or is not there.
    #[error(transparent)]
    Service(#[from] Error),
    /// No job fits.
    #[error("no job fits `{0}`")]
    NotFound(String),
    /// Several jobs fit.
    #[error("`{name}` fits {} jobs; give a GUID", .jobs.len())]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// The jobs that fit.
        jobs: Vec<JobView>,
    },
    /// A local file.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The destination's folder does not exist.
    #[error("the folder {} does not exist", .0.display())]
    NoFolder(PathBuf),
    /// The reader of standard output has gone: a quiet success.
    #[error("the reader has gone")]
    ReaderGone,
    /// Standard output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
}

impl From<io::Error> for Failure {
    /// Errors of standard output; errors of files are [`Failure::File`].
    fn from(e: io::Error) -> Self {
        if e.kind() == io::ErrorKind::BrokenPipe { Self::ReaderGone } else { Self::Output(e) }
    }
}

impl Failure {
    /// Exit code of the program.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::ReaderGone => exit::OK,
            Self::Usage(_) => exit::USAGE,
            Self::NotFound(_) => exit::NOT_FOUND,
            Self::Ambiguous { .. } => exit::AMBIGUOUS,
            Self::File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                exit::ACCESS_DENIED
            }
            Self::NoFolder(_) | Self::File { .. } | Self::Output(_) => exit::OTHER,
            Self::Service(Error::Problem(problem)) => error::row(problem.code()).exit,
            Self::Service(Error::Protocol(_)) => exit::OTHER,
            Self::Service(Error::Socket(_)) => exit::ACCESS_DENIED,
            Self::Service(_) => exit::UNREACHABLE,
        }
    }

    /// Says on standard error what went wrong and what to do about it.
    pub(crate) fn report(&self) {
        text::note(self.lines());
    }

    fn lines(&self) -> Vec<String> {
        match self {
            Self::ReaderGone => vec![],
            Self::Service(Error::Problem(p)) => {
                let mut lines =
                    vec![format!("bits: error {} {}: {}", p.hresult, clean(&p.name), clean(&p.text))];
                push(&mut lines, "detail", &p.detail);
                push(&mut lines, "try", &p.suggestion);
                lines
            }
            Self::Service(e @ Error::Unreachable { .. }) => {
                let mut lines = vec![format!("bits: error: {}", clean_lines(&e.to_string()))];
                push(&mut lines, "try", error::row(h::RPC_S_SERVER_UNAVAILABLE).suggestion);
                lines
            }
            Self::NoFolder(_) => {
                let mut lines = vec![format!("bits: error: {}", clean(&self.to_string()))];
                push(&mut lines, "try", "Make it with `--mkdir`, or give another path.");
                lines
            }
            Self::NotFound(_) => {
                let mut lines = vec![format!("bits: error: {}", clean(&self.to_string()))];
                push(&mut lines, "try", error::row(h::BG_E_NOT_FOUND).suggestion);
                lines
            }
            Self::Ambiguous { jobs, .. } => {
                let mut lines = vec![format!("bits: error: {}", clean(&self.to_string()))];
                lines.extend(
                    jobs.iter().map(|j| format!("  {} {} '{}'", j.id, j.state, clean(&j.display_name))),
                );
                lines
            }
            _ => vec![format!("bits: error: {}", clean_lines(&self.to_string()))],
        }
    }
}

fn clean_lines(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}

fn push(lines: &mut Vec<String>, key: &str, value: &str) {
    if !value.is_empty() {
        lines.push(format!("  {:<13}{}", format!("{key}:"), clean(value)));
    }
}

/// A job's error in words: code, name, text, HTTP status, URL, next retry, one action (spec/tools.md D3 rule 11).
pub(crate) fn job_error_lines(job: &JobView, error: &ErrorView) -> Vec<String> {
    let mut lines =
        vec![format!("bits: error {} {}: {}", clean(&error.hresult), clean(&error.name), clean(&error.text))];
    push(&mut lines, "job", &format!("{} '{}'", job.id, job.display_name));
    if let Some(status) = error.http_status {
        push(&mut lines, "HTTP status", &status.to_string());
    }
    let file = error.file.and_then(|i| job.files.as_ref()?.get(usize::try_from(i).ok()?));
    let url = error.url.as_deref().or(file.map(|f| f.remote_name.as_str()));
    push(&mut lines, "URL", &url.map(text::redact_url).unwrap_or_default());
    push(&mut lines, "file", file.map_or("", |f| &f.local_name));
    push(&mut lines, "detail", &text::redact_urls_in(&error.detail));
    if let Some(time) = job.next_retry_time_ms {
        push(&mut lines, "next try", &text::time(time));
    }
    push(&mut lines, "try", &error.suggestion);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use openbits_api::Problem;

    #[test]
    fn exit_codes_are_those_of_the_table() {
        let problem = |code| Failure::Service(Error::Problem(Box::new(Problem::new(code, ""))));
        let unreachable = Failure::Service(Error::Unreachable {
            path: "/x".into(),
            source: io::ErrorKind::NotFound.into(),
        });
        let file = |kind: io::ErrorKind| Failure::File { path: "/x".into(), source: kind.into() };
        let rows = [
            (Failure::Usage(String::new()), 1),
            (Failure::NotFound(String::new()), 2),
            (problem(h::BG_E_NOT_FOUND), 2),
            (problem(h::E_ACCESSDENIED), 3),
            (file(io::ErrorKind::PermissionDenied), 3),
            (problem(h::BG_E_TOO_MANY_JOBS_PER_USER), 5),
            (problem(h::BG_E_BLOCKED_BY_POLICY), 5),
            (unreachable, 6),
            (Failure::Service(Error::Interrupted), 6),
            (Failure::Ambiguous { name: String::new(), jobs: vec![] }, 7),
            (problem(h::BG_E_INVALID_STATE), 10),
            (file(io::ErrorKind::NotFound), 10),
            (Failure::ReaderGone, 0),
            (io::Error::from(io::ErrorKind::BrokenPipe).into(), 0),
            (io::Error::from(io::ErrorKind::StorageFull).into(), 10),
        ];
        for (failure, code) in rows {
            assert_eq!(failure.exit_code(), code, "{failure:?}");
        }
    }

    #[test]
    fn refusals_say_code_name_text_detail_and_action() {
        let failure =
            Failure::Service(Error::Problem(Box::new(Problem::new(h::BG_E_NOT_FOUND, "job 1\x1b[31m"))));
        let text = failure.lines().join("\n");
        for part in ["0x80200001", "BG_E_NOT_FOUND", "detail:", "try:", "bits list"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains('\x1b'));
    }
}
