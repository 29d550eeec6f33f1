//! Files of this machine: mounted shares and disks, read with the owner's rights.
//!
//! Only regular files of real file systems: a device, a pipe or a file that the kernel makes up while it is read has no version, no
//! size, and may never end.

use super::stamp::Stamp;
use super::{PIECE, PIECES, Reading};
use crate::failure::{Outcome, transport, with};
use crate::http::Piece;
use bytes::BytesMut;
use openbits_core::classify::Class;
use openbits_core::hresult::*;
use openbits_core::plan::{Fail, Request};
use openbits_core::remote::{self, Remote};
use openbits_core::{ErrorContext, HResult};
use rustix::fs::{self, Advice, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;

/// File systems whose files are made up by the kernel: proc, sysfs, debugfs, tracefs, securityfs, cgroup, cgroup2, bpf, pstore,
/// configfs, selinuxfs, efivarfs, binfmt_misc, mqueue, devpts (linux/magic.h).
const MADE_UP: &[u64] = &[
    0x9fa0,
    0x6265_6572,
    0x6462_6720,
    0x7472_6163,
    0x7363_6673,
    0x0027_e0eb,
    0x6367_7270,
    0xcafe_4a11,
    0x6165_676c,
    0x6265_6570,
    0xf97c_ff8c,
    0xde5e_81e4,
    0x4249_4e4d,
    0x1980_0202,
    0x1cd1,
];

/// Opens the file of a `file:` URL and begins to read what the request asks for. A file system that does not answer in time is an error
/// of this attempt; its thread waits on by itself.
pub(crate) async fn open(request: &Request, timeout: Duration) -> Outcome<Reading> {
    let Ok(Remote::File(path)) = remote::parse(request.url.as_str()) else {
        return Err(refused(ERROR_INVALID_NAME, "The URL names no file."));
    };
    let request = request.clone();
    let opening = tokio::task::spawn_blocking(move || begin(Path::new(&path), &request));
    match tokio::time::timeout(timeout, opening).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(transport(BG_E_CONNECTION_CLOSED, "Opening the source was interrupted.")),
        Err(_) => Err(transport(ERROR_WINHTTP_TIMEOUT, "The file system of the source does not answer.")),
    }
}

fn begin(path: &Path, request: &Request) -> Outcome<Reading> {
    // Looked at before it is opened: opening a device can already do something.
    regular(&fs::stat(path).map_err(|errno| failed(errno, path))?)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = fs::open(path, flags, Mode::empty()).map_err(|errno| failed(errno, path))?;
    regular(&fs::fstat(&fd).map_err(|errno| failed(errno, path))?)?;
    let system = fs::fstatfs(&fd).map_err(|errno| failed(errno, path))?;
    #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "the type differs between machines")]
    let magic = system.f_type as u64 & 0xffff_ffff;
    if MADE_UP.contains(&magic) {
        return Err(refused(E_ACCESSDENIED, "The source is no real file: the kernel makes it up."));
    }
    let file = File::from(fd);
    let stamp = stamp(&file).map_err(|error| broken(&error))?;
    let (head, framing, body) = stamp.answer(request, SystemTime::now());
    let (sender, pieces) = mpsc::channel(PIECES);
    std::thread::Builder::new()
        .name("openbits-read".into())
        .spawn(move || read(&file, &stamp, body, &sender))
        .map_err(|error| transport(E_OUTOFMEMORY, format!("No thread for reading: {error}.")))?;
    Ok(Reading { head, framing, pieces, peer: "file".to_owned(), address: None })
}

fn regular(stat: &fs::Stat) -> Outcome<()> {
    let what = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => "a folder",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something unknown",
    };
    Err(refused(E_ACCESSDENIED, &format!("The source is {what} and not a file.")))
}

fn stamp(file: &File) -> std::io::Result<Stamp> {
    let data = file.metadata()?;
    let time = |seconds: i64, ns: i64| {
        let since = Duration::new(seconds.unsigned_abs(), 0);
        let second =
            if seconds < 0 { SystemTime::UNIX_EPOCH - since } else { SystemTime::UNIX_EPOCH + since };
        second + Duration::from_nanos(ns.unsigned_abs())
    };
    Ok(Stamp {
        size: data.len(),
        modified: time(data.mtime(), data.mtime_nsec()),
        changed: time(data.ctime(), data.ctime_nsec()),
        number: data.ino(),
    })
}

/// Reads in a thread of its own until the body is over or nobody listens.
fn read(file: &File, stamp_before: &Stamp, body: Range<u64>, pieces: &mpsc::Sender<Piece>) {
    let _ = fs::fadvise(file, body.start, None, Advice::Sequential);
    let mut at = body.start;
    while at < body.end {
        let want = usize::try_from((body.end - at).min(PIECE as u64)).unwrap_or(PIECE);
        let mut buffer = BytesMut::zeroed(want);
        let last = match file.read_at(&mut buffer, at) {
            Ok(0) => Some(Piece::Changed), // it was longer
            Ok(read) => {
                at += read as u64;
                buffer.truncate(read);
                None
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => Some(Piece::Cut(broken(&error))),
        };
        let ends = last.is_some();
        if pieces.blocking_send(last.unwrap_or_else(|| Piece::Data(buffer.freeze()))).is_err() || ends {
            return;
        }
    }
    let last = match stamp(file) {
        Ok(now) if now == *stamp_before => Piece::End,
        Ok(_) => Piece::Changed,
        Err(error) => Piece::Cut(broken(&error)),
    };
    // Nobody may listen any more.
    let _ = pieces.blocking_send(last);
}

fn refused(code: HResult, detail: &str) -> Box<Fail> {
    with(ErrorContext::RemoteFile, code, Class::Fatal, detail)
}

/// The file cannot be opened. What a network file system says of its network may pass; the rest does not by itself.
fn failed(errno: Errno, path: &Path) -> Box<Fail> {
    let detail = format!("The source cannot be opened: {errno}.");
    match errno {
        Errno::NOENT if path.parent().is_none_or(|parent| fs::stat(parent).is_err()) => {
            refused(ERROR_PATH_NOT_FOUND, "The folder of the source does not exist.")
        }
        Errno::NOENT => refused(ERROR_FILE_NOT_FOUND, "The source does not exist."),
        errno if passes(errno) => transport(BG_E_CONNECTION_CLOSED, detail),
        errno => {
            let code = HResult::from_errno(errno.raw_os_error());
            with(ErrorContext::RemoteFile, code, Class::Fatal, detail)
        }
    }
}

fn passes(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::IO
            | Errno::STALE
            | Errno::TIMEDOUT
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::CONNRESET
            | Errno::CONNREFUSED
            | Errno::CONNABORTED
            | Errno::NOTCONN
            | Errno::REMOTEIO
            | Errno::AGAIN
            | Errno::NFILE
            | Errno::MFILE
            | Errno::NOMEM
    )
}

/// Reading failed in the middle: what was read is good, and trying again may help.
fn broken(error: &std::io::Error) -> Box<Fail> {
    transport(BG_E_CONNECTION_CLOSED, format!("The source cannot be read: {error}."))
}
