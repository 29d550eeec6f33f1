//! The few functions of the system's GSSAPI library (RFC 2744) that a client needs, loaded when first asked for: without the library
//! the product runs and has no Negotiate and NTLM.
//!
//! SAFETY of the whole file: the signatures are those of RFC 2744 and MIT's `gssapi_ext.h`, which both MIT and Heimdal keep. Every
//! pointer that goes in is to a live value; every handle that comes out is owned by one Rust value that releases it once.

use libloading::{Library, Symbol};
use std::ffi::{c_int, c_uint, c_void};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

/// Names of the library: MIT, Heimdal.
const LIBRARIES: [&str; 2] = ["libgssapi_krb5.so.2", "libgssapi.so.3"];
/// GSS_S_CONTINUE_NEEDED
const CONTINUE_NEEDED: c_uint = 1;
/// Calling and routine errors.
const ERRORS: c_uint = 0xffff_0000;
/// GSS_C_MUTUAL_FLAG
const MUTUAL: c_uint = 2;
/// GSS_C_INITIATE
const INITIATE: c_int = 1;

/// 1.3.6.1.5.5.2
const SPNEGO: &[u8] = b"\x2b\x06\x01\x05\x05\x02";
/// 1.3.6.1.4.1.311.2.2.10, by the plug-in gss-ntlmssp
const NTLM: &[u8] = b"\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a";
/// GSS_C_NT_HOSTBASED_SERVICE, 1.2.840.113554.1.2.1.4
const SERVICE: &[u8] = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04";
/// GSS_C_NT_USER_NAME, 1.2.840.113554.1.2.1.1
const USER: &[u8] = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x01";

#[repr(C)]
struct Buffer {
    length: usize,
    value: *mut c_void,
}

#[repr(C)]
struct Oid {
    length: c_uint,
    elements: *const c_void,
}

#[repr(C)]
struct OidSet {
    count: usize,
    elements: *const Oid,
}

type Handle = *mut c_void;

type ImportName = unsafe extern "C" fn(*mut c_uint, *const Buffer, *const Oid, *mut Handle) -> c_uint;
type AcquireWithPassword = unsafe extern "C" fn(
    *mut c_uint,
    Handle,
    *const Buffer,
    c_uint,
    *const OidSet,
    c_int,
    *mut Handle,
    *mut *mut OidSet,
    *mut c_uint,
) -> c_uint;
type InitSecContext = unsafe extern "C" fn(
    *mut c_uint,
    Handle,
    *mut Handle,
    Handle,
    *const Oid,
    c_uint,
    c_uint,
    *const c_void,
    *const Buffer,
    *mut *mut Oid,
    *mut Buffer,
    *mut c_uint,
    *mut c_uint,
) -> c_uint;
type DeleteSecContext = unsafe extern "C" fn(*mut c_uint, *mut Handle, *mut Buffer) -> c_uint;
type Release = unsafe extern "C" fn(*mut c_uint, *mut Handle) -> c_uint;
type ReleaseBuffer = unsafe extern "C" fn(*mut c_uint, *mut Buffer) -> c_uint;
type DisplayStatus =
    unsafe extern "C" fn(*mut c_uint, c_uint, c_int, *const Oid, *mut c_uint, *mut Buffer) -> c_uint;

struct Api {
    import_name: ImportName,
    acquire_with_password: Option<AcquireWithPassword>,
    init_sec_context: InitSecContext,
    delete_sec_context: DeleteSecContext,
    release_cred: Release,
    release_name: Release,
    release_buffer: ReleaseBuffer,
    display_status: DisplayStatus,
    /// Never unloaded: its functions are above.
    _library: Library,
}

/// The library; None if this machine has none.
fn api() -> Result<&'static Api, String> {
    static API: OnceLock<Option<Api>> = OnceLock::new();
    let found = API.get_or_init(|| LIBRARIES.iter().find_map(|name| load(name)));
    found.as_ref().ok_or_else(|| "The GSSAPI library is not installed (Debian: libgssapi-krb5-2).".to_owned())
}

