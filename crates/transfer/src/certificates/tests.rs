//! Stores of client certificates.

use super::*;
use openbits_testkit::authority::{Authority, Issued, Leaf};
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};

fn query(store: &Path, name: CertificateName) -> CertificateQuery {
    CertificateQuery {
        location: CertificateLocation::CurrentUser,
        store: store.to_str().unwrap().to_owned(),
        name,
    }
}

fn subject(text: &str) -> CertificateName {
    CertificateName::Subject(text.to_owned())
}

fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

fn sha256(issued: &Issued) -> String {
    hex(digest::digest(&digest::SHA256, &issued.chain[0]).as_ref())
}

fn sha1(issued: &Issued) -> String {
    hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &issued.chain[0]).as_ref())
}

#[test]
fn job_http_options_set_client_certificate_by_id_in_pem_and_pkcs12() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::root("r").below("below", None);
    let both = authority.issue(&Leaf::client("example", "build", "alice"));
    let apart = authority.issue(&Leaf::client("example", "build", "bob"));
    let packed = authority.issue(&Leaf::client("example", "sales", "carol"));
    let bare = authority.issue(&Leaf::client("example", "sales", "dave"));
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("a.pem"), format!("{}{}", both.key_pem, both.chain_pem)).unwrap();
    std::fs::write(at("b.crt"), &apart.chain_pem).unwrap();
    std::fs::write(at("b.key"), &apart.key_pem).unwrap();
    std::fs::write(at("d.cer"), &bare.chain[0]).unwrap();
    std::fs::write(at("e.pem"), "nonsense").unwrap();
    let key =
        PrivateKey::from_der(PrivateKeyDer::from_pem_slice(packed.key_pem.as_bytes()).unwrap().secret_der());
    let certs = packed.chain.iter().map(|der| Certificate::from_der(der).unwrap());
    let mut store = KeyStore::new();
    store.add_entry("c", KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new("1", key.unwrap(), certs)));
    std::fs::write(at("c.p12"), store.writer("hunter2").write().unwrap()).unwrap();

    for (issued, usable) in [(&both, true), (&apart, true), (&bare, false)] {
        for hash in [sha1(issued), sha256(issued)] {
            let query = query(folder.path(), CertificateName::Hash(hash));
            let found = find(&query).unwrap();
            assert_eq!((found.sha1, found.sha256), (sha1(issued), sha256(issued)));
            let loaded = load(&query, &provider());
            match loaded {
                Ok(certified) => {
                    assert!(usable);
                    assert_eq!(certified.cert.len(), 2, "the issuer goes with it");
                }
                Err(fail) => {
                    assert_eq!(fail.code, ERROR_WINHTTP_CLIENT_CERT_NO_ACCESS_PRIVATE_KEY);
                    assert!(!usable);
                }
            }
        }
    }
    // Without its password, or with a wrong one, a PKCS#12 file holds nothing.
    let carol = query(folder.path(), CertificateName::Hash(sha256(&packed)));
    assert_eq!(find(&carol), Err(CRYPT_E_NOT_FOUND));
    std::fs::write(at("c.p12.password"), "wrong\n").unwrap();
    assert_eq!(find(&carol), Err(CRYPT_E_NOT_FOUND));
    std::fs::write(at("c.p12.password"), "hunter2\n").unwrap();
    assert_eq!(find(&carol).unwrap().subject, "example, sales, carol");
    assert_eq!(load(&carol, &provider()).unwrap().cert[0].as_ref(), packed.chain[0]);
    // One file by its path.
    let file = query(&at("c.p12"), CertificateName::Hash(sha256(&packed)));
    assert!(find(&file).is_ok());
    let other = query(&at("c.p12"), CertificateName::Hash(sha256(&both)));
    assert_eq!(find(&other), Err(CRYPT_E_NOT_FOUND));
}

