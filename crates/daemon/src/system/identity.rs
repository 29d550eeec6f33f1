//! An owner's identity, and how a process takes it on.

#![allow(unsafe_code, reason = "pre_exec runs between fork and exec")]

use openbits_core::Uid;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Descriptor of the worker's end of the socket pair.
pub const WORKER_FD: i32 = 3;
/// The worker's end of the channel to the service: descriptor 3, which only the service's own spawn sets up.
pub fn worker_channel() -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD only looks at a number.
    if unsafe { nix::libc::fcntl(WORKER_FD, nix::libc::F_GETFD) } < 0 {
        return Err(io::Error::other("a worker is started by the service, with its channel as descriptor 3"));
    }
    // SAFETY: the descriptor is open (checked above), was made for this process, and nobody else here knows of it.
    Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(WORKER_FD) })
}

/// Most supplementary groups that are taken on (NGROUPS_MAX of Linux).
const GROUPS_MAX: usize = 65_536;

/// uid, gid and supplementary groups of an account, as the system's databases tell them.
#[derive(Clone, Debug)]
pub struct Identity {
    uid: nix::unistd::Uid,
    gid: nix::unistd::Gid,
    groups: Vec<nix::unistd::Gid>,
    name: String,
    home: std::path::PathBuf,
}

impl Identity {
    /// The account with this uid; an error if there is none.
    pub fn of(owner: Uid) -> io::Result<Self> {
        let uid = nix::unistd::Uid::from_raw(owner.0);
        let user = nix::unistd::User::from_uid(uid)?.ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("there is no account with uid {owner}"))
        })?;
        let name = CString::new(user.name.as_str()).map_err(io::Error::other)?;
        let mut groups = groups_of(&name, user.gid)?;
        groups.truncate(GROUPS_MAX);
        Ok(Self { uid, gid: user.gid, groups, name: user.name, home: user.dir })
    }

    /// Starts `program worker` as this account, with the stream as descriptor 3, an empty environment and no other descriptor.
    pub fn spawn(&self, program: &Path, stream: UnixStream) -> io::Result<Child> {
        let socket = OwnedFd::from(stream);
        let raw = socket.as_raw_fd();
        let (uid, gid, groups) = (self.uid, self.gid, self.groups.clone());
        let mut command = Command::new(program);
        command
            .arg0("bitsd")
            .arg("worker")
            .env_clear()
            .env("HOME", &self.home)
            .env("USER", &self.name)
            .env("LOGNAME", &self.name)
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // Whoever controls a worker must not write into the service's log.
            .stderr(Stdio::null());
        for name in ["OPENBITS_LOG", "SSL_CERT_FILE", "SSL_CERT_DIR", "KRB5_CONFIG"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        // SAFETY: between fork and exec only async-signal-safe system calls are made; `groups` was filled before the fork, and
        // nothing is allocated.
        unsafe {
            command.pre_exec(move || become_owner(raw, uid, gid, &groups));
        }
        let child = command.spawn()?;
        drop(socket);
        Ok(child)
    }
}

/// Starts a notification program: as this account, or, without one, as the service's own user.
///
/// It has a session and process group of its own, no new privileges, no core dumps, at most 1,024 descriptors of its own and none of
/// the service's, and dies with the service. `command` has its arguments and environment.
pub fn start_program(mut command: Command, identity: Option<&Identity>, cpu_s: u64) -> io::Result<Child> {
    let account = identity.map(|identity| (identity.uid, identity.gid, identity.groups.clone()));
    // SAFETY: between fork and exec only async-signal-safe system calls are made; `groups` was filled before the fork, and nothing
    // is allocated.
    unsafe {
        command.pre_exec(move || become_program(account.as_ref(), cpu_s));
    }
    command.spawn()
}

/// Becomes readable when the child has ended.
pub fn end_of(child: &Child) -> io::Result<tokio::io::unix::AsyncFd<OwnedFd>> {
    let pid = rustix::process::Pid::from_child(child);
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::NONBLOCK)?;
    // SAFETY: the AsyncFd owns the descriptor; nobody else has it, and it stays open until the AsyncFd is dropped.
    Ok(unsafe { tokio::io::unix::AsyncFd::register(pidfd)? })
}

/// Uid, gid and groups of an account.
type Account = (nix::unistd::Uid, nix::unistd::Gid, Vec<nix::unistd::Gid>);