fn load(name: &str) -> Option<Api> {
    // SAFETY: the system's own library, by its fixed name; its initialisers are those that every Kerberos program runs.
    let library = unsafe { Library::new(name) }.ok()?;
    fn function<T: Copy>(library: &Library, name: &[u8]) -> Option<T> {
        // SAFETY: the types are those that RFC 2744 gives the names.
        let symbol: Symbol<'_, T> = unsafe { library.get(name) }.ok()?;
        Some(*symbol)
    }
    Some(Api {
        import_name: function(&library, b"gss_import_name\0")?,
        acquire_with_password: function(&library, b"gss_acquire_cred_with_password\0"),
        init_sec_context: function(&library, b"gss_init_sec_context\0")?,
        delete_sec_context: function(&library, b"gss_delete_sec_context\0")?,
        release_cred: function(&library, b"gss_release_cred\0")?,
        release_name: function(&library, b"gss_release_name\0")?,
        release_buffer: function(&library, b"gss_release_buffer\0")?,
        display_status: function(&library, b"gss_display_status\0")?,
        _library: library,
    })
}

/// How the handshake is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    /// Negotiate: Kerberos, or what else the library has.
    Spnego,
    /// NTLM by itself.
    Ntlm,
}

impl Mechanism {
    const fn oid(self) -> Oid {
        oid(match self {
            Self::Spnego => SPNEGO,
            Self::Ntlm => NTLM,
        })
    }
}

const fn oid(bytes: &'static [u8]) -> Oid {
    Oid { length: bytes.len() as c_uint, elements: bytes.as_ptr().cast() }
}

fn buffer(bytes: &[u8]) -> Buffer {
    // The library only reads what goes in.
    Buffer { length: bytes.len(), value: bytes.as_ptr().cast_mut().cast() }
}

/// A client's side of a security context.
pub(crate) struct Context {
    api: &'static Api,
    mechanism: Mechanism,
    name: Handle,
    credential: Handle,
    context: Handle,
}

// SAFETY: the handles are used by one thread at a time, which is all that RFC 2744 asks for; none is bound to a thread.
unsafe impl Send for Context {}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("mechanism", &self.mechanism).finish_non_exhaustive()
    }
}

impl Context {
    /// For the service `HTTP@host`, as a user with a password, or as whom the process is logged on. Blocks: it may ask a server.
    ///
    /// # Errors
    /// One sentence for people.
    pub(crate) fn new(mechanism: Mechanism, host: &str, pair: Option<(&str, &str)>) -> Result<Self, String> {
        let api = api()?;
        let mut new = Self { api, mechanism, name: null_mut(), credential: null_mut(), context: null_mut() };
        new.name = new.import(&format!("HTTP@{host}"), SERVICE)?;
        if let Some((user, password)) = pair {
            new.log_on(user, password)?;
        }
        Ok(new)
    }

    fn import(&self, text: &str, kind: &'static [u8]) -> Result<Handle, String> {
        let (mut minor, mut name) = (0, null_mut());
        // SAFETY: see the head of the file.
        let major = unsafe {
            (self.api.import_name)(&raw mut minor, &buffer(text.as_bytes()), &oid(kind), &raw mut name)
        };
        self.check(major, minor)?;
        Ok(name)
    }

    fn log_on(&mut self, user: &str, password: &str) -> Result<(), String> {
        let acquire = self
            .api
            .acquire_with_password
            .ok_or("The GSSAPI library of this machine takes no passwords; use a ticket.")?;
        let mut name = self.import(user, USER)?;
        let mechanism = self.mechanism.oid();
        let set = OidSet { count: 1, elements: &raw const mechanism };
        let password = buffer(password.as_bytes());
        let mut minor = 0;
        // SAFETY: see the head of the file; what is not wanted back may be null.
        let major = unsafe {
            acquire(
                &raw mut minor,
                name,
                &raw const password,
                0,
                &raw const set,
                INITIATE,
                &raw mut self.credential,
                null_mut(),
                null_mut(),
            )
        };
        let mut ignored = 0;
        // SAFETY: the name is ours and is released once.
        unsafe { (self.api.release_name)(&raw mut ignored, &raw mut name) };
        self.check(major, minor)
    }

