//! NTLM by the plug-in of the system's GSSAPI library: three steps on one connection, which then stays authenticated.
//!
//! The server is of our own making: it plays the steps and sees to it that they share a connection, and leaves the arithmetic to the
//! library. (No package of Debian has a server that the plug-in takes for one.)

#![allow(clippy::unwrap_used, reason = "a test")]

use openbits_core::JobState::{Error, Transferred};
use openbits_e2e::{NewJob, User, program, skip};
use serde_json::json;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

/// What was seen: connection and what came on it.
type Seen = Arc<Mutex<Vec<(usize, String)>>>;

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn field(length: usize, offset: usize) -> Vec<u8> {
    let length = u16::try_from(length).unwrap().to_le_bytes();
    [&length[..], &length[..], &u32::try_from(offset).unwrap().to_le_bytes()].concat()
}

/// CHALLENGE_MESSAGE of MS-NLMP 2.2.1.2, with the flags that the client offered.
fn challenge(negotiate: &[u8]) -> Vec<u8> {
    let offered = u32::from_le_bytes(negotiate[12..16].try_into().unwrap());
    // Unicode and not OEM, no LAN Manager key, no names of the client; target type domain, target info.
    let flags = (offered & !0x3082) | 0x0001_0000 | 0x0080_0000;
    let (name, mut info) = (utf16("DOMAIN"), Vec::new());
    for (id, text) in [(2_u16, "DOMAIN"), (1, "SERVER")] {
        let value = utf16(text);
        info.extend([id.to_le_bytes(), u16::try_from(value.len()).unwrap().to_le_bytes()].concat());
        info.extend(value);
    }
    info.extend([0; 4]);
    let mut out = b"NTLMSSP\0\x02\0\0\0".to_vec();
    out.extend(field(name.len(), 56));
    out.extend(flags.to_le_bytes());
    out.extend(*b"\x01\x23\x45\x67\x89\xab\xcd\xef");
    out.extend([0; 8]);
    out.extend(field(info.len(), 56 + name.len()));
    out.extend(*b"\x0a\0\x63\x45\0\0\0\x0f");
    out.extend(name);
    out.extend(info);
    out
}

fn serve(stream: TcpStream, connection: usize, seen: &Seen) {
    let mut reader = BufReader::new(stream);
    let mut known = false;
    loop {
        let mut head = String::new();
        while reader.read_line(&mut head).unwrap_or(0) > 2 {}
        if head.is_empty() {
            return;
        }
        let token = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("authorization").then(|| base64(value.strip_prefix("NTLM ").unwrap()))
        });
        let kind = token.as_ref().map(|token| token[8]);
        seen.lock().unwrap().push((connection, format!("{kind:?}")));
        let (status, header) = match (kind, known) {
            (Some(1), _) => {
                ("401 No", format!("WWW-Authenticate: NTLM {}\r\n", to_base64(&challenge(&token.unwrap()))))
            }
            (Some(3), _) => {
                let message = token.unwrap();
                let contains = |text: &str| message.windows(2 * text.len()).any(|w| w == utf16(text));
                known = contains("alice") && contains("DOMAIN");
                ("200 Yes", String::new())
            }
            (_, true) => ("200 Yes", String::new()),
            _ => ("401 No", "WWW-Authenticate: NTLM\r\n".to_owned()),
        };
        let answer = format!("HTTP/1.1 {status}\r\n{header}Content-Length: 4\r\nETag: \"1\"\r\n\r\nfour");
        if reader.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn to_base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let value = chunk.iter().fold(0_u32, |v, b| v << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for n in 0..4 {
            let letter = LETTERS[(value >> (18 - 6 * n) & 63) as usize];
            out.push(if n <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

fn base64(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut value, mut bits) = (0_u32, 0);
    for letter in text.bytes().filter_map(|b| LETTERS.iter().position(|l| *l == b)) {
        value = value << 6 | u32::try_from(letter).unwrap();
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((value >> bits & 255) as u8);
        }
    }
    out
}

#[test]
fn ntlm_keeps_to_one_connection() {
    if !Path::new("/etc/gss/mech.d/mech.ntlmssp.conf").exists() {
        return skip("auth_ntlm", "gss-ntlmssp is not installed");
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let seen = Seen::default();
    let shared = Arc::clone(&seen);
    std::thread::spawn(move || {
        for (connection, stream) in listener.incoming().enumerate() {
            let seen = Arc::clone(&shared);
            std::thread::spawn(move || serve(stream.unwrap(), connection, &seen));
        }
    });
    let user = User::new(program(env!("CARGO_BIN_EXE_bits-under-test")));
    let door = user.wake();
    let job = (0..3)
        .fold(NewJob::new("ntlm"), |new, n| new.file(&format!("{url}{n}"), &user.path(&n.to_string())))
        .create(&door);
    let body =
        json!({ "target": "SERVER", "scheme": "NTLM", "user": "DOMAIN\\alice", "password": "correct horse" });
    assert!(door.ask("PUT", &job.path("/credentials"), Some(&body)).unwrap().is_success());
    job.must("resume");
    let end = job.wait(&[Transferred, Error], LONG);
    let seen = seen.lock().unwrap().clone();
    assert_eq!(end, Transferred, "{:?} {seen:?}", job.view().unwrap().error);
    let kinds: Vec<&str> = seen.iter().map(|(_, kind)| kind.as_str()).collect();
    assert_eq!(kinds, ["None", "Some(1)", "Some(3)", "None", "None"], "three files for one handshake");
    let connections: BTreeSet<usize> = seen.iter().map(|(connection, _)| *connection).collect();
    assert_eq!(connections.len(), 1, "{seen:?}");
    assert!(user.log().contains("event=203") && !user.log().contains("correct horse"), "{}", user.log());
}
