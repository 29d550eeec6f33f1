//! HTTP options of a job: headers, method, client certificate, security flags (spec/bits-extended.md 9, behaviour.md 18).

use super::{Change, Job, Notice};
use crate::enums::{JobState, JobType, Priority};
use crate::hresult::{self as h, HResult};
use crate::names;
use crate::secret::{Sealed, Slot};
use crate::time::Now;
use serde::{Deserialize, Serialize};

/// Longest text of all custom headers, in UTF-16 code units (16 KB with the terminator).
pub const HEADERS_MAX: usize = 16_383;
/// Most custom headers of a job.
pub const HEADER_COUNT_MAX: usize = 128;
/// Longest HTTP method, in UTF-16 code units.
pub const METHOD_MAX: usize = 256;
/// Longest name of a certificate store and longest subject, in UTF-16 code units (256 with the terminator).
pub const CERTIFICATE_NAME_MAX: usize = 255;

/// Header names that the service itself sets: a job may not (spec/bits-extended.md 9.1.4).
pub const CONTROLLED_HEADERS: &[&str] = &[
    "host",
    "range",
    "if-range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "accept-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
];

/// Bits of SetSecurityFlags (spec/bits-extended.md 9.1.5).
pub mod security {
    /// Check the revocation of the server's certificate; fatal if that cannot be done.
    pub const CRL_CHECK: u32 = 0x0001;
    /// Ignore a wrong host name.
    pub const IGNORE_NAME: u32 = 0x0002;
    /// Ignore dates.
    pub const IGNORE_DATE: u32 = 0x0004;
    /// Ignore an unknown issuer.
    pub const IGNORE_CA: u32 = 0x0008;
    /// Ignore a wrong usage.
    pub const IGNORE_USAGE: u32 = 0x0010;
    /// The certificate bits.
    pub const CERTIFICATE: u32 = 0x001F;
    /// Follow redirects, and make the final address the remote name.
    pub const REDIRECT_REPORT: u32 = 0x0100;
    /// Follow no redirect.
    pub const REDIRECT_DISALLOW: u32 = 0x0200;
    /// The redirect policy.
    pub const REDIRECT_MASK: u32 = 0x0700;
    /// A redirect may lead from https to plain http.
    pub const ALLOW_HTTPS_TO_HTTP: u32 = 0x0800;
}

/// What a redirect of a download means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RedirectPolicy {
    /// Followed; the remote name stays.
    #[default]
    Silent,
    /// Followed; the remote name becomes the final address.
    Report,
    /// ERROR with the redirect's status; the remote name becomes the target.
    Disallow,
}

impl RedirectPolicy {
    /// The policy in security flags.
    pub const fn of(flags: u32) -> Self {
        match flags & security::REDIRECT_MASK {
            security::REDIRECT_REPORT => Self::Report,
            security::REDIRECT_DISALLOW => Self::Disallow,
            _ => Self::Silent,
        }
    }
}

/// Where a certificate store is (`BG_CERT_STORE_LOCATION`); the Windows locations without a counterpart are `E_NOTIMPL`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, Hash)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CertificateLocation {
    /// 0: the owner's own folder.
    CurrentUser,
    /// 1: the machine's folder.
    LocalMachine,
}

impl CertificateLocation {
    /// From the number of `bits2_5.h`.
    pub const fn from_value(value: i64) -> Option<Self> {
        match value {
            0 => Some(Self::CurrentUser),
            1 => Some(Self::LocalMachine),
            _ => None,
        }
    }

    /// The number of `bits2_5.h`.
    pub const fn value(self) -> u32 {
        match self {
            Self::CurrentUser => 0,
            Self::LocalMachine => 1,
        }
    }
}

/// How a client certificate is named.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, Hash)]
#[serde(rename_all = "snake_case")]
pub enum CertificateName {
    /// SHA-1 (20 bytes) or SHA-256 (32 bytes) of the certificate, lower-case hexadecimal.
    Hash(String),
    /// A part of the subject: values in encoding order, joined by `, `; the first match that allows client authentication.
    Subject(String),
}

