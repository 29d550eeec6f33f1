//! The socket door, spoken by hand: a request of HTTP/1.0 for each connection, so that nothing of the product stands between.

use serde::de::DeserializeOwned;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the service listens, and as whom to talk to it.
#[derive(Clone, Debug)]
pub struct Door {
    /// The socket.
    pub socket: PathBuf,
    /// Another user than that of this process (needs root).
    pub uid: Option<u32>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Status line and header fields.
    pub head: String,
    /// Body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as this type.
    #[must_use]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e} in the answer {self}"))
    }

    /// The code of a refusal, or of a success; empty when there is none.
    #[must_use]
    pub fn hresult(&self) -> String {
        let value: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        value["hresult"].as_str().unwrap_or_default().to_owned()
    }

    /// True for 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

impl Door {
    /// The same door, used by another user.
    #[must_use]
    pub fn of(&self, uid: u32) -> Self {
        Self { uid: Some(uid), ..self.clone() }
    }

    /// Connects. The kernel notes the credentials of the connecting thread, so another user needs no other process.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(&self) -> io::Result<UnixStream> {
        let stream = match self.uid {
            None => UnixStream::connect(&self.socket)?,
            Some(uid) => {
                let socket = self.socket.clone();
                let thread = std::thread::spawn(move || {
                    // Like useradd's default: a group of the same number.
                    let gid = rustix::process::Gid::from_raw(uid);
                    rustix::thread::set_thread_groups(&[])?;
                    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
                    let uid = rustix::process::Uid::from_raw(uid);
                    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
                    UnixStream::connect(socket)
                });
                thread.join().expect("connecting does not panic")?
            }
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// Asks and reads the answer to its end.
    ///
    /// # Errors
    /// When nobody answers, or the connection breaks.
    pub fn ask(&self, method: &str, path: &str, body: Option<&serde_json::Value>) -> io::Result<Reply> {
        let body = body.map(ToString::to_string).unwrap_or_default();
        let mut stream = self.connect()?;
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        write!(stream, "{method} {path} HTTP/1.0\r\n{kind}Content-Length: {}\r\n\r\n{body}", body.len())?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all)?;
        parse(&all).ok_or_else(|| {
            io::Error::new(io::ErrorKind::UnexpectedEof, format!("no answer to {method} {path}"))
        })
    }

    /// GET, which must succeed.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let reply = self.ask("GET", path, None).unwrap_or_else(|e| panic!("GET {path}: {e}"));
        assert!(reply.is_success(), "GET {path}: {reply}");
        reply.json()
    }

    /// True if the service answers within this time.
    #[must_use]
    pub fn answers(&self, within: Duration) -> bool {
        openbits_testkit::wait_until(within, || {
            self.ask("GET", "/v1/service", None).is_ok_and(|reply| reply.is_success())
        })
    }

    /// The service about itself.
    #[must_use]
    pub fn service(&self) -> openbits_api::ServiceInfo {
        self.get("/v1/service")
    }

    /// Opens the event stream; `query` as in `?after=7`.
    #[must_use]
    pub fn events(&self, query: &str) -> Events {
        self.stream(&format!("/v1/events{query}"))
    }

    /// Opens a connection for callbacks.
    #[must_use]
    pub fn callbacks(&self) -> Callbacks {
        let mut events = self.stream("/v1/callbacks");
        let first = events.data(PATIENCE).expect("the listener's number comes first");
        let first: openbits_api::ListenerView = serde_json::from_str(&first).expect("a ListenerView");
        Callbacks { events, door: self.clone(), listener: first.listener }
    }

    fn stream(&self, path: &str) -> Events {
        let mut stream = self.connect().expect("the service listens");
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").expect("a request fits the socket's buffer");
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while reader.read_line(&mut line).expect("the head of the stream") > 2 {
            line.clear();
        }
        Events { reader, line: String::new() }
    }
}

/// Splits an answer; `None` when it is none.
fn parse(all: &[u8]) -> Option<Reply> {
    let end = all.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&all[..end]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Reply { status, head, body: all[end + 4..].to_vec() })
}

/// The event stream.
#[derive(Debug)]
pub struct Events {
    reader: BufReader<UnixStream>,
    line: String,
}

impl Events {
    /// The next event; `None` when none came in time or the stream ended.
    pub fn next(&mut self, within: Duration) -> Option<openbits_api::EventView> {
        let data = self.data(within)?;
        Some(serde_json::from_str(&data).expect("an event is an EventView"))
    }

    fn data(&mut self, within: Duration) -> Option<String> {
        let end = Instant::now() + within;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.reader.get_ref().set_read_timeout(Some(left)).ok()?;
            // A line that is cut by the timeout goes on in the next call.
            match self.reader.read_line(&mut self.line) {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
            if let Some(data) = std::mem::take(&mut self.line).strip_prefix("data:") {
                return Some(data.trim().to_owned());
            }
        }
    }

    /// The events up to the first that is looked for.
    ///
    /// # Panics
    /// When it does not come in time.
    pub fn until(
        &mut self,
        within: Duration,
        is_it: impl Fn(&openbits_api::EventView) -> bool,
    ) -> Vec<openbits_api::EventView> {
        let (end, mut heard) = (Instant::now() + within, Vec::new());
        loop {
            let Some(event) = self.next(end.saturating_duration_since(Instant::now())) else {
                panic!("what is waited for does not come: {heard:#?}");
            };
            heard.push(event);
            if heard.last().is_some_and(&is_it) {
                return heard;
            }
        }
    }

    /// All events that come until none came for so long.
    pub fn drain(&mut self, quiet: Duration) -> Vec<openbits_api::EventView> {
        std::iter::from_fn(|| self.next(quiet)).collect()
    }
}

/// A connection for callbacks.
#[derive(Debug)]
pub struct Callbacks {
    events: Events,
    door: Door,
    listener: u64,
}

impl Callbacks {
    /// SetNotifyInterface.
    pub fn register(&self, job: &str) -> Reply {
        let body = serde_json::json!({ "listener": self.listener });
        self.door.ask("PUT", &format!("/v1/jobs/{job}/notify-interface"), Some(&body)).expect("an answer")
    }

    /// The next call; `None` when none came in time.
    pub fn next(&mut self, within: Duration) -> Option<openbits_api::CallbackView> {
        let data = self.events.data(within)?;
        Some(serde_json::from_str(&data).expect("a call is a CallbackView"))
    }

    /// What the callback returned.
    pub fn answer(&self, call: &openbits_api::CallbackView, hresult: &str) -> Reply {
        let number = call.call.expect("somebody waits for the answer");
        let body = serde_json::json!({ "hresult": hresult });
        self.door.ask("POST", &format!("/v1/callbacks/{number}"), Some(&body)).expect("an answer")
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // The service sees the end at once.
        let _ = self.reader.get_ref().shutdown(Shutdown::Both);
    }
}
