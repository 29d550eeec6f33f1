//! Certificate authorities made for a test: certificates that are good, or wrong in exactly the ways that are asked for, and revocation
//! lists.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair,
    RevokedCertParams, SerialNumber, date_time_ymd,
};

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Validity {
    /// Now.
    #[default]
    Now,
    /// From 2000 to 2001.
    Over,
    /// From 2090 on.
    ToCome,
}

/// What a certificate says.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// DNS names and IP addresses.
    pub names: Vec<String>,
    /// The subject: attributes in encoding order, O, OU, CN (empty ones are left out).
    pub subject: [String; 3],
    /// When it is valid.
    pub validity: Validity,
    /// For servers; otherwise for clients.
    pub server: bool,
    /// Where its revocation list is.
    pub crl: Option<String>,
    /// Serial number.
    pub serial: u64,
}

impl Leaf {
    /// A good certificate of a server on this machine.
    #[must_use]
    pub fn server() -> Self {
        Self {
            names: ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec(),
            subject: [String::new(), String::new(), "openbits testkit server".to_owned()],
            validity: Validity::Now,
            server: true,
            crl: None,
            serial: 1000,
        }
    }

    /// A good certificate of a client.
    #[must_use]
    pub fn client(organisation: &str, unit: &str, name: &str) -> Self {
        let subject = [organisation, unit, name].map(str::to_owned);
        Self { names: Vec::new(), subject, server: false, ..Self::server() }
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::new(self.names.clone()).expect("names are names");
        params.distinguished_name = DistinguishedName::new();
        let kinds = [DnType::OrganizationName, DnType::OrganizationalUnitName, DnType::CommonName];
        for (kind, value) in kinds.into_iter().zip(&self.subject).filter(|(_, value)| !value.is_empty()) {
            params.distinguished_name.push(kind, value.as_str());
        }
        match self.validity {
            Validity::Now => {}
            Validity::Over => {
                params.not_before = date_time_ymd(2000, 1, 1);
                params.not_after = date_time_ymd(2001, 1, 1);
            }
            Validity::ToCome => params.not_before = date_time_ymd(2090, 1, 1),
        }
        params.extended_key_usages = vec![if self.server {
            ExtendedKeyUsagePurpose::ServerAuth
        } else {
            ExtendedKeyUsagePurpose::ClientAuth
        }];
        params.serial_number = Some(SerialNumber::from(self.serial));
        params.crl_distribution_points =
            self.crl.iter().map(|uri| CrlDistributionPoint { uris: vec![uri.clone()] }).collect();
        params
    }
}

/// A certificate with its key.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate and those of its issuers but the root, PEM.
    pub chain_pem: String,
    /// The private key, PEM.
    pub key_pem: String,
    /// The certificate and those of its issuers but the root, DER.
    pub chain: Vec<Vec<u8>>,
}

/// A root, or an authority below one.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
    /// Certificates between its leaves and the root, its own first; empty for a root.
    between: Vec<Certificate>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

fn authority_params(name: &str, crl: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.crl_distribution_points =
        crl.iter().map(|uri| CrlDistributionPoint { uris: vec![(*uri).to_owned()] }).collect();
    params
}

impl Authority {
    /// A new root.
    #[must_use]
    pub fn root(name: &str) -> Self {
        let params = authority_params(name, None);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        Self { issuer: Issuer::new(params, key), certificate, between: Vec::new() }
    }

    /// An authority below this one; `crl`: where the list is that tells whether it was revoked.
    #[must_use]
    pub fn below(&self, name: &str, crl: Option<&str>) -> Self {
        let params = authority_params(name, crl);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let mut between = vec![certificate.clone()];
        between.extend(self.between.iter().cloned());
        Self { issuer: Issuer::new(params, key), certificate, between }
    }

    /// Its certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// Its certificate, DER.
    #[must_use]
    pub fn der(&self) -> Vec<u8> {
        self.certificate.der().to_vec()
    }

    /// Issues a certificate.
    #[must_use]
    pub fn issue(&self, leaf: &Leaf) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let certificate = leaf.params().signed_by(&key, &self.issuer).expect("signed");
        let all: Vec<&Certificate> = std::iter::once(&certificate).chain(&self.between).collect();
        Issued {
            chain_pem: all.iter().map(|cert| cert.pem()).collect(),
            key_pem: key.serialize_pem(),
            chain: all.iter().map(|cert| cert.der().to_vec()).collect(),
        }
    }

    /// A revocation list (DER) with these serial numbers; `over`: it ran out in 2021.
    #[must_use]
    pub fn revocation_list(&self, serials: &[u64], over: bool) -> Vec<u8> {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: if over { date_time_ymd(2021, 1, 1) } else { date_time_ymd(2090, 1, 1) },
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).expect("signed").der().to_vec()
    }
}

/// A certificate that vouches for itself; `authority`: it is also marked as that of an authority, as quickly made ones are.
#[must_use]
pub fn self_signed(leaf: &Leaf, authority: bool) -> Issued {
    let mut params = leaf.params();
    if authority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("signed");
    Issued {
        chain_pem: certificate.pem(),
        key_pem: key.serialize_pem(),
        chain: vec![certificate.der().to_vec()],
    }
}
