//! URL paths that may become file names (spec/upload-protocol.md 9.7: path safety).

use percent_encoding::percent_decode_str;

/// Components that begin like this are the server's own: sessions, replies, uploads of tus.
const RESERVED: &str = ".bits-";
/// Component below which replies are read.
pub(crate) const REPLIES: &str = ".bits-replies";
/// Component below which tus uploads are addressed.
pub(crate) const UPLOADS: &str = ".bits-uploads";
const MAX_COMPONENT: usize = 255;
const MAX_DEPTH: usize = 64;

/// A decoded path without `..`, NUL, separators inside a component, or empty components.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafePath {
    components: Vec<String>,
    trailing_slash: bool,
}

/// The path may not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the path is not allowed")]
pub struct PathError;

impl SafePath {
    /// Decodes the path of a request target. Never touches the disk: symbolic links are refused when opening.
    pub fn parse(path: &str) -> Result<Self, PathError> {
        let rest = path.strip_prefix('/').ok_or(PathError)?;
        let trailing_slash = rest.is_empty() || rest.ends_with('/');
        let mut components = Vec::new();
        for raw in rest.split('/').filter(|c| !c.is_empty()) {
            let decoded = percent_decode_str(raw).decode_utf8().map_err(|_| PathError)?;
            let bad = decoded.is_empty()
                || decoded == "."
                || decoded == ".."
                || decoded.len() > MAX_COMPONENT
                || decoded.bytes().any(|b| b < 0x20 || b == 0x7F || b == b'/' || b == b'\\');
            if bad || components.len() == MAX_DEPTH {
                return Err(PathError);
            }
            components.push(decoded.into_owned());
        }
        Ok(Self { components, trailing_slash })
    }

    /// The path of a stored session, which was [`SafePath::text`] of another.
    pub fn from_text(text: &str) -> Result<Self, PathError> {
        let encoded = text.replace('%', "%25");
        Self::parse(&encoded)
    }

    /// With a leading `/`, decoded.
    pub fn text(&self) -> String {
        format!("/{}", self.components.join("/"))
    }

    /// Relative to the root; `.` for the root itself.
    pub fn relative(&self) -> String {
        if self.components.is_empty() { ".".to_owned() } else { self.components.join("/") }
    }

    /// Folder of the path relative to the root, and the last component; none for the root.
    pub fn split(&self) -> Option<(String, &str)> {
        let (name, folder) = self.components.split_last()?;
        Some((if folder.is_empty() { ".".to_owned() } else { folder.join("/") }, name))
    }

    /// True if the request said `…/`.
    pub fn is_folder_form(&self) -> bool {
        self.trailing_slash
    }

    /// True if any component belongs to the server.
    pub fn is_reserved(&self) -> bool {
        self.components.iter().any(|c| c.starts_with(RESERVED))
    }

    /// `(folder, secret)` of `folder/<marker>/secret`.
    pub(crate) fn below(&self, marker: &str) -> Option<(Self, &str)> {
        match self.components.as_slice() {
            [folder @ .., mark, secret] if mark == marker => {
                Some((Self { components: folder.to_vec(), trailing_slash: true }, secret))
            }
            _ => None,
        }
    }

    /// The path with one more component, which is checked like the others.
    pub(crate) fn join(&self, name: &str) -> Result<Self, PathError> {
        let one = Self::parse(&format!("/{}", name.replace('%', "%25")))?;
        match one.components.as_slice() {
            [name] if self.components.len() < MAX_DEPTH && !one.trailing_slash => {
                let mut components = self.components.clone();
                components.push(name.clone());
                Ok(Self { components, trailing_slash: false })
            }
            _ => Err(PathError),
        }
    }

    /// Number of leading components that equal those of `prefix`, if all of its do.
    pub(crate) fn depth_below(&self, prefix: &Self) -> Option<usize> {
        self.components.starts_with(&prefix.components).then_some(prefix.components.len())
    }

    /// Encoded for a URL, with a leading `/`.
    pub(crate) fn encoded(&self) -> String {
        use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
        const KEEP: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
        self.components.iter().map(|c| format!("/{}", utf8_percent_encode(c, KEEP))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_paths_are_decoded() {
        let path = SafePath::parse("/in/a%20b%25.bin").unwrap();
        assert_eq!((path.text().as_str(), path.relative().as_str()), ("/in/a b%.bin", "in/a b%.bin"));
        assert_eq!(path.split(), Some(("in".to_owned(), "a b%.bin")));
        assert_eq!(SafePath::from_text(&path.text()), Ok(path.clone()));
        assert_eq!(path.encoded(), "/in/a%20b%25.bin");
        assert_eq!(SafePath::parse("/").unwrap().split(), None);
        assert_eq!(SafePath::parse("//in///x").unwrap().text(), "/in/x");
        assert!(SafePath::parse("/in/").unwrap().is_folder_form());
    }

    #[test]
    fn ways_out_are_refused() {
        let long = format!("/{}", "x".repeat(256));
        let deep = "/x".repeat(65);
        for bad in [
            "",
            "x",
            "/..",
            "/a/../b",
            "/%2e%2e/b",
            "/a/.%2E",
            "/a%2fb",
            "/a%5cb",
            "/a\\b",
            "/a%00",
            "/a%0ab",
            "/.",
            "/%ff",
            &long,
            &deep,
        ] {
            assert_eq!(SafePath::parse(bad), Err(PathError), "{bad}");
        }
        assert!(SafePath::parse("/in/.bits-sessions/x").unwrap().is_reserved());
        assert!(SafePath::parse("/in").unwrap().join("../x").is_err());
        assert!(SafePath::parse("/in").unwrap().join("").is_err());
    }

    proptest! {
        #[test]
        fn no_accepted_path_leaves_the_root(text in "/?([a.%2efF/\\\\]|\\.\\.|%2e|%2f|%5c|\\PC){0,30}") {
            if let Ok(path) = SafePath::parse(&text) {
                let relative = path.relative();
                prop_assert!(!relative.starts_with('/') && !relative.contains('\0') && !relative.contains('\\'));
                prop_assert!(relative == "." || relative.split('/').all(|c| !c.is_empty() && c != ".." && c != "."));
                prop_assert_eq!(SafePath::from_text(&path.text()).map(|p| p.text()), Ok(path.text()));
            }
        }
    }
}