#[test]
fn job_http_options_set_client_certificate_by_name_takes_the_first_that_may_be_a_clients() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::root("r");
    let server = Leaf { subject: ["example".into(), "build".into(), "alice".into()], ..Leaf::server() };
    for (name, leaf) in [
        ("1.pem", server),
        ("2.pem", Leaf::client("example", "build", "alice")),
        ("3.pem", Leaf::client("example", "build", "alice b")),
        ("4.pem", Leaf::client("example", "sales", "alice")),
    ] {
        let issued = authority.issue(&leaf);
        std::fs::write(folder.path().join(name), format!("{}{}", issued.chain_pem, issued.key_pem)).unwrap();
    }
    let found = |text: &str| find(&query(folder.path(), subject(text))).map(|found| found.subject);
    assert_eq!(found("example, build, alice").unwrap(), "example, build, alice");
    assert_eq!(found("Build, ALICE").unwrap(), "example, build, alice", "adjacent parts, in any case");
    assert_eq!(found("alice b").unwrap(), "example, build, alice b");
    assert_eq!(found("sales, alice").unwrap(), "example, sales, alice");
    assert_eq!(found("alice, build"), Err(CRYPT_E_NOT_FOUND), "the order counts");
}

#[test]
fn job_http_options_set_client_certificate_store_errors() {
    let nowhere = query(Path::new("/nowhere/at/all"), subject("x"));
    assert_eq!(find(&nowhere), Err(ERROR_FILE_NOT_FOUND));
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(find(&query(folder.path(), subject("x"))), Err(CRYPT_E_NOT_FOUND));
    let gone = load(&query(folder.path(), subject("x")), &provider()).unwrap_err();
    assert_eq!(gone.code, CRYPT_E_NOT_FOUND);
    // A key that belongs to another certificate is no key.
    let authority = Authority::root("r");
    let (one, two) =
        (authority.issue(&Leaf::client("", "", "a")), authority.issue(&Leaf::client("", "", "b")));
    std::fs::write(folder.path().join("a.pem"), format!("{}{}", one.chain_pem, two.key_pem)).unwrap();
    let mixed = load(&query(folder.path(), subject("a")), &provider()).unwrap_err();
    assert_eq!(mixed.code, ERROR_WINHTTP_CLIENT_CERT_NO_ACCESS_PRIVATE_KEY);
}

#[test]
fn stores_are_folders_of_the_owner_the_machine_and_the_system() {
    let at = |location, store: &str| {
        place(&CertificateQuery { location, store: store.to_owned(), name: subject("x") }).unwrap()
    };
    use CertificateLocation::{CurrentUser, LocalMachine};
    assert_eq!(at(LocalMachine, "MY"), Path::new("/etc/openbits/certificates/my"));
    assert_eq!(at(LocalMachine, "Contoso"), Path::new("/etc/openbits/certificates/Contoso"));
    assert_eq!(at(CurrentUser, "root"), Path::new("/etc/ssl/certs"));
    assert_eq!(at(LocalMachine, "CA"), Path::new("/etc/ssl/certs"));
    assert!(at(CurrentUser, "My").ends_with("openbits/certificates/my"));
    assert_eq!(at(CurrentUser, "/home/a/x.p12"), Path::new("/home/a/x.p12"));
}

/// What a client of Delivery Optimization hands over has more in it than the certificate; cut or spoilt it is none.
#[test]
fn the_thumbprint_of_a_serialized_context_is_the_certificates() {
    let issued = Authority::root("r").issue(&Leaf::client("example", "build", "alice"));
    let der: &[u8] = &issued.chain[0];
    let element = |id: u32, content: &[u8]| {
        let length = u32::try_from(content.len()).unwrap();
        [&id.to_le_bytes()[..], &1_u32.to_le_bytes(), &length.to_le_bytes(), content].concat()
    };
    let key_provider = element(2, &[7; 40]);
    for context in [der.to_vec(), element(32, der), [key_provider.clone(), element(32, der)].concat()] {
        let found = thumbprint(&context).map(|print| hex(&print));
        assert_eq!(found, Ok(sha1(&issued)));
    }
    for bad in [
        &b"garbage"[..],
        &[],
        &der[..der.len() - 1],
        &key_provider,
        // Whole as DER, and no certificate.
        &[0x30, 3, 2, 1, 5],
        &element(32, &[0x30, 3, 2, 1, 5]),
        &vec![0; 65_537],
    ] {
        assert_eq!(thumbprint(bad), Err(CRYPT_E_FILE_ERROR), "{:?}", &bad[..bad.len().min(12)]);
    }
}
