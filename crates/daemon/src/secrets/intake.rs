//! From a caller's request to what the queue keeps: secrets sealed, names redacted.

use super::{CannotSeal, Vault};
use openbits_api::{AddFile, DigestSourceRequest, EnvironmentProxyView, ProxyRequest};
use openbits_core::integrity::{DigestSource, Expect, PieceFile, SourceKind};
use openbits_core::job::NewFile;
use openbits_core::job::credential::{self, Credential};
use openbits_core::job::http::CheckedHeaders;
use openbits_core::job::property::{EnvironmentProxy, Property};
use openbits_core::secret::{Sealed, list_without_logins, split_login, without_login};
use openbits_core::{HResult, JobId, Secret, Slot};
use serde::{Deserialize, Serialize};

/// Name and password, as they are sealed together.
#[derive(Serialize, Deserialize)]
pub(super) struct Pair {
    #[serde(with = "openbits_core::secret::clear")]
    pub(super) user: Secret,
    #[serde(with = "openbits_core::secret::clear")]
    pub(super) password: Secret,
}

/// The proxy variables, as they are sealed together.
#[derive(Serialize, Deserialize)]
pub(super) struct Variables {
    pub(super) http: Option<String>,
    pub(super) https: Option<String>,
    pub(super) all: Option<String>,
    pub(super) no: Option<String>,
}

/// Place of the user and password of a URL: its origin, so that they are of no use at another.
pub(super) fn login_place(remote: &str) -> String {
    let end = remote.split_once("://").map_or(0, |(scheme, _)| scheme.len() + 3);
    let authority = remote[end..].split(['/', '?', '#']).next().unwrap_or_default();
    format!("login {}{}", remote[..end].to_ascii_lowercase(), authority.to_ascii_lowercase())
}

fn json(value: &impl Serialize) -> Secret {
    Secret::new(serde_json::to_string(value).expect("texts have a JSON form"))
}

/// A URL: user and password leave it.
///
/// # Errors
/// Nothing can be sealed.
pub fn remote(vault: &Vault, job: JobId, name: &str) -> Result<(String, Option<Sealed>), CannotSeal> {
    let (remote, login) = split_login(name);
    let login = login.filter(|login| !login.is_empty() && login.reveal() != ":");
    let login = login.map(|login| vault.seal(job, &login_place(&remote), &login)).transpose()?;
    Ok((remote, login))
}

/// Files to add: user and password leave the URL.
///
/// # Errors
/// Nothing can be sealed.
pub fn files(vault: &Vault, job: JobId, files: Vec<AddFile>) -> Result<Vec<NewFile>, CannotSeal> {
    let new = |file: AddFile| {
        let (name, login) = remote(vault, job, &file.remote_name)?;
        Ok(NewFile {
            remote: name,
            local: file.local_name,
            content_id: file.content_id,
            login,
            size: None,
            sha256: file.sha256.map(|hex| hex.to_ascii_lowercase()),
            expect: Expect {
                digests: file.digests,
                size: file.size,
                sources: std::iter::empty()
                    .chain(file.metalink.map(|metalink| source(SourceKind::Metalink, metalink)))
                    .chain(file.checksum.map(|checksum| source(SourceKind::Checksums, checksum)))
                    .collect(),
                mirrors: file.mirrors.into_iter().map(Into::into).collect(),
                piece_file: file.pieces.map(|pieces| PieceFile {
                    location: pieces.location.into(),
                    digest: pieces.digest,
                    root: None,
                    mandatory: pieces.mandatory,
                }),
            },
            ranges: file.ranges.map(crate::http::ranges::given),
        })
    };
    files.into_iter().map(new).collect()
}

fn source(kind: SourceKind, request: DigestSourceRequest) -> DigestSource {
    DigestSource { kind, location: request.location.into(), name: request.name.map(Into::into) }
}