    /// The next token, from the peer's last one; empty when nothing more is to be said. Blocks.
    ///
    /// # Errors
    /// One sentence for people.
    pub(crate) fn step(&mut self, token: Option<&[u8]>) -> Result<Vec<u8>, String> {
        let input = token.map(buffer);
        let mechanism = self.mechanism.oid();
        let mut output = Buffer { length: 0, value: null_mut() };
        let mut minor = 0;
        // SAFETY: see the head of the file; the context handle is null before the first step and the library's own after it.
        let major = unsafe {
            (self.api.init_sec_context)(
                &raw mut minor,
                self.credential,
                &raw mut self.context,
                self.name,
                &raw const mechanism,
                MUTUAL,
                0,
                null(),
                input.as_ref().map_or(null(), |input| &raw const *input),
                null_mut(),
                &raw mut output,
                null_mut(),
                null_mut(),
            )
        };
        let bytes = self.take(&mut output);
        self.check(major & !CONTINUE_NEEDED, minor)?;
        Ok(bytes)
    }

    /// Copies what the library gave, and gives it back.
    fn take(&self, output: &mut Buffer) -> Vec<u8> {
        let bytes = if output.value.is_null() {
            Vec::new()
        } else {
            // SAFETY: the library says that so many bytes are there, until they are released below.
            unsafe { std::slice::from_raw_parts(output.value.cast::<u8>(), output.length) }.to_vec()
        };
        let mut minor = 0;
        // SAFETY: the library's buffer, released once; it clears the fields.
        unsafe { (self.api.release_buffer)(&raw mut minor, output) };
        bytes
    }

    fn check(&self, major: c_uint, minor: c_uint) -> Result<(), String> {
        if major & ERRORS == 0 {
            return Ok(());
        }
        // GSS_C_GSS_CODE, GSS_C_MECH_CODE
        let texts: Vec<String> = [(major, 1), (minor, 2)]
            .into_iter()
            .filter(|(code, _)| *code != 0)
            .map(|(c, k)| self.text(c, k))
            .collect();
        Err(format!("{}.", texts.join(": ").trim_end_matches('.')))
    }

    fn text(&self, code: c_uint, kind: c_int) -> String {
        let mechanism = self.mechanism.oid();
        let (mut minor, mut more) = (0, 0);
        let mut output = Buffer { length: 0, value: null_mut() };
        // SAFETY: see the head of the file.
        unsafe {
            (self.api.display_status)(
                &raw mut minor,
                code,
                kind,
                &raw const mechanism,
                &raw mut more,
                &raw mut output,
            )
        };
        let text = self.take(&mut output);
        String::from_utf8_lossy(&text).chars().filter(|c| !c.is_control()).take(300).collect()
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: each handle is ours, and null if it was never made, which the library takes.
        unsafe {
            if !self.context.is_null() {
                (self.api.delete_sec_context)(&raw mut minor, &raw mut self.context, null_mut());
            }
            if !self.credential.is_null() {
                (self.api.release_cred)(&raw mut minor, &raw mut self.credential);
            }
            if !self.name.is_null() {
                (self.api.release_name)(&raw mut minor, &raw mut self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A library without the realm gives a reason; one with the NTLM plug-in a token; one that is not there says so. None shows the
    /// password.
    #[test]
    fn no_secret_shows_in_what_the_library_gives() {
        let result =
            Context::new(Mechanism::Spnego, "host.invalid", Some(("nobody@NOWHERE.INVALID", "hunter2")))
                .and_then(|mut context| context.step(None));
        let shown = result.unwrap_or_else(String::into_bytes);
        assert!(!shown.is_empty() && !shown.windows(7).any(|window| window == b"hunter2"));
    }
}
