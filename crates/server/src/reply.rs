//! Replies of back-ends, below `.bits-replies` (spec/upload-protocol.md 14).

use crate::app::App;
use crate::download;
use crate::respond::{self, Body, storage};
use crate::storage::Storage;
use http::{HeaderMap, Method, Response};

/// Serves a reply. Its secret name is the permission, on top of that for the path.
pub(crate) async fn serve<S: Storage>(
    app: &App<S>,
    token: &str,
    method: &Method,
    headers: &HeaderMap,
) -> Response<Body> {
    match app.storage.open_reply(token).await {
        Ok(Some(file)) => download::serve(method, headers, file),
        Ok(None) => download::not_found(),
        Err(error) => respond::status(storage(&error).status()),
    }
}
