//! Metalink 4 (RFC 5854): sizes, digests, piece digests and mirrors of files.
//!
//! The document is XML of a stranger: a document type declaration is refused (so there are no entities but the five of XML), and depth,
//! texts and lists have limits. Signatures in it are not checked. A mirror in it may be http, https or smb; other schemes (ftp, `file`)
//! are read past, so that a document never makes a worker open a file of its owner.

use super::pieces::{PIECES_MAX, Pieces};
use super::source::{LIST_BYTES_MAX, MIRRORS_MAX, same_name};
use super::{Algorithm, Digest};
use crate::names::{RemoteScheme, check_remote_name};
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

/// Namespace of version 4.
const NAMESPACE: &str = "urn:ietf:params:xml:ns:metalink";
/// Elements inside each other.
const DEPTH_MAX: usize = 16;
/// Files in one document.
const FILES_MAX: usize = 2_000;
/// Addresses of one file that are read; the best [`MIRRORS_MAX`] are kept.
const URLS_MAX: usize = 1_000;
/// Longest text of an element, in bytes.
const TEXT_MAX: usize = 8_192;

/// Why a document cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetalinkError {
    /// Size.
    #[error("the Metalink is larger than 8 MiB")]
    TooLarge,
    /// Not XML in UTF-8.
    #[error("the Metalink is not well-formed XML in UTF-8")]
    Xml,
    /// A document type declaration.
    #[error("the Metalink has a document type declaration, which is not accepted")]
    Doctype,
    /// XML of something else.
    #[error("this is no Metalink 4 document")]
    NotMetalink,
    /// Depth, number or length of something.
    #[error("the Metalink is beyond a limit")]
    Limit,
    /// No such file in it, or several and none was named.
    #[error("the Metalink does not tell which of its files is meant")]
    NotListed,
    /// Nothing in it proves the content.
    #[error("the Metalink has no digest for the file that can be checked")]
    NoDigest,
    /// A size, digest or piece that makes no sense.
    #[error("the Metalink contradicts itself")]
    Contradiction,
}

/// What a document says of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetalinkFile {
    /// Name as written; not a path to be used.
    pub name: String,
    /// Bytes.
    pub size: Option<u64>,
    /// All of them must hold; never empty.
    pub digests: Vec<Digest>,
    /// Digests of pieces, if they cover the file.
    pub pieces: Option<Pieces>,
    /// Mirrors, best first.
    pub urls: Vec<String>,
}

/// Reads a document and picks one file: the one of this name, or the only one.
///
/// # Errors
/// See [`MetalinkError`].
pub fn find(document: &[u8], wanted: Option<&str>) -> Result<MetalinkFile, MetalinkError> {
    let mut files = parse(document)?;
    let at = match wanted {
        Some(wanted) => {
            let place =
                |exact| files.iter().position(|f| same_name(f.name.as_bytes(), wanted) == Some(exact));
            place(true).or_else(|| place(false))
        }
        None => (files.len() == 1).then_some(0),
    };
    let file = files.swap_remove(at.ok_or(MetalinkError::NotListed)?);
    if file.digests.is_empty() { Err(MetalinkError::NoDigest) } else { Ok(file) }
}

/// Reads a document.
///
/// # Errors
/// See [`MetalinkError`]; a file without digests is none here.
pub fn parse(document: &[u8]) -> Result<Vec<MetalinkFile>, MetalinkError> {
    if document.len() > LIST_BYTES_MAX {
        return Err(MetalinkError::TooLarge);
    }
    let text = std::str::from_utf8(document).map_err(|_| MetalinkError::Xml)?;
    let mut reader = NsReader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    reader.config_mut().check_end_names = true;
    reader.config_mut().expand_empty_elements = true;
    let mut state = State::default();
    loop {
        let (namespace, event) = reader.read_resolved_event().map_err(|_| MetalinkError::Xml)?;
        match event {
            Event::Eof => break,
            Event::DocType(_) => return Err(MetalinkError::Doctype),
            Event::Start(start) => {
                let ours = matches!(namespace, ResolveResult::Bound(ns) if ns.0 == NAMESPACE);
                state.start(&start, ours)?;
            }
            Event::End(_) => state.end()?,
            Event::Text(text) => state.text(&text.xml10_content())?,
            Event::CData(text) => state.text(&text.xml10_content())?,
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref().map_err(|_| MetalinkError::Xml)?;
                let character = match (character, &*reference) {
                    (Some(character), _) => character,
                    (None, "lt") => '<',
                    (None, "gt") => '>',
                    (None, "amp") => '&',
                    (None, "quot") => '"',
                    (None, "apos") => '\'',
                    (None, _) => return Err(MetalinkError::Xml),
                };
                state.text(character.encode_utf8(&mut [0; 4]))?;
            }
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::Empty(_) => return Err(MetalinkError::Xml), // expanded above
        }
    }
    if !state.open.is_empty() {
        return Err(MetalinkError::Xml);
    }
    if !state.root {
        return Err(MetalinkError::NotMetalink);
    }
    Ok(state.files)
}

/// Elements that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    Root,
    File,
    Size,
    /// Digest of the file; `None`: of a function that is not used.
    Hash(Option<Algorithm>),
    Pieces(Option<Algorithm>),
    PieceHash(Option<Algorithm>),
    /// With its priority: 1 is best.
    Url(u32),
    /// Not ours; what is inside is read past.
    Other,
}

#[derive(Default)]
struct State {
    root: bool,
    open: Vec<Element>,
    text: String,
    files: Vec<MetalinkFile>,
    size: Option<u64>,
    urls: Vec<(u32, String)>,
    /// Function, length and digests.
    pieces: Option<(Algorithm, u64, Vec<u8>)>,
}

