//! Names of files on shares and of local files: what is taken is a file of one share, and its URL means the same.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use openbits_core::remote::{Remote, canonical, parse};

#[derive(Arbitrary, Debug)]
struct Input {
    start: u8,
    parts: Vec<Part>,
}

#[derive(Arbitrary, Debug)]
enum Part {
    Word(u8),
    Text(String),
}

const STARTS: [&str; 6] = ["smb://", "\\\\", "file://", "/", "SMB://u:p@h/s/", ""];
const WORDS: [&str; 20] = [
    "h",
    "/",
    "\\",
    "s",
    "f",
    "%2e",
    "..",
    ".",
    "%2F",
    "%5c",
    "%00",
    "%",
    ":445",
    "d;u:p@",
    "[::1]",
    "?",
    "#",
    "IPC$",
    "\u{e4}",
    "localhost",
];

fuzz_target!(|input: Input| {
    let mut name = STARTS[usize::from(input.start) % STARTS.len()].to_owned();
    for part in &input.parts {
        match part {
            Part::Word(at) => name.push_str(WORDS[usize::from(*at) % WORDS.len()]),
            Part::Text(text) => name.push_str(text),
        }
    }
    let Ok(remote) = parse(&name) else {
        assert!(canonical(&name).is_err(), "{name:?}");
        return;
    };
    match &remote {
        Remote::Http(url) => assert!(url.host_str().is_some_and(|host| !host.is_empty())),
        Remote::File(path) => {
            assert!(path.starts_with('/') && !path.ends_with('/') && !path.contains('\0'), "{path:?}");
            assert!(!path.split('/').any(|part| matches!(part, "." | "..")), "{path:?}");
        }
        Remote::Smb(smb) => {
            let legal = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
            assert!(!smb.host.is_empty() && smb.host.bytes().all(legal) && smb.port != 0);
            assert!(!smb.share.eq_ignore_ascii_case("IPC$") && !smb.path.is_empty());
            for part in smb.path.split('/').chain([&*smb.share]) {
                assert!(!matches!(part, "" | "." | ".."), "{smb:?}");
                assert!(!part.contains(['\\', ':', '*', '?', '\0', '\n']), "{smb:?}");
            }
            let shown = format!("{smb:?}");
            assert!(smb.password.len() < 8 || !shown.contains(&smb.password) || shown.contains(&*smb.path));
        }
    }
    let url = canonical(&name).unwrap_or_else(|code| panic!("{name:?} has no URL: {code}"));
    assert_eq!(parse(url.as_str()).as_ref(), Ok(&remote), "{name:?} became {url}");
    assert_eq!(canonical(url.as_str()), Ok(url), "{name:?}");
});
