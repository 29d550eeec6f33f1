//! Every row "call gives code" of `bits.h`, and the machinery that the rows of other headers share.

use crate::{no_compiler, said, upload_server, user};
use openbits_e2e::{Backend, Prefix, User, repository};
use openbits_testkit::{Behaviour, Content, Origin, OriginFile};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const SOURCES: &[&str] = &["rules/main.cpp", "rules/core.cpp", "rules/extended.cpp", "rules/notify.cpp"];

/// A method and a code that its page recommends where the table has the original's codes only.
pub(crate) type Recommended = &'static [(&'static str, u32)];
/// Prefix of methods, codes of their table (none: all) that the program does not meet, and why.
pub(crate) type NotDriven = &'static [(&'static str, &'static [u32], &'static str)];

/// A table of `spec/constants`.
pub(crate) fn table(name: &str) -> Value {
    let path = repository().join("spec/constants").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The codes of every method of a table that has lists of them under `key`, by `Interface::Method`. Remarks behind a name are left out.
pub(crate) fn allowed_codes(table: &Value, key: &str) -> BTreeMap<String, Vec<u32>> {
    let mut numbers = BTreeMap::new();
    for code in table["hresults"].as_array().unwrap() {
        let hex = code["hex"].as_str().unwrap().trim_start_matches("0x");
        numbers.insert(code["name"].as_str().unwrap(), u32::from_str_radix(hex, 16).unwrap());
    }
    let first_word = |code: &Value| code.as_str().and_then(|text| text.split(" (").next()).map(str::to_owned);
    let mut allowed = BTreeMap::new();
    for interface in table["interfaces"].as_array().unwrap() {
        for method in interface["methods"].as_array().unwrap() {
            let name =
                format!("{}::{}", interface["name"].as_str().unwrap(), method["name"].as_str().unwrap());
            let codes = method[key].as_array().into_iter().flatten();
            let codes = codes.filter_map(|code| match first_word(code)?.as_str() {
                "S_OK" => Some(0),
                "S_FALSE" => Some(1),
                name => numbers.get(name).copied(),
            });
            allowed.insert(name, codes.collect());
        }
    }
    allowed
}

/// Answers that the pages recommend where the table has the original's codes only: bits-extended.md, sections named.
const RECOMMENDED: Recommended = &[
    ("IBackgroundCopyJob4::SetMaximumDownloadTime", 0x8007_0057), // 5.5: 0
    ("IBackgroundCopyJob5::SetProperty", 0x8007_0057),            // 6.3: cost flags
    ("IBackgroundCopyFile6::RequestFileRanges", 0x8007_0057),     // 7.12: no ranges
    ("IBackgroundCopyJobHttpOptions::SetClientCertificateByName", 0x8007_0057), // 9.1.1: empty subject
    ("IBackgroundCopyJobHttpOptions::SetCustomHeaders", 0x8007_0057), // 9.1.4: syntax, names of the service's own
    ("IBackgroundCopyJobHttpOptions2::SetHttpMethod", 0x8007_0057),   // 9.2.1: no token
    ("IBackgroundCopyJobHttpOptions2::SetHttpMethod", 0x8020_0021),   // 9.2.1: over 256 characters
];

/// Codes of the table that this program does not meet, and why. An empty list of codes is all of them.
const NOT_DRIVEN: NotDriven = &[
    ("IBackgroundCopyCallback", &[], "the program answers these itself"),
    ("IBackgroundCopyServerCertificateValidationCallback", &[], "the program answers it itself"),
    ("IBits", &[0x8007_0005, 0x8001_0123], "needs a second user: tests/users.rs, tests/owners.rs"),
    ("IBitsPeer", &[], "no peers without a cache"),
    ("IEnumBitsPeer", &[], "no peers without a cache"),
    ("IBITSExtensionSetup", &[], "of the upload server's configuration, which is a file here"),
    ("IBackgroundCopyJob", &[0x8007_0005], "needs a second user: tests/users.rs, tests/owners.rs"),
    (
        "IBackgroundCopyJob3::AddFileWithRanges",
        &[0x8020_0051, 0x8020_0052],
        "root is exempt: tests/ranges.rs",
    ),
    ("IBackgroundCopyJob5::SetProperty", &[0x8020_0058], "no property of a job is read-only"),
    ("IBackgroundCopyFile3::SetValidationState", &[0x8020_0042], "no cache, no records"),
    ("IBackgroundCopyFile5::SetProperty", &[0], "the only property is read-only"),
    ("IBackgroundCopyFile6::GetFilledFileRanges", &[0x8007_000E], "memory is not made scarce"),
    ("IBackgroundCopyJobHttpOptions::", &[0x8007_06F4], "counted as a refused NULL, which has two codes"),
    (
        "IBackgroundCopyJobHttpOptions::",
        &[0, 0x8009_2004, 0x8007_06F7],
        "needs a store of certificates: tests/http_options.rs",
    ),
];

/// Every code that the program met must be one that the method's table allows, and every code of the table must have been met.
pub(crate) fn judge_codes(
    output: &str,
    allowed: &BTreeMap<String, Vec<u32>>,
    recommended: Recommended,
    not_driven: NotDriven,
) {
    let (mut wrong, mut met) = (BTreeSet::new(), BTreeSet::new());
    for call in output.lines().filter_map(|line| line.strip_prefix("CALL ")) {
        let mut words = call.split(' ');
        let (method, code) = (words.next().unwrap(), words.next().unwrap());
        let number = u32::from_str_radix(code.trim_start_matches("0x"), 16).unwrap();
        let Some(codes) = allowed.get(method) else { continue };
        met.insert((method, number));
        if number != 0 && !codes.contains(&number) && !recommended.contains(&(method, number)) {
            wrong.insert(call.to_owned());
        }
    }
    let wrong: Vec<_> = wrong.into_iter().collect();
    assert!(wrong.is_empty(), "codes that the table does not allow:\n{}", wrong.join("\n"));
    let excused = |method: &str, code: u32| {
        not_driven.iter().any(|(prefix, codes, _)| {
            method.starts_with(prefix) && (codes.is_empty() || codes.contains(&code))
        })
    };
    let mut missing = Vec::new();
    for (method, codes) in allowed {
        let codes = codes.iter().filter(|code| !met.contains(&(method.as_str(), **code)));
        missing.extend(
            codes.filter(|code| !excused(method, **code)).map(|code| format!("{method} {code:#010x}")),
        );
    }
    assert!(missing.is_empty(), "codes of the table that nothing drives:\n{}", missing.join("\n"));
}

/// Runs a rules program for this user, who has no service yet; what it printed, and the origin that served it.
pub(crate) fn run_rules(name: &str, sources: &[&str], flags: &[&str], user: &User) -> (String, Origin) {
    let prefix = Prefix::install();
    let program = prefix.compile(name, sources, flags);
    let origin = Origin::start();
    for file in ["small", "first", "second", "third", "other", "headers", "open"] {
        origin.put(file, Content::new(1, 10_000));
    }
    origin.put("big", Content::new(2, 1 << 20));
    origin.put("slow", Content::new(3, 50 << 20));
    assert!(origin.throttle("slow", Some(1 << 20)));
    origin.put("broken", OriginFile::new(Content::new(4, 10)).behaviour(Behaviour::Status(500)));
    origin.put("forbidden", OriginFile::new(Content::new(5, 10)).behaviour(Behaviour::Status(403)));
    origin.put("challenge", OriginFile::new(Content::new(8, 10_000)).behaviour(Behaviour::WantsBasic));
    origin.put("moved", OriginFile::new(Content::new(6, 1000)).behaviour(Behaviour::RedirectRelative));
    origin.put("rangeless", OriginFile::new(Content::new(7, 1000)).behaviour(Behaviour::NoRanges));
    let backend = Backend::start(b"well received");
    let server = upload_server(&backend);
    let folder = format!("{}/", user.folder().display());
    let output = prefix.run(&program, user, &[&origin.url(""), &folder, &server.url("/in/")]);
    let text = said(&output);
    let failures: Vec<_> = text.lines().filter(|line| line.starts_with("FAIL")).collect();
    let end: Vec<_> = text.lines().rev().take(5).collect();
    assert!(output.status.success(), "{}\n{}\n{end:?}", output.status, failures.join("\n"));
    println!("{}", end.last().unwrap_or(&""));
    (text, origin)
}

fn rules(name: &str, flags: &[&str]) {
    if no_compiler() {
        return;
    }
    let (text, _) = run_rules(name, SOURCES, flags, &user());
    judge_codes(&text, &allowed_codes(&table("bits-extended.json"), "hresults"), RECOMMENDED, NOT_DRIVEN);
}

#[test]
fn rules_with_four_byte_characters() {
    rules("rules-plain", &[]);
}

#[test]
fn rules_with_short_wchar() {
    rules("rules-short", &["-fshort-wchar"]);
}

#[test]
fn rules_with_char16() {
    rules("rules-char16", &["-DOPENBITS_CHAR16"]);
}
