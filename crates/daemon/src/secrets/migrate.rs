//! Rows of earlier versions, which have passwords in the clear.

use super::intake::{login_place, redacted};
use super::{CannotSeal, Vault, intake};
use openbits_api::EnvironmentProxyView;
use openbits_core::job::property::Property;
use openbits_core::secret::{list_without_logins, split_login};
use openbits_core::{Job, Secret, Slot};

/// What [`seal`] changed of a job.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// The job's own row.
    pub job: bool,
    /// Rows of its files.
    pub files: Vec<u32>,
}

impl Changed {
    /// Something has to be stored.
    pub fn any(&self) -> bool {
        self.job || !self.files.is_empty()
    }
}

/// Seals what stands in the clear in a job that was read from the store.
///
/// # Errors
/// Nothing can be sealed.
pub fn seal(vault: &Vault, job: &mut Job) -> Result<Changed, CannotSeal> {
    let mut changed = Changed::default();
    for (index, file) in (0u32..).zip(&mut job.files) {
        let (remote, Some(login)) = split_login(&file.remote) else { continue };
        file.login = Some(vault.seal(job.id, &login_place(&remote), &login)?);
        file.remote = remote.into();
        changed.files.push(index);
    }
    if let Some(list) = job.proxy.as_deref_mut().and_then(|proxy| proxy.list.as_mut()) {
        let bare = list_without_logins(list);
        if bare != *list {
            let clear = Secret::new(std::mem::replace(list, bare));
            let sealed = vault.seal(job.id, Slot::ProxyList.name(), &clear)?;
            job.secrets.insert(Slot::ProxyList, sealed);
            changed.job = true;
        }
    }
    let id = job.id;
    if let Some(environment) = job.extras.as_deref_mut().and_then(|extras| extras.environment_proxy.as_mut())
        && redacted(environment) != *environment
    {
        let given = std::mem::take(environment);
        let view =
            EnvironmentProxyView { http: given.http, https: given.https, all: given.all, no: given.no };
        let (bare, sealed) = intake::environment(vault, id, view)?;
        *environment = bare;
        if let Some(Property::Sealed(slot, Some(sealed))) = sealed {
            job.secrets.insert(slot, sealed);
        }
        changed.job = true;
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::super::tests::vault;
    use super::*;
    use openbits_core::job::property::EnvironmentProxy;
    use openbits_core::job::{File, ProxySettings};
    use openbits_core::{FileTime, JobId, JobType, Mono, Now, ProxyUsage, Uid};

    #[test]
    fn clear_rows_are_sealed_once_and_read_as_before() {
        let now = Now { mono: Mono(0), wall: FileTime::ZERO };
        let mut job = Job::new(JobId::from_bytes([3; 16]), Uid(7), JobType::Download, "x", now);
        let file = |remote: &str| File { remote: remote.into(), local: "/d/x".into(), ..File::default() };
        job.files = vec![file("https://h/a"), file("https://u:hunter2@h/b")];
        job.proxy = Some(Box::new(ProxySettings {
            usage: ProxyUsage::Override,
            list: Some("http=u:hunter3@p:1 q:2".into()),
            bypass: None,
        }));
        job.extras_mut().environment_proxy = Some(EnvironmentProxy {
            http: Some("http://u:hunter4@p:1".into()),
            no: Some("x".into()),
            ..EnvironmentProxy::default()
        });
        let (before, vault) = (job.clone(), vault("key"));
        let changed = seal(&vault, &mut job).unwrap();
        assert_eq!(changed, Changed { job: true, files: vec![1] });
        let rows = [
            crate::rows::job_row(&job).doc,
            crate::rows::file_row(&job, 1).map(|row| format!("{} {}", row.remote, row.doc)).unwrap(),
        ];
        assert!(rows.iter().all(|row| !row.contains("hunter")), "{rows:?}");
        assert_eq!(vault.remote(&job, 0, &job.files[0]).unwrap(), "https://h/a");
        assert_eq!(vault.remote(&job, 1, &job.files[1]).unwrap(), "https://u:hunter2@h/b");
        assert_eq!(Some(vault.proxy_list(&job).unwrap()), before.proxy.unwrap().list);
        assert_eq!(vault.environment(&job).unwrap(), before.extras.unwrap().environment_proxy);
        assert_eq!(seal(&vault, &mut job).unwrap(), Changed::default());
        // Another origin: not an error, and nothing to send.
        job.files[1].remote = "https://evil/b".into();
        assert_eq!(vault.remote(&job, 1, &job.files[1]).unwrap(), "https://evil/b");
        let other = super::super::tests::vault("other key");
        job.files[1].remote = "https://H/c".into();
        assert_eq!(vault.remote(&job, 1, &job.files[1]).unwrap(), "https://u:hunter2@H/c");
        assert!(other.remote(&job, 1, &job.files[1]).unwrap_err().to_string().contains("key"));
        assert!(other.proxy_list(&job).is_err() && other.environment(&job).is_err());
    }
}
