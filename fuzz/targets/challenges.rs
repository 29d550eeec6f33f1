//! Challenges of a server (`WWW-Authenticate`): a password never goes out in the clear, nor without an end.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use openbits_transfer::fuzzing;

#[derive(Arbitrary, Debug)]
enum Part {
    Word(u8),
    Text(String),
    Raw(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
struct Input {
    private: bool,
    answers: Vec<Vec<Vec<Part>>>,
}

const WORDS: [&str; 24] = [
    "Basic ",
    "Digest ",
    "NTLM",
    "Negotiate",
    "Bearer ",
    "realm=\"r\"",
    "nonce=\"n\"",
    "nonce=\"m\"",
    "qop=\"auth\"",
    "qop=\"auth-int\"",
    "qop=\"auth,auth-int\"",
    "algorithm=MD5",
    "algorithm=SHA-256",
    "algorithm=SHA-512-256-sess",
    "stale=true",
    "userhash=true",
    "charset=UTF-8",
    "opaque=\"\\\"o\"",
    "domain=\"/\"",
    ", ",
    ",",
    "=",
    " TlRMTVNTUAACAAAA",
    "\"",
];

fuzz_target!(|input: Input| {
    let line = |parts: &Vec<Part>| {
        let parts = parts.iter().map(|part| match part {
            Part::Word(at) => WORDS[usize::from(*at) % WORDS.len()].as_bytes(),
            Part::Text(text) => text.as_bytes(),
            Part::Raw(bytes) => bytes,
        });
        parts.collect::<Vec<_>>().concat()
    };
    let answers: Vec<Vec<Vec<u8>>> =
        input.answers.iter().map(|lines| lines.iter().map(line).collect()).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let (sent, why) = runtime.block_on(fuzzing::authorization(&answers, input.private));
    assert!(sent.len() <= 10, "asked {} times", sent.len());
    assert!(!why.is_empty() || answers.is_empty());
    assert!(!why.contains("pass-word"));
    let mut basic = 0;
    for value in sent {
        // Whoever says that the request may be sent again has something new to say.
        let value = value.expect("an answer to the challenge");
        let text = String::from_utf8(value).expect("text");
        assert!(!text.contains("pass-word") && !text.contains(['\r', '\n', '\0']));
        if text.starts_with("Basic ") {
            basic += 1;
            assert!(input.private, "a password in the clear");
        } else {
            assert!(text.starts_with("Digest "), "{text}");
        }
    }
    assert!(basic <= 1, "a refused password was sent again");
});
