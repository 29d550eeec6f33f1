//! What the command line says of a file's content, in the words of the contract.

use crate::args::Expect;
use crate::failure::Failure;
use crate::names;
use openbits_api::{AddFile, DigestSourceRequest, PieceHashFile};

/// Endings that the file of a Metalink does not have.
const METALINK_ENDINGS: [&str; 2] = [".meta4", ".metalink"];

/// Adds the expectations to the files of a command.
pub(crate) fn apply(expect: &Expect, files: &mut [AddFile]) -> Result<(), Failure> {
    if expect.is_for_one() && files.len() != 1 {
        return Err(Failure::Usage(
            "digests, pieces, a Metalink and mirrors go with one URL only".to_owned(),
        ));
    }
    let source = |place: &String| {
        Ok::<_, Failure>(DigestSourceRequest { location: location(place)?, name: expect.listed_as.clone() })
    };
    for file in files {
        if let Some(sha256) = &expect.sha256 {
            file.sha256 = Some(sha256.clone());
        }
        file.digests = expect.sha512.iter().chain(&expect.blake3).chain(&expect.digest).cloned().collect();
        file.size = expect.size;
        file.checksum = expect.checksum.as_ref().map(source).transpose()?;
        file.metalink = expect.metalink.as_ref().map(source).transpose()?;
        file.pieces = expect.pieces.as_deref().map(|place| pieces(expect, place)).transpose()?;
        file.mirrors = expect.mirror.iter().map(|url| names::remote_name(url)).collect::<Result<_, _>>()?;
    }
    Ok(())
}

fn pieces(expect: &Expect, place: &str) -> Result<PieceHashFile, Failure> {
    let (digest, mandatory) = (expect.pieces_digest.clone(), expect.pieces_required);
    Ok(PieceHashFile { location: location(place)?, digest, mandatory })
}

/// A URL as typed, or the absolute path of a local file.
pub(crate) fn location(typed: &str) -> Result<String, Failure> {
    if typed.contains("://") || typed.starts_with(r"\\") {
        return names::remote_name(typed);
    }
    let path = std::path::absolute(typed).map_err(|source| Failure::File { path: typed.into(), source })?;
    names::remote_name(&names::local_name(&path)?)
}

/// Name of the file that a Metalink describes: its own without the ending.
pub(crate) fn described(location: &str) -> String {
    let name = names::file_name(location);
    METALINK_ENDINGS.iter().find_map(|end| name.strip_suffix(end)).map(str::to_owned).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        assert_eq!(location("https://h/SHA256SUMS").unwrap(), "https://h/SHA256SUMS");
        assert_eq!(location(r"\\h\s\SUMS").unwrap(), r"\\h\s\SUMS");
        assert_eq!(location("/a/SUMS").unwrap(), "/a/SUMS");
        assert!(location("SUMS").unwrap().ends_with("/SUMS"));
        assert_eq!(described("http://h/a.iso.meta4"), "a.iso");
        assert_eq!(described("/x/a.metalink"), "a");
        assert_eq!(described("/x/a"), "a");
    }

    #[test]
    fn what_is_for_one_file_is_refused_for_two() {
        let two = || [AddFile::default(), AddFile::default()];
        let one = Expect { listed_as: Some("x".to_owned()), ..Expect::default() };
        assert!(matches!(apply(&one, &mut two()), Err(Failure::Usage(_))));
        let pieces =
            Expect { pieces: Some("http://h/a.bpm1".to_owned()), pieces_required: true, ..Expect::default() };
        assert!(matches!(apply(&pieces, &mut two()), Err(Failure::Usage(_))));
        let mut file = [AddFile::default()];
        apply(&pieces, &mut file).unwrap();
        let location = "http://h/a.bpm1".to_owned();
        assert_eq!(file[0].pieces, Some(PieceHashFile { location, digest: None, mandatory: true }));
        let list = Expect { checksum: Some("http://h/S".to_owned()), ..Expect::default() };
        let mut files = two();
        apply(&list, &mut files).unwrap();
        assert!(files.iter().all(|file| file.checksum.as_ref().is_some_and(|s| s.location == "http://h/S")));
    }
}
