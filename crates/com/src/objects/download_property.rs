//! GetProperty and SetProperty of IDODownload: a row for each property (spec/delivery-optimization-com.md 4.4).

use super::super::*;
use super::download::DownloadObject;
use super::download_watch::Watch;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openbits_api::{DownloadProperties, SetClientCertificate};
use openbits_core::Secret;
use openbits_core::delivery::codes;

type Text = Automation<Wchar>;

/// SetProperty.
pub(super) fn set(download: &DownloadObject, id: i32, value: &VARIANT) -> Done {
    // SAFETY: the caller's VARIANT holds what its type says.
    let text = || unsafe { Text::text_of(value) };
    let mut set = DownloadProperties::default();
    match id {
        DODownloadProperty_Id => return Err(codes::DO_E_READ_ONLY_PROPERTY),
        DODownloadProperty_Uri => set.uri = Some(text()?),
        DODownloadProperty_ContentId => set.content_id = Some(text()?),
        DODownloadProperty_DisplayName => set.display_name = Some(text()?),
        DODownloadProperty_LocalPath => {
            let path = text()?;
            if Watch::of(download.job().id()).is_some_and(|watch| watch.has_stream()) {
                return Err(codes::DO_E_FILE_DOWNLOADSINK_ALREADY_SET);
            }
            set.local_path = Some(path);
        }
        DODownloadProperty_HttpCustomHeaders => set.http_custom_headers = Some(Secret::new(text()?)),
        DODownloadProperty_CostPolicy => set.cost_policy = Some(value.number()?),
        DODownloadProperty_SecurityFlags => set.security_flags = Some(value.number()?),
        DODownloadProperty_CallbackFreqPercent => set.callback_freq_percent = Some(value.number()?),
        DODownloadProperty_CallbackFreqSeconds => set.callback_freq_seconds = Some(value.number()?),
        DODownloadProperty_NoProgressTimeoutSeconds => {
            set.no_progress_timeout_seconds = Some(value.number()?);
        }
        DODownloadProperty_ForegroundPriority => set.foreground_priority = Some(value.boolean()?),
        DODownloadProperty_BlockingMode => set.blocking_mode = Some(value.boolean()?),
        DODownloadProperty_CallbackInterface => {
            // SAFETY: the caller's VARIANT holds what its type says.
            let object = unsafe { value.object()? };
            return Watch::set_callback(download, object);
        }
        DODownloadProperty_StreamInterface => {
            // SAFETY: the caller's VARIANT holds what its type says.
            let object = unsafe { value.object()? };
            return Watch::set_stream(download, object);
        }
        DODownloadProperty_SecurityContext => {
            // SAFETY: the caller's VARIANT holds what its type says.
            return set_certificate(download, &unsafe { value.bytes()? });
        }
        // A job works as its owner, always: there is no other token to take.
        DODownloadProperty_NetworkToken => {
            value.boolean()?;
            return OK;
        }
        DODownloadProperty_CorrelationVector => set.correlation_vector = Some(text()?),
        // What would be fetched could not be read by anybody: nobody documented how it is encrypted.
        DODownloadProperty_DecryptionInfo => return if text()?.is_empty() { OK } else { Err(h::E_NOTIMPL) },
        DODownloadProperty_IntegrityCheckInfo => set.integrity_check_info = Some(text()?),
        DODownloadProperty_IntegrityCheckMandatory => {
            set.integrity_check_mandatory = Some(value.boolean()?);
        }
        DODownloadProperty_TotalSizeBytes => set.total_size_bytes = Some(value.long_number()?),
        DODownloadProperty_DisallowOnCellular => set.disallow_on_cellular = Some(value.boolean()?),
        DODownloadProperty_HttpCustomAuthHeaders => {
            set.http_custom_auth_headers = Some(Secret::new(text()?));
        }
        DODownloadProperty_HttpAllowSecureToNonSecureRedirect => {
            set.http_allow_secure_to_non_secure_redirect = Some(value.boolean()?);
        }
        DODownloadProperty_NonVolatile => set.non_volatile = Some(value.boolean()?),
        _ => return Err(codes::DO_E_UNKNOWN_PROPERTY_ID),
    }
    download.keep(&set)
}

