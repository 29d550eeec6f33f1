//! A stream of the program as the sink of a download (spec/delivery-optimization-com.md 4.2, 4.4).
//!
//! The service writes a file of the library's, and the stream gets the bytes when all of them are there and checked: a stream cannot be
//! told that what it got was of another version, or wrong. So the service delivers nothing else than to any client.

use super::super::*;
use core::ffi::c_void;
use openbits_api::{DownloadView, RangeView};
use openbits_core::JobId;
use std::fs::{DirBuilder, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use windows_core::{HRESULT, IUnknown, Interface};

/// Bytes that are written at a time.
const CHUNK: usize = 256 << 10;
/// Files older than this belong to programs that ended in the middle: longer than the service keeps their downloads.
const STALE: Duration = Duration::from_secs(32 * 86_400);
/// The stream took fewer bytes than it was given.
const STG_E_WRITEFAULT: HResult = HResult::from_bits(0x8003_001D);

/// A stream.
pub(super) struct Sink {
    unknown: IUnknown,
    stream: IStream,
    path: PathBuf,
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
        remove_stale(&folder);
        Ok(Self { unknown, stream, path: folder.join(id.to_string()) })
    }

    pub(super) fn object(&self) -> IUnknown {
        self.unknown.clone()
    }

    /// The file that the service writes.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what was asked for, in the order in which it was asked.
    ///
    /// # Errors
    /// What the stream answered, or the code of a file that cannot be read.
    pub(super) fn fill(&self, view: &DownloadView, ranges: &[RangeView]) -> Result<(), HResult> {
        let path = view.temporary_path.as_deref().map_or(&*self.path, Path::new);
        let code = |e: std::io::Error| HResult::from_errno(e.raw_os_error().unwrap_or(0));
        let mut file = File::open(path).map_err(code)?;
        let whole = [RangeView { offset: 0, length: None }];
        let mut block = vec![0; CHUNK];
        for range in if ranges.is_empty() { &whole[..] } else { ranges } {
            file.seek(SeekFrom::Start(range.offset)).map_err(code)?;
            let mut part = (&mut file).take(range.length.unwrap_or(u64::MAX));
            loop {
                let bytes = part.read(&mut block).map_err(code)?;
                if bytes == 0 {
                    break;
                }
                self.write(&block[..bytes])?;
            }
        }
        Ok(())
    }

    fn write(&self, mut bytes: &[u8]) -> Result<(), HResult> {
        while !bytes.is_empty() {
            let length = u32::try_from(bytes.len()).map_err(|_| h::E_UNEXPECTED)?;
            let mut written = 0_u32;
            // SAFETY: the pointer is of a live object; the bytes and the number outlive the call.
            let answer =
                unsafe { self.stream.Write(bytes.as_ptr().cast::<c_void>(), length, &raw mut written) };
            match (answer, written) {
                (HRESULT(code), _) if code < 0 => return Err(HResult::from_signed(code)),
                // Streams that do not count have taken everything.
                (HRESULT(0), 0) => return Ok(()),
                (_, 0) => return Err(STG_E_WRITEFAULT),
                (_, written) if written > length => return Err(STG_E_WRITEFAULT),
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

/// The user's own place for files that may be lost.
fn folder() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    let cache = cache
        .or_else(|| Some(std::env::temp_dir().join(format!("openbits-{}", rustix::process::geteuid()))))?;
    Some(cache.join("openbits/streams"))
}

fn remove_stale(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let age = entry.metadata().and_then(|data| data.modified()).ok();
        let age = age.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        if age.is_some_and(|age| age > STALE) {
            let _ = std::fs::remove_file(entry.path()); // Next time, then.
        }
    }
}
