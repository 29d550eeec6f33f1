//! Noticing changes without looking: files through inotify, the wall clock through a timer that the kernel cancels when it is set.

use super::files::{Place, Sources};
use super::zone::LOCAL_ZONE;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

fn register(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the AsyncFd owns the descriptor; nobody else has it, and it stays open until the AsyncFd is dropped.
    #[allow(unsafe_code, reason = "registers a descriptor that it owns")]
    let watched = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE)? };
    Ok(watched)
}

/// Which names of a watched folder matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Names {
    exact: Vec<Vec<u8>>,
    /// Every `*.toml`.
    toml: bool,
}

impl Names {
    fn matter(&self, name: &[u8]) -> bool {
        self.exact.iter().any(|exact| exact == name) || (self.toml && name.ends_with(b".toml"))
    }
}

/// Watches the policy's files and the system's time zone. A folder that is not there yet is awaited in the nearest one that is.
pub struct FileWatch {
    inotify: AsyncFd<OwnedFd>,
    watched: BTreeMap<i32, Names>,
}

impl FileWatch {
    /// Watches; needs a tokio runtime.
    pub fn new(sources: &Sources) -> io::Result<Self> {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let mut watched: BTreeMap<i32, Names> = BTreeMap::new();
        let mut add = |folder: &Path, name: &OsStr, toml: bool| {
            let (folder, name) = nearest(folder, name);
            let flags = WatchFlags::CLOSE_WRITE
                | WatchFlags::MOVED_TO
                | WatchFlags::MOVED_FROM
                | WatchFlags::CREATE
                | WatchFlags::DELETE
                | WatchFlags::ATTRIB
                | WatchFlags::ONLYDIR;
            match inotify::add_watch(&fd, &folder, flags) {
                Ok(watch) => {
                    let names = watched.entry(watch).or_default();
                    names.exact.push(name.as_bytes().to_vec());
                    names.toml |= toml && name.is_empty();
                }
                Err(error) => {
                    tracing::warn!(folder = %folder.display(), %error, "changes are not noticed there");
                }
            }
        };
        for source in &sources.0 {
            match &source.place {
                Place::File(path) => {
                    if let (Some(folder), Some(name)) = (path.parent(), path.file_name()) {
                        add(folder, name, false);
                    }
                }
                Place::Folder(path) => {
                    if let (Some(folder), Some(name)) = (path.parent(), path.file_name()) {
                        add(folder, name, false);
                    }
                    if path.is_dir() {
                        add(path, OsStr::new(""), true);
                    }
                }
            }
        }
        if let Some(folder) = Path::new(LOCAL_ZONE).parent() {
            add(folder, OsStr::new("localtime"), false);
        }
        Ok(Self { inotify: register(fd)?, watched })
    }

    /// Waits until a file that matters may have changed.
    pub async fn changed(&mut self) {
        loop {
            let Ok(mut guard) = self.inotify.readable().await else { return std::future::pending().await };
            let watched = &self.watched;
            let result = guard.try_io(|fd| {
                let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
                let mut reader = inotify::Reader::new(fd.get_ref(), &mut buffer);
                let mut matters = false;
                let mut any = false;
                loop {
                    match reader.next() {
                        Ok(event) => {
                            any = true;
                            let name = event.file_name().map_or(&b""[..], |n| n.to_bytes());
                            let gone = event.events().contains(ReadFlags::IGNORED);
                            // An overflow (watch -1) has no name.
                            matters |=
                                gone || watched.get(&event.wd()).is_none_or(|names| names.matter(name));
                        }
                        Err(error) if error == rustix::io::Errno::AGAIN && any => return Ok(matters),
                        Err(error) => return Err(error.into()),
                    }
                }
            });
            match result {
                Ok(Ok(true)) => return,
                Ok(Ok(false)) | Err(_) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "changes of the policy's files are not noticed any more");
                    return std::future::pending().await;
                }
            }
        }
    }
}

/// The folder itself if it is there, else the nearest above it that is, and the name to wait for in it.
fn nearest(folder: &Path, name: &OsStr) -> (PathBuf, std::ffi::OsString) {
    let (mut folder, mut name) = (folder.to_owned(), name.to_owned());
    while !folder.is_dir() {
        let (Some(parent), Some(own)) = (folder.parent(), folder.file_name()) else { break };
        (folder, name) = (parent.to_owned(), own.to_owned());
    }
    (folder, name)
}

/// Tells when somebody sets the wall clock.
pub struct ClockWatch(AsyncFd<OwnedFd>);

impl ClockWatch {
    /// Watches; needs a tokio runtime.
    pub fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        arm(&timer)?;
        Ok(Self(register(timer)?))
    }

    /// Waits until the clock is set.
    pub async fn set(&mut self) {
        loop {
            let Ok(mut guard) = self.0.readable().await else { return std::future::pending().await };
            let mut count = [0u8; 8];
            match guard.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut count)?)) {
                Ok(_) => {
                    // Cancelled by a change of the clock (or, after some thousand years, over).
                    if let Err(error) = arm(self.0.get_ref()) {
                        tracing::warn!(%error, "changes of the clock are not noticed any more");
                        return std::future::pending().await;
                    }
                    return;
                }
                Err(_would_block) => {}
            }
        }
    }
}

fn arm(timer: &OwnedFd) -> io::Result<()> {
    const FAR: i64 = 1 << 33; // the year 2242
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    let at = Itimerspec { it_interval: zero, it_value: Timespec { tv_sec: FAR, tv_nsec: 0 } };
    timerfd_settime(timer, TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET, &at)?;
    Ok(())
}