/// A certificate to look for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, Hash)]
pub struct CertificateQuery {
    /// Where.
    pub location: CertificateLocation,
    /// `MY`, `CA`, `ROOT`, `SPC`, the name of an application's store, or the absolute path of a file or folder.
    pub store: String,
    /// Which.
    pub name: CertificateName,
}

impl CertificateQuery {
    /// Syntax and lengths: `BG_E_STRING_TOO_LONG`, 0x800706F7 for a hash of another length than 20 or 32 bytes, 0x80070002 for a store that
    /// cannot exist, `E_INVALIDARG` for an empty subject.
    pub fn check(&self) -> Result<(), HResult> {
        let store = &*self.store;
        names::check_text(store, CERTIFICATE_NAME_MAX)?;
        let is_path = store.starts_with('/');
        if store.is_empty() || (!is_path && (store.contains('/') || store.starts_with('.'))) {
            return Err(h::ERROR_FILE_NOT_FOUND);
        }
        match &self.name {
            CertificateName::Hash(hex) => {
                let hexadecimal = hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
                if hexadecimal && matches!(hex.len(), 40 | 64) { Ok(()) } else { Err(h::RPC_X_BAD_STUB_DATA) }
            }
            CertificateName::Subject(text) if text.trim().is_empty() => Err(h::E_INVALIDARG),
            CertificateName::Subject(text) => names::check_text(text, CERTIFICATE_NAME_MAX),
        }
    }
}

/// The client certificate of a job; the key stays where it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClientCertificate {
    /// Where it was found.
    pub location: CertificateLocation,
    /// In which store.
    pub store: String,
    /// SHA-1 of the certificate, lower-case hexadecimal.
    pub sha1: String,
    /// SHA-256 of the certificate, lower-case hexadecimal.
    pub sha256: String,
    /// Values of the subject's names in encoding order, joined by `, `; may be empty.
    pub subject: String,
}

/// HTTP options of a job; absent is the default of each.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct HttpOptions {
    /// Nobody may read the headers (which are the job's secrets [`Slot::Headers`] and [`Slot::ChallengeHeaders`]) back; never taken back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub write_only: bool,
    /// Method other than the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Box<str>>,
    /// Security flags, once set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<u32>,
    /// Client certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Box<ClientCertificate>>,
    /// The owner's program has to accept each server certificate.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub validates: bool,
}

impl HttpOptions {
    /// Nothing set.
    pub const NONE: Self =
        Self { write_only: false, method: None, security: None, certificate: None, validates: false };

    /// What an old owner leaves behind (spec/bits-extended.md 3.4): the certificate goes (and, with the job's secrets, the headers); the
    /// marks stay.
    pub(super) fn change_hands(&mut self) {
        self.certificate = None;
    }
}

/// Custom headers as the queue takes them: sealed, with what was found of their syntax while they could be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckedHeaders {
    sealed: Option<Sealed>,
    download: Result<(), HResult>,
    upload: Result<(), HResult>,
}

impl CheckedHeaders {
    /// Looks the text over; `sealed` is the same text, `None` for an empty one.
    pub fn new(text: &str, sealed: Option<Sealed>) -> Self {
        let verdict = |kind| parse_headers(text, kind).map(|_| ());
        Self { sealed, download: verdict(JobType::Download), upload: verdict(JobType::Upload) }
    }

    /// What [`parse_headers`] said for this type of job.
    pub(super) const fn check(&self, kind: JobType) -> Result<(), HResult> {
        match kind {
            JobType::Download => self.download,
            JobType::Upload | JobType::UploadReply => self.upload,
        }
    }
}

