//! Metalink documents: whatever comes, only addresses of servers, no contradiction, no more than the limits.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use openbits_core::integrity::metalink::{MetalinkError, MetalinkFile, find, parse};
use openbits_core::integrity::{LIST_BYTES_MAX, MIRRORS_MAX};
use openbits_core::names::{RemoteScheme, check_remote_name};

#[derive(Arbitrary, Debug)]
enum Input {
    Document { pieces: Vec<u8>, close: bool, text: String },
    Raw(Vec<u8>),
}

const PIECES: [&str; 28] = [
    "<file name=\"f\">",
    "<file name=\"a/f&#x2e;\">",
    "<file>",
    "</file>",
    "<size>10</size>",
    "<size>18446744073709551615</size>",
    "<size>0</size>",
    "<hash type=\"sha-256\">aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa</hash>",
    "<hash type=\"sha-256\">bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb</hash>",
    "<hash type=\"md5\">x</hash>",
    "<pieces length=\"5\" type=\"sha-256\">",
    "<pieces length=\"18446744073709551615\" type=\"sha-256\">",
    "<pieces length=\"1\" type=\"sha-1\">",
    "</pieces>",
    "<url priority=\"1\">http://h/f</url>",
    "<url>https://h/f?x=1&amp;y</url>",
    "<url>file:///etc/passwd</url>",
    "<url>\\\\h\\s\\f</url>",
    "<url>smb://h/s/f</url>",
    "<url priority=\"0\">",
    "</url>",
    "<![CDATA[http://h/]]>",
    "<!-- c -->",
    "&lt;&#0;&#x10ffff;",
    "<x:y xmlns:x=\"u\"><size>3</size></x:y>",
    "<file xmlns=\"other\" name=\"o\"><url>http://o/</url></file>",
    "<!DOCTYPE a [<!ENTITY b \"c\">]>",
    "\u{feff}<?pi?>",
];

fn check(file: &MetalinkFile) {
    assert!(file.urls.len() <= MIRRORS_MAX);
    for url in &file.urls {
        let scheme = check_remote_name(url);
        assert!(
            matches!(scheme, Ok(RemoteScheme::Http | RemoteScheme::Https | RemoteScheme::Smb)),
            "{url:?} is {scheme:?}"
        );
    }
    for (at, digest) in file.digests.iter().enumerate() {
        assert!(file.digests[..at].iter().all(|other| other.algorithm() != digest.algorithm()));
    }
    assert!(file.size.is_none_or(|size| i64::try_from(size).is_ok()));
    if let Some(pieces) = &file.pieces {
        assert_eq!(file.size, Some(pieces.size()), "pieces cover the size");
        assert!(pieces.count() > 0 && pieces.range(pieces.count() - 1).end == pieces.size());
        assert!(pieces.wrong(pieces.digests()).is_empty());
    }
}

fuzz_target!(|input: Input| {
    let document = match input {
        Input::Raw(bytes) => bytes,
        Input::Document { pieces, close, text } => {
            let mut document = "<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">".to_owned();
            for piece in pieces {
                document
                    .push_str(PIECES.get(usize::from(piece) % (PIECES.len() + 1)).copied().unwrap_or(&text));
            }
            if close {
                document.push_str("</metalink>");
            }
            document.into_bytes()
        }
    };
    let parsed = parse(&document);
    match &parsed {
        Ok(files) => {
            assert!(document.len() <= LIST_BYTES_MAX);
            files.iter().for_each(check);
        }
        Err(error) => assert!(!matches!(error, MetalinkError::NotListed | MetalinkError::NoDigest)),
    }
    for wanted in [None, Some("f")] {
        match find(&document, wanted) {
            Ok(file) => {
                assert!(!file.digests.is_empty() && parsed.as_ref().is_ok_and(|all| all.contains(&file)))
            }
            Err(error) => {
                let picked = matches!(error, MetalinkError::NotListed | MetalinkError::NoDigest);
                assert!(picked || parsed.as_ref().err() == Some(&error));
            }
        }
    }
});
