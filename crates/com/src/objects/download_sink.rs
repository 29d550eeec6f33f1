//! A stream of the program as the sink of a download (spec/delivery-optimization-com.md 4.2, 4.4).
//!
//! The service writes a file of the library's, and the stream gets the bytes when all of them are there and checked: a stream cannot be
//! told that what it got was of another version, or wrong. So the service delivers nothing else than to any client.

use super::super::*;
use super::download::E_ABORT;
use core::ffi::c_void;
use nix::unistd::{Uid, User};
use openbits_api::{DownloadView, RangeView};
use openbits_core::JobId;
use rustix::fs::OFlags;
use rustix::process::geteuid;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use windows_core::{HRESULT, IUnknown, Interface};

/// Bytes that are written at a time.
const CHUNK: usize = 256 << 10;
/// Files older than this belong to programs that ended in the middle: longer than the service keeps their downloads.
const STALE: Duration = Duration::from_secs(32 * 86_400);
/// The stream took nothing, or more than it was given.
const STG_E_WRITEFAULT: HResult = HResult::from_bits(0x8003_001D);
/// The file has fewer bytes than were asked for.
const STG_E_READFAULT: HResult = HResult::from_bits(0x8003_001E);

/// A stream.
pub(super) struct Sink {
    unknown: IUnknown,
    stream: IStream,
    path: String,
}

// SAFETY: the headers say that streams are written from threads of the library, one at a time.
unsafe impl Send for Sink {}
// SAFETY: as above.
unsafe impl Sync for Sink {}

impl Sink {
    /// # Errors
    /// `E_NOINTERFACE` for an object without IStream; `E_ACCESSDENIED` if there is no place for its file.
    pub(super) fn new(id: JobId, unknown: IUnknown) -> Result<Self, HResult> {
        let stream = unknown.cast().map_err(|_| h::E_NOINTERFACE)?;
        let folder = folder().ok_or(h::E_ACCESSDENIED)?;
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|_| h::E_ACCESSDENIED)?;
        if !is_ours(&folder) {
            return Err(h::E_ACCESSDENIED);
        }
        remove_stale(&folder);
        let path =
            folder.join(id.to_string()).into_os_string().into_string().map_err(|_| h::E_ACCESSDENIED)?;
        Ok(Self { unknown, stream, path })
    }

    pub(super) fn object(&self) -> IUnknown {
        self.unknown.clone()
    }

    /// The file that the service writes.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Writes what the present Start asked for, in the order in which it asked; nothing more once `ended` is set.
    ///
    /// # Errors
    /// What the stream answered, the code of a file that cannot be read, or that it is shorter than was asked for.
    pub(super) fn fill(&self, view: &DownloadView, ended: &AtomicBool) -> Result<(), HResult> {
        let path = view.temporary_path.as_deref().unwrap_or(&self.path);
        let mut file = open(path)?;
        let whole = vec![RangeView { offset: 0, length: None }];
        let ranges = view.ranges.as_ref().filter(|ranges| !ranges.is_empty()).unwrap_or(&whole);
        let mut block = vec![0; CHUNK];
        let mut total = 0_u64;
        for range in ranges {
            file.seek(SeekFrom::Start(range.offset)).map_err(code)?;
            let mut part = (&mut file).take(range.length.unwrap_or(u64::MAX));
            let mut written = 0_u64;
            loop {
                let bytes = part.read(&mut block).map_err(code)?;
                if bytes == 0 {
                    break;
                }
                self.write(&block[..bytes], ended)?;
                written += bytes as u64;
            }
            if range.length.is_some_and(|length| length != written) {
                return Err(STG_E_READFAULT);
            }
            total += written;
        }
        if total == view.bytes_total { Ok(()) } else { Err(STG_E_READFAULT) }
    }

    fn write(&self, mut bytes: &[u8], ended: &AtomicBool) -> Result<(), HResult> {
        /// No stream writes as much at once: it has not counted.
        const UNCOUNTED: u32 = u32::MAX;
        while !bytes.is_empty() {
            let length = u32::try_from(bytes.len()).map_err(|_| h::E_UNEXPECTED)?;
            if ended.load(Ordering::Acquire) {
                return Err(E_ABORT);
            }
            let mut written = UNCOUNTED;
            // SAFETY: the pointer is of a live object; the bytes and the number outlive the call.
            let answer =
                unsafe { self.stream.Write(bytes.as_ptr().cast::<c_void>(), length, &raw mut written) };
            match (answer, written) {
                (HRESULT(code), _) if code < 0 => return Err(HResult::from_signed(code)),
                // Streams that do not count have taken everything.
                (HRESULT(0), UNCOUNTED) => return Ok(()),
                (_, written) if written == 0 || written > length => return Err(STG_E_WRITEFAULT),
                (_, written) => bytes = &bytes[written as usize..],
            }
        }
        Ok(())
    }

    pub(super) fn remove_file(&self) {
        // Removed already, or it never was there.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The data, which the user's own worker wrote: no link, and nobody else's.
fn open(path: &str) -> Result<File, HResult> {
    let flags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK);
    let flags = i32::try_from(flags.bits()).map_err(|_| h::E_UNEXPECTED)?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(code)?;
    let data = file.metadata().map_err(code)?;
    if data.is_file() && data.uid() == geteuid().as_raw() { Ok(file) } else { Err(h::E_ACCESSDENIED) }
}

fn code(error: std::io::Error) -> HResult {
    HResult::from_errno(error.raw_os_error().unwrap_or(0))
}

/// The user's own place for files that may be lost: the one that the environment names, or the one in the home of the account. Never one
/// that others may write to.
fn folder() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || {
        let account = || User::from_uid(Uid::from_raw(geteuid().as_raw())).ok().flatten();
        absolute("HOME").or_else(|| account().map(|account| account.dir))
    };
    let cache = absolute("XDG_CACHE_HOME").or_else(|| home().map(|home| home.join(".cache")))?;
    Some(cache.join("openbits/streams"))
}

/// A folder of this user that nobody else may write to.
fn is_ours(folder: &Path) -> bool {
    let data = std::fs::symlink_metadata(folder);
    data.is_ok_and(|data| data.is_dir() && data.uid() == geteuid().as_raw() && data.mode() & 0o022 == 0)
}

/// Files that no download has any more. Their names are those of downloads; nothing else is touched.
fn remove_stale(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let named = name.to_str().is_some_and(|name| name.parse::<JobId>().is_ok());
        let age = entry.metadata().and_then(|data| data.modified()).ok();
        let age = age.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        if named && age.is_some_and(|age| age > STALE) {
            let _ = std::fs::remove_file(entry.path()); // Next time, then.
        }
    }
}
