//! The same plans over HTTP/2. Streams are answered concurrently.

use std::sync::Arc;
use std::time::Instant;

use ::h2::server::SendResponse;
use ::h2::{Reason, SendStream};
use bytes::Bytes;
use http::{Request as HttpRequest, Response};
use tokio::sync::mpsc;

use super::conn::Conn;
use super::log::{Door, Outcome};
use super::plan::{End, Head, Plan, Step};
use super::request::Request;
use super::send::{Answering, PIECE_BYTES};
use super::serve;
use super::state::Shared;

/// Serves one HTTP/2 connection to its end.
pub(crate) async fn serve(shared: &Arc<Shared>, conn: Conn, door: Door, number: u64) {
    let mut builder = ::h2::server::Builder::new();
    builder.max_concurrent_streams(128).max_header_list_size(64 * 1024);
    // A client that fails in the handshake has no request to be answered.
    let Ok(mut connection) = builder.handshake::<_, Bytes>(conn).await else { return };
    let (goaway, mut goaways) = mpsc::channel::<()>(1);
    let mut going = false;
    loop {
        tokio::select! {
            next = connection.accept() => match next {
                Some(Ok((request, respond))) => {
                    let shared = Arc::clone(shared);
                    let goaway = goaway.clone();
                    tokio::spawn(async move { stream(&shared, request, respond, door, number, goaway).await });
                }
                Some(Err(_)) | None => return,
            },
            Some(()) = goaways.recv(), if !going => {
                connection.abrupt_shutdown(Reason::INTERNAL_ERROR);
                going = true;
            }
        }
    }
}

async fn stream(
    shared: &Shared,
    request: HttpRequest<::h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    door: Door,
    number: u64,
    goaway: mpsc::Sender<()>,
) {
    let request = convert(&request);
    let entry = serve::find_or_make(shared, &request);
    let (plan, behaviour) = serve::plan(shared, &request, entry.as_deref(), door, number);
    let exchange = shared.log.push(serve::record(&request, 0, door, number, behaviour, &plan));
    let who = Answering { shared, entry: entry.as_deref(), exchange };
    let outcome = answer(&who, &plan, &mut respond, &goaway).await.unwrap_or(Outcome::ClientGone);
    shared.log.update(exchange, |exchange| {
        exchange.ended = Some(Instant::now());
        exchange.outcome = outcome;
    });
}

fn convert(request: &HttpRequest<::h2::RecvStream>) -> Request {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut headers: Vec<(String, String)> =
        request.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    if let Some(authority) = request.uri().authority()
        && !request.headers().contains_key("host")
    {
        headers.push(("host".to_owned(), authority.to_string()));
    }
    Request {
        method: request.method().to_string(),
        target: request.uri().path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        version: 20,
        headers,
    }
}

/// `None` when the client went away.
async fn answer(
    who: &Answering<'_>,
    plan: &Plan,
    respond: &mut SendResponse<Bytes>,
    goaway: &mpsc::Sender<()>,
) -> Option<Outcome> {
    let Some(response) = response(plan) else {
        respond.send_reset(Reason::HTTP_1_1_REQUIRED);
        return Some(Outcome::Cut);
    };
    let empty = plan.steps.is_empty() && matches!(plan.end, End::KeepAlive | End::Close);
    let mut stream = respond.send_response(response, empty).ok()?;
    if empty {
        return Some(Outcome::Done);
    }
    for step in &plan.steps {
        match step {
            Step::Bytes(bytes) => data(&mut stream, bytes).await?,
            Step::Body { content, start, end } | Step::Trickle { content, start, end, .. } => {
                let mut at = *start;
                while at < *end {
                    let most = if let Step::Trickle { every, .. } = step {
                        tokio::time::sleep(*every).await;
                        1
                    } else {
                        PIECE_BYTES
                    };
                    let free = who.clearance(at, most.min(end - at)).await;
                    data(&mut stream, &content.byte_range(at, free)).await?;
                    who.sent(free);
                    at += free;
                }
            }
            Step::Pause(time) => tokio::time::sleep(*time).await,
            Step::Stall | Step::Endless { .. } => {
                std::future::poll_fn(|cx| stream.poll_reset(cx)).await.ok();
                return None;
            }
            Step::Replace(file) => who.replace((**file).clone()),
        }
    }
    match plan.end {
        End::KeepAlive | End::Close => {
            stream.send_data(Bytes::new(), true).ok()?;
            return Some(Outcome::Done);
        }
        End::CutClose | End::CutReset => stream.send_reset(Reason::INTERNAL_ERROR),
        End::CutGoaway => {
            // Let the frames before it go out. A full channel means that it is on its way already.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            let _ = goaway.try_send(());
            // Dropping the stream now would reset it before the connection ends.
            std::future::poll_fn(|cx| stream.poll_reset(cx)).await.ok();
        }
    }
    Some(Outcome::Cut)
}

/// The header as HTTP/2 has it; `None` when it cannot.
fn response(plan: &Plan) -> Option<Response<()>> {
    let Head::Fields(fields) = &plan.head else { return None };
    let mut builder = Response::builder().status(fields.status);
    for (name, value) in &fields.headers {
        // Forbidden in HTTP/2 (RFC 9113 8.2.2): the framing there has no need of them.
        if !["connection", "transfer-encoding"].contains(&name.to_ascii_lowercase().as_str()) {
            builder = builder.header(name.as_str(), value.as_str());
        }
    }
    builder.body(()).ok()
}

/// Sends bytes as the window allows; `None` when the client reset the stream.
async fn data(stream: &mut SendStream<Bytes>, bytes: &[u8]) -> Option<()> {
    let mut rest = Bytes::copy_from_slice(bytes);
    while !rest.is_empty() {
        stream.reserve_capacity(rest.len());
        let free = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await?.ok()?;
        stream.send_data(rest.split_to(free.min(rest.len())), false).ok()?;
    }
    Some(())
}
