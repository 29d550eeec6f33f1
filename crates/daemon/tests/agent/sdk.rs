//! The open SDK's side of the wire, byte by byte (spec/delivery-optimization-linux-agent.md 2, 3, 6 and 11): what it sends, how it reads
//! answers, and where it would end its process (a panic here).

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(crate) const NO_SERVICE: i32 = code(0x80D0_1001);
pub(crate) const NOT_FOUND: i32 = code(0x8007_0490);
pub(crate) const INVALID_STATE: i32 = code(0x80D0_2013);
pub(crate) const INVALID_ARG: i32 = code(0x8007_0057);
pub(crate) const ECANCELED: i32 = 125;
pub(crate) const ETIMEDOUT: i32 = 110;

pub(crate) const fn code(bits: u32) -> i32 {
    bits.cast_signed()
}

/// An answer as the SDK reads it.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// One process's connection to the agent.
#[derive(Clone)]
pub(crate) struct Sdk {
    run: PathBuf,
    stream: Arc<Mutex<Option<TcpStream>>>,
}

/// The newest port file's first line.
pub(crate) fn port_in(folder: &Path) -> Option<u16> {
    let files = std::fs::read_dir(folder).ok()?.flatten();
    let named = files.filter(|file| file.file_name().to_string_lossy().contains("restport"));
    let newest = named.max_by_key(|file| file.metadata().unwrap().modified().unwrap())?;
    let text = std::fs::read_to_string(newest.path()).unwrap();
    let number: u32 = text.lines().next().unwrap().parse().unwrap();
    Some(u16::try_from(number).expect("a larger number ends the process"))
}

impl Sdk {
    pub(crate) fn new(run: &Path) -> Self {
        Self { run: run.to_owned(), stream: Arc::default() }
    }

    /// Discovery: 3 rounds of 4 tries, 250 ms before each.
    fn connect(&self) -> Result<TcpStream, i32> {
        for _ in 0..12 {
            std::thread::sleep(Duration::from_millis(250));
            let stream = port_in(&self.run).map(|port| TcpStream::connect((Ipv4Addr::LOCALHOST, port)));
            if let Some(Ok(stream)) = stream {
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                return Ok(stream);
            }
        }
        Err(NO_SERVICE)
    }

    /// One request after the other; after an error of the socket once more, on a new connection.
    pub(crate) fn send(&self, text: &str) -> Result<Answer, i32> {
        let mut slot = self.stream.lock().unwrap();
        for _ in 0..2 {
            if slot.is_none() {
                *slot = Some(self.connect()?);
            }
            let stream = slot.as_mut().unwrap();
            match stream.write_all(text.as_bytes()).and_then(|()| read(stream)) {
                Ok(answer) => return Ok(answer),
                Err(_) => *slot = None,
            }
        }
        Err(NO_SERVICE)
    }

    pub(crate) fn request(&self, verb: &str, method: &str, query: &str) -> Result<Answer, i32> {
        let mark = if query.is_empty() { "" } else { "?" };
        self.send(&format!(
            "{verb} download/{method}{mark}{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: DO-SDK-CPP\r\n\r\n"
        ))
    }

    /// A success, or the code that the SDK would give.
    pub(crate) fn ask(&self, verb: &str, method: &str, query: &str) -> Result<serde_json::Value, i32> {
        let answer = self.request(verb, method, query)?;
        let body: Option<serde_json::Value> = serde_json::from_str(&answer.body).ok();
        if answer.status == 200 {
            return Ok(body.expect("a body without JSON ends the process"));
        }
        let code = body.and_then(|body| body["ErrorCode"].as_i64()).and_then(|code| i32::try_from(code).ok());
        Err(code.unwrap_or(-1))
    }

    pub(crate) fn make(&self, uri: &str, path: &Path) -> Result<Download, i32> {
        let query = format!("Uri={}&DownloadFilePath={}", encode(uri), encode(path.to_str().unwrap()));
        let mut tries = 0;
        loop {
            tries += 1;
            match self.ask("POST", "create", &query) {
                Ok(body) => {
                    let id = body["Id"].as_str().expect("a missing field ends the process").to_owned();
                    return Ok(Download { sdk: self.clone(), id });
                }
                Err(NO_SERVICE) if tries < 3 => std::thread::sleep(Duration::from_secs(1)),
                Err(code) => return Err(code),
            }
        }
    }

    /// download_url_to_path
    pub(crate) fn download(
        &self,
        uri: &str,
        path: &Path,
        cancel: &AtomicBool,
        timeout: Duration,
    ) -> Result<(), i32> {
        self.make(uri, path)?.start_and_wait(cancel, timeout)
    }

    pub(crate) fn download_plainly(&self, uri: &str, path: &Path) -> Result<(), i32> {
        self.download(uri, path, &AtomicBool::new(false), Duration::from_secs(120))
    }
}

