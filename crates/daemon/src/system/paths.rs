//! Where the service keeps its things.

use std::path::PathBuf;

/// Folders and files of a service.
#[derive(Clone, Debug)]
pub struct Paths {
    /// Socket of the API.
    pub socket: PathBuf,
    /// The queue's database.
    pub database: PathBuf,
    /// Folder of the user's own policy and preferences; `None` for the system's service, which opens no user's path.
    pub config: Option<PathBuf>,
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from)
}

impl Paths {
    /// Of the system's service.
    pub fn system() -> Self {
        Self {
            // A variable is somebody's environment; the machine's service is told its socket on its command line or not at all.
            socket: openbits_api::SYSTEM_SOCKET.into(),
            database: "/var/lib/openbits/queue.db".into(),
            config: None,
        }
    }

    /// Of a user's own service: the same rule as the client's, so that the two always meet.
    pub fn user() -> Self {
        let environment = openbits_api::socket::Environment::of_process();
        let home = variable("HOME").unwrap_or_else(|| "/".into());
        let config = variable("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"));
        Self {
            socket: variable(openbits_api::SOCKET_VARIABLE).unwrap_or_else(|| environment.user_socket()),
            database: environment.state_directory().join("queue.db"),
            config: Some(config.join("openbits")),
        }
    }
}
