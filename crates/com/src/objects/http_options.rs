//! IBackgroundCopyJobHttpOptions to 3 (spec/bits-extended.md 9).

use super::super::*;
use super::callback::Validator;
use super::job::OfJob;
use crate::notify;
use openbits_api::SetClientCertificate;
use openbits_core::Secret;
use std::fmt::Write as _;
use windows_core::IUnknown;

/// Bytes of a certificate's hash (SHA-1).
const HASH_BYTES: usize = 20;

/// The location as the API names it; what it has no name for, the service refuses.
fn location_name(location: i32) -> String {
    match location {
        BG_CERT_STORE_LOCATION_CURRENT_USER => "CURRENT_USER".to_owned(),
        BG_CERT_STORE_LOCATION_LOCAL_MACHINE => "LOCAL_MACHINE".to_owned(),
        other => other.to_string(),
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    digits.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

impl<T: OfJob> IBackgroundCopyJobHttpOptionsMethods for T {
    fn set_client_certificate_by_id(&self, location: i32, store: String, hash: *const u8) -> Done {
        // SAFETY: the reference asks for 20 bytes; NULL was looked for.
        let bytes = unsafe { std::slice::from_raw_parts(hash, HASH_BYTES) };
        let hash = bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}"); // A String takes everything.
            text
        });
        let certificate = SetClientCertificate {
            location: location_name(location),
            store,
            hash: Some(hash),
            subject: None,
            context: None,
        };
        self.job().change(async |client, id| client.set_client_certificate(id, &certificate).await)
    }

    fn set_client_certificate_by_name(&self, location: i32, store: String, subject: String) -> Done {
        let certificate = SetClientCertificate {
            location: location_name(location),
            store,
            hash: None,
            subject: Some(subject),
            context: None,
        };
        self.job().change(async |client, id| client.set_client_certificate(id, &certificate).await)
    }

    fn remove_client_certificate(&self) -> Done {
        self.job().change(async |client, id| client.remove_client_certificate(id).await)
    }

    fn get_client_certificate(
        &self,
        location: Out<'_, i32>,
        store: OutText<'_, Wchar>,
        hash: OutArray<'_, u8>,
        subject: OutText<'_, Wchar>,
    ) -> Done {
        let certificate = self.job().read(async |client, id| client.client_certificate(id).await)?;
        let bytes = from_hex(&certificate.sha1).filter(|bytes| bytes.len() == HASH_BYTES);
        hash.set(&bytes.ok_or(h::E_UNEXPECTED)?)?;
        location.set(certificate.location.value().cast_signed());
        store.set(&certificate.store)?;
        subject.set(&certificate.subject)?;
        OK
    }

    fn set_custom_headers(&self, headers: Option<String>) -> Done {
        self.set(|p| p.custom_headers = Some(Secret::new(headers.unwrap_or_default())))
    }

    fn get_custom_headers(&self, headers: OutText<'_, Wchar>) -> Done {
        let answer = self.job().read(async |client, id| client.custom_headers(id).await)?;
        headers.set_or_null(answer.headers.as_deref())?;
        Ok(if answer.headers.is_some() { h::S_OK } else { h::S_FALSE })
    }

    fn set_security_flags(&self, flags: u32) -> Done {
        self.set(|p| p.security_flags = Some(flags))
    }

    fn get_security_flags(&self, flags: Out<'_, u32>) -> Done {
        flags.set(self.job().view()?.http.security_flags);
        OK
    }
}

impl<T: OfJob> IBackgroundCopyJobHttpOptions2Methods for T {
    fn set_http_method(&self, method: String) -> Done {
        self.set(|p| p.http_method = Some(method))
    }

    fn get_http_method(&self, method: OutText<'_, Wchar>) -> Done {
        method.set(&self.job().view()?.http.method)?;
        OK
    }
}

impl<T: OfJob> IBackgroundCopyJobHttpOptions3Methods for T {
    fn set_server_certificate_validation_interface(&self, validator: Option<IUnknown>) -> Done {
        notify::validate(self.job(), validator.map(Validator::target).transpose()?)
    }

    fn make_custom_headers_write_only(&self) -> Done {
        self.set(|p| p.custom_headers_write_only = Some(true))
    }
}
