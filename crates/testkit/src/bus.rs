//! A message bus of its own, with services that say what a test wants: stand-ins for NetworkManager, UPower, logind and the like.

use futures_util::StreamExt;
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use zbus::message::Type;
use zbus::{Connection, Message, MessageStream, ObjectPath, Variant};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A value of a property.
#[derive(Clone, Debug, PartialEq)]
pub enum Property {
    /// `b`
    Bool(bool),
    /// `u`
    U32(u32),
    /// `i`
    I32(i32),
    /// `s`
    Text(String),
    /// `o`
    Path(String),
    /// `ao`
    Paths(Vec<String>),
}

impl Property {
    fn variant(&self) -> Variant<'static> {
        match self {
            Self::Bool(value) => Variant::from(*value),
            Self::U32(value) => Variant::from(*value),
            Self::I32(value) => Variant::from(*value),
            Self::Text(value) => Variant::from(value.clone()),
            Self::Path(value) => {
                Variant::from(ObjectPath::try_from(value.clone()).expect("a path of an object"))
            }
            Self::Paths(values) => {
                let path = |value: &String| ObjectPath::try_from(value.clone()).expect("a path of an object");
                Variant::from(values.iter().map(path).collect::<Vec<_>>())
            }
        }
    }
}

/// `dbus-daemon` on a socket of its own; killed when dropped.
#[derive(Debug)]
pub struct Bus {
    daemon: Child,
    address: String,
    runtime: Option<Runtime>,
    _folder: TempDir,
}

