//! Who may do what: passwords, tokens, client certificates.

use crate::process::{Server, has};
use crate::raw::{GUID, Raw};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::fs;
use std::path::Path;
use std::process::Command;

const CREATE: (&str, &str) = ("BITS-Supported-Protocols", GUID);

fn hash_of(token: &str) -> String {
    let text =
        Command::new("sh").args(["-c", &format!("printf %s {token} | sha256sum")]).output().unwrap().stdout;
    String::from_utf8(text).unwrap()[..64].to_owned()
}

fn server(paths: &str) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let hash = bcrypt::hash("secret", 4).unwrap();
    fs::write(folder.path().join("htpasswd"), format!("ann:{hash}\nbob:{hash}\n")).unwrap();
    fs::write(folder.path().join("tokens"), format!("robot:{}\n", hash_of("token-1"))).unwrap();
    let toml = format!(
        "[auth]\nhtpasswd = \"@DIR@/htpasswd\"\ntokens = \"@DIR@/tokens\"\nbasic_without_tls = true\n{paths}"
    );
    fs::write(folder.path().join("server.toml"), toml.replace("@DIR@", folder.path().to_str().unwrap()))
        .unwrap();
    Server::inside(folder, true)
}

fn basic(pair: &str) -> String {
    use base64::Engine;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

#[test]
fn callers_without_or_with_wrong_credentials_are_challenged() {
    let server = server("[[path]]\nprefix = \"/\"\nenabled = true\n");
    let mut raw = Raw::open(server.address);
    for header in
        [None, Some(basic("ann:wrong")), Some(basic("nobody:secret")), Some("Bearer token-2".to_owned())]
    {
        let mut headers = vec![CREATE];
        if let Some(header) = &header {
            headers.push(("Authorization", header));
        }
        let answer = raw.packet("Create-Session", "/in/f", &headers, b"");
        assert_eq!(answer.status, 401, "{header:?}");
        assert!(answer.header("WWW-Authenticate").unwrap().starts_with("Basic "));
        assert_eq!(raw.ask("GET", "/in/f", &headers[1..], b"").status, 401);
        assert_eq!(raw.packet("Ping", "/in/f", &headers[1..], b"").status, 401, "Ping runs authentication");
    }
    assert_eq!(server.state("live").len(), 0);
    for header in [basic("ann:secret"), "Bearer token-1".to_owned()] {
        let answer = raw.packet("Create-Session", "/in/f", &[CREATE, ("Authorization", &header)], b"");
        assert_eq!(answer.status, 200);
    }
}

#[test]
fn a_leaked_session_id_alone_gives_no_access() {
    let server = server("[[path]]\nprefix = \"/\"\nenabled = true\n");
    let mut raw = Raw::open(server.address);
    let (ann, bob) = (basic("ann:secret"), basic("bob:secret"));
    let created = raw.packet("Create-Session", "/in/f", &[CREATE, ("Authorization", &ann)], b"");
    let session = created.header("BITS-Session-Id").unwrap().to_owned();
    let range = ("Content-Range", "bytes 0-4/5");
    let id = ("BITS-Session-Id", session.as_str());
    for kind in ["Fragment", "Close-Session", "Cancel-Session"] {
        let body: &[u8] = if kind == "Fragment" { b"wrong" } else { b"" };
        let answer = raw.packet(kind, "/in/f", &[id, range, ("Authorization", &bob)], body);
        assert_eq!(answer.error(), (500, Some("0x8020001F"), Some("0x5")), "{kind}");
        assert_eq!(raw.packet(kind, "/in/f", &[id, range], body).status, 401, "{kind}");
    }
    let fragment = raw.packet("Fragment", "/in/f", &[id, range, ("Authorization", &ann)], b"right");
    assert_eq!(fragment.received(), Some(5));
    assert_eq!(raw.packet("Close-Session", "/in/f", &[id, ("Authorization", &ann)], b"").status, 200);
    assert_eq!(server.stored("in/f").unwrap(), b"right");
    let again = raw.packet("Close-Session", "/in/f", &[id, ("Authorization", &bob)], b"");
    assert_eq!(again.status, 500, "the tombstone is ann's too");
}

#[test]
fn paths_say_who_may_upload_and_download() {
    let server = server(
        "[[path]]\nprefix = \"/in\"\nenabled = true\nupload = [\"ann\"]\ndownload = \"anyone\"\n\
         [[path]]\nprefix = \"/closed\"\nenabled = true\nupload = \"nobody\"\n",
    );
    fs::write(server.root().join("in/public"), "x").unwrap();
    fs::write(server.root().join("private"), "x").unwrap();
    let mut raw = Raw::open(server.address);
    let (ann, bob) = (basic("ann:secret"), basic("bob:secret"));
    assert_eq!(raw.packet("Create-Session", "/in/f", &[CREATE, ("Authorization", &ann)], b"").status, 200);
    let denied = (403, Some("0x80070005"), Some("0x5"));
    assert_eq!(
        raw.packet("Create-Session", "/in/f", &[CREATE, ("Authorization", &bob)], b"").error(),
        denied
    );
    assert_eq!(
        raw.packet("Create-Session", "/closed/f", &[CREATE, ("Authorization", &ann)], b"").error(),
        denied
    );
    assert_eq!(raw.ask("GET", "/in/public", &[], b"").status, 200);
    assert_eq!(raw.ask("GET", "/private", &[], b"").status, 401);
    assert_eq!(raw.ask("GET", "/private", &[("Authorization", &bob)], b"").status, 200);
}

/// An authority, a server's and a client's certificate in `folder`.
fn certificates(folder: &Path) {
    let named = |name: &str, names: &[&str]| {
        let mut params =
            CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let mut authority = named("test authority", &[]);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    for (file, names) in [("server", ["localhost"]), ("client", ["laptop.example.net"])] {
        let key = KeyPair::generate().unwrap();
        let certificate = named(file, &names).signed_by(&key, &authority).unwrap();
        fs::write(folder.join(format!("{file}.pem")), certificate.pem()).unwrap();
        fs::write(folder.join(format!("{file}.key")), key.serialize_pem()).unwrap();
    }
}

#[test]
fn tls_and_client_certificates_with_curl() {
    if !has("curl") {
        eprintln!("SKIPPED: curl is not installed; TLS and client certificates were not tested");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let dir = folder.path().to_str().unwrap().to_owned();
    let toml = format!(
        "[tls]\ncertificate = \"{dir}/server.pem\"\nkey = \"{dir}/server.key\"\nclient_ca = \"{dir}/ca.pem\"\n\
         [[path]]\nprefix = \"/in\"\nenabled = true\nupload = [\"laptop.example.net\"]\ndownload = \"known\"\n"
    );
    fs::write(folder.path().join("server.toml"), toml).unwrap();
    let server = Server::inside(folder, true);
    let port = server.address.port();
    let curl = |more: &[&str]| {
        let resolve = format!("localhost:{port}:127.0.0.1");
        let url = format!("https://localhost:{port}/in/f");
        let output = Command::new("curl")
            .args([
                "-sS",
                "-o",
                "-",
                "-w",
                "\n%{http_version} %{http_code}",
                "--resolve",
                &resolve,
                "--cacert",
            ])
            .arg(format!("{dir}/ca.pem"))
            .args(more)
            .arg(url)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let (certificate, key) = (format!("{dir}/client.pem"), format!("{dir}/client.key"));
    let me = ["--cert", certificate.as_str(), "--key", key.as_str()];
    let create = [
        "-X",
        "BITS_POST",
        "-H",
        "BITS-Packet-Type: Create-Session",
        "-H",
        "BITS-Supported-Protocols: {7df0354d-249b-430f-820d-3d2a9bef4931}",
        "-H",
        "Content-Length: 0",
    ];
    assert_eq!(curl(&create), "\n2 401", "no certificate, no name");
    assert_eq!(curl(&[&me[..], &create[..]].concat()), "\n2 200", "HTTP/2 with a certificate");
    assert_eq!(curl(&[&me[..], &create[..], &["--http1.1"]].concat()), "\n1.1 200");
    fs::write(server.root().join("in/f"), "file").unwrap();
    assert_eq!(curl(&me), "file\n2 200");
}