/// Names and values of custom headers: lines that each end with CR LF.
///
/// # Errors
/// `BG_E_STRING_TOO_LONG`; `E_INVALIDARG` for a line without a name, a bare CR or LF, NUL, folded lines, more than 128 headers, or a name
/// that the service itself sets.
pub fn parse_headers(text: &str, kind: JobType) -> Result<Vec<(&str, &str)>, HResult> {
    if names::utf16_len(text) > HEADERS_MAX {
        return Err(h::BG_E_STRING_TOO_LONG);
    }
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let lines = text.strip_suffix("\r\n").ok_or(h::E_INVALIDARG)?;
    let mut headers = Vec::new();
    for line in lines.split("\r\n") {
        let (name, value) = line.split_once(':').ok_or(h::E_INVALIDARG)?;
        let value = value.trim_matches([' ', '\t']);
        let controlled = CONTROLLED_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name))
            || (kind != JobType::Download && name.to_ascii_lowercase().starts_with("bits-"));
        let legal = is_token(name) && value.chars().all(|c| c == '\t' || !c.is_control());
        if controlled || !legal || headers.len() == HEADER_COUNT_MAX {
            return Err(h::E_INVALIDARG);
        }
        headers.push((name, value));
    }
    Ok(headers)
}

/// A token of HTTP (RFC 9110 5.6.2).
fn is_token(text: &str) -> bool {
    let tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(tchar)
}

/// The method that a job uses unless told otherwise.
pub const fn default_method(kind: JobType) -> &'static str {
    match kind {
        JobType::Download => "GET",
        JobType::Upload | JobType::UploadReply => "BITS_POST",
    }
}

/// SetHttpMethod's argument.
///
/// # Errors
/// `BG_E_STRING_TOO_LONG`; `E_INVALIDARG` if it is no token; 0x80200072 for any but the default of an upload.
pub fn check_method(method: &str, kind: JobType) -> Result<(), HResult> {
    if names::utf16_len(method) > METHOD_MAX {
        return Err(h::BG_E_STRING_TOO_LONG);
    }
    // A tunnel is not a transfer.
    if !is_token(method) || method == "CONNECT" {
        return Err(h::E_INVALIDARG);
    }
    if kind != JobType::Download && method != default_method(kind) {
        return Err(h::BG_E_UNSUPPORTED_JOB_CONFIGURATION);
    }
    Ok(())
}

/// SetSecurityFlags' argument: `E_NOTIMPL` for unknown bits and for redirect policies that contradict each other.
pub const fn check_security_flags(flags: u32) -> Result<(), HResult> {
    const KNOWN: u32 = security::CERTIFICATE | security::REDIRECT_MASK | security::ALLOW_HTTPS_TO_HTTP;
    let policy = flags & security::REDIRECT_MASK;
    let defined = matches!(policy, 0 | security::REDIRECT_REPORT | security::REDIRECT_DISALLOW);
    if flags & !KNOWN == 0 && defined { Ok(()) } else { Err(h::E_NOTIMPL) }
}

impl Job {
    /// HTTP options, for reading.
    pub fn http(&self) -> &HttpOptions {
        const NONE: &HttpOptions = &HttpOptions::NONE;
        self.http.as_deref().unwrap_or(NONE)
    }

    fn http_mut(&mut self) -> &mut HttpOptions {
        self.http.get_or_insert_default()
    }

    /// GetHttpMethod.
    pub fn http_method(&self) -> &str {
        self.http().method.as_deref().unwrap_or(default_method(self.kind))
    }

    /// The job has a method of its own: FOREGROUND for good, every error final, no ranges.
    pub fn has_custom_method(&self) -> bool {
        self.http().method.is_some()
    }

    /// GetSecurityFlags.
    pub fn security_flags(&self) -> u32 {
        self.http().security.unwrap_or(0)
    }

    /// The revocation of server certificates is checked.
    pub fn checks_revocation(&self) -> bool {
        self.security_flags() & security::CRL_CHECK != 0
    }

    /// GetCustomHeaders, for the owner: `None` if none are set, `E_ACCESSDENIED` if they are write-only.
    pub fn read_custom_headers(&self) -> Result<Option<&Sealed>, HResult> {
        if self.http().write_only { Err(h::E_ACCESSDENIED) } else { Ok(self.secrets.get(&Slot::Headers)) }
    }