impl Bus {
    /// Starts one.
    ///
    /// # Errors
    /// There is no `dbus-daemon` here (Debian: dbus-daemon), or it does not start.
    pub fn start() -> Result<Self, String> {
        let folder =
            tempfile::Builder::new().prefix("obbus").tempdir_in("/tmp").map_err(|e| e.to_string())?;
        // Also processes of other users may enter: services that are tested drop their rights.
        let config = format!(
            "<busconfig><type>system</type><listen>unix:path={}/bus</listen><auth>EXTERNAL</auth>\
             <policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/><allow send_type=\"method_call\"/>\
             <allow send_type=\"signal\"/><allow send_requested_reply=\"true\" send_type=\"method_return\"/>\
             <allow send_requested_reply=\"true\" send_type=\"error\"/><allow receive_type=\"method_call\"/>\
             <allow receive_type=\"signal\"/><allow receive_type=\"method_return\"/><allow receive_type=\"error\"/>\
             </policy></busconfig>",
            folder.path().display()
        );
        let file = folder.path().join("bus.conf");
        std::fs::File::create(&file)
            .and_then(|mut f| f.write_all(config.as_bytes()))
            .map_err(|e| e.to_string())?;
        let mut daemon = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", file.display()))
            .args(["--nofork", "--nopidfile", "--print-address"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("dbus-daemon: {e}"))?;
        let mut address = String::new();
        let read = BufReader::new(daemon.stdout.take().expect("piped")).read_line(&mut address);
        if read.is_err() || address.trim().is_empty() {
            let _ = daemon.kill();
            let _ = daemon.wait();
            return Err("dbus-daemon tells no address".to_owned());
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|e| e.to_string())?;
        Ok(Self { daemon, address: address.trim().to_owned(), runtime: Some(runtime), _folder: folder })
    }

    /// For `DBUS_SYSTEM_BUS_ADDRESS` or `DBUS_SESSION_BUS_ADDRESS`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A service with this name, without any object yet. It leaves the bus when it is dropped.
    ///
    /// # Panics
    /// When the bus does not take it.
    #[must_use]
    pub fn service(&self, name: &str) -> Service {
        let handle = self.runtime.as_ref().expect("until the end").handle().clone();
        let (address, name, objects) =
            (self.address.clone(), name.to_owned(), Arc::<Mutex<Objects>>::default());
        let own = objects.clone();
        let (connection, task) = wait(&handle, async move {
            let connection =
                zbus::connection::Builder::address(address.as_str()).build().await.expect("connects");
            let mut messages = MessageStream::from(&connection);
            connection.request_name(name.as_str()).await.expect("the name is free");
            let answering = connection.clone();
            let task = tokio::spawn(async move {
                while let Some(Ok(message)) = messages.next().await {
                    if message.message_type() == Type::MethodCall {
                        answer(&answering, &message, &own).await;
                    }
                }
            });
            (connection, task)
        });
        Service { handle, connection: Some(connection), task, objects }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Runs it on the bus's own threads, also when the caller is inside another runtime.
fn wait<T: Send + 'static>(
    handle: &tokio::runtime::Handle,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    let (sender, receiver) = mpsc::sync_channel(1);
    handle.spawn(async move { sender.send(work.await) });
    receiver.recv_timeout(PATIENCE).expect("the bus answers in time")
}

type Interfaces = BTreeMap<String, BTreeMap<String, Property>>;

#[derive(Debug, Default)]
struct Objects {
    properties: BTreeMap<String, Interfaces>,
    /// uid, name of the session.
    sessions: Vec<(u32, String)>,
    users: Vec<u32>,
}

/// A service on the bus.
#[derive(Debug)]
pub struct Service {
    handle: tokio::runtime::Handle,
    connection: Option<Connection>,
    task: JoinHandle<()>,
    objects: Arc<Mutex<Objects>>,
}

impl Service {
    /// Sets a property, and says so.
    ///
    /// # Panics
    /// When the bus is gone.
    pub fn set(&self, path: &str, interface: &str, name: &str, value: Property) {
        let variant = value.variant();
        self.objects
            .lock()
            .expect("nobody panics")
            .properties
            .entry(path.to_owned())
            .or_default()
            .entry(interface.to_owned())
            .or_default()
            .insert(name.to_owned(), value);
        let body = (interface.to_owned(), HashMap::from([(name.to_owned(), variant)]), Vec::<String>::new());
        self.emit(path, "org.freedesktop.DBus.Properties", "PropertiesChanged", body);
    }

    /// For logind: the sessions (uid, name of the session's object) and the users, and says that a session came.
    ///
    /// # Panics
    /// When the bus is gone.
    pub fn people(&self, sessions: &[(u32, &str)], users: &[u32]) {
        {
            let mut objects = self.objects.lock().expect("nobody panics");
            objects.sessions = sessions.iter().map(|(uid, name)| (*uid, (*name).to_owned())).collect();
            objects.users = users.to_vec();
        }
        let path = ObjectPath::try_from("/org/freedesktop/login1/session/x").expect("a path");
        self.emit(
            "/org/freedesktop/login1",
            "org.freedesktop.login1.Manager",
            "SessionNew",
            ("x".to_owned(), path),
        );
    }

    fn emit(
        &self,
        path: &str,
        interface: &str,
        signal: &str,
        body: impl serde::Serialize + zbus::DynamicType + Send + Sync + 'static,
    ) {
        let connection = self.connection.clone().expect("until the end");
        let (path, interface, signal) = (path.to_owned(), interface.to_owned(), signal.to_owned());
        wait(&self.handle, async move {
            let sent = connection.emit_signal(
                None::<&str>,
                path.as_str(),
                interface.as_str(),
                signal.as_str(),
                &body,
            );
            sent.await.expect("the bus takes it");
        });
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(connection) = self.connection.take() {
            self.handle.spawn(async move {
                let _ = connection.close().await;
            });
        }
    }
}

async fn answer(connection: &Connection, call: &Message, objects: &Mutex<Objects>) {
    let header = call.header();
    let member = header.member().map(|member| member.as_str().to_owned()).unwrap_or_default();
    let path = header.path().map(|path| path.as_str().to_owned()).unwrap_or_default();
    let object = |path: String| ObjectPath::try_from(path).expect("a path");
    let sent = match member.as_str() {
        "GetAll" => {
            let body = call.body();
            let interface: &str = body.deserialize().unwrap_or_default();
            let all: HashMap<String, Variant<'static>> = {
                let objects = objects.lock().expect("nobody panics");
                let found = objects.properties.get(&path).and_then(|interfaces| interfaces.get(interface));
                variants(found.into_iter().flatten())
            };
            connection.reply(&header, &all).await
        }
        "GetManagedObjects" => {
            type All = HashMap<ObjectPath<'static>, HashMap<String, HashMap<String, Variant<'static>>>>;
            let all: All = {
                let objects = objects.lock().expect("nobody panics");
                let interfaces = |all: &Interfaces| {
                    all.iter().map(|(name, properties)| (name.clone(), variants(properties))).collect()
                };
                objects.properties.iter().map(|(path, all)| (object(path.clone()), interfaces(all))).collect()
            };
            connection.reply(&header, &all).await
        }
        "ListSessions" => {
            let all: Vec<(String, u32, String, String, ObjectPath<'static>)> = {
                let objects = objects.lock().expect("nobody panics");
                let path = |name: &str| object(format!("/org/freedesktop/login1/session/{name}"));
                let one = |(uid, name): &(u32, String)| {
                    (name.clone(), *uid, format!("u{uid}"), String::new(), path(name))
                };
                objects.sessions.iter().map(one).collect()
            };
            connection.reply(&header, &all).await
        }
        "ListUsers" => {
            let all: Vec<(u32, String, ObjectPath<'static>)> = {
                let objects = objects.lock().expect("nobody panics");
                let path = |uid: &u32| object(format!("/org/freedesktop/login1/user/_{uid}"));
                objects.users.iter().map(|uid| (*uid, format!("u{uid}"), path(uid))).collect()
            };
            connection.reply(&header, &all).await
        }
        _ => {
            connection
                .reply_error(&header, "org.freedesktop.DBus.Error.UnknownMethod", &"no such method")
                .await
        }
    };
    // A caller who went away needs no answer.
    let _ = sent;
}

fn variants<'a>(
    properties: impl IntoIterator<Item = (&'a String, &'a Property)>,
) -> HashMap<String, Variant<'static>> {
    properties.into_iter().map(|(name, value)| (name.clone(), value.variant())).collect()
}