/// What the SDK leaves as it is in values; everything else becomes `%XX`.
pub(crate) fn encode(value: &str) -> String {
    value
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
            _ if b"-._~/:?@!$'()*,".contains(&byte) => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn read(stream: &mut TcpStream) -> std::io::Result<Answer> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 2048];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let length: usize = head
                .split("\r\n")
                .filter(|line| line.contains("Content-Length"))
                .map(|line| line.strip_prefix("Content-Length: ").expect("spelled so").parse().unwrap())
                .last()
                .unwrap_or(0);
            while bytes.len() < end + 4 + length {
                let n = stream.read(&mut buffer)?;
                if n == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                bytes.extend_from_slice(&buffer[..n]);
            }
            assert!(bytes.len() <= 2048, "a longer answer ends the process");
            assert_eq!(bytes.len(), end + 4 + length, "nothing comes after the body");
            return Ok(understood(&head, std::str::from_utf8(&bytes[end + 4..]).unwrap()));
        }
        let n = stream.read(&mut buffer)?;
        if n == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&buffer[..n]);
    }
}

fn understood(head: &str, body: &str) -> Answer {
    let line = head.split("\r\n").next().unwrap();
    assert!(!head.replace("\r\n", "").contains(['\r', '\n']), "a lone CR or LF ends the process");
    let mut words = line.splitn(3, ' ');
    assert_eq!(words.next(), Some("HTTP/1.1"), "{line}");
    let status = words.next().unwrap().parse().unwrap();
    let reason = words.next().expect("a reason");
    assert!(!reason.is_empty() && reason.bytes().all(|b| b.is_ascii_alphanumeric() || b == b' '), "{line}");
    Answer { status, body: body.to_owned() }
}

/// A download object.
#[derive(Clone)]
pub(crate) struct Download {
    pub(crate) sdk: Sdk,
    pub(crate) id: String,
}

/// DownloadStatus, with the readings of the SDK.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Status {
    pub(crate) state: String,
    pub(crate) total: u64,
    pub(crate) transferred: u64,
    pub(crate) error: i32,
    pub(crate) extended: i32,
}

impl Status {
    pub(crate) fn is_complete(&self) -> bool {
        self.state == "Transferred"
    }

    pub(crate) fn is_transient_error(&self) -> bool {
        self.state == "Paused" && self.error == 0 && self.extended != 0
    }
}

impl Download {
    fn call(&self, verb: &str, method: &str) -> Result<serde_json::Value, i32> {
        self.sdk.ask(verb, method, &format!("Id={}", self.id))
    }

    pub(crate) fn start(&self) -> Result<(), i32> {
        self.call("POST", "start").map(drop)
    }

    pub(crate) fn pause(&self) -> Result<(), i32> {
        self.call("POST", "pause").map(drop)
    }

    pub(crate) fn finalize(&self) -> Result<(), i32> {
        self.call("POST", "finalize").map(drop)
    }

    pub(crate) fn abort(&self) -> Result<(), i32> {
        self.call("POST", "abort").map(drop)
    }

    pub(crate) fn set(&self, query: &str) -> Result<(), i32> {
        self.sdk.ask("POST", "setproperty", &format!("Id={}&{query}", self.id)).map(drop)
    }

    pub(crate) fn get(&self, key: &str) -> Result<String, i32> {
        let body = self.sdk.ask("GET", "getproperty", &format!("Id={}&PropertyKey={key}", self.id))?;
        Ok(body[key].as_str().unwrap().to_owned())
    }

    pub(crate) fn try_status(&self) -> Result<Status, i32> {
        let body = self.call("GET", "getstatus")?;
        let text = |field: &str| body[field].as_str().expect("every value is a text").to_owned();
        let state = text("Status");
        let known = ["Created", "Transferring", "Transferred", "Finalized", "Aborted", "Paused"];
        assert!(known.contains(&state.as_str()), "{state} is an error to the SDK");
        Ok(Status {
            state,
            total: text("BytesTotal").parse().unwrap(),
            transferred: text("BytesTransferred").parse().unwrap(),
            error: text("ErrorCode").parse().unwrap(),
            extended: text("ExtendedErrorCode").parse().unwrap(),
        })
    }

    pub(crate) fn status(&self) -> Status {
        self.try_status().unwrap()
    }

    /// Polls until the state is this one; `within` is for a machine that does nothing else.
    pub(crate) fn reaches(&self, state: &str, within: Duration) -> Status {
        let end = Instant::now() + within.max(crate::service::LONG);
        loop {
            let status = self.status();
            if status.state == state {
                return status;
            }
            assert!(Instant::now() < end, "not {state} in {within:?}: {status:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// start_and_wait_until_completion
    pub(crate) fn start_and_wait(&self, cancel: &AtomicBool, timeout: Duration) -> Result<(), i32> {
        let begun = Instant::now();
        // What the SDK does about a failed start: the caller sees the code.
        self.start()?;
        let mut status = self.status();
        let mut pause = Duration::from_millis(500);
        let goes_on = |status: &Status| {
            ["Created", "Transferring"].contains(&status.state.as_str()) || status.is_transient_error()
        };
        while goes_on(&status) && begun.elapsed() < timeout && !cancel.load(Ordering::SeqCst) {
            std::thread::sleep(pause);
            pause = (pause + Duration::from_millis(500)).min(Duration::from_secs(5));
            status = self.status();
        }
        if status.is_complete() {
            return self.finalize();
        }
        self.abort()?;
        if cancel.load(Ordering::SeqCst) {
            Err(ECANCELED)
        } else if status.state == "Paused" && !status.is_transient_error() {
            if status.error == 0 { Ok(()) } else { Err(status.error) }
        } else {
            Err(ETIMEDOUT)
        }
    }
}
