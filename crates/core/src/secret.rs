//! Secrets: in the clear for as short as possible, sealed everywhere else (spec/behaviour.md 9, 19; docs/decisions/0014).
//!
//! The brain never sees a clear secret. What it keeps and stores is [`Sealed`]: a text that only the service's key opens.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use zeroize::Zeroizing;

/// A secret in the clear: wiped when it is dropped, never shown, and written out only where a field says so by
/// `#[serde(with = "openbits_core::secret::clear")]`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The secret itself. Whoever asks must not keep a copy.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// True for the empty text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// For a field of type [`Secret`] that goes out in the clear: to the service over its socket, to a worker over its private pipe.
pub mod clear {
    use super::{Deserialize, Deserializer, Secret, Serialize, Serializer};

    /// Writes the secret itself.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        secret.reveal().serialize(serializer)
    }

    /// Reads a secret.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        Secret::deserialize(deserializer)
    }
}

/// As [`clear`], for `Option<Secret>`.
pub mod clear_option {
    use super::{Deserialize, Deserializer, Secret, Serialize, Serializer};

    /// Writes the secret itself, or null.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
        secret.as_ref().map(Secret::reveal).serialize(serializer)
    }

    /// Reads a secret or null.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
        Option::<Secret>::deserialize(deserializer)
    }
}

/// A secret that was sealed by the service for one job and one place in it. Opaque here.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(Box<str>);

impl Sealed {
    /// What the service's vault made.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The sealed text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(…)")
    }
}

/// Secrets of a job beside its credentials: one for each slot.
///
/// The name is part of the seal, so it is never changed once released.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Slot {
    /// The OVERRIDE proxy list as given, where it names users; the job's document has it without them.
    ProxyList,
    /// The creator's proxy variables as given (JSON), where they name users.
    EnvironmentProxy,
    /// Custom request headers.
    Headers,
    /// Request headers that are held back until a server or proxy asks who is there.
    ChallengeHeaders,
    /// Password of the client certificate's key.
    ClientCertificate,
}

impl Slot {
    /// The name, as it is sealed in.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProxyList => "proxy-list",
            Self::EnvironmentProxy => "environment-proxy",
            Self::Headers => "headers",
            Self::ChallengeHeaders => "challenge-headers",
            Self::ClientCertificate => "client-certificate",
        }
    }
}

/// A URL without the `user:password@` of its authority, and that part (as written, percent-encoded) without its `@`.
///
/// Nothing else of the URL is changed.
pub fn split_login(url: &str) -> (String, Option<Secret>) {
    let Some((scheme, rest)) = url.split_once("://") else { return (url.to_owned(), None) };
    let (bare, login) = split_authority(rest);
    (format!("{scheme}://{bare}"), login)
}

/// `[user[:password]@]host…`, up to the first `/`, `?` or `#`.
fn split_authority(rest: &str) -> (String, Option<Secret>) {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => (rest[at + 1..].to_owned(), Some(Secret::new(&rest[..at]))),
        None => (rest.to_owned(), None),
    }
}

/// A proxy variable or an entry of a proxy list without user and password: `[protocol=][protocol://][user[:password]@]host…`.
pub fn without_login(proxy: &str) -> String {
    let (protocol, server) = match proxy.split_once('=') {
        // A password may have the sign too; a protocol has none of these.
        Some((protocol, server)) if !protocol.contains(['@', ':', '/']) => (Some(protocol), server),
        _ => (None, proxy),
    };
    let (scheme, rest) = match server.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, server),
    };
    // Curl and we read a proxy up to the last `@`: a slash in a password that was not escaped must not leave half of it behind.
    let bare = rest.rfind('@').map_or(rest, |at| &rest[at + 1..]);
    let mut out = String::new();
    if let Some(protocol) = protocol {
        out.push_str(protocol);
        out.push('=');
    }
    if let Some(scheme) = scheme {
        out.push_str(scheme);
        out.push_str("://");
    }
    out.push_str(bare);
    out
}

/// A proxy list without users and passwords; its separators stay.
pub fn list_without_logins(list: &str) -> String {
    list.split_inclusive(SEPARATORS)
        .map(|entry| match entry.strip_suffix(SEPARATORS) {
            Some(bare) => format!("{}{}", without_login(bare), &entry[bare.len()..]),
            None => without_login(entry),
        })
        .collect()
}

/// What separates the entries of a proxy list.
const SEPARATORS: [char; 3] = [' ', ';', '\t'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_kind_shows_itself() {
        let shown = format!("{:?} {:?}", Secret::new("hunter2"), Sealed::new("1.a.hunter2"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn logins_of_urls() {
        let split = |url: &str| {
            let (bare, login) = split_login(url);
            (bare, login.map(|l| l.reveal().to_owned()))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(split("http://h/x"), ("http://h/x".into(), None));
        assert_eq!(split("https://u:p@h:8/x?a=b@c#d"), ("https://h:8/x?a=b@c#d".into(), some("u:p")));
        assert_eq!(split("HTTP://u@H"), ("HTTP://H".into(), some("u")));
        assert_eq!(split("http://u:p%40q@h/@"), ("http://h/@".into(), some("u:p%40q")));
        assert_eq!(
            split("http://u:p@q@h/"),
            ("http://h/".into(), some("u:p@q")),
            "as the URL parser reads it"
        );
        assert_eq!(split("http://h?x@y"), ("http://h?x@y".into(), None));
        assert_eq!(split("nonsense@h"), ("nonsense@h".into(), None));
    }

    #[test]
    fn logins_of_proxies() {
        for (given, bare) in [
            ("p:3128", "p:3128"),
            ("http://u:p@p:3128/", "http://p:3128/"),
            ("u:p@p", "p"),
            ("u:a=b@p", "p"),
            ("u:a/b@p:1", "p:1"),
            ("http=u:p@p:1", "http=p:1"),
            ("https=http://u:p@p:1", "https=http://p:1"),
        ] {
            assert_eq!(without_login(given), bare, "{given}");
        }
        assert_eq!(list_without_logins("http=u:p@a:1 b:2;\tx:y@c"), "http=a:1 b:2;\tc");
        assert_eq!(list_without_logins(""), "");
    }
}
