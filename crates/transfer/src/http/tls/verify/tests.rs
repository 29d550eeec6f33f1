//! Certificates that are wrong in some ways, under every set of flags.

use super::*;
use crate::http::tls::certificate_code;
use openbits_core::HResult;
use openbits_core::hresult::{
    ERROR_WINHTTP_SECURE_CERT_CN_INVALID, ERROR_WINHTTP_SECURE_CERT_DATE_INVALID,
    ERROR_WINHTTP_SECURE_CERT_WRONG_USAGE, ERROR_WINHTTP_SECURE_INVALID_CA,
};
use openbits_testkit::authority::{Authority, Leaf, Validity, self_signed};

const NAME: u32 = security::IGNORE_NAME;
const DATE: u32 = security::IGNORE_DATE;
const CA: u32 = security::IGNORE_CA;
const USAGE: u32 = security::IGNORE_USAGE;

/// The code of each way to be wrong.
const CODES: [(u32, HResult); 4] = [
    (NAME, ERROR_WINHTTP_SECURE_CERT_CN_INVALID),
    (DATE, ERROR_WINHTTP_SECURE_CERT_DATE_INVALID),
    (CA, ERROR_WINHTTP_SECURE_INVALID_CA),
    (USAGE, ERROR_WINHTTP_SECURE_CERT_WRONG_USAGE),
];

fn check(root: &Authority, flags: u32) -> ServerCheck {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerCheck::new(vec![CertificateDer::from(root.der())], flags, &provider).unwrap()
}

fn verdict(check: &ServerCheck, chain: &[Vec<u8>]) -> Result<(), HResult> {
    let chain: Vec<CertificateDer<'static>> = chain.iter().cloned().map(CertificateDer::from).collect();
    let name = ServerName::try_from("localhost").unwrap();
    match check.verify_server_cert(&chain[0], &chain[1..], &name, &[], UnixTime::now()) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InvalidCertificate(why)) => Err(certificate_code(&why)),
        Err(other) => panic!("{other}"),
    }
}

/// A leaf that is wrong in these ways, but for its issuer.
fn leaf(faults: u32, validity: Validity) -> Leaf {
    let mut leaf = Leaf::server();
    if faults & NAME != 0 {
        leaf.names = vec!["wrong.example".to_owned()];
    }
    if faults & DATE != 0 {
        leaf.validity = validity;
    }
    leaf.server = faults & USAGE == 0;
    leaf
}

/// Every set of faults under every set of flags: it passes if each fault is ignored, and otherwise the code is that of a fault that is not.
#[test]
fn job_http_options_set_security_flags_each_relaxes_its_own_check_only() {
    let root = Authority::root("known");
    let middle = root.below("known, below", None);
    let stranger = Authority::root("stranger");
    let strange_middle = stranger.below("stranger, below", None);
    let checks: Vec<ServerCheck> = (0..16).map(|flags| check(&root, flags << 1)).collect();
    let mut cases = 0;
    for faults in (0..16_u32).map(|bits| bits << 1) {
        for validity in [Validity::Over, Validity::ToCome] {
            let leaf = leaf(faults, validity);
            let mut chains = Vec::new();
            if faults & CA == 0 {
                chains.push(("root", root.issue(&leaf).chain));
                chains.push(("middle", middle.issue(&leaf).chain));
            } else {
                chains.push(("nothing but the leaf", stranger.issue(&leaf).chain));
                let mut whole = strange_middle.issue(&leaf).chain;
                chains.push(("leaf and middle", whole.clone()));
                whole.push(stranger.der());
                chains.push(("up to a strange root", whole));
                chains.push(("self-signed", self_signed(&leaf, false).chain));
                chains.push(("self-signed authority", self_signed(&leaf, true).chain));
            }
            for (what, chain) in chains {
                for check in &checks {
                    let rest = faults & !check.flags;
                    let result = verdict(check, &chain);
                    let allowed: Vec<HResult> =
                        CODES.iter().filter(|(bit, _)| rest & bit != 0).map(|(_, code)| *code).collect();
                    match result {
                        Ok(()) => assert_eq!(rest, 0, "{what}: faults {faults:#x} flags {:#x}", check.flags),
                        Err(code) => assert!(
                            allowed.contains(&code),
                            "{what}: faults {faults:#x} flags {:#x}: {code}",
                            check.flags
                        ),
                    }
                    cases += 1;
                }
            }
        }
    }
    assert_eq!(cases, 16 * 2 * (8 * 2 + 8 * 5));
}

