//! The service's events in the system's journal, by its native protocol: one datagram of `NAME=value` lines for each
//! (docs/events.md, docs/decisions/0016). Without a journal they are plain lines on stderr.

use openbits_core::events_log::{Level, Record};
use std::cell::Cell;
use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// How long a burst of events waits for the journal to take one.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long a journal that did not is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// Where events go.
#[derive(Debug)]
pub struct Journal {
    socket: Option<(UnixDatagram, PathBuf)>,
    /// It did not keep up: until then it is not tried.
    behind: Cell<Option<Instant>>,
}

impl Journal {
    /// The journal at `path`; without one, the system's if stderr of this process leads there (`JOURNAL_STREAM`).
    pub fn find(path: Option<&Path>) -> Self {
        let path = match path {
            Some(path) => path.to_owned(),
            None if std::env::var_os("JOURNAL_STREAM").is_some() => PathBuf::from(SOCKET),
            None => return Self::stderr(),
        };
        match UnixDatagram::unbound()
            .and_then(|socket| socket.set_write_timeout(Some(PATIENCE)).map(|()| socket))
        {
            Ok(socket) => Self { socket: Some((socket, path)), behind: Cell::new(None) },
            Err(error) => {
                tracing::warn!(%error, "no socket for the journal; events go to stderr");
                Self::stderr()
            }
        }
    }

    /// Lines on stderr.
    pub const fn stderr() -> Self {
        Self { socket: None, behind: Cell::new(None) }
    }

    /// The journal's socket, if events go there.
    pub fn path(&self) -> Option<&Path> {
        self.socket.as_ref().map(|(_, path)| path.as_path())
    }

    /// Writes one event. A journal that is gone, or has not kept up a moment ago, costs nobody time: the event goes to stderr.
    pub fn write(&self, record: &Record) {
        if let Some((socket, path)) = &self.socket
            && self.behind.get().is_none_or(|until| until <= Instant::now())
        {
            match socket.send_to(&datagram(record), path) {
                Ok(_) => return,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    self.behind.set(Some(Instant::now() + PAUSE));
                }
                Err(_) => {}
            }
        }
        let (event, line) = (record.kind.number, record.line());
        match record.kind.level {
            Level::Error => tracing::error!(event, "{line}"),
            Level::Warning => tracing::warn!(event, "{line}"),
            Level::Information => tracing::info!(event, "{line}"),
            Level::Verbose => tracing::debug!(event, "{line}"),
        }
    }
}

/// The datagram of an event.
fn datagram(record: &Record) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    put(&mut out, "MESSAGE", &record.line());
    put(&mut out, "MESSAGE_ID", &record.kind.message_id());
    put(&mut out, "PRIORITY", &record.kind.level.priority().to_string());
    put(&mut out, "SYSLOG_IDENTIFIER", "bitsd");
    put(&mut out, "BITS_EVENT", &record.kind.number.to_string());
    if let Some(job) = record.job {
        put(&mut out, "JOB_ID", &job.to_string());
    }
    if let Some(owner) = record.owner {
        put(&mut out, "JOB_OWNER_UID", &owner.to_string());
    }
    for (name, value) in &record.fields {
        put(&mut out, &field_name(name), value);
    }
    out
}

/// Names of the journal have capitals, digits and underscores only: `bytesTotal` becomes `BITS_BYTESTOTAL`.
fn field_name(name: &str) -> String {
    let mut out = String::from("BITS_");
    out.extend(name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()));
    out
}

fn put(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        // Values with line breaks have their length before them.
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
        let _ = out.write_all(value.as_bytes());
    } else {
        out.push(b'=');
        out.extend_from_slice(value.as_bytes());
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use openbits_core::{FileTime, Job, JobId, JobType, Mono, Now, Uid};

    fn record() -> Record {
        let now = Now { mono: Mono(0), wall: FileTime::from_unix_ms(0) };
        let job = Job::new(JobId::from_bytes([7; 16]), Uid(1000), JobType::Download, "two\nlines", now);
        Record::of_job(63, &job).with("Pgm", "/opt/p").with("hr", "0x00000001")
    }

    #[test]
    fn a_datagram_has_the_documented_fields() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let server = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::find(Some(&path));
        journal.write(&record());
        let mut buffer = [0; 8192];
        let got = server.recv(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..got]).into_owned();
        for line in [
            "MESSAGE_ID=8d1f5c3e6b0a4f529a470b2dc1e7003f\n",
            "PRIORITY=4\n",
            "SYSLOG_IDENTIFIER=bitsd\n",
            "BITS_EVENT=63\n",
            "JOB_ID=07070707-0707-0707-0707-070707070707\n",
            "JOB_OWNER_UID=1000\n",
            "BITS_PGM=/opt/p\n",
            "BITS_HR=0x00000001\n",
        ] {
            assert!(text.contains(line), "{line:?} in {text:?}");
        }
        let at = text.find("BITS_JOB\n").expect("the binary form for a value of two lines") + 9;
        assert_eq!(&buffer[at..at + 8], 9_u64.to_le_bytes());
        assert_eq!(&buffer[at + 8..at + 18], b"two\nlines\n");
        let first = text.lines().next().unwrap();
        assert!(
            first.starts_with("MESSAGE=") && first.contains("two\\nlines"),
            "one line for people: {first}"
        );
    }

    #[test]
    fn a_journal_that_is_gone_or_full_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let journal = Journal::find(Some(&path));
        journal.write(&record());
        let _server = UnixDatagram::bind(&path).unwrap();
        let begun = Instant::now();
        for _ in 0..10_000 {
            journal.write(&record());
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!(journal.path(), Some(path.as_path()));
    }
}
