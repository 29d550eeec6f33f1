//! Credentials of a job: one for each target and scheme (spec/bits-core.md 5.2, slots 41 and 42; spec/behaviour.md 19).

use super::{Change, Job, Notice};
use crate::enums::{AuthScheme, AuthTarget};
use crate::hresult::{self as h, HResult};
use crate::names;
use crate::secret::Sealed;
use crate::time::Now;
use serde::{Deserialize, Serialize};

/// One credential. Name and password are sealed together; nothing of them can be read back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Credential {
    /// Who asks for it.
    pub target: AuthTarget,
    /// The scheme that it serves.
    pub scheme: AuthScheme,
    /// Name and password; `None` = implicit: the owner's logon credentials (NTLM and Negotiate only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Sealed>,
}

/// Place of a credential, as it is sealed in.
pub fn place(target: AuthTarget, scheme: AuthScheme) -> String {
    format!("credentials.{target}.{scheme}")
}

/// Values of SetCredentials, in the order in which they are looked at; the clear texts are only measured.
///
/// # Errors
/// `BG_E_INVALID_AUTH_TARGET`, `BG_E_INVALID_AUTH_SCHEME`, `BG_E_USERNAME_TOO_LARGE` (300), `BG_E_PASSWORD_TOO_LARGE` (65,536 UTF-16
/// code units), `E_INVALIDARG` for a missing name or password (both may be missing with NTLM and Negotiate: implicit) and for a
/// name with a control character.
pub fn check(
    target: i64,
    scheme: i64,
    user: Option<&str>,
    password: Option<&str>,
) -> Result<(AuthTarget, AuthScheme), HResult> {
    let (target, scheme) = slot(target, scheme)?;
    if user.is_some_and(|u| names::utf16_len(u) > names::USER_NAME_MAX) {
        return Err(h::BG_E_USERNAME_TOO_LARGE);
    }
    if password.is_some_and(|p| names::utf16_len(p) > names::PASSWORD_MAX) {
        return Err(h::BG_E_PASSWORD_TOO_LARGE);
    }
    let implicit = user.is_none() && password.is_none();
    let may_be_implicit = matches!(scheme, AuthScheme::Ntlm | AuthScheme::Negotiate);
    if (implicit && !may_be_implicit) || (!implicit && (user.is_none() || password.is_none())) {
        return Err(h::E_INVALIDARG);
    }
    if user.is_some_and(|u| u.contains(char::is_control)) || password.is_some_and(|p| p.contains('\0')) {
        return Err(h::E_INVALIDARG);
    }
    Ok((target, scheme))
}

fn slot(target: i64, scheme: i64) -> Result<(AuthTarget, AuthScheme), HResult> {
    let target = AuthTarget::from_value(target).ok_or(h::BG_E_INVALID_AUTH_TARGET)?;
    let scheme = AuthScheme::from_value(scheme).ok_or(h::BG_E_INVALID_AUTH_SCHEME)?;
    Ok((target, scheme))
}

impl Job {
    /// SetCredentials with checked values: a new value replaces the old one of its slot.
    ///
    /// # Errors
    /// `BG_E_INVALID_STATE` for a job that is over.
    pub fn set_credentials(&mut self, credential: Credential, now: Now) -> Result<Change, HResult> {
        if self.state.is_final() {
            return Err(h::BG_E_INVALID_STATE);
        }
        self.credentials.retain(|old| (old.target, old.scheme) != (credential.target, credential.scheme));
        self.credentials.push(credential);
        self.touch(now);
        Ok(Change::ok(Notice::Modification))
    }

    /// RemoveCredentials: `S_FALSE` if nothing is stored for the pair.
    ///
    /// # Errors
    /// `BG_E_INVALID_AUTH_TARGET`, `BG_E_INVALID_AUTH_SCHEME`, `BG_E_INVALID_STATE` for a job that is over.
    pub fn remove_credentials(&mut self, target: i64, scheme: i64, now: Now) -> Result<Change, HResult> {
        let slot = slot(target, scheme)?;
        if self.state.is_final() {
            return Err(h::BG_E_INVALID_STATE);
        }
        let before = self.credentials.len();
        self.credentials.retain(|old| (old.target, old.scheme) != slot);
        if self.credentials.len() == before {
            return Ok(Change { code: h::S_FALSE, notice: Notice::None });
        }
        self.touch(now);
        Ok(Change::ok(Notice::Modification))
    }
}
