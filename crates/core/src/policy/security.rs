//! What a job may fetch, and where it may put it (spec/policy.md C4, `security.*`, `integrity.*`).

use crate::enums::Priority;
use crate::remote;
use url::Url;

/// When a file needs an expected digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RequireDigest {
    /// Never.
    #[default]
    Never,
    /// In HIGH, NORMAL and LOW jobs.
    Background,
    /// In every job.
    Always,
}

/// The rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Security {
    /// Schemes.
    pub schemes: Vec<String>,
    /// Patterns of servers; empty: all.
    pub allowed_hosts: Vec<String>,
    /// Patterns of servers that are refused.
    pub denied_hosts: Vec<String>,
    /// Patterns of local names.
    pub destinations: Vec<String>,
    /// Digests.
    pub require_digest: RequireDigest,
}

/// A file that a rule forbids.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{key} in the policy forbids it: {what}")]
pub struct Forbidden {
    /// The rule.
    pub key: &'static str,
    /// What it forbids.
    pub what: String,
}

impl Security {
    /// Checks where a file comes from and goes to.
    pub fn check(&self, remote: &str, local: &str) -> Result<(), Forbidden> {
        self.check_remote(remote)?;
        self.check_local(local)
    }

    /// Checks where something comes from: a file, a mirror, a list of digests.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn check_remote(&self, remote: &str) -> Result<(), Forbidden> {
        // A name of another form was refused before, or is refused after.
        let Ok(url) = remote::canonical(remote).or_else(|_| Url::parse(remote)) else { return Ok(()) };
        // `file:` is how BITS names what is on a mounted share: one word stands for both (docs/decisions/0017).
        let word = if url.scheme() == "file" { "smb" } else { url.scheme() };
        if !self.schemes.iter().any(|scheme| scheme == word) {
            return Err(Forbidden {
                key: "security.allowed_url_schemes",
                what: format!("{}:", url.scheme()),
            });
        }
        let Some(host) = url.host_str().filter(|host| !host.is_empty()) else { return Ok(()) };
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        let fits = |patterns: &[String]| patterns.iter().any(|p| matches(&p.to_ascii_lowercase(), host));
        if fits(&self.denied_hosts) {
            return Err(Forbidden { key: "security.denied_hosts", what: host.to_owned() });
        }
        if !self.allowed_hosts.is_empty() && !fits(&self.allowed_hosts) {
            return Err(Forbidden { key: "security.allowed_hosts", what: host.to_owned() });
        }
        Ok(())
    }

    fn check_local(&self, local: &str) -> Result<(), Forbidden> {
        let forbidden =
            || Forbidden { key: "security.allowed_destinations", what: local.chars().take(200).collect() };
        if self.destinations.iter().any(|pattern| pattern == "*") {
            return Ok(());
        }
        // Names that lead elsewhere than they look fit no pattern.
        if local.split('/').any(|part| part == ".." || part == ".") {
            return Err(forbidden());
        }
        if self.destinations.iter().any(|pattern| matches(pattern, local)) {
            Ok(())
        } else {
            Err(forbidden())
        }
    }

    /// Checks that a file of a job of this priority has a digest if it needs one.
    pub fn check_digest(&self, priority: Priority, has_digest: bool) -> Result<(), Forbidden> {
        let needed = match self.require_digest {
            RequireDigest::Never => false,
            RequireDigest::Background => priority != Priority::Foreground,
            RequireDigest::Always => true,
        };
        if needed && !has_digest {
            let what = "the file has no expected digest".to_owned();
            return Err(Forbidden { key: "integrity.require_digest", what });
        }
        Ok(())
    }
}

/// `*` stands for any characters, also none and also `/`; `?` for one. Takes time in proportion to the product of the lengths at most.
pub fn matches(pattern: &str, text: &str) -> bool {
    matches_in(pattern, text).0
}

/// The same, and the comparisons that it took.
pub(super) fn matches_in(pattern: &str, text: &str) -> (bool, usize) {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // The last star, and where in the text it ends for now.
    let mut star: Option<(usize, usize)> = None;
    let mut steps = 0;
    while t < text.len() {
        steps += 1;
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, end)) = star else { return (false, steps) };
                star = Some((at, end + 1));
                (p, t) = (at + 1, end + 1);
            }
        }
    }
    (pattern[p..].iter().all(|c| *c == '*'), steps)
}
