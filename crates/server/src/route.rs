//! Which door a request goes through.

use crate::app::{App, Denied, Peer};
use crate::path::{REPLIES, SafePath, UPLOADS};
use crate::respond::{self, Body, storage};
use crate::storage::Storage;
use crate::{bits, download, reply, tus};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use openbits_core::upload::METHOD;
use std::sync::Arc;

/// Answers any request.
pub(crate) async fn answer<S: Storage>(
    app: Arc<App<S>>,
    peer: Peer,
    request: Request<Incoming>,
) -> Response<Body> {
    let method = request.method().clone();
    let mut response = if is_packet(&app, &request) {
        bits::handle(&app, &peer, request).await
    } else if is_tus(&request) {
        tus::handle(&app, &peer, request).await
    } else if method == Method::GET || method == Method::HEAD {
        file(&app, &peer, &request).await
    } else {
        let mut response = respond::status(405);
        respond::set(&mut response, "Allow", "GET, HEAD, OPTIONS, POST, PATCH, DELETE, BITS_POST");
        response
    };
    *response.extensions_mut() = app.spellings.clone();
    response
}

fn is_packet<S: Storage>(app: &App<S>, request: &Request<Incoming>) -> bool {
    if request.method().as_str() == METHOD {
        return true;
    }
    request.method() == Method::POST
        && request.headers().get("x-http-method-override").is_some_and(|v| v.as_bytes() == METHOD.as_bytes())
        && app.current().settings.method_override
}

fn is_tus(request: &Request<Incoming>) -> bool {
    match *request.method() {
        Method::OPTIONS | Method::POST | Method::PATCH | Method::DELETE => true,
        Method::HEAD => SafePath::parse(request.uri().path()).is_ok_and(|path| path.below(UPLOADS).is_some()),
        _ => false,
    }
}

/// GET and HEAD of files and replies.
async fn file<S: Storage>(app: &App<S>, peer: &Peer, request: &Request<Incoming>) -> Response<Body> {
    let Ok(path) = SafePath::parse(request.uri().path()) else { return respond::text(400, "bad path") };
    let current = app.current();
    let rules = current.settings.rules(&path);
    let reply_token = path.below(REPLIES).map(|(_, token)| token.to_owned());
    // A caller who may upload may read the reply to it.
    let who = if reply_token.is_some() { &rules.upload } else { &rules.download };
    match current.caller(request.headers(), peer, who).await {
        Ok(_) => {}
        Err(Denied::Challenge) => return respond::challenge(&current.credentials.challenges()),
        Err(Denied::Forbidden) => return respond::text(403, "forbidden"),
    }
    if let Some(token) = reply_token {
        return reply::serve(app, &token, request.method(), request.headers()).await;
    }
    if path.is_reserved() || path.is_folder_form() {
        return download::not_found();
    }
    match app.storage.open(&path).await {
        Ok(Some(file)) => download::serve(request.method(), request.headers(), file),
        Ok(None) => download::not_found(),
        Err(error) => respond::status(storage(&error).status()),
    }
}
