//! `bits set JOB --credentials`: the password comes from the terminal or a descriptor, never from the arguments, which everybody sees.

use crate::failure::Failure;
use openbits_api::SetCredentials;
use openbits_core::Secret;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;

/// Longest password line that is read, in bytes: 65,536 characters of four bytes.
const MAX: u64 = 4 * 65_536 + 2;

/// `TARGET/SCHEME[/USER]`. Without a user: the own logon credentials, which need no password.
pub(crate) fn credentials(text: &str, descriptor: Option<u32>) -> Result<SetCredentials, Failure> {
    let (target, scheme, user) = split(text)?;
    let Some(user) = user else {
        return Ok(SetCredentials { target, scheme, user: None, password: None });
    };
    let password = match descriptor {
        Some(number) => from_descriptor(number)?,
        None => from_terminal(&format!("Password of {user} ({target}, {scheme}): "))?,
    };
    Ok(SetCredentials { target, scheme, user: Some(Secret::new(user)), password: Some(password) })
}

/// `TARGET/SCHEME`
pub(crate) fn slot(text: &str) -> Result<(String, String), Failure> {
    match split(text)? {
        (target, scheme, None) => Ok((target, scheme)),
        _ => Err(Failure::Usage(format!("`{text}` is not TARGET/SCHEME"))),
    }
}

fn split(text: &str) -> Result<(String, String, Option<String>), Failure> {
    let mut parts = text.splitn(3, '/');
    let upper = |part: Option<&str>| part.filter(|p| !p.is_empty()).map(str::to_ascii_uppercase);
    match (upper(parts.next()), upper(parts.next()), parts.next()) {
        (Some(target), Some(scheme), user) => Ok((target, scheme, user.map(str::to_owned))),
        _ => Err(Failure::Usage(format!(
            "`{text}` is not TARGET/SCHEME/USER, like `server/digest/alice`; targets: server, proxy; schemes: basic, digest, ntlm, negotiate"
        ))),
    }
}

/// The first line, without its end.
fn line(source: impl std::io::Read) -> std::io::Result<Secret> {
    let mut text = zeroize::Zeroizing::new(String::new());
    BufReader::new(source.take(MAX)).read_line(&mut text)?;
    Ok(Secret::new(text.trim_end_matches(['\n', '\r'])))
}

fn from_descriptor(number: u32) -> Result<Secret, Failure> {
    let path = PathBuf::from(format!("/dev/fd/{number}"));
    File::open(&path).and_then(line).map_err(|source| Failure::File { path, source })
}

fn from_terminal(prompt: &str) -> Result<Secret, Failure> {
    let path = PathBuf::from("/dev/tty");
    let Ok(mut terminal) = OpenOptions::new().read(true).write(true).open(&path) else {
        return Err(Failure::Usage(
            "there is no terminal to ask for the password; give it by --password-fd 0 (standard input)"
                .to_owned(),
        ));
    };
    let failed = |source: std::io::Error| Failure::File { path: path.clone(), source };
    terminal.write_all(prompt.as_bytes()).map_err(failed)?;
    let before = tcgetattr(&terminal).map_err(|e| failed(e.into()))?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Flush, &silent).map_err(|e| failed(e.into()))?;
    let result = line(&terminal);
    let _ = tcsetattr(&terminal, OptionalActions::Flush, &before);
    let _ = terminal.write_all(b"\n");
    result.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given() {
        let some = |t: &str, s: &str, u: Option<&str>| (t.to_owned(), s.to_owned(), u.map(str::to_owned));
        assert_eq!(split("server/digest/a/b").unwrap(), some("SERVER", "DIGEST", Some("a/b")));
        assert_eq!(split("Proxy/negotiate").unwrap(), some("PROXY", "NEGOTIATE", None));
        for bad in ["", "server", "server/", "/basic/x"] {
            assert!(matches!(split(bad), Err(Failure::Usage(_))), "{bad}");
        }
        assert!(slot("server/basic").is_ok() && slot("server/basic/u").is_err());
        let implicit = credentials("proxy/negotiate", None).unwrap();
        assert!(implicit.user.is_none() && implicit.password.is_none());
        assert_eq!(line("pass word \r\nnext".as_bytes()).unwrap().reveal(), "pass word ");
    }
}
