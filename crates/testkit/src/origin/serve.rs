//! Accepting connections and answering their requests, one after the other.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime};

use tokio::net::{TcpListener, TcpStream};

use super::conn::{self, Conn};
use super::good;
use super::log::{Door, Exchange, Outcome};
use super::plan::{End, Fields, Head, Plan};
use super::request::{ReadError, Reader, Request};
use super::send::{self, Answering};
use super::state::{Counted, Entry, OnAccept, Shared};
use crate::behaviour::Behaviour;

/// Accepts for ever at one door.
pub(crate) async fn accept(shared: Arc<Shared>, listener: TcpListener, door: Door) {
    loop {
        // Errors of accept concern one connection (or a lack of descriptors, which may pass).
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        let number = shared.accepted.fetch_add(1, Ordering::SeqCst);
        let on_accept = *shared.on_accept.lock().expect("no code panics while it holds this");
        let full = shared.connections.load(Ordering::SeqCst) >= shared.max_connections.load(Ordering::SeqCst);
        if full || on_accept == OnAccept::Reset {
            if full {
                shared.refused.fetch_add(1, Ordering::SeqCst);
            }
            conn::reset(&stream);
            continue;
        }
        // Without it, small writes of hostile answers would be merged and delayed. Fails only on a dead connection.
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let open = Counted::new(&shared.connections);
            shared.peak_connections.fetch_max(shared.connections.load(Ordering::SeqCst), Ordering::SeqCst);
            match on_accept {
                OnAccept::Close => Conn::plain(stream).close().await,
                OnAccept::Stall => Conn::plain(stream).gone().await,
                OnAccept::Serve | OnAccept::Reset => serve(&shared, stream, door, number).await,
            }
            drop(open);
        });
    }
}

async fn serve(shared: &Shared, stream: TcpStream, door: Door, number: u64) {
    requests(shared, Conn::plain(stream), door, number).await;
}

/// Answers HTTP/1 requests until one of both sides has enough.
async fn requests(shared: &Shared, mut conn: Conn, door: Door, number: u64) {
    let mut reader = Reader::default();
    loop {
        let read = match reader.head(&mut conn, shared.idle).await {
            Ok(request) => reader.skip_body(&mut conn, &request).await.map(|skipped| (request, skipped)),
            Err(error) => Err(error),
        };
        let (request, skipped) = match read {
            Ok(read) => read,
            Err(ReadError::Closed) => return conn.close().await,
            Err(ReadError::Broken) => return,
            Err(error @ (ReadError::TooLarge | ReadError::Malformed)) => {
                let status = if matches!(error, ReadError::TooLarge) { 431 } else { 400 };
                let fields = Fields::new(status).with("Connection", "close").with("Content-Length", "0");
                // The connection is given up either way.
                let _ = tokio::io::AsyncWriteExt::write_all(&mut conn, &fields.to_bytes()).await;
                return conn.close().await;
            }
        };
        let entry = shared.entry(request.name());
        let keep = request.keeps_alive();
        let (mut plan, behaviour) = plan(&request, entry.as_deref());
        if !keep && plan.end == End::KeepAlive {
            plan.end = End::Close;
            plan.edit(|fields| fields.set("Connection", "close"));
        }
        let exchange = shared.log.push(record(&request, skipped, door, number, behaviour, &plan));
        let who = Answering { shared, entry: entry.as_deref(), exchange };
        let outcome = send::send(&mut conn, &who, &plan).await;
        shared.log.update(exchange, |exchange| {
            exchange.ended = Some(Instant::now());
            exchange.outcome = outcome;
        });
        match plan.end {
            _ if outcome == Outcome::ClientGone => return,
            End::KeepAlive => {}
            End::Close => return conn.close().await,
            End::CutClose | End::CutGoaway => return conn.cut().await,
            End::CutReset => return conn.reset().await,
        }
    }
}

/// The answer, and the behaviour that made it.
fn plan(request: &Request, entry: Option<&Entry>) -> (Plan, Option<Behaviour>) {
    let Some(entry) = entry else {
        return (Plan::text(Fields::new(404), "text/plain", "no such file\n", request.is_head()), None);
    };
    if !request.is_head() {
        entry.gets.fetch_add(1, Ordering::SeqCst);
    }
    let file = entry.file().clone();
    (good::answer(request, &file), Some(file.behaviour))
}

fn record(
    request: &Request,
    skipped: u64,
    door: Door,
    connection: u64,
    behaviour: Option<Behaviour>,
    plan: &Plan,
) -> Exchange {
    let answer_headers = match &plan.head {
        Head::Fields(fields) => fields.headers.clone(),
        Head::Raw(_) => Vec::new(),
    };
    Exchange {
        id: 0,
        connection,
        door,
        version: request.version,
        method: request.method.clone(),
        target: request.target.clone(),
        name: request.name().to_owned(),
        headers: request.headers.clone(),
        request_body_bytes: skipped,
        behaviour,
        status: plan.status(),
        answer_headers,
        body_bytes: 0,
        at: Instant::now(),
        at_wall: SystemTime::now(),
        ended: None,
        outcome: Outcome::Open,
    }
}
