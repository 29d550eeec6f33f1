//! Small helpers: waiting for something to become true, with an end; the digest of a file.

use std::io::{self, Read as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// Asks `condition` again and again (after 1 ms, later every 20 ms) until it is true or `timeout` has passed; returns
/// what it said last.
#[must_use]
pub fn wait_until(timeout: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + timeout;
    let mut pause = Duration::from_millis(1);
    loop {
        if condition() {
            return true;
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return condition();
        }
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// SHA-256 of a file, in lower-case hexadecimal, for comparison with [`crate::Content::sha256_hex`].
///
/// # Errors
/// When it cannot be read.
pub fn sha256_file(path: impl AsRef<Path>) -> io::Result<String> {
    use aws_lc_rs::digest;
    let mut file = std::fs::File::open(path)?;
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(crate::content::hex(hash.finish().as_ref())),
            got => hash.update(&buffer[..got]),
        }
    }
}