impl State {
    fn start(&mut self, start: &BytesStart<'_>, ours: bool) -> Result<(), MetalinkError> {
        if self.open.len() >= DEPTH_MAX {
            return Err(MetalinkError::Limit);
        }
        self.text.clear();
        let name = start.local_name();
        let name: &str = name.as_ref();
        let element = match (self.open.last(), name) {
            (None, "metalink") if ours && !self.root => {
                self.root = true;
                Element::Root
            }
            (None, _) => return Err(MetalinkError::NotMetalink),
            (Some(Element::Root), "file") if ours => {
                if self.files.len() >= FILES_MAX {
                    return Err(MetalinkError::Limit);
                }
                (self.size, self.pieces) = (None, None);
                self.urls.clear();
                let name = attribute(start, "name")?.ok_or(MetalinkError::NotMetalink)?;
                self.files.push(MetalinkFile { name, ..MetalinkFile::default() });
                Element::File
            }
            (Some(Element::File), "size") if ours => Element::Size,
            (Some(Element::File), "hash") if ours => Element::Hash(function(start)?),
            (Some(Element::File), "pieces") if ours => {
                let function = function(start)?;
                let length: u64 = attribute(start, "length")?
                    .and_then(|length| length.parse().ok())
                    .filter(|&length| length > 0)
                    .ok_or(MetalinkError::Contradiction)?;
                // The first list of a function that is used counts.
                match function.filter(|_| self.pieces.is_none()) {
                    Some(function) => {
                        self.pieces = Some((function, length, Vec::new()));
                        Element::Pieces(Some(function))
                    }
                    None => Element::Pieces(None),
                }
            }
            (Some(Element::Pieces(function)), "hash") if ours => Element::PieceHash(*function),
            (Some(Element::File), "url") if ours => {
                let priority = attribute(start, "priority")?.and_then(|text| text.trim().parse().ok());
                Element::Url(priority.filter(|p| (1..=999_999).contains(p)).unwrap_or(999_999))
            }
            _ => Element::Other,
        };
        self.open.push(element);
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), MetalinkError> {
        if matches!(self.open.last(), None | Some(Element::Other | Element::Root | Element::File)) {
            return Ok(());
        }
        if self.text.len() + text.len() > TEXT_MAX {
            return Err(MetalinkError::Limit);
        }
        self.text.push_str(text);
        Ok(())
    }

    fn end(&mut self) -> Result<(), MetalinkError> {
        let element = self.open.pop().ok_or(MetalinkError::Xml)?;
        let text = std::mem::take(&mut self.text);
        let text = text.trim();
        let digest = |algorithm| Digest::new(algorithm, text).map_err(|_| MetalinkError::Contradiction);
        let Some(file) = self.files.last_mut() else { return Ok(()) };
        match element {
            Element::Size => {
                let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                let size = text.parse().ok().filter(|&s: &u64| digits && i64::try_from(s).is_ok());
                let size = size.ok_or(MetalinkError::Contradiction)?;
                if self.size.replace(size).is_some_and(|before| before != size) {
                    return Err(MetalinkError::Contradiction);
                }
            }
            Element::Hash(Some(algorithm)) => {
                let digest = digest(algorithm)?;
                match file.digests.iter().find(|known| known.algorithm() == algorithm) {
                    Some(known) if *known != digest => return Err(MetalinkError::Contradiction),
                    Some(_) => {}
                    None => file.digests.push(digest),
                }
            }
            Element::PieceHash(Some(algorithm)) => {
                let digest = digest(algorithm)?;
                let Some((_, _, digests)) = &mut self.pieces else { return Ok(()) };
                if (digests.len() / algorithm.bytes()) as u64 >= PIECES_MAX {
                    return Err(MetalinkError::Limit);
                }
                digests.extend(digest.to_bytes());
            }
            Element::Url(priority) => {
                if self.urls.len() >= URLS_MAX {
                    return Err(MetalinkError::Limit);
                }
                let usable = matches!(
                    check_remote_name(text),
                    Ok(RemoteScheme::Http | RemoteScheme::Https | RemoteScheme::Smb)
                );
                // Only real URLs: not the other spellings that callers may use.
                if usable && text.contains("://") && !self.urls.iter().any(|(_, known)| known == text) {
                    self.urls.push((priority, text.to_owned()));
                }
            }
            Element::File => {
                file.size = self.size;
                self.urls.sort_by_key(|(priority, _)| *priority); // stable: then as written
                file.urls = self.urls.drain(..).take(MIRRORS_MAX).map(|(_, url)| url).collect();
                // Pieces that do not cover the file exactly are of no use.
                file.pieces = self.pieces.take().and_then(|(function, length, digests)| {
                    let pieces = Pieces::new(function, self.size?, length, digests).ok()?;
                    (pieces.count() > 0).then_some(pieces)
                });
            }
            _ => {}
        }
        Ok(())
    }
}

fn function(start: &BytesStart<'_>) -> Result<Option<Algorithm>, MetalinkError> {
    Ok(attribute(start, "type")?.as_deref().and_then(Algorithm::named))
}

/// The value of an attribute without namespace.
fn attribute(start: &BytesStart<'_>, name: &str) -> Result<Option<String>, MetalinkError> {
    let found = start.try_get_attribute(name).map_err(|_| MetalinkError::Xml)?;
    let Some(attribute) = found else { return Ok(None) };
    let value =
        attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0).map_err(|_| MetalinkError::Xml)?;
    if value.len() > TEXT_MAX {
        return Err(MetalinkError::Limit);
    }
    Ok(Some(value.into_owned()))
}

#[cfg(test)]
mod tests;
