//! The agent's log files (section 10): `do-agent.<YYYYMMDD_HHMMSS>.log`, 256 KiB each, the last three kept; times are UTC.
//!
//! What is asked at the door, by whom, and what was answered: no more. A thread of its own writes, with the rights of the folder's owner
//! ([`Place`]); whoever has a line to write never waits for it. A line that finds the queue full, or no room on the disk, is lost and counted.

use super::place::{Place, PlaceError};
use openbits_core::Uid;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Longest file, in bytes.
const FILE_MAX: u64 = 256 * 1024;
/// Files that are kept, the one that is written among them.
const KEPT: usize = 3;
/// Longest line, in bytes.
const LINE_MAX: usize = 4096;
/// Lines that wait to be written.
const WAITING_MAX: usize = 1024;
/// The folder is the account's and open to all (0755); what users download is for its group at most.
const FILE_MODE: u32 = 0o640;
/// How far names may run ahead of the clock, in seconds.
const AHEAD_S: i64 = 60;
/// How long the end of the service waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(2);

/// What the door and the thread share.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Something is there to write, or the end came.
    wake: Condvar,
    /// The thread is through.
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<String>,
    lost: u64,
    closed: bool,
    ended: bool,
}

impl Shared {
    /// Held for an instant only: nobody writes to a disk meanwhile.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where lines go; cheap to clone. Without a log they go nowhere.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines(Option<Arc<Shared>>);

impl Lines {
    /// Whether a line is worth its making.
    pub(super) const fn are_kept(&self) -> bool {
        self.0.is_some()
    }

    /// One line: the time is put before it. Never waits.
    pub(super) fn write(&self, level: char, text: &str) {
        let Some(shared) = &self.0 else { return };
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
        let mut line = format!("{now} {level} {}", text.replace(|c: char| c.is_control(), "?"));
        line.truncate(line.floor_char_boundary(LINE_MAX - 1));
        line.push('\n');
        let mut state = shared.state();
        if state.closed || state.waiting.len() >= WAITING_MAX {
            state.lost += 1;
            return;
        }
        state.waiting.push_back(line);
        shared.wake.notify_one();
    }
}

/// A log. Its end writes what is left, and a line of numbers.
#[derive(Debug)]
pub(super) struct Log(Arc<Shared>);

impl Log {
    /// A log in this folder, which is made if it is missing. `account`: that of the agent.
    ///
    /// # Errors
    /// The folder cannot be made, is a link, is another's, or can be written by others; no thread.
    pub(super) fn open(folder: &Path, account: Option<Uid>) -> Result<Self, PlaceError> {
        let place = Place::open_or_make(folder, account)?;
        let path = place.path().to_owned();
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let run = move || {
            let end = End(of_thread);
            if let Err(error) = place.become_owner() {
                tracing::warn!(folder = %place.path().display(), %error, "no log of the Delivery Optimization agent");
                return;
            }
            Writer::new(place).run(&end.0);
        };
        let thread = std::thread::Builder::new().name("do-agent-log".to_owned()).spawn(run);
        thread.map_err(|source| PlaceError::Failed { path, source })?;
        Ok(Self(shared))
    }

    pub(super) fn lines(&self) -> Lines {
        Lines(Some(Arc::clone(&self.0)))
    }
}

impl Drop for Log {
    /// A disk that hangs costs the last lines, and no more than two seconds.
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.closed = true;
        self.0.wake.notify_one();
        let waited = self.0.ended.wait_timeout_while(state, LAST_LINES, |state| !state.ended);
        drop(waited);
    }
}

/// The thread is through, however it ended: what is still sent is lost.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        let mut state = self.0.state();
        (state.closed, state.ended) = (true, true);
        state.waiting.clear();
        self.0.ended.notify_all();
    }
}

/// The thread's own.
struct Writer {
    place: Place,
    file: Option<(File, String, u64)>,
    lines: u64,
    files: u64,
    failed: u64,
    /// The present trouble was told.
    told: bool,
}

impl Writer {
    const fn new(place: Place) -> Self {
        Self { place, file: None, lines: 0, files: 0, failed: 0, told: false }
    }

