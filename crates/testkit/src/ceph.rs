//! A real object store: Ceph (Debian: ceph-mon, ceph-osd, radosgw) of one monitor, one in-memory disk and one S3 gateway, on loopback and
//! in a folder of its own, killed when dropped. It is ready after ten to twenty seconds.

use crate::process::{Process, Spec};
use crate::wait::wait_until;
use std::ffi::OsStr;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Longest time for one step of its start.
const START: Duration = Duration::from_secs(120);
/// The gateway is last: who has it, has it all.
const PROGRAMS: [&str; 4] =
    ["/usr/bin/ceph-mon", "/usr/bin/ceph-osd", "/usr/bin/radosgw", "/usr/bin/radosgw-admin"];

/// A running store.
#[derive(Debug)]
pub struct Ceph {
    gateway: Process,
    port: u16,
    // Dropped after the gateway, in this order.
    _disk: Process,
    _monitor: Process,
    _folder: TempDir,
}

impl Ceph {
    /// Access key of its one user.
    pub const KEY: &'static str = "openbits";
    /// Secret of its one user.
    pub const SECRET: &'static str = "open sesame";

    /// Starts it; `None` if it, or curl, is not installed.
    ///
    /// # Panics
    /// When it is there and does not come up.
    #[must_use]
    pub fn start() -> Option<Self> {
        let curl = Command::new("curl").arg("--version").stdout(Stdio::null()).status();
        if PROGRAMS.iter().any(|program| !Path::new(program).exists()) || !curl.is_ok_and(|s| s.success()) {
            return None;
        }
        let folder = crate::peer_folder("obceph");
        let root = folder.path();
        let at = |name: &str| root.join(name);
        for name in ["mon", "osd", "rgw"] {
            std::fs::create_dir(at(name)).expect("it was empty");
        }
        let uuid = || {
            let text = std::fs::read_to_string("/proc/sys/kernel/random/uuid").expect("the kernel has one");
            text.trim().to_owned()
        };
        let (cluster, monitor, port) = (uuid(), crate::own_port(), crate::own_port());
        std::fs::write(at("ceph.conf"), configuration(root, &cluster, monitor, port)).expect("it was empty");
        let config = at("ceph.conf");
        let run = |program: &str, arguments: &[&OsStr]| {
            let output = Command::new(program).arg("-c").arg(&config).args(arguments).output();
            let output = output.expect("it is installed");
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        };
        let words = |text: &'static str| text.split(' ').map(OsStr::new);
        let address = format!("[v1:127.0.0.1:{monitor}]");
        let mut map: Vec<&OsStr> = words("--create --fsid").collect();
        map.extend([OsStr::new(&cluster), OsStr::new("--addv"), OsStr::new("a"), OsStr::new(&address)]);
        let monitors = at("monmap");
        map.push(monitors.as_os_str());
        run("monmaptool", &map);
        let mut born: Vec<&OsStr> = words("-i a --mkfs --monmap").collect();
        born.push(monitors.as_os_str());
        run(PROGRAMS[0], &born);
        let start = |program: &str, arguments: &'static str, log: &str| {
            let spec = Spec::new(program, at(log)).arg("-c").arg(&config).arg("-f");
            words(arguments).fold(spec, Spec::arg).start().expect("it is installed")
        };
        let monitor = start(PROGRAMS[0], "-i a", "mon.out");
        let id = uuid();
        let mut born: Vec<&OsStr> = words("-i 0 --mkfs --osd-uuid").collect();
        born.push(OsStr::new(&id));
        run(PROGRAMS[1], &born);
        let mut disk = start(PROGRAMS[1], "-i 0", "osd.out");
        // The disk announces itself to the monitor, and gives up if that was too early.
        let said = || std::fs::read_to_string(at("mon.a.log")).unwrap_or_default();
        let up = wait_until(START, || {
            if !disk.is_running() {
                std::thread::sleep(Duration::from_millis(300));
                disk.restart().expect("it is installed");
            }
            said().contains(": 1 total, 1 up")
        });
        assert!(up, "ceph-osd does not come up: {}", disk.log());
        let mut user: Vec<&OsStr> = words("user create --uid openbits --display-name openbits").collect();
        let keys = [format!("--access-key={}", Self::KEY), format!("--secret-key={}", Self::SECRET)];
        user.extend(keys.iter().map(OsStr::new));
        run(PROGRAMS[3], &user);
        let gateway = start(PROGRAMS[2], "-n client.rgw", "rgw.out");
        let listens = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        assert!(wait_until(START, listens), "radosgw does not come up: {}", gateway.log());
        Some(Self { gateway, port, _disk: disk, _monitor: monitor, _folder: folder })
    }

    /// Makes a bucket, signed by curl.
    ///
    /// # Panics
    /// When the store refuses it.
    pub fn make_bucket(&self, name: &str) {
        let (status, body) = self.ask("PUT", name);
        assert_eq!(status, 200, "{}\n{}", String::from_utf8_lossy(&body), self.gateway.log());
    }

    /// Status and body of one signed request for `BUCKET`, `BUCKET/KEY` or either with a query.
    ///
    /// # Panics
    /// When the store does not answer.
    #[must_use]
    pub fn ask(&self, method: &str, path: &str) -> (u16, Vec<u8>) {
        let output = Command::new("curl")
            .args(["-s", "-S", "-X", method, "--aws-sigv4", "aws:amz:us-east-1:s3", "-w", "\n%{http_code}"])
            .args(["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "--max-time", "60"])
            .arg("--user")
            .arg(format!("{}:{}", Self::KEY, Self::SECRET))
            .arg(format!("{}/{path}", self.url()))
            .output()
            .expect("curl was there at the start");
        let mut body = output.stdout;
        let end = body.iter().rposition(|byte| *byte == b'\n').expect("it was asked for");
        let status = String::from_utf8_lossy(&body[end + 1..]).parse().expect("a number");
        body.truncate(end);
        (status, body)
    }

    /// The S3 endpoint.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }
}

fn configuration(root: &Path, cluster: &str, monitor: u16, gateway: u16) -> String {
    let root = root.display();
    format!(
        "[global]\n\
         fsid = {cluster}\n\
         mon host = v1:127.0.0.1:{monitor}\n\
         public addr = 127.0.0.1\n\
         auth cluster required = none\nauth service required = none\nauth client required = none\n\
         osd pool default size = 1\nosd pool default min size = 1\n\
         osd pool default pg num = 1\nosd pool default pgp num = 1\nosd pool default pg autoscale mode = off\n\
         osd crush chooseleaf type = 0\nmon allow pool size one = true\nmon max pg per osd = 2000\n\
         run dir = {root}\nadmin socket = {root}/$name.asok\npid file = {root}/$name.pid\n\
         log file = {root}/$name.log\ncrash dir = {root}\nms bind msgr2 = false\n\
         [mon]\nmon data = {root}/mon\nmon data avail crit = 0\nmon data avail warn = 0\n\
         [osd]\nosd data = {root}/osd\nosd objectstore = memstore\nmemstore device bytes = 2147483648\n\
         [client]\nrgw frontends = beast endpoint=127.0.0.1:{gateway}\nrgw data = {root}/rgw\n\
         rgw run sync thread = false\n"
    )
}
