//! Who is calling: htpasswd (bcrypt), bearer tokens, client certificates.

mod certificate;
mod files;

pub(crate) use certificate::name_of;
pub(crate) use files::CredentialError;

use crate::settings::Settings;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use http::HeaderMap;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Checked passwords are remembered this long: bcrypt costs a tenth of a second, and every fragment is checked.
const REMEMBER: Duration = Duration::from_secs(300);
const REMEMBERED: usize = 1024;
/// Passwords checked at the same time, so that guesses do not take all processors.
const AT_ONCE: usize = 2;

/// The known credentials; replaced as a whole when settings are read again.
pub(crate) struct Credentials {
    passwords: HashMap<String, String>,
    tokens: Vec<(String, [u8; 32])>,
    basic_without_tls: bool,
    checked: Mutex<HashMap<[u8; 32], (String, Instant)>>,
    checking: Semaphore,
}

/// What a request says about its caller.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Nothing: an anonymous caller.
    None,
    /// This name.
    Name(String),
    /// Credentials that are wrong or may not be used here.
    Wrong,
}

impl Credentials {
    pub(crate) fn read(settings: &Settings) -> Result<Arc<Self>, CredentialError> {
        let auth = &settings.auth;
        Ok(Arc::new(Self {
            passwords: auth.htpasswd.as_deref().map_or(Ok(HashMap::new()), files::passwords)?,
            tokens: auth.tokens.as_deref().map_or(Ok(Vec::new()), files::tokens)?,
            basic_without_tls: auth.basic_without_tls,
            checked: Mutex::new(HashMap::new()),
            checking: Semaphore::new(AT_ONCE),
        }))
    }

    /// The challenge for a 401.
    pub(crate) fn challenges(&self) -> Vec<&'static str> {
        let mut all = Vec::new();
        if !self.passwords.is_empty() {
            all.push("Basic realm=\"bits-server\", charset=\"UTF-8\"");
        }
        if !self.tokens.is_empty() {
            all.push("Bearer realm=\"bits-server\"");
        }
        all
    }

    /// Reads the caller's name out of `Authorization`, or takes that of the certificate.
    pub(crate) async fn claim(
        self: &Arc<Self>,
        headers: &HeaderMap,
        tls: bool,
        certificate: Option<&str>,
    ) -> Claim {
        let Some(value) = headers.get(http::header::AUTHORIZATION) else {
            return certificate.map_or(Claim::None, |name| Claim::Name(name.to_owned()));
        };
        let Some((scheme, rest)) = value.to_str().ok().and_then(|v| v.split_once(' ')) else {
            return Claim::Wrong;
        };
        if scheme.eq_ignore_ascii_case("bearer") {
            self.token(rest.trim())
        } else if scheme.eq_ignore_ascii_case("basic") && (tls || self.basic_without_tls) {
            self.password(rest.trim()).await
        } else {
            Claim::Wrong
        }
    }

    fn token(&self, token: &str) -> Claim {
        let found = sha256(token.as_bytes());
        let mut name = Claim::Wrong;
        for (owner, hash) in &self.tokens {
            if verify_slices_are_equal(hash, &found).is_ok() {
                name = Claim::Name(owner.clone());
            }
        }
        name
    }

    async fn password(self: &Arc<Self>, encoded: &str) -> Claim {
        let key = sha256(encoded.as_bytes());
        {
            let mut checked = self.checked.lock().expect("never poisoned: nothing panics under it");
            checked.retain(|_, (_, at)| at.elapsed() < REMEMBER);
            if let Some((name, _)) = checked.get(&key) {
                return Claim::Name(name.clone());
            }
        }
        let decoded = base64::engine::general_purpose::STANDARD.decode(encoded).ok();
        let Some(decoded) = decoded.and_then(|bytes| String::from_utf8(bytes).ok()) else {
            return Claim::Wrong;
        };
        let Some((name, password)) = decoded.split_once(':') else { return Claim::Wrong };
        // An unknown name costs as much as a wrong password: no telling them apart by time.
        let (known, hash) = match self.passwords.get(name) {
            Some(hash) => (true, hash.clone()),
            None => (false, files::NOBODY.to_owned()),
        };
        let Ok(_permit) = self.checking.acquire().await else { return Claim::Wrong };
        let (name, password) = (name.to_owned(), password.to_owned());
        let checked = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash).unwrap_or(false));
        if !checked.await.unwrap_or(false) || !known {
            return Claim::Wrong;
        }
        let mut checked = self.checked.lock().expect("never poisoned: nothing panics under it");
        if checked.len() < REMEMBERED {
            checked.insert(key, (name.clone(), Instant::now()));
        }
        Claim::Name(name)
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests;