    fn run(&mut self, shared: &Shared) {
        loop {
            let mut state = shared.state();
            while state.waiting.is_empty() && !state.closed {
                state = shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let (lines, last, lost) = (std::mem::take(&mut state.waiting), state.closed, state.lost);
            drop(state);
            for line in &lines {
                self.put(line);
            }
            if last {
                let lost = lost + self.failed;
                let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
                // The file of this line may be one more.
                let (lines, files) = (self.lines, self.files);
                self.put(&format!("{now} I log closed: {lines} lines in {files} files, {lost} lost\n"));
                return;
            }
        }
    }

    fn put(&mut self, line: &str) {
        match self.write(line) {
            Ok(()) => (self.lines, self.told) = (self.lines + 1, false),
            Err(error) => {
                self.failed += 1;
                if !std::mem::replace(&mut self.told, true) {
                    let folder = self.place.path().display();
                    tracing::warn!(%folder, %error, "lines of the Delivery Optimization agent's log are lost");
                }
            }
        }
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        let length = line.len() as u64;
        let full = self.file.as_ref().is_none_or(|(_, _, size)| size + length > FILE_MAX);
        if full {
            self.next()?;
        }
        let (file, _, size) = self.file.as_mut().expect("just made");
        // Also what was written in part counts: a file never grows beyond its limit.
        *size += length;
        file.write_all(line.as_bytes())
    }

    /// Begins a file, and removes the oldest ones.
    fn next(&mut self) -> io::Result<()> {
        let now = jiff::Timestamp::now();
        let later = |seconds: i64| {
            name_at(now.saturating_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(now))
        };
        let mut older = self.place.names().unwrap_or_default();
        older.retain(|name| is_ours(name));
        older.sort_unstable();
        // Names have seconds only, and sort as their files came: one that is taken, or was a moment ago, is followed by the next. Nobody
        // fills a file a second for a minute with anything worth keeping.
        let horizon = later(AHEAD_S);
        let newest = older.iter().rfind(|name| **name < horizon).cloned();
        let mut made = Err(io::ErrorKind::AlreadyExists.into());
        for name in (0..AHEAD_S).map(later).filter(|name| newest.as_ref().is_none_or(|newest| name > newest))
        {
            made = self.place.create(&name, FILE_MODE).map(|file| (file, name, 0));
            if !matches!(&made, Err(error) if error.kind() == io::ErrorKind::AlreadyExists) {
                break;
            }
        }
        self.file = Some(made?);
        self.files += 1;
        // What cannot be removed (somebody put a folder there) stays.
        for name in older.iter().rev().skip(KEPT - 1) {
            let _ = self.place.remove(name);
        }
        Ok(())
    }
}

fn name_at(time: jiff::Timestamp) -> String {
    format!("do-agent.{}.log", time.strftime("%Y%m%d_%H%M%S"))
}

/// `do-agent.<YYYYMMDD_HHMMSS>.log` exactly: nothing else in the folder is touched.
fn is_ours(name: &str) -> bool {
    let time = name.strip_prefix("do-agent.").and_then(|rest| rest.strip_suffix(".log"));
    time.and_then(|time| time.split_once('_')).is_some_and(|(day, time)| {
        let digits =
            |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
        digits(day, 8) && digits(time, 6)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    fn files(folder: &Path) -> Vec<String> {
        let names =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    fn text(folder: &Path, name: &str) -> String {
        std::fs::read_to_string(folder.join(name)).unwrap()
    }

    /// DOLoggerTests.BasicWriteToFile: one file with `do-agent.` in its name, the lines in order, a line of numbers at the end.
    #[test]
    fn do_logger_basic_write_to_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("log");
        let log = Log::open(&at, None).unwrap();
        assert!(log.lines().are_kept() && !Lines::default().are_kept());
        log.lines().write('I', "first");
        log.lines().write('E', "second\nsecond");
        drop(log);
        let names = files(&at);
        assert!(names.len() == 1 && names[0].contains("do-agent.") && is_ours(&names[0]), "{names:?}");
        let text = text(&at, &names[0]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].ends_with("Z I first") && lines[1].ends_with("Z E second?second"), "{text}");
        assert!(lines[2].ends_with("I log closed: 2 lines in 1 files, 0 lost"), "{text}");
        let time = lines[0].split(' ').next().unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
        assert_eq!(std::fs::metadata(&at).unwrap().mode() & 0o777, 0o755);
        assert_eq!(std::fs::metadata(at.join(&names[0])).unwrap().mode() & 0o777, 0o640);
    }

    #[test]
    fn files_are_of_256_kib_and_the_last_three_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        std::fs::set_permissions(at, std::fs::Permissions::from_mode(0o755)).unwrap();
        let others = ["admin.log", "do-agent.2001.log", "do-agent.20010101_000000.log.txt"];
        for name in others.iter().chain(&["do-agent.20010101_000000.log", "do-agent.20010101_000001.log"]) {
            std::fs::write(at.join(name), "old").unwrap();
        }
        let mut writer = Writer::new(Place::open_or_make(at, None).unwrap());
        let line = format!("{}\n", "x".repeat(1023));
        for n in 0..5 * 256 {
            writer.put(&format!("{n:06}{}", &line[6..]));
        }
        assert_eq!((writer.lines, writer.failed, writer.files), (1280, 0, 5));
        let names = files(at);
        let (ours, rest): (Vec<String>, Vec<String>) = names.into_iter().partition(|name| is_ours(name));
        assert_eq!(rest, others, "what is not ours stays");
        assert_eq!(ours.len(), 3);
        for (n, name) in ours.iter().enumerate() {
            assert_eq!(std::fs::metadata(at.join(name)).unwrap().len(), FILE_MAX);
            assert!(text(at, name).starts_with(&format!("{:06}", (n + 2) * 256)), "the newest, in order");
        }
    }

    /// A link with the name of the next file is not followed; the next name is taken.
    #[test]
    fn a_link_in_the_place_of_a_file_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let precious = folder.path().join("precious");
        std::fs::write(&precious, "precious").unwrap();
        let at = folder.path().join("log");
        let place = Place::open_or_make(&at, None).unwrap();
        let now = jiff::Timestamp::now();
        for later in 0..20 {
            symlink(&precious, at.join(name_at(now + jiff::SignedDuration::from_secs(later)))).unwrap();
        }
        symlink(&precious, at.join("do-agent.99991231_235959.log")).unwrap();
        let mut writer = Writer::new(place);
        writer.put("line\n");
        assert_eq!((writer.lines, writer.failed), (1, 0));
        let (_, name, _) = writer.file.as_ref().unwrap();
        assert_eq!(text(&at, name), "line\n");
        assert!(std::fs::symlink_metadata(at.join(name)).unwrap().is_file());
        assert_eq!(
            std::fs::read_to_string(&precious).unwrap(),
            "precious",
            "links are removed, not what they name"
        );
    }

