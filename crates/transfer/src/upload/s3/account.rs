//! Whose bucket it is: the access key in the job owner's own `~/.aws/credentials`, read with his rights. No key ever passes through the
//! service, a command line or the queue; the service's environment is nobody's.

use crate::failure::{Outcome, with};
use openbits_core::ErrorContext;
use openbits_core::classify::Class;
use openbits_core::hresult::E_ACCESSDENIED;
use rusty_s3::Credentials;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Longest file that is read.
const FILE_MAX: u64 = 1 << 20;
/// Region when nothing names one.
const REGION: &str = "us-east-1";

/// Access key and region of the profile `default`.
pub(super) fn read() -> Outcome<(Credentials, String)> {
    let missing = |detail: String| with(ErrorContext::LocalFile, E_ACCESSDENIED, Class::Fatal, detail);
    let home =
        home().ok_or_else(|| missing("The job's owner has no home folder for .aws/credentials.".into()))?;
    let text = |name: &str| {
        let path = home.join(".aws").join(name);
        let short = std::fs::metadata(&path).is_ok_and(|m| m.is_file() && m.len() <= FILE_MAX);
        short.then(|| std::fs::read_to_string(path).ok()).flatten().unwrap_or_default()
    };
    let keys = section(&text("credentials"), "default");
    let config = section(&text("config"), "default");
    let (Some(key), Some(secret)) = (keys.get("aws_access_key_id"), keys.get("aws_secret_access_key")) else {
        return Err(missing("There is no access key in ~/.aws/credentials, profile default.".into()));
    };
    let region =
        keys.get("region").or_else(|| config.get("region")).cloned().unwrap_or_else(|| REGION.into());
    let credentials = match keys.get("aws_session_token") {
        Some(token) => Credentials::new_with_token(key, secret, token),
        None => Credentials::new(key, secret),
    };
    Ok((credentials, region))
}

/// `HOME` if it is the owner's: a worker of the system's service may have inherited another.
fn home() -> Option<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let own = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|m| m.is_dir() && m.uid() == uid);
    let named = std::env::var_os("HOME").map(PathBuf::from).filter(own);
    named.or_else(|| nix::unistd::User::from_uid(uid.into()).ok().flatten().map(|user| user.dir).filter(own))
}

/// One section of a file in INI form.
fn section(text: &str, wanted: &str) -> HashMap<String, String> {
    let mut found = HashMap::new();
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = name.trim() == wanted;
        } else if let Some((key, value)) =
            line.split_once('=').filter(|_| inside && !line.starts_with(['#', ';']))
        {
            found.insert(key.trim().to_owned(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_profile_only() {
        let text = "[other]\naws_access_key_id = no\n[default]\n# aws_access_key_id = no\naws_access_key_id=AK\n\
                    aws_secret_access_key = s=cret\nregion = eu-west-1\n[third]\nregion = x\n";
        let found = section(text, "default");
        assert_eq!(found["aws_access_key_id"], "AK");
        assert_eq!(found["aws_secret_access_key"], "s=cret");
        assert_eq!(found["region"], "eu-west-1");
        assert_eq!(found.len(), 3);
    }
}
