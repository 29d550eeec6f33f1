//! Taking an upload back from the server, when its job is cancelled (spec/upload-protocol.md 5.5).

use super::patch::{ask, tus, wire};
use super::{Ask, Heard, Payload, Protocol, Target, UploadState};
use crate::hresult::BG_E_SESSION_NOT_FOUND;
use crate::upload::{Ack, METHOD, PacketType, header};
use url::Url;

/// What to send; `None` if there is nothing to take back, or no way to do it. S3 signs its own.
pub fn cancel(target: &Target, state: &UploadState) -> Option<Box<Ask>> {
    if !state.is_open() {
        return None;
    }
    let session = state.session.clone()?;
    match state.protocol? {
        Protocol::Bits => {
            let (url, wire) = target.at(state.host.as_deref());
            let headers = vec![
                (header::PACKET_TYPE, PacketType::CancelSession.as_str().to_owned()),
                (header::SESSION_ID, session),
            ];
            let credentials = state.host.as_deref().is_none_or(|host| target.trusts(host));
            Some(ask(METHOD, url, wire, headers, Payload::Empty, credentials))
        }
        protocol @ (Protocol::Tus | Protocol::Ietf) => {
            let url = Url::parse(&session).ok()?;
            let target_text = wire(&url);
            let headers = if protocol == Protocol::Tus {
                vec![tus()]
            } else {
                vec![("Upload-Draft-Interop-Version", super::patch::INTEROP_VERSION.to_owned())]
            };
            let credentials = target.trusts_url(&url);
            Some(ask("DELETE", url, target_text, headers, Payload::Empty, credentials))
        }
        Protocol::Auto | Protocol::S3 | Protocol::Put => None,
    }
}

/// True if the server's answer ends it: done, unknown, or refused for good. Otherwise it is tried again later.
pub fn is_cancelled(heard: &Heard<'_>) -> bool {
    let code = Ack::read(PacketType::CancelSession, heard.status, heard.headers)
        .ok()
        .and_then(|ack| ack.error)
        .map(|error| error.code);
    heard.status < 500 || code == Some(BG_E_SESSION_NOT_FOUND)
}
