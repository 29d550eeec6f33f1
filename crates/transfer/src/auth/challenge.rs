//! What a server or proxy asks for: `WWW-Authenticate` and `Proxy-Authenticate` (RFC 9110, section 11.6).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{HeaderName, PROXY_AUTHENTICATE, WWW_AUTHENTICATE};
use http_auth::DigestClient;
use openbits_core::{AuthScheme, AuthTarget};

/// Header lines that are looked at.
const MAX_LINES: usize = 16;
/// Longest token of a handshake, in bytes.
const MAX_TOKEN: usize = 64 << 10;

/// One challenge that we understand.
#[derive(Debug)]
pub(super) enum Challenge {
    Basic,
    Digest(Box<DigestClient>),
    Ntlm(Option<Vec<u8>>),
    Negotiate(Option<Vec<u8>>),
}

impl Challenge {
    pub(super) fn scheme(&self) -> AuthScheme {
        match self {
            Self::Basic => AuthScheme::Basic,
            Self::Digest(_) => AuthScheme::Digest,
            Self::Ntlm(_) => AuthScheme::Ntlm,
            Self::Negotiate(_) => AuthScheme::Negotiate,
        }
    }
}

/// Challenges of an answer, and the names of all schemes that it offers, also unknown ones (for people).
pub(super) fn read(headers: &HeaderMap, target: AuthTarget) -> (Vec<Challenge>, Vec<String>) {
    let name: HeaderName = match target {
        AuthTarget::Server => WWW_AUTHENTICATE,
        AuthTarget::Proxy => PROXY_AUTHENTICATE,
    };
    let (mut found, mut names) = (Vec::new(), Vec::new());
    for line in headers.get_all(name).iter().take(MAX_LINES).filter_map(|value| value.to_str().ok()) {
        if let Some(challenge) = handshake(line) {
            names.push(challenge.scheme().to_string());
            found.push(challenge);
            continue;
        }
        // A line that breaks the grammar asks for nothing that could be answered.
        for challenge in http_auth::parse_challenges(line).unwrap_or_default() {
            let is = |scheme: &str| challenge.scheme.eq_ignore_ascii_case(scheme);
            names.push(challenge.scheme.chars().take(32).collect());
            if is("basic") {
                found.push(Challenge::Basic);
            } else if is("ntlm") {
                found.push(Challenge::Ntlm(None));
            } else if is("negotiate") {
                found.push(Challenge::Negotiate(None));
            } else if is("digest") {
                // One without a usable algorithm or quality of protection is passed over.
                found.extend(DigestClient::try_from(&challenge).ok().map(|c| Challenge::Digest(Box::new(c))));
            }
        }
    }
    (found, names)
}

/// `Negotiate TOKEN` and `NTLM TOKEN`, alone on their line, as a handshake has them.
fn handshake(line: &str) -> Option<Challenge> {
    let (scheme, token) = line.trim().split_once(' ')?;
    let token = token.trim();
    if token.len() > MAX_TOKEN {
        return None;
    }
    let token = STANDARD.decode(token).ok()?;
    match scheme {
        _ if scheme.eq_ignore_ascii_case("ntlm") => Some(Challenge::Ntlm(Some(token))),
        _ if scheme.eq_ignore_ascii_case("negotiate") => Some(Challenge::Negotiate(Some(token))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn schemes(lines: &[&str]) -> Vec<AuthScheme> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(line).unwrap());
        }
        read(&headers, AuthTarget::Server).0.iter().map(Challenge::scheme).collect()
    }

    #[test]
    fn challenges_of_real_servers() {
        use AuthScheme::{Basic, Digest, Negotiate, Ntlm};
        let digest = r#"Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256"#;
        let rows: &[(&[&str], &[AuthScheme])] = &[
            (&[r#"Basic realm="x""#], &[Basic]),
            (&["basic"], &[Basic]),
            (&["Negotiate", "NTLM", r#"Basic realm="a, b""#], &[Negotiate, Ntlm, Basic]),
            (&["Negotiate, NTLM"], &[Negotiate, Ntlm]),
            (&["NTLM TlRMTVNTUAACAAAA"], &[Ntlm]),
            (&["Negotiate oYGeMIGboAMKAQA="], &[Negotiate]),
            (&[digest, r#"Basic realm="x""#], &[Digest, Basic]),
            (&[r#"Bearer realm="x", Basic realm="y""#], &[Basic]),
            (&[r#"Digest realm="r", nonce="n", algorithm=WHIRLPOOL, qop="auth""#], &[]),
            (&["", ",,", "Basic realm=\"", "%%%"], &[]),
        ];
        for (lines, expected) in rows {
            assert_eq!(schemes(lines), *expected, "{lines:?}");
        }
        let mut proxy = HeaderMap::new();
        proxy.insert(PROXY_AUTHENTICATE, HeaderValue::from_static("Basic realm=x"));
        assert!(read(&proxy, AuthTarget::Server).0.is_empty(), "a server has no word for the proxy");
        assert_eq!(read(&proxy, AuthTarget::Proxy).0.len(), 1);
    }

    #[test]
    fn strangers_are_bounded() {
        assert_eq!(schemes(&["Basic realm=x"; 40]).len(), MAX_LINES);
        let long = format!("NTLM {}", "A".repeat(MAX_TOKEN + 4));
        assert!(schemes(&[&long]).is_empty());
    }
}
