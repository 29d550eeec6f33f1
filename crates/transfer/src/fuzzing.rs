//! Ways in for the fuzz targets: what is private in the product.

use crate::auth::{Auth, Peer};
use crate::http::{Via, routes};
use crate::protocol::{Credential, Pair, Proxy, TransferOptions};
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use openbits_core::upload::client::{Plan, Target, UploadState};
use openbits_core::{AuthScheme, AuthTarget, HResult, Secret};
use url::Url;

/// Host and port of each proxy to try; `None` is the direct way.
///
/// # Errors
/// The code with which the job would fail.
pub fn proxy_routes(proxy: &Proxy, url: &Url) -> Result<Vec<Option<(String, u16)>>, HResult> {
    let found = routes(proxy, url).map_err(|fail| fail.code)?;
    let plain = |via| match via {
        Via::Direct => None,
        Via::Proxy { host, port, .. } => Some((host, port)),
    };
    Ok(found.into_iter().map(plain).collect())
}

/// What the KDE settings file says.
pub fn kde_proxy(text: &str) -> Option<Proxy> {
    crate::http::kde(text)
}

/// What GNOME's program prints.
pub fn gnome_proxy(text: &str) -> Option<Proxy> {
    crate::http::gnome(text)
}

/// Name and password for a host in a `.netrc`.
pub fn netrc(text: &str, host: &str) -> Option<(String, String)> {
    let (user, password) = crate::auth::find_in_netrc(text, host)?;
    Some((user.reveal().to_owned(), password.reveal().to_owned()))
}

/// An S3 upload, for an account of nobody's.
///
/// # Errors
/// The code with which the job would fail.
pub fn s3_upload(target: Target, state: UploadState) -> Result<Box<dyn Plan>, HResult> {
    crate::upload::plan_for_fuzzing(target, state).map_err(|fail| fail.code)
}

/// What a job that has Basic and Digest credentials sends to a server, one request after each answer of 401: each of `answers` is the
/// `WWW-Authenticate` lines of one. It ends where the job gives up. The last text is why, for people.
pub async fn authorization(answers: &[Vec<Vec<u8>>], private: bool) -> (Vec<Option<Vec<u8>>>, String) {
    let pair = Pair { user: Secret::new("user"), password: Secret::new("pass-word") };
    let credential = |scheme| Credential { target: AuthTarget::Server, scheme, pair: Some(pair.clone()) };
    let credentials = vec![credential(AuthScheme::Basic), credential(AuthScheme::Digest)];
    let mut auth = Auth::new(&TransferOptions { credentials, ..TransferOptions::default() });
    let peer = Peer { target: AuthTarget::Server, host: "h".to_owned(), port: 80, private, login: None };
    let mut sent = Vec::new();
    for lines in answers {
        let mut headers = HeaderMap::new();
        for line in lines {
            if let Ok(line) = HeaderValue::from_bytes(line) {
                headers.append(WWW_AUTHENTICATE, line);
            }
        }
        if !auth.challenged(&peer, &headers).await {
            break;
        }
        let mut request = http::Request::new(());
        auth.dress(&mut request, &peer);
        sent.push(request.headers().get(AUTHORIZATION).map(|value| value.as_bytes().to_vec()));
    }
    (sent, auth.why(&peer))
}
