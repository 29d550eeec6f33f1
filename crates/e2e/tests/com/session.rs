//! A service, and a process that has the library loaded.

use openbits_e2e::{Door, User, program};
use openbits_testkit::process::Spec;
use openbits_testkit::{Content, Origin, OriginOptions, wait_until};
use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use windows_core::{GUID, HRESULT};

/// Says to a process that it is to run the body of a test.
const BODY: &str = "OPENBITS_COM_BODY";
/// Says to it where its cache host has to be.
const CACHE: &str = "OPENBITS_COM_CACHE";
/// Longest time for a body: a wait in it that lasts its 60 s says so itself, also when others before it were slow. Short of what the
/// profile of nextest allows.
const PATIENCE: Duration = Duration::from_secs(240);
/// Longest time until a service answers, or is gone.
const SERVICE: Duration = Duration::from_secs(60);

/// OpenbitsCreateInstance
pub(crate) type Factory =
    unsafe extern "system" fn(*const GUID, *mut c_void, u32, *const GUID, *mut *mut c_void, u32) -> HRESULT;

/// The name of the test around it.
macro_rules! here {
    () => {{
        fn here() {}
        std::any::type_name_of_val(&here)
    }};
}

/// What a body has.
pub(crate) struct Session {
    library: libloading::Library,
    home: PathBuf,
    /// The service's own door, beside the library.
    pub(crate) door: Door,
    origin: std::cell::OnceCell<Origin>,
}

/// The shared library that cargo built with this test.
fn library() -> PathBuf {
    if let Some(path) = std::env::var_os("OPENBITS_LIBRARY") {
        return path.into();
    }
    let folder = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    folder.join("libopenbits.so")
}

/// Runs the body in a process of its own, beside a service of its own.
pub(crate) fn run(here: &str, body: impl FnOnce(&Session)) {
    run_with(here, "", None, body);
}

/// As [`run`], beside a service with more policy.
pub(crate) fn run_with_policy(here: &str, policy: &str, body: impl FnOnce(&Session)) {
    run_with(here, policy, None, body);
}

/// The same, where the machine's policy names a cache host.
pub(crate) fn run_with_cache_host(here: &str, body: impl FnOnce(&Session, &Origin)) {
    // Another loopback address for each test: nobody else takes the port before the body does.
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let own = || std::net::SocketAddr::from(([127, 100 + a % 100, b, c.max(1)], 8080));
    let address = std::env::var(CACHE).map_or_else(|_| own(), |text| text.parse().unwrap());
    run_with(here, "", Some(&address.to_string()), |session| {
        let cache =
            Origin::start_with(OriginOptions { listen: address, ..OriginOptions::default() }).unwrap();
        body(session, &cache);
    });
}

fn run_with(here: &str, policy: &str, cache: Option<&str>, body: impl FnOnce(&Session)) {
    if std::env::var_os(BODY).is_some() {
        let session = Session::open();
        body(&session);
        return;
    }
    let user = User::new(program(env!("CARGO_BIN_EXE_bits-under-test")));
    // The tests may run as root, whose jobs run no program otherwise.
    user.policy(&format!("[notify]\nallow_for_system_accounts = true\n{policy}"));
    let machine = cache.map(|cache| {
        let path = user.sandbox().path().join("machine.toml");
        std::fs::write(&path, format!("[delivery_optimization]\ncache_hosts = [\"{cache}\"]\n")).unwrap();
        path
    });
    let _service = start(&user, machine.as_deref());
    // `com::wide16::suite::job::job_add_file::here`
    let name = here.split_once("::").unwrap().1.rsplit_once("::").unwrap().0;
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]).env_clear();
    command.envs(user.sandbox().envs()).env(BODY, user.program()).env("OPENBITS_SOCKET", user.door().socket);
    command.envs(cache.map(|cache| (CACHE, cache)));
    for kept in ["OPENBITS_LIBRARY", "LD_LIBRARY_PATH", "RUST_BACKTRACE"] {
        command.envs(std::env::var_os(kept).map(|value| (kept, value)));
    }
    let mut child = command.spawn().unwrap();
    let begin = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if begin.elapsed() > PATIENCE => {
                child.kill().unwrap();
                break child.wait().unwrap();
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    assert!(status.success(), "{name}: {status} after {:?}", begin.elapsed());
}

fn start(user: &User, policy: Option<&Path>) -> openbits_testkit::process::Process {
    let mut spec = Spec::new(user.program(), user.sandbox().path().join("service.log"))
        .within(user.sandbox())
        .arg("service")
        .arg("--user");
    if let Some(policy) = policy {
        spec = spec.arg("--policy").arg(policy);
    }
    let process = spec.start().unwrap();
    assert!(wait_until(SERVICE, || answers(&user.door())), "{}", process.log());
    process
}

fn answers(door: &Door) -> bool {
    door.ask("GET", "/v1/service", None).is_ok_and(|reply| reply.is_success())
}

impl Session {
    fn open() -> Self {
        // SAFETY: the library's initialisation has no preconditions.
        let library = unsafe { libloading::Library::new(library()) }.expect("cargo has built libopenbits.so");
        let socket = std::env::var_os("OPENBITS_SOCKET").unwrap().into();
        let home = std::env::var_os("HOME").unwrap().into();
        Self { library, home, door: Door { socket, uid: None }, origin: std::cell::OnceCell::new() }
    }

    /// What the library exports to make objects.
    pub(crate) fn factory(&self) -> Factory {
        // SAFETY: the symbol has this type (docs/decisions/0020).
        *unsafe { self.library.get::<Factory>(b"OpenbitsCreateInstance\0") }.unwrap()
    }

    /// OpenbitsVersion
    pub(crate) fn version(&self) -> String {
        // SAFETY: the symbol has this type, and gives a text that lives for ever.
        unsafe {
            let version =
                self.library.get::<unsafe extern "system" fn() -> *const i8>(b"OpenbitsVersion\0").unwrap();
            std::ffi::CStr::from_ptr(version()).to_str().unwrap().to_owned()
        }
    }

    /// A path in the folder for downloads.
    pub(crate) fn path(&self, name: &str) -> String {
        self.home.join("downloads").join(name).to_str().unwrap().to_owned()
    }

    /// A server with the files `f` (50,000 bytes) and `g` (3 MB).
    pub(crate) fn origin(&self) -> &Origin {
        self.origin.get_or_init(|| {
            let origin = Origin::start();
            origin.put("f", Content::new(1, 50_000));
            origin.put("g", Content::new(2, 3_000_000));
            origin
        })
    }

    /// The folder with the user's policy and certificates.
    pub(crate) fn configuration(&self) -> PathBuf {
        self.home.join(".config/openbits")
    }

    /// Kills the service.
    pub(crate) fn kill_service(&self) {
        let pid = self.door.service().pid;
        openbits_e2e::kill(pid);
        assert!(wait_until(SERVICE, || !answers(&self.door)));
    }

    /// Starts it again.
    pub(crate) fn restart_service(&self) -> std::process::Child {
        let program = std::env::var_os(BODY).unwrap();
        let mut command = Command::new(program);
        command.arg("service").arg("--user").stdin(std::process::Stdio::null());
        let child = command.env_remove("OPENBITS_SOCKET").spawn().unwrap();
        assert!(wait_until(SERVICE, || answers(&self.door)));
        child
    }
}
