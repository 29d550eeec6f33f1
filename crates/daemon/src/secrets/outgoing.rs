//! From what the queue keeps to what a worker needs: the only place where secrets are opened.

use super::intake::{Pair, Variables, login_place};
use super::{Locked, Vault};
use openbits_core::hresult::BG_E_INVALID_CREDENTIALS;
use openbits_core::job::property::EnvironmentProxy;
use openbits_core::job::{Credential, ErrorRecord, File, credential};
use openbits_core::{AuthTarget, ErrorContext, FileTime, Job, Secret, Slot};
use openbits_transfer::protocol;

/// A secret of the job that its worker needs cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot be read any more: {why}")]
pub struct Lost {
    /// Which one, for people.
    pub what: String,
    /// Why.
    pub why: Locked,
    /// The file it belongs to.
    pub file: Option<u32>,
}

impl Lost {
    /// The job's error: somebody has to give the credentials again, nothing else is lost.
    pub fn record(&self, at: FileTime) -> ErrorRecord {
        let mut record = ErrorRecord::new(BG_E_INVALID_CREDENTIALS, ErrorContext::GeneralQueueManager, at);
        record.file = self.file;
        record.detail = format!("Credentials are needed: {self}.").into();
        record
    }
}

impl Vault {
    /// A secret of the job; `None` if the slot is empty.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn slot(&self, job: &Job, slot: Slot) -> Result<Option<Secret>, Lost> {
        let Some(sealed) = job.secrets.get(&slot) else { return Ok(None) };
        self.open_sealed(job.id, slot.name(), sealed).map(Some).map_err(|why| Lost {
            what: format!("the job's secret {}", slot.name()),
            why,
            file: None,
        })
    }

    /// The job's credentials.
    ///
    /// # Errors
    /// One cannot be opened.
    pub fn credentials(&self, job: &Job) -> Result<Vec<protocol::Credential>, Lost> {
        let open = |credential: &Credential| {
            let (target, scheme) = (credential.target, credential.scheme);
            let lost = |why| Lost { what: format!("the credentials {target}/{scheme}"), why, file: None };
            let pair = match &credential.sealed {
                None => None,
                Some(sealed) => {
                    let place = credential::place(target, scheme);
                    let text = self.open_sealed(job.id, &place, sealed).map_err(lost)?;
                    let pair: Pair =
                        serde_json::from_str(text.reveal()).map_err(|_| lost(Locked::Damaged))?;
                    Some(protocol::Pair { user: pair.user, password: pair.password })
                }
            };
            Ok(protocol::Credential { target, scheme, pair })
        };
        job.credentials.iter().map(open).collect()
    }

    /// Credentials that were given again make up for what was lost.
    fn replaced(job: &Job, target: AuthTarget) -> bool {
        job.credentials.iter().any(|credential| credential.target == target)
    }

    /// User and password of a file's URL, as they stood in it. At another origin than the one they were given for there are none.
    ///
    /// # Errors
    /// They cannot be opened because the key is not here.
    pub fn login(&self, job: &Job, index: u32, file: &File) -> Result<Option<Secret>, Lost> {
        let Some(sealed) = &file.login else { return Ok(None) };
        match self.open_sealed(job.id, &login_place(&file.remote), sealed) {
            Ok(login) => Ok(Some(login)),
            Err(Locked::Damaged) => Ok(None),
            Err(_) if Self::replaced(job, AuthTarget::Server) => Ok(None),
            Err(why) => {
                let what = "the user name and password that stood in the URL".to_owned();
                Err(Lost { what, why, file: Some(index) })
            }
        }
    }

    /// The URL of a file as it was given.
    ///
    /// # Errors
    /// As [`Vault::login`].
    pub fn remote(&self, job: &Job, index: u32, file: &File) -> Result<String, Lost> {
        Ok(match (self.login(job, index, file)?, file.remote.split_once("://")) {
            (Some(login), Some((scheme, rest))) => format!("{scheme}://{}@{rest}", login.reveal()),
            _ => file.remote.to_string(),
        })
    }

    /// The OVERRIDE list as it was given.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn proxy_list(&self, job: &Job) -> Result<String, Lost> {
        let bare = job.proxy.as_deref().and_then(|proxy| proxy.list.clone()).unwrap_or_default();
        match self.slot(job, Slot::ProxyList) {
            Err(_) if Self::replaced(job, AuthTarget::Proxy) => Ok(bare),
            found => Ok(found?.map_or(bare, |list| list.reveal().to_owned())),
        }
    }

    /// The creator's proxy variables as they were given.
    ///
    /// # Errors
    /// They cannot be opened.
    pub fn environment(&self, job: &Job) -> Result<Option<EnvironmentProxy>, Lost> {
        let Some(bare) = &job.extras().environment_proxy else { return Ok(None) };
        let text = match self.slot(job, Slot::EnvironmentProxy) {
            Err(_) if Self::replaced(job, AuthTarget::Proxy) => None,
            found => found?,
        };
        let Some(text) = text else { return Ok(Some(bare.clone())) };
        let lost = |_| Lost { what: "the proxy variables".into(), why: Locked::Damaged, file: None };
        let Variables { http, https, all, no } = serde_json::from_str(text.reveal()).map_err(lost)?;
        Ok(Some(EnvironmentProxy { http, https, all, no }))
    }
}