    #[test]
    fn a_full_queue_loses_lines_and_holds_nobody_up() {
        let shared = Arc::new(Shared::default());
        let lines = Lines(Some(Arc::clone(&shared)));
        for n in 0..WAITING_MAX + 7 {
            lines.write('I', &n.to_string());
        }
        let counts = |state: MutexGuard<'_, State>| (state.waiting.len(), state.lost);
        assert_eq!(counts(shared.state()), (WAITING_MAX, 7));
        let long = Lines(Some(Arc::default()));
        long.write('I', &"\u{e4}".repeat(LINE_MAX));
        assert!(long.0.unwrap().state().waiting[0].len() <= LINE_MAX);
        // Nobody writes: the end waits for a moment, and goes.
        let begun = std::time::Instant::now();
        drop(Log(shared));
        assert!(begun.elapsed() < Duration::from_secs(5));
        lines.write('I', "too late");
        assert_eq!(lines.0.unwrap().state().lost, 8);
    }

    #[test]
    fn a_folder_that_cannot_be_used_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real");
        std::fs::create_dir(&real).unwrap();
        let link = folder.path().join("link");
        symlink(&real, &link).unwrap();
        assert!(Log::open(&link, None).is_err());
        assert!(Log::open(&folder.path().join("none/log"), None).is_err());
        assert_eq!(files(&real), Vec::<String>::new());
    }
}
