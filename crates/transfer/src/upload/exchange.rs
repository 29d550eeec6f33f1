//! One request of an upload and its answer.

use crate::auth::{Auth, Peer};
use crate::failure::Outcome;
use crate::http::{self, Link, Opening, Payload, Piece, Reply, Route, Sent};
use crate::protocol::{Pace, Pair, TransferOptions};
use crate::worker::{self, Means, Reporter};
use ::http::HeaderMap;
use openbits_core::Priority;
use openbits_core::hresult::{
    BG_E_HTTP_ERROR_407, ERROR_WINHTTP_CONNECTION_ERROR, ERROR_WINHTTP_INVALID_SERVER_RESPONSE,
    ERROR_WINHTTP_TIMEOUT,
};
use openbits_core::plan::Fail;
use openbits_core::secret::split_login;
use openbits_core::upload::client::{Ask, Heard, Payload as Body};
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};
use url::Url;

/// Longest body of an answer that is read where one is wanted.
const ANSWER_MAX: usize = 1 << 20;
/// Requests for one answer.
const MAX_TRIES: u32 = 24;
/// Body of an answer that is of no use, but short enough to be read for the sake of the connection.
const DRAIN: u64 = 16 << 10;

/// An answer, owned.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    took_ms: u64,
    /// The request went out twice, and was answered the second time.
    repeated: bool,
    pub(super) peer: String,
    /// Why the peer did not let us pass, if it did not.
    pub(super) why: Option<String>,
}

impl Answer {
    /// Lets a plan look at it.
    pub(super) fn heard<T>(&self, look: impl FnOnce(&Heard<'_>) -> T) -> T {
        let headers: Vec<(&str, &[u8])> = self.headers.iter().map(|(n, v)| (n.as_str(), &v[..])).collect();
        let Self { status, body, took_ms, repeated, .. } = self;
        look(&Heard { status: *status, headers: &headers, body, took_ms: *took_ms, repeated: *repeated })
    }
}

/// Who sends: everything that all requests of one upload share.
pub(super) struct Exchange {
    pub(super) options: TransferOptions,
    reporter: Reporter,
    priority: Priority,
    means: Means,
    original: Url,
    /// User and password of the URL.
    login: Option<Pair>,
    auth: Auth,
    pub(super) sent: Sent,
}

impl Exchange {
    /// Packets go over HTTP/1.1 (spec/upload-protocol.md 2).
    pub(super) fn new(
        options: &TransferOptions,
        reporter: Reporter,
        priority: Priority,
        means: Means,
        original: &Url,
    ) -> Self {
        let options = TransferOptions { http2: false, ..options.clone() };
        let auth = Auth::new(&options);
        let login = split_login(original.as_str()).1.map(|login| Pair::of_userinfo(login.reveal()));
        means.pool.begin(&options.tls);
        let (original, sent) = (original.clone(), Sent::default());
        Self { options, reporter, priority, means, original, login, auth, sent }
    }

    /// Sends it: on an idle connection if there is one, else on a new one, by the ways that the proxy settings give, and with the
    /// credentials that are asked for on the way.
    pub(super) async fn run(
        &mut self,
        ask: &Ask,
        source: Option<&Arc<File>>,
        beat: impl FnMut(u64, Option<Pace>),
    ) -> Outcome<Answer> {
        let reporter = self.reporter.clone();
        let result = self.answered(ask, source, &reporter, beat).await;
        for note in self.auth.take_notes() {
            reporter.note(split_login(self.original.as_str()).0.as_str(), note).await;
        }
        result
    }

