//! bits-server as a process, and an application behind it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A running bits-server with a folder of its own. Killed when dropped.
#[derive(Debug)]
pub struct UploadServer {
    program: PathBuf,
    child: Option<Child>,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl UploadServer {
    /// Uploads for everybody below `/`, with more lines of settings for that path.
    #[must_use]
    pub fn start(program: &str, lines: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir_all(folder.path().join("root/in")).unwrap();
        let settings = format!("[[path]]\nprefix = \"/\"\nenabled = true\n{lines}\n");
        std::fs::write(folder.path().join("server.toml"), settings).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { program: program.into(), child: None, address, folder };
        server.revive();
        server
    }

    /// Starts it (again) on its port.
    pub fn revive(&mut self) {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(self.root()).args(["--listen", &self.address.to_string()]);
        command.arg("--config").arg(self.folder.path().join("server.toml"));
        command.env("BITS_SERVER_LOG", "warn").stdout(Stdio::piped()).stdin(Stdio::null());
        let mut child = command.spawn().expect("bits-server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("said {line:?}"));
        self.address = address.parse().expect("an address");
        self.child = Some(child);
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The folder that it serves.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// A file that it delivered.
    #[must_use]
    pub fn delivered(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// Number of sessions that live.
    #[must_use]
    pub fn sessions(&self) -> usize {
        let live = self.root().join(".bits-sessions/live");
        std::fs::read_dir(live).map_or(0, Iterator::count)
    }
}

impl Drop for UploadServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An application that is told of finished uploads by value and answers each with the same reply.
#[derive(Debug)]
pub struct Backend {
    address: SocketAddr,
    told: Arc<AtomicU64>,
    reply: Arc<Mutex<(u16, Vec<u8>)>>,
}

impl Backend {
    /// Listens on a port of loopback.
    #[must_use]
    pub fn start(reply: &[u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let backend = Self {
            address: listener.local_addr().expect("bound"),
            told: Arc::default(),
            reply: Arc::new(Mutex::new((200, reply.to_vec()))),
        };
        let (told, reply) = (Arc::clone(&backend.told), Arc::clone(&backend.reply));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (status, reply) = reply.lock().expect("nobody panics with it").clone();
                if answer(stream, status, &reply).is_ok() {
                    told.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        backend
    }

    /// What it answers from now on.
    pub fn answers(&self, status: u16, reply: &[u8]) {
        *self.reply.lock().expect("nobody panics with it") = (status, reply.to_vec());
    }

    /// Notifications so far.
    #[must_use]
    pub fn told(&self) -> u64 {
        self.told.load(Ordering::SeqCst)
    }

    /// The settings of a bits-server that tells it.
    #[must_use]
    pub fn settings(&self) -> String {
        format!("notification = \"value\"\nnotification_url = \"http://{}/\"", self.address)
    }
}

/// Reads a request with its body, and answers.
fn answer(mut stream: TcpStream, status: u16, reply: &[u8]) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    write!(stream, "HTTP/1.1 {status} Told\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", reply.len())?;
    stream.write_all(reply)
}

/// Writes a file of this content.
pub fn write_content(path: &Path, content: &openbits_testkit::Content) {
    let mut file = std::fs::File::create(path).expect("the folder can be written");
    let mut at = 0;
    let mut piece = vec![0; 1 << 20];
    while at < content.size() {
        let got = content.fill(at, &mut piece);
        file.write_all(&piece[..got]).expect("the file can be written");
        at += got as u64;
    }
}