/// SecurityContext: the certificate names the one in the user's own store that has the key.
fn set_certificate(download: &DownloadObject, context: &[u8]) -> Done {
    let certificate = SetClientCertificate {
        location: "CURRENT_USER".to_owned(),
        store: "MY".to_owned(),
        hash: None,
        subject: None,
        context: Some(STANDARD.encode(context)),
    };
    download.job().change(async |client, id| client.set_client_certificate(id, &certificate).await)?;
    OK
}

/// GetProperty.
pub(super) fn get(download: &DownloadObject, id: i32) -> Result<VARIANT, HResult> {
    let unset = codes::E_NOT_SET;
    let view = download.view()?;
    let p = &view.properties;
    let text = |text: &Option<String>| Text::of_text(text.as_deref().ok_or(unset)?);
    let foreground = p.foreground_priority.unwrap_or(false);
    Ok(match id {
        DODownloadProperty_Id => Text::of_text(&view.id)?,
        DODownloadProperty_Uri => text(&p.uri)?,
        DODownloadProperty_ContentId => text(&p.content_id)?,
        DODownloadProperty_DisplayName => text(&p.display_name)?,
        DODownloadProperty_LocalPath => text(&p.local_path)?,
        DODownloadProperty_HttpCustomHeaders => {
            let answer = download.job().read(async |client, id| client.custom_headers(id).await)?;
            Text::of_text(&answer.headers.ok_or(unset)?)?
        }
        // Any network for foreground downloads, none near its limit for others (4.4).
        DODownloadProperty_CostPolicy => {
            VARIANT::of_u32(p.cost_policy.unwrap_or(if foreground { 0 } else { 2 }))
        }
        DODownloadProperty_CallbackFreqPercent => VARIANT::of_u32(p.callback_freq_percent.ok_or(unset)?),
        DODownloadProperty_CallbackFreqSeconds => VARIANT::of_u32(p.callback_freq_seconds.unwrap_or(1)),
        DODownloadProperty_NoProgressTimeoutSeconds => {
            VARIANT::of_u32(p.no_progress_timeout_seconds.ok_or(unset)?)
        }
        DODownloadProperty_ForegroundPriority => VARIANT::of_boolean(foreground),
        DODownloadProperty_BlockingMode => VARIANT::of_boolean(p.blocking_mode.unwrap_or(false)),
        DODownloadProperty_CallbackInterface => {
            let watch = Watch::of(download.job().id());
            VARIANT::of_object(watch.and_then(|watch| watch.callback_object()).ok_or(unset)?)
        }
        DODownloadProperty_StreamInterface => {
            let watch = Watch::of(download.job().id());
            VARIANT::of_object(watch.and_then(|watch| watch.stream_object()).ok_or(unset)?)
        }
        DODownloadProperty_SecurityFlags
        | DODownloadProperty_SecurityContext
        | DODownloadProperty_NetworkToken
        | DODownloadProperty_DecryptionInfo
        | DODownloadProperty_IntegrityCheckInfo => return Err(codes::DO_E_WRITE_ONLY_PROPERTY),
        DODownloadProperty_CorrelationVector => text(&p.correlation_vector)?,
        DODownloadProperty_IntegrityCheckMandatory => {
            VARIANT::of_boolean(p.integrity_check_mandatory.ok_or(unset)?)
        }
        DODownloadProperty_TotalSizeBytes => VARIANT::of_u64(p.total_size_bytes.ok_or(unset)?),
        DODownloadProperty_DisallowOnCellular => VARIANT::of_boolean(p.disallow_on_cellular.ok_or(unset)?),
        DODownloadProperty_HttpCustomAuthHeaders => {
            let answer = download.job().read(async |client, id| client.challenge_headers(id).await)?;
            Text::of_text(&answer.headers.ok_or(unset)?)?
        }
        DODownloadProperty_HttpAllowSecureToNonSecureRedirect => {
            VARIANT::of_boolean(p.http_allow_secure_to_non_secure_redirect.unwrap_or(false))
        }
        DODownloadProperty_NonVolatile => VARIANT::of_boolean(p.non_volatile.unwrap_or(false)),
        _ => return Err(codes::DO_E_UNKNOWN_PROPERTY_ID),
    })
}