    async fn answered(
        &mut self,
        ask: &Ask,
        source: Option<&Arc<File>>,
        reporter: &Reporter,
        mut beat: impl FnMut(u64, Option<Pace>),
    ) -> Outcome<Answer> {
        let connect = Duration::from_millis(self.options.connect_timeout_ms);
        let desktop = if self.options.desktop_proxy { self.means.pool.desktop().await } else { None };
        let (mut last, mut repeated): (Option<Box<Fail>>, bool) = (None, false);
        for via in http::routes(desktop.as_ref().unwrap_or(&self.options.proxy), &ask.url)? {
            let proxy = via.peer();
            let mut route = Route::new(&ask.url, via, &self.options, reporter.attempt);
            // Only to whom they are for: not to where a redirect leads.
            let server = ask.credentials.then(|| worker::server(&route, self.login.as_ref()));
            let asked_in_the_open = proxy.as_ref().filter(|_| !route.tls);
            for _ in 0..MAX_TRIES {
                let peers = || server.iter().chain(asked_in_the_open);
                worker::bind(&mut route, &self.auth, reporter.job, server.as_ref(), asked_in_the_open);
                let idle = self.means.pool.take(&route, self.priority);
                let (link, fresh) = match idle {
                    Some(link) => (link, false),
                    None => {
                        let opening = Opening { proxy: proxy.as_ref(), auth: &mut self.auth };
                        match self.means.pool.open(&route, connect, self.priority, opening).await {
                            Ok(link) => {
                                let Means { verdicts, .. } = &self.means;
                                worker::look_over(&link, &route, &self.options, verdicts, reporter, 0)
                                    .await?;
                                (link, true)
                            }
                            // A proxy that asks for credentials is there; another one is no answer to it.
                            Err(fail) if fail.code == BG_E_HTTP_ERROR_407 => return Err(fail),
                            Err(fail) => {
                                worker::tell_proxy(&mut self.auth, proxy.as_ref(), &fail);
                                last = Some(fail);
                                break;
                            }
                        }
                    }
                };
                link.shape(&self.means.limiter, &self.means.level);
                let (answer, head) = match self.once(ask, source, link, &route, peers(), &mut beat).await {
                    Ok(answered) => answered,
                    // Closed meanwhile: once more, on a fresh one.
                    Err((_, true)) if !fresh && (self.sent.bytes() == 0 || ask.body.is_empty()) => {
                        peers().for_each(|peer| self.auth.connection_lost(peer));
                        repeated = true;
                        continue;
                    }
                    Err((fail, _)) => return Err(fail),
                };
                let asks = match answer.status {
                    401 => server.as_ref(),
                    407 => asked_in_the_open,
                    _ => None,
                };
                match asks {
                    Some(peer) if self.auth.challenged(peer, &head).await => {}
                    Some(peer) => return Ok(Answer { why: Some(self.auth.why(peer)), repeated, ..answer }),
                    None => {
                        peers().for_each(|peer| self.auth.accepted(peer));
                        return Ok(Answer { repeated, ..answer });
                    }
                }
            }
        }
        Err(last.unwrap_or_else(|| {
            crate::failure::transport(
                ERROR_WINHTTP_CONNECTION_ERROR,
                "The connection broke again and again before the server knew who asks.",
            )
        }))
    }

    async fn once<'a>(
        &mut self,
        ask: &Ask,
        source: Option<&Arc<File>>,
        mut link: Link,
        route: &Route,
        peers: impl Iterator<Item = &'a Peer>,
        beat: &mut impl FnMut(u64, Option<Pace>),
    ) -> Result<(Answer, HeaderMap), (Box<Fail>, bool)> {
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
        let mut request = http::build_upload(ask, body, &self.options, route, &self.original)
            .map_err(|fail| (fail, false))?;
        for peer in peers {
            self.auth.dress(&mut request, peer);
        }
        let idle = Duration::from_millis(self.options.idle_timeout_ms);
        let patience = Duration::from_millis(ask.patience_ms);
        let begun = Instant::now();
        let mut reply = link.send(request, &self.sent, (idle, patience), &mut *beat).await?;
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let head = reply.head.headers.clone();
        let headers = head.iter();
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
            self.means.pool.give(route.clone(), link);
        }
        Ok((Answer { status, headers, body, took_ms, repeated: false, peer, why: None }, head))
    }
}

async fn read(link: &mut Link, reply: &mut Reply, limit: Duration) -> Outcome<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        match tokio::time::timeout(limit, link.piece(reply)).await {
            Ok(Piece::Data(data)) if body.len() + data.len() <= ANSWER_MAX => body.extend_from_slice(&data),
            Ok(Piece::End) => return Ok(body),
            Ok(Piece::Cut(fail)) => return Err(fail),
            Ok(Piece::Changed) => {
                return Err(crate::failure::transport(
                    ERROR_WINHTTP_INVALID_SERVER_RESPONSE,
                    "The answer changed while it came.",
                ));
            }
            Ok(Piece::Data(_)) => {
                return Err(crate::failure::transport(
                    ERROR_WINHTTP_INVALID_SERVER_RESPONSE,
                    "The answer is too long.",
                ));
            }
            Err(_) => {
                return Err(crate::failure::transport(
                    ERROR_WINHTTP_TIMEOUT,
                    "The server does not finish its answer.",
                ));
            }
        }
    }
}
