//! Secrets at rest: whatever would let a reader of the disk act as a user is sealed before it reaches the queue
//! (spec/behaviour.md 9, 19; docs/decisions/0014).
//!
//! A clear secret lives in the handler of the call that brings it ([`intake`]), and in the order for the worker that needs it
//! ([`outgoing`]). Everything between - queue, store, events, answers - has only [`Sealed`] texts and redacted names.

pub mod intake;
mod key;
pub mod migrate;
pub mod outgoing;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openbits_core::{JobId, Sealed, Secret};
use std::path::Path;
use zeroize::Zeroizing;

pub use key::KeyError;

/// Bytes of a nonce.
const NONCE: usize = 12;
/// First part of every sealed text: the way it was made.
const VERSION: &str = "1";

/// Why a sealed secret cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Locked {
    /// It was sealed with a key that is not here: the key was lost or replaced.
    #[error("it was sealed with a key that this service does not have")]
    OtherKey,
    /// It was changed, or it belongs to another job or place.
    #[error("it is damaged, or does not belong here")]
    Damaged,
}

/// Nothing can be sealed: no random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret could not be sealed")]
pub struct CannotSeal;

struct Key {
    /// Tells which key sealed a text; says nothing about the key itself.
    id: String,
    aead: RandomizedNonceKey,
}

/// The service's keys. The first seals; all open.
pub struct Vault {
    keys: Vec<Key>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("keys", &self.keys.len()).finish()
    }
}

/// A vault, and what is worth a log line about its keys.
#[derive(Debug)]
pub struct Opened {
    /// The vault.
    pub vault: Vault,
    /// For the log and `bits status`.
    pub findings: Vec<String>,
}

impl Vault {
    /// The key of the service manager (`openbits.key` in `$CREDENTIALS_DIRECTORY`) if there is one, and the key file of the state
    /// folder, which is made if there is neither.
    ///
    /// # Errors
    /// A key that others could read or write, or that cannot be read at all.
    pub fn open(state: &Path) -> Result<Opened, KeyError> {
        let key::Found { keys, findings } = key::find(state, key::credentials_directory().as_deref())?;
        Ok(Opened { vault: Self::of(&keys), findings })
    }

    /// A vault with one key, made of these bytes.
    pub fn with_key(material: &[u8]) -> Self {
        Self { keys: vec![Key::derive(material)] }
    }

    fn of(keys: &[Zeroizing<Vec<u8>>]) -> Self {
        Self { keys: keys.iter().map(|material| Key::derive(material)).collect() }
    }

    /// Seals a secret for one place of one job. No two results are the same.
    ///
    /// # Errors
    /// The kernel gives no random numbers.
    pub fn seal(&self, job: JobId, place: &str, secret: &Secret) -> Result<Sealed, CannotSeal> {
        let key = self.keys.first().ok_or(CannotSeal)?;
        // The clear text is overwritten by its encryption.
        let mut text = Vec::with_capacity(secret.reveal().len() + AES_256_GCM_SIV.tag_len());
        text.extend_from_slice(secret.reveal().as_bytes());
        let nonce =
            key.aead.seal_in_place_append_tag(belonging(job, place), &mut text).map_err(|_| CannotSeal)?;
        let bytes = [nonce.as_ref().as_slice(), &text].concat();
        Ok(Sealed::new(format!("{VERSION}.{}.{}", key.id, URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// Opens what was sealed for this place of this job.
    ///
    /// # Errors
    /// The key is not here, or the text is not what was sealed for this place.
    pub fn open_sealed(&self, job: JobId, place: &str, sealed: &Sealed) -> Result<Secret, Locked> {
        let mut parts = sealed.as_str().splitn(3, '.');
        let (Some(VERSION), Some(id), Some(text)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Locked::Damaged);
        };
        let key = self.keys.iter().find(|key| key.id == id).ok_or(Locked::OtherKey)?;
        let mut bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).map_err(|_| Locked::Damaged)?);
        let (nonce, text) = bytes.split_at_mut_checked(NONCE).ok_or(Locked::Damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Locked::Damaged)?;
        let clear =
            key.aead.open_in_place(nonce, belonging(job, place), text).map_err(|_| Locked::Damaged)?;
        std::str::from_utf8(clear).map(Secret::new).map_err(|_| Locked::Damaged)
    }
}

/// What a seal is bound to, so that it cannot be moved to another job or place.
fn belonging(job: JobId, place: &str) -> Aad<Vec<u8>> {
    Aad::from([b"openbits secret\0".as_slice(), job.as_bytes(), place.as_bytes()].concat())
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Key {
    /// The encryption key and its name, from what the file holds (RFC 5869).
    fn derive(material: &[u8]) -> Self {
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, b"openbits secrets").extract(material);
        let expand = |info: &[u8], out: &mut [u8]| {
            extracted
                .expand(&[info], Length(out.len()))
                .and_then(|okm| okm.fill(out))
                .expect("a length that HKDF can give");
        };
        let mut bytes = Zeroizing::new([0; 32]);
        expand(b"key", &mut *bytes);
        let mut id = [0; 6];
        expand(b"name", &mut id);
        let aead = RandomizedNonceKey::new(&AES_256_GCM_SIV, &*bytes).expect("a key of the cipher's length");
        Self { id: URL_SAFE_NO_PAD.encode(id), aead }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A vault with a key made of this text.
    pub(crate) fn vault(material: &str) -> Vault {
        Vault::with_key(material.as_bytes())
    }

    fn job(n: u8) -> JobId {
        JobId::from_bytes([n; 16])
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_only() {
        let vault = vault("one");
        let secret = Secret::new("pässword");
        let sealed = vault.seal(job(1), "headers", &secret).unwrap();
        assert!(!sealed.as_str().contains("ssword"));
        assert_eq!(vault.open_sealed(job(1), "headers", &sealed), Ok(secret.clone()));
        assert_eq!(vault.open_sealed(job(2), "headers", &sealed), Err(Locked::Damaged), "another job");
        assert_eq!(vault.open_sealed(job(1), "proxy-list", &sealed), Err(Locked::Damaged), "another place");
        assert_ne!(vault.seal(job(1), "headers", &secret).unwrap(), sealed, "a nonce for each");
        let empty = vault.seal(job(1), "headers", &Secret::default()).unwrap();
        assert_eq!(vault.open_sealed(job(1), "headers", &empty), Ok(Secret::default()));
    }

    #[test]
    fn another_key_does_not_open_and_says_so() {
        let (old, new) = (vault("one"), vault("two"));
        let sealed = old.seal(job(1), "headers", &Secret::new("x")).unwrap();
        assert_eq!(new.open_sealed(job(1), "headers", &sealed), Err(Locked::OtherKey));
        let both = Vault { keys: [new.keys, old.keys].into_iter().flatten().collect() };
        assert_eq!(both.open_sealed(job(1), "headers", &sealed), Ok(Secret::new("x")));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let vault = vault("one");
        let sealed = vault.seal(job(1), "headers", &Secret::new("secret")).unwrap();
        let text = sealed.as_str().as_bytes();
        for at in 0..text.len() {
            let mut changed = text.to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = Sealed::new(String::from_utf8(changed).unwrap());
            assert!(vault.open_sealed(job(1), "headers", &changed).is_err(), "byte {at}");
        }
        for broken in ["", "1", "1.", "1..", "2.a.b", "1.a.%", &sealed.as_str()[..20]] {
            assert!(vault.open_sealed(job(1), "headers", &Sealed::new(broken)).is_err(), "{broken}");
        }
    }
}