/// What no flag forgives: a chain that is not signed as it says.
#[test]
fn a_forged_signature_is_never_ignored() {
    let (root, other) = (Authority::root("same name"), Authority::root("same name"));
    let everything = check(&Authority::root("known"), CA | NAME | DATE | USAGE);
    let mut chain = root.issue(&Leaf::server()).chain;
    chain.push(other.der());
    assert!(verdict(&everything, &chain).is_err(), "the presented issuer did not sign it");
    let mut forged = self_signed(&Leaf::server(), false).chain;
    let end = forged[0].len() - 1;
    forged[0][end] ^= 1;
    assert!(verdict(&everything, &forged).is_err());
}

#[test]
fn an_expired_issuer_in_between_needs_the_date_flag() {
    let root = Authority::root("known");
    let leaf = Leaf { validity: Validity::Over, ..Leaf::server() };
    // The issuer is in time and the leaf is not: one moment serves both.
    let chain = root.below("below", None).issue(&leaf).chain;
    assert_eq!(verdict(&check(&root, DATE), &chain), Ok(()));
    assert_eq!(verdict(&check(&root, CA), &chain), Err(ERROR_WINHTTP_SECURE_CERT_DATE_INVALID));
}

fn lists(lists: &[Vec<u8>]) -> Vec<Rc<CertRevocationList<'static>>> {
    let read = |der: &Vec<u8>| webpki::OwnedCertRevocationList::from_der(der).unwrap().into();
    lists.iter().map(|der| Rc::new(read(der))).collect()
}

fn ders(chain: &[Vec<u8>]) -> Vec<CertificateDer<'static>> {
    chain.iter().cloned().map(CertificateDer::from).collect()
}

#[test]
fn job_http_options_set_security_flags_revocation_is_checked_on_the_whole_path() {
    let root = Authority::root("known");
    let middle = root.below("below", Some("http://crl.test/root.crl"));
    let leaf = Leaf { crl: Some("http://crl.test/middle.crl".to_owned()), serial: 7, ..Leaf::server() };
    let chain = ders(&middle.issue(&leaf).chain);
    let check = check(&root, security::CRL_CHECK);
    let addresses = check.list_addresses(&chain).unwrap();
    assert_eq!(addresses, [["http://crl.test/middle.crl"], ["http://crl.test/root.crl"]]);
    let code = |set: &[Vec<u8>]| check.revocation(&chain, &lists(set)).map_err(|fail| fail.code);
    let (good, roots) = (middle.revocation_list(&[8], false), root.revocation_list(&[], false));
    assert_eq!(code(&[good.clone(), roots.clone()]), Ok(()));
    let revoked = middle.revocation_list(&[7], false);
    assert_eq!(code(&[revoked, roots.clone()]), Err(ERROR_WINHTTP_SECURE_CERT_REVOKED));
    let unknown = Err(ERROR_WINHTTP_SECURE_CERT_REV_FAILED);
    assert_eq!(code(&[]), unknown, "no list");
    assert_eq!(code(&[good]), unknown, "the issuer's own status is not known");
    assert_eq!(code(&[middle.revocation_list(&[], true), roots.clone()]), unknown, "a list that ran out");
    let forged = Authority::root("below").revocation_list(&[], false);
    assert_eq!(code(&[forged, roots]), unknown, "a list that somebody else signed");
    // A certificate that does not say where its list is cannot be checked.
    let silent = ders(&root.issue(&Leaf::server()).chain);
    assert_eq!(
        check.list_addresses(&silent).map_err(|fail| fail.code),
        Err(ERROR_WINHTTP_SECURE_CERT_REV_FAILED)
    );
}
