//! One request of an upload and its answer.

use crate::failure::Outcome;
use crate::http::{self, Link, Payload, Piece, Reply, Route, Sent};
use crate::protocol::TransferOptions;
use crate::worker::Network;
use openbits_core::Priority;
use openbits_core::plan::Fail;
use openbits_core::upload::client::{Ask, Heard, Payload as Body};
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};
use url::Url;

/// Longest body of an answer that is read where one is wanted.
const ANSWER_MAX: usize = 1 << 20;
/// Body of an answer that is of no use, but short enough to be read for the sake of the connection.
const DRAIN: u64 = 16 << 10;

/// An answer, owned.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    took_ms: u64,
    pub(super) peer: String,
}

impl Answer {
    /// Lets a plan look at it.
    pub(super) fn heard<T>(&self, look: impl FnOnce(&Heard<'_>) -> T) -> T {
        let headers: Vec<(&str, &[u8])> = self.headers.iter().map(|(n, v)| (n.as_str(), &v[..])).collect();
        look(&Heard { status: self.status, headers: &headers, body: &self.body, took_ms: self.took_ms })
    }
}

/// Who sends: everything that all requests of one upload share.
pub(super) struct Exchange {
    pub(super) options: TransferOptions,
    network: Network,
    pub(super) original: Url,
    pub(super) sent: Sent,
    priority: Priority,
}

impl Exchange {
    /// Packets go over HTTP/1.1 (spec/upload-protocol.md 2).
    pub(super) fn new(
        options: &TransferOptions,
        priority: Priority,
        network: Network,
        original: Url,
    ) -> Self {
        let options = TransferOptions { http2: false, ..options.clone() };
        Self { options, network, original, sent: Sent::default(), priority }
    }

    /// Sends it: on an idle connection if there is one, else on a new one, by the ways that the proxy settings give.
    pub(super) async fn run(
        &self,
        ask: &Ask,
        source: Option<&Arc<File>>,
        mut beat: impl FnMut(u64),
    ) -> Outcome<Answer> {
        let connect = Duration::from_millis(self.options.connect_timeout_ms);
        let mut last: Option<Box<Fail>> = None;
        for via in http::routes(&self.options.proxy, &ask.url)? {
            let route = Route::new(&ask.url, via, &self.options);
            if let Some(link) = self.network.pool.take(&route, self.priority) {
                link.shape(&self.network.limiter, &self.network.level);
                match self.once(ask, source, link, &route, &mut beat).await {
                    Ok(answer) => return Ok(answer),
                    Err((_, true)) if self.sent.bytes() == 0 || ask.body.is_empty() => {} // closed meanwhile
                    Err((fail, _)) => return Err(fail),
                }
            }
            match self.network.pool.open(&route, connect, self.priority).await {
                Ok(link) => {
                    link.shape(&self.network.limiter, &self.network.level);
                    return self.once(ask, source, link, &route, &mut beat).await.map_err(|(fail, _)| fail);
                }
                Err(fail) => last = Some(fail),
            }
        }
        Err(last.expect("there is at least one way"))
    }

    async fn once(
        &self,
        ask: &Ask,
        source: Option<&Arc<File>>,
        mut link: Link,
        route: &Route,
        beat: &mut impl FnMut(u64),
    ) -> Result<Answer, (Box<Fail>, bool)> {
        let body = match (&ask.body, source) {
            (Body::File { offset, length }, Some(file)) => {
                Payload::file(Arc::clone(file), *offset, *length, &self.sent)
            }
            (Body::Text(text), _) => Payload::text(text.clone()),
            _ => Payload::Empty,
        };
        let plain = !matches!(body, Payload::File(_));
        if plain {
            self.sent.clear();
        }
        let request = http::build_upload(ask, body, &self.options, route, &self.original)
            .map_err(|fail| (fail, false))?;
        let idle = Duration::from_millis(self.options.idle_timeout_ms);
        let patience = Duration::from_millis(ask.patience_ms);
        let begun = Instant::now();
        let mut reply = link.send(request, &self.sent, (idle, patience), &mut *beat).await?;
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let headers = reply.head.headers.iter();
        let headers = headers.map(|(n, v)| (n.as_str().to_owned(), v.as_bytes().to_vec())).collect();
        let status = reply.head.status.as_u16();
        let peer = link.peer().to_owned();
        // A connection on which a body was cut short by an early answer is of no further use.
        let whole = self.sent.is_whole();
        let body = if ask.wants_body {
            read(&mut link, &mut reply, idle).await.map_err(|fail| (fail, false))?
        } else {
            Vec::new()
        };
        if whole && (ask.wants_body || link.drain(reply, DRAIN).await) {
            self.network.pool.give(route.clone(), link);
        }
        Ok(Answer { status, headers, body, took_ms, peer })
    }
}

async fn read(link: &mut Link, reply: &mut Reply, limit: Duration) -> Outcome<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        match tokio::time::timeout(limit, link.piece(reply)).await {
            Ok(Piece::Data(data)) if body.len() + data.len() <= ANSWER_MAX => body.extend_from_slice(&data),
            Ok(Piece::End) => return Ok(body),
            Ok(Piece::Cut(fail)) => return Err(fail),
            Ok(Piece::Data(_)) => {
                return Err(crate::failure::transport(
                    openbits_core::hresult::ERROR_WINHTTP_INVALID_SERVER_RESPONSE,
                    "The answer is too long.",
                ));
            }
            Err(_) => {
                return Err(crate::failure::transport(
                    openbits_core::hresult::ERROR_WINHTTP_TIMEOUT,
                    "The server does not finish its answer.",
                ));
            }
        }
    }
}
