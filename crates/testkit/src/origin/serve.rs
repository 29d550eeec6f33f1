//! Accepting connections and answering their requests, one after the other.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime};

use tokio::net::{TcpListener, TcpStream};

use super::bad::{self, Facts};
use super::conn::{self, Conn};
use super::file::OriginFile;
use super::log::{Door, Exchange, Outcome};
use super::plan::{End, Fields, Head, Plan};
use super::request::{ReadError, Reader, Request};
use super::send::{self, Answering};
use super::state::{Counted, Entry, OnAccept, Shared};
use crate::behaviour::Behaviour;
use crate::content::Content;

/// Accepts for ever at one door.
pub(crate) async fn accept(shared: Arc<Shared>, listener: TcpListener, door: Door, greeting: Greeting) {
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
        let greeting = greeting.clone();
        tokio::spawn(async move {
            let open = Counted::new(&shared.connections);
            shared.peak_connections.fetch_max(shared.connections.load(Ordering::SeqCst), Ordering::SeqCst);
            match on_accept {
                OnAccept::Close => Conn::plain(stream).close().await,
                OnAccept::Stall => Conn::plain(stream).gone().await,
                OnAccept::Serve | OnAccept::Reset => serve(&shared, stream, door, number, &greeting).await,
            }
            drop(open);
        });
    }
}

/// How connections of a door begin.
#[derive(Clone)]
pub(crate) enum Greeting {
    Plain,
    #[cfg(feature = "tls")]
    Tls(tokio_rustls::TlsAcceptor),
}

async fn serve(shared: &Arc<Shared>, stream: TcpStream, door: Door, number: u64, greeting: &Greeting) {
    let conn = match greeting {
        Greeting::Plain => Conn::plain(stream),
        #[cfg(feature = "tls")]
        Greeting::Tls(acceptor) => {
            // A client that refuses the certificate, or is silent, has nothing to be answered.
            match tokio::time::timeout(shared.idle, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => Conn::tls(stream),
                Ok(Err(_)) | Err(_) => return,
            }
        }
    };
    #[cfg(feature = "h2")]
    if conn.speaks_h2() {
        return super::h2::serve(shared, conn, door, number).await;
    }
    requests(shared, conn, door, number).await;
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
        let entry = find_or_make(shared, &request);
        let keep = request.keeps_alive();
        let (mut plan, behaviour) = plan(shared, &request, entry.as_deref(), door, number);
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

/// The file asked for; paths `b/<behaviour>/<size>` come into being when first asked for.
pub(crate) fn find_or_make(shared: &Shared, request: &Request) -> Option<Arc<Entry>> {
    let name = request.name();
    if let Some(entry) = shared.entry(name) {
        return Some(entry);
    }
    let mut parts = name.strip_prefix("b/")?.splitn(3, '/');
    let behaviour: Behaviour = parts.next()?.parse().ok()?;
    let size: u64 = parts.next()?.parse().ok()?;
    let number = |key| request.query(key).and_then(|text| text.parse::<u64>().ok());
    let mut file = OriginFile::new(Content::new(number("seed").unwrap_or(1), size));
    file.at = number("at");
    file.times = number("times").and_then(|times| u32::try_from(times).ok());
    shared.put(name, file.behaviour(behaviour)).then(|| shared.entry(name))?
}

/// The answer, and the behaviour that made it.
pub(crate) fn plan(
    shared: &Shared,
    request: &Request,
    entry: Option<&Entry>,
    door: Door,
    connection: u64,
) -> (Plan, Option<Behaviour>) {
    let Some(entry) = entry else {
        return (Plan::text(Fields::new(404), "text/plain", "no such file\n", request.is_head()), None);
    };
    let earlier = entry.requests.fetch_add(1, Ordering::SeqCst);
    let earlier_gets = entry.gets.fetch_add(u32::from(!request.is_head()), Ordering::SeqCst);
    let file = entry.file().clone();
    let facts = Facts { shared, request, file: &file, door, connection, earlier_gets, earlier };
    (bad::answer(&facts), Some(file.behaviour))
}

pub(crate) fn record(
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