impl Identity {
    /// Name of the account.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its home.
    pub fn home(&self) -> &Path {
        &self.home
    }
}

/// Runs in the child of a notification program.
fn become_program(account: Option<&Account>, cpu_s: u64) -> io::Result<()> {
    // SAFETY: plain system calls; a failure ends the child before exec.
    unsafe {
        let check = |result: i32| if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
        check(nix::libc::setsid())?;
        for (resource, soft, hard) in [
            (nix::libc::RLIMIT_CORE, 0, 0),
            (nix::libc::RLIMIT_NOFILE, 1024, 4096),
            (nix::libc::RLIMIT_CPU, cpu_s, cpu_s.saturating_add(5)),
        ] {
            let limit = nix::libc::rlimit { rlim_cur: soft, rlim_max: hard };
            // A limit that is lower already stays.
            let _ = nix::libc::setrlimit(resource, &raw const limit);
        }
        match account {
            Some((uid, gid, groups)) => shed(*uid, *gid, groups)?,
            None => {
                nix::libc::umask(0o022);
                check(nix::libc::prctl(nix::libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
                check(nix::libc::prctl(nix::libc::PR_SET_PDEATHSIG, nix::libc::SIGKILL, 0, 0, 0))?;
            }
        }
        close_from(3)
    }
}

/// Marks every descriptor from here on close-on-exec: not closed, since the standard library reports a failed exec through one of its
/// own.
fn close_from(first: i32) -> io::Result<()> {
    const CLOSE_RANGE_CLOEXEC: u32 = 1 << 2;
    // SAFETY: a plain system call on numbers.
    let closed =
        unsafe { nix::libc::syscall(nix::libc::SYS_close_range, first, u32::MAX, CLOSE_RANGE_CLOEXEC) };
    if closed < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn groups_of(name: &CStr, gid: nix::unistd::Gid) -> io::Result<Vec<nix::unistd::Gid>> {
    Ok(nix::unistd::getgrouplist(name, gid)?)
}

/// Runs in a child: no way back to root, no capabilities, no new privileges.
fn shed(uid: nix::unistd::Uid, gid: nix::unistd::Gid, groups: &[nix::unistd::Gid]) -> io::Result<()> {
    // SAFETY: plain system calls on numbers that this process owns; a failure ends the child before exec.
    unsafe {
        let check = |result: i32| if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
        check(nix::libc::prctl(nix::libc::PR_SET_PDEATHSIG, nix::libc::SIGKILL, 0, 0, 0))?;
        // Root's worker: an empty bounding set and "no setuid fix-up" take root's powers away for good; others lose theirs by setuid.
        for capability in 0..64 {
            if nix::libc::prctl(nix::libc::PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 {
                break; // beyond the last capability of this kernel
            }
        }
        const SECBIT_NOROOT_LOCKED: u64 = 0b11;
        check(nix::libc::prctl(nix::libc::PR_SET_SECUREBITS, SECBIT_NOROOT_LOCKED, 0, 0, 0))?;
        nix::libc::umask(0o022);
        nix::unistd::setgroups(groups)?;
        nix::unistd::setresgid(gid, gid, gid)?;
        nix::unistd::setresuid(uid, uid, uid)?;
        check(nix::libc::prctl(nix::libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        // setuid reset the death signal.
        check(nix::libc::prctl(nix::libc::PR_SET_PDEATHSIG, nix::libc::SIGKILL, 0, 0, 0))
    }
}

/// Runs in the child that becomes a worker: the owner's rights, and one descriptor.
fn become_owner(
    socket: i32,
    uid: nix::unistd::Uid,
    gid: nix::unistd::Gid,
    groups: &[nix::unistd::Gid],
) -> io::Result<()> {
    shed(uid, gid, groups)?;
    // SAFETY: plain system calls on numbers that this process owns; a failure ends the child before exec.
    unsafe {
        let check = |result: i32| if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
        if socket == WORKER_FD {
            let flags = nix::libc::fcntl(socket, nix::libc::F_GETFD);
            check(nix::libc::fcntl(socket, nix::libc::F_SETFD, flags & !nix::libc::FD_CLOEXEC))?;
        } else {
            check(nix::libc::dup2(socket, WORKER_FD))?;
        }
    }
    close_from(WORKER_FD + 1)
}
