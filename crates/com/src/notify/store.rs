//! A store of certificates in the serialised form that ValidateServerCertificate gets (spec/bits-extended.md 9.4): a header, an element
//! for each certificate, an element that ends it. Numbers have 4 bytes, little-endian.

/// `CERT`, in the order of memory.
const MAGIC: u32 = 0x5452_4543;
/// The element is a certificate.
const CERTIFICATE: u32 = 32;
/// X509_ASN_ENCODING
const ENCODING: u32 = 1;

/// The store with these certificates (DER).
pub(super) fn serialise<'a>(certificates: impl Iterator<Item = &'a Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let number = |bytes: &mut Vec<u8>, n: u32| bytes.extend(n.to_le_bytes());
    number(&mut bytes, 0);
    number(&mut bytes, MAGIC);
    for certificate in certificates {
        // The service takes no certificate as long as that.
        let Ok(length) = u32::try_from(certificate.len()) else { continue };
        number(&mut bytes, CERTIFICATE);
        number(&mut bytes, ENCODING);
        number(&mut bytes, length);
        bytes.extend(certificate);
    }
    bytes.extend([0; 12]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_header_certificates_and_an_end() {
        let bytes = serialise([vec![7; 3], vec![]].iter());
        let mut wanted = vec![0, 0, 0, 0, b'C', b'E', b'R', b'T'];
        wanted.extend([32, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 7, 7, 7]);
        wanted.extend([32, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        wanted.extend([0; 12]);
        assert_eq!(bytes, wanted);
    }
}
