//! Where expectations come from.

use super::Digest;
use serde::{Deserialize, Serialize};

/// Digests that a caller may give for one file.
pub const DIGESTS_MAX: usize = 8;
/// Mirrors of one file, those of a Metalink included.
pub const MIRRORS_MAX: usize = 32;
/// Largest list of digests or Metalink that is read, in bytes.
pub const LIST_BYTES_MAX: usize = 8 << 20;

/// What is known of a file before it is fetched. Empty: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expect {
    /// All of them must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<Digest>,
    /// Bytes of the remote file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Lists with more of them, fetched when the file is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<DigestSource>,
    /// Other remote names of the same file, in the order in which they are tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<Box<str>>,
    /// A piece hash file, fetched when the file is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub piece_file: Option<PieceFile>,
}

impl Expect {
    /// Nothing is expected.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Every remote name in it, besides the file's own.
    pub fn locations(&self) -> impl Iterator<Item = &str> {
        let pieces = self.piece_file.iter().map(|file| &*file.location);
        self.mirrors
            .iter()
            .map(|m| &**m)
            .chain(self.sources.iter().map(|source| &*source.location))
            .chain(pieces)
    }

    /// The file cannot be delivered without a digest that was checked.
    pub fn has_digest(&self) -> bool {
        let pieces = self.piece_file.as_ref().is_some_and(|file| file.mandatory);
        !self.digests.is_empty() || !self.sources.is_empty() || pieces
    }
}

/// A file with the digests of the pieces of ours. Only [`super::bpm1`] is read; what the file of another service holds is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PieceFile {
    /// Remote name, or absolute path.
    pub location: Box<str>,
    /// Digest of the piece hash file itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Root of the manifest, where its publisher told one (`HashOfHashes`). What another kind of file would be compared with is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<Digest>,
    /// Nothing is delivered without its pieces; otherwise the file is fetched without them where they cannot be had.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mandatory: bool,
}

/// A file that tells digests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestSource {
    /// Its form.
    pub kind: SourceKind,
    /// Remote name, or absolute path.
    pub location: Box<str>,
    /// Name of our file in it; without one the last part of the remote name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
}

/// Form of a [`DigestSource`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// `SHA256SUMS` and its relatives: [`super::sums`].
    Checksums,
    /// Metalink 4: [`super::metalink`].
    Metalink,
}

/// Last part of a remote name or path, percent-decoded: the name under which a list tells the file.
pub fn file_name(remote: &str) -> String {
    let path = match url::Url::parse(remote) {
        Ok(url) if url.has_host() || url.scheme() == "file" => url.path().to_owned(),
        _ => return remote.rsplit(['/', '\\']).next().unwrap_or_default().to_owned(),
    };
    decoded(path.rsplit('/').next().unwrap_or_default())
}

/// Percent-decoded, as far as it is text.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// How well a name in a list fits the wanted one: the same (true), only its last part (false), or not at all.
pub fn same_name(listed: &[u8], wanted: &str) -> Option<bool> {
    let plain = |mut name: &[u8]| -> Vec<u8> {
        while let Some(rest) = name.strip_prefix(b"./") {
            name = rest;
        }
        name.to_vec()
    };
    let (listed, wanted) = (plain(listed), plain(wanted.as_bytes()));
    if wanted.is_empty() || listed.is_empty() {
        return None;
    }
    if listed == wanted {
        return Some(true);
    }
    let last = listed.rsplit(|&b| b == b'/').next().unwrap_or_default();
    (last == &*wanted).then_some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        for (remote, name) in [
            ("http://h/a/b%20c.iso?x=/y", "b c.iso"),
            ("https://h", ""),
            ("smb://h/s/d/\u{e4}", "\u{e4}"),
            (r"\\h\s\d\f", "f"),
            ("/a/b", "b"),
            ("file:///a/b%25", "b%"),
        ] {
            assert_eq!(file_name(remote), name, "{remote}");
        }
    }

    #[test]
    fn names_in_lists() {
        assert_eq!(same_name(b"./a/b", "a/b"), Some(true));
        assert_eq!(same_name(b"a/b", "b"), Some(false));
        assert_eq!(same_name(b"a/bb", "b"), None);
        assert_eq!(same_name(b"b", "a/b"), None);
        assert_eq!(same_name(b"", ""), None);
    }
}