    /// The headers that are held back until somebody asks who is there, for the owner; as [`Job::read_custom_headers`].
    pub fn read_challenge_headers(&self) -> Result<Option<&Sealed>, HResult> {
        self.read_custom_headers().map(|_| self.secrets.get(&Slot::ChallengeHeaders))
    }

    /// There are custom headers.
    pub fn has_custom_headers(&self) -> bool {
        self.secrets.contains_key(&Slot::Headers)
    }

    /// There are headers that are held back until somebody asks who is there.
    pub fn has_challenge_headers(&self) -> bool {
        self.secrets.contains_key(&Slot::ChallengeHeaders)
    }

    /// GetClientCertificate: 0x800706F7 if none is set.
    pub fn client_certificate(&self) -> Result<&ClientCertificate, HResult> {
        self.http().certificate.as_deref().ok_or(h::RPC_X_BAD_STUB_DATA)
    }

    pub(super) fn set_headers(&mut self, slot: Slot, headers: CheckedHeaders) {
        match headers.sealed {
            Some(sealed) => drop(self.secrets.insert(slot, sealed)),
            None => drop(self.secrets.remove(&slot)),
        }
    }

    pub(super) fn make_headers_write_only(&mut self) {
        self.http_mut().write_only = true;
    }

    /// A method that is not the default makes the job FOREGROUND; its own default takes that back, but not the priority.
    pub(super) fn set_http_method(&mut self, method: String) {
        let own = method != default_method(self.kind);
        self.http_mut().method = own.then(|| method.into());
        if own {
            self.priority = Priority::Foreground;
        }
    }

    pub(super) fn set_security_flags(&mut self, flags: u32) {
        self.http_mut().security = Some(flags);
    }

    /// Whether SetHttpMethod is legal now: not after the first Resume.
    pub(super) fn may_set_http_method(&self) -> Result<(), HResult> {
        if self.resumed || self.state != JobState::Suspended {
            return Err(h::BG_E_READ_ONLY_PROPERTY_AFTER_RESUME);
        }
        Ok(())
    }

    /// SetClientCertificateByID and ByName, with what was found. Replaces an earlier one.
    pub fn set_client_certificate(
        &mut self,
        certificate: ClientCertificate,
        now: Now,
    ) -> Result<Change, HResult> {
        if self.state.is_final() {
            return Err(h::BG_E_INVALID_STATE);
        }
        self.http_mut().certificate = Some(Box::new(certificate));
        self.touch(now);
        self.begin_again(now);
        Ok(Change::ok(Notice::Modification))
    }

    /// RemoveClientCertificate: `S_FALSE` if none was set.
    pub fn remove_client_certificate(&mut self, now: Now) -> Result<Change, HResult> {
        if self.state.is_final() {
            return Err(h::BG_E_INVALID_STATE);
        }
        if self.http().certificate.is_none() {
            return Ok(Change { code: h::S_FALSE, notice: Notice::None });
        }
        self.http_mut().certificate = None;
        self.touch(now);
        self.begin_again(now);
        Ok(Change::ok(Notice::Modification))
    }

    /// SetServerCertificateValidationInterface: the owner's program has to accept the certificates, or (false) has not any more. Legal in
    /// SUSPENDED, ERROR and TRANSFERRED.
    pub fn require_validation(&mut self, wanted: bool, now: Now) -> Result<Change, HResult> {
        match self.state {
            JobState::Acknowledged | JobState::Cancelled => Err(h::BG_E_INVALID_STATE),
            JobState::Suspended | JobState::Error | JobState::Transferred => {
                if self.http().validates != wanted {
                    self.http_mut().validates = wanted;
                    self.touch(now);
                }
                Ok(Change::ok(Notice::Modification))
            }
            _ => Err(h::BG_E_READ_ONLY_WHEN_JOB_ACTIVE),
        }
    }

    /// A running attempt has old options: the job waits for another turn.
    pub(super) fn begin_again(&mut self, now: Now) {
        if self.state.is_running() {
            self.enter(JobState::Queued, now);
        }
    }
}

#[cfg(test)]
mod tests;