/// Proxy settings: the list is kept without users and passwords, and sealed with them if there are any.
///
/// # Errors
/// Nothing can be sealed.
pub fn proxy(vault: &Vault, job: JobId, proxy: ProxyRequest) -> Result<Vec<Property>, CannotSeal> {
    let usage = i64::from(proxy.usage.value());
    let bare = proxy.list.as_deref().map(list_without_logins);
    let secret = proxy.list.filter(|list| Some(list) != bare.as_ref()).map(Secret::new);
    let mut properties = vec![Property::Proxy { usage, list: bare, bypass: proxy.bypass }];
    if let Some(secret) = secret {
        let sealed = vault.seal(job, Slot::ProxyList.name(), &secret)?;
        properties.push(Property::Sealed(Slot::ProxyList, Some(sealed)));
    }
    Ok(properties)
}

/// The creator's proxy variables, in the same way.
///
/// # Errors
/// Nothing can be sealed.
pub fn environment(
    vault: &Vault,
    job: JobId,
    given: EnvironmentProxyView,
) -> Result<(EnvironmentProxy, Option<Property>), CannotSeal> {
    let given = EnvironmentProxy { http: given.http, https: given.https, all: given.all, no: given.no };
    let bare = redacted(&given);
    if bare == given {
        return Ok((bare, None));
    }
    let EnvironmentProxy { http, https, all, no } = given;
    let sealed =
        vault.seal(job, Slot::EnvironmentProxy.name(), &json(&Variables { http, https, all, no }))?;
    Ok((bare, Some(Property::Sealed(Slot::EnvironmentProxy, Some(sealed)))))
}

/// Proxy variables without users and passwords.
pub(super) fn redacted(given: &EnvironmentProxy) -> EnvironmentProxy {
    let bare = |text: &Option<String>| text.as_deref().map(without_login);
    EnvironmentProxy {
        http: bare(&given.http),
        https: bare(&given.https),
        all: bare(&given.all),
        no: given.no.clone(),
    }
}

/// Custom headers: looked over, and sealed; an empty text removes them.
///
/// # Errors
/// Nothing can be sealed.
pub fn headers(vault: &Vault, job: JobId, text: &Secret) -> Result<Property, CannotSeal> {
    checked(vault, job, Slot::Headers, text).map(Property::CustomHeaders)
}

/// Headers that are held back until somebody asks who is there, in the same way.
///
/// # Errors
/// Nothing can be sealed.
pub fn challenge_headers(vault: &Vault, job: JobId, text: &Secret) -> Result<Property, CannotSeal> {
    checked(vault, job, Slot::ChallengeHeaders, text).map(Property::ChallengeHeaders)
}

fn checked(vault: &Vault, job: JobId, slot: Slot, text: &Secret) -> Result<CheckedHeaders, CannotSeal> {
    let sealed = (!text.is_empty()).then(|| vault.seal(job, slot.name(), text)).transpose()?;
    Ok(CheckedHeaders::new(text.reveal(), sealed))
}

/// A credential: its values looked at, name and password sealed together.
///
/// # Errors
/// Nothing can be sealed. What is wrong with the values is the inner result: the caller's rights come first.
pub fn credential(
    vault: &Vault,
    job: JobId,
    (target, scheme): (i64, i64),
    user: Option<Secret>,
    password: Option<Secret>,
) -> Result<Result<Credential, HResult>, CannotSeal> {
    let texts = (user.as_ref().map(Secret::reveal), password.as_ref().map(Secret::reveal));
    let (target, scheme) = match credential::check(target, scheme, texts.0, texts.1) {
        Ok(slot) => slot,
        Err(code) => return Ok(Err(code)),
    };
    let sealed = match (user, password) {
        (Some(user), Some(password)) => {
            let place = credential::place(target, scheme);
            Some(vault.seal(job, &place, &json(&Pair { user, password }))?)
        }
        _ => None,
    };
    Ok(Ok(Credential { target, scheme, sealed }))
}
