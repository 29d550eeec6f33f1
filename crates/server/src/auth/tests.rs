use super::*;
use crate::settings::Auth;
use http::HeaderValue;
use std::fmt::Write as _;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn credentials(without_tls: bool) -> (tempfile::TempDir, Arc<Credentials>) {
    let folder = tempfile::tempdir().unwrap();
    let (htpasswd, tokens) = (folder.path().join("htpasswd"), folder.path().join("tokens"));
    std::fs::write(&htpasswd, format!("# people\nann:{}\n", bcrypt::hash("secret:1", 4).unwrap())).unwrap();
    std::fs::write(&tokens, format!("robot:{}\n", hex(&sha256(b"token-1")))).unwrap();
    let auth = Auth { htpasswd: Some(htpasswd), tokens: Some(tokens), basic_without_tls: without_tls };
    let settings = Settings { auth, ..Settings::default() };
    let credentials = Credentials::read(&settings).unwrap();
    (folder, credentials)
}

fn claim(credentials: &Arc<Credentials>, value: Option<&str>, tls: bool) -> Claim {
    let mut headers = HeaderMap::new();
    if let Some(value) = value {
        headers.insert("authorization", HeaderValue::from_str(value).unwrap());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(credentials.claim(&headers, tls, None))
}

fn basic(pair: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

#[test]
fn passwords_are_checked_and_remembered() {
    let (_folder, credentials) = credentials(false);
    for _ in 0..2 {
        assert_eq!(claim(&credentials, Some(&basic("ann:secret:1")), true), Claim::Name("ann".to_owned()));
    }
    for wrong in ["ann:secret", "ann:", "bob:secret:1", "annsecret"] {
        assert_eq!(claim(&credentials, Some(&basic(wrong)), true), Claim::Wrong, "{wrong}");
    }
    assert_eq!(claim(&credentials, Some("Basic !!!"), true), Claim::Wrong);
    assert_eq!(claim(&credentials, None, true), Claim::None);
}

#[test]
fn basic_needs_tls_unless_allowed() {
    assert_eq!(claim(&credentials(false).1, Some(&basic("ann:secret:1")), false), Claim::Wrong);
    assert_eq!(
        claim(&credentials(true).1, Some(&basic("ann:secret:1")), false),
        Claim::Name("ann".to_owned())
    );
}

#[test]
fn tokens_are_checked() {
    let (_folder, credentials) = credentials(false);
    assert_eq!(claim(&credentials, Some("Bearer token-1"), false), Claim::Name("robot".to_owned()));
    assert_eq!(claim(&credentials, Some("bearer token-1"), false), Claim::Name("robot".to_owned()));
    for wrong in ["Bearer token-2", "Bearer ", "Negotiate abc", "Bearer"] {
        assert_eq!(claim(&credentials, Some(wrong), true), Claim::Wrong, "{wrong}");
    }
}

#[test]
fn weak_hashes_and_broken_lines_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    for bad in ["ann:$apr1$abc$def", "ann:{SHA}abc=", "ann", ":x", "ann:$2y$10$short"] {
        std::fs::write(&path, bad).unwrap();
        assert!(files::passwords(&path).is_err(), "{bad}");
    }
    for bad in ["robot:plain", "robot:", "robot"] {
        std::fs::write(&path, bad).unwrap();
        assert!(files::tokens(&path).is_err(), "{bad}");
    }
    assert!(bcrypt::verify("x", files::NOBODY).is_ok_and(|same| !same), "the dummy hash is well formed");
}
