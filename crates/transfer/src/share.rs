//! Files on SMB shares, over the network and without a mount.
//!
//! The crate is young (research/crates.md 7), so every step has a time limit here, and nothing that it says is believed without the
//! digest or the version of the file.

mod error;
pub mod upload;

use crate::failure::{Outcome, transport};
use error::explain;
use openbits_core::hresult::*;
use openbits_core::remote::SmbName;
use smb2::{ClientConfig, FileIdentity, FileInfo, SmbClient, Tree};
use std::time::Duration;

/// Who signs in, where the name itself does not say.
#[derive(Clone, Default)]
pub struct User {
    /// Domain; may be empty.
    pub domain: String,
    /// User; empty: a guest.
    pub user: String,
    /// Password.
    pub password: String,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").finish_non_exhaustive()
    }
}

/// An open share.
pub(crate) struct Share {
    pub(crate) client: SmbClient,
    pub(crate) tree: Tree,
}

/// Signs in and connects to the share. What the name says goes before `user`.
pub(crate) async fn connect(name: &SmbName, user: &User, timeout: Duration) -> Outcome<Share> {
    let host = if name.host.contains(':') { format!("[{}]", name.host) } else { name.host.clone() };
    let (domain, account, password) = if name.user.is_empty() {
        (&user.domain, &user.user, &user.password)
    } else {
        (&name.domain, &name.user, &name.password)
    };
    let config = ClientConfig {
        addr: format!("{host}:{}", name.port),
        timeout,
        username: account.clone(),
        password: password.clone(),
        domain: domain.clone(),
        auto_reconnect: false,
        // Less of what a stranger sends is unpacked, and files are mostly packed already.
        compression: false,
        ..ClientConfig::default()
    };
    let signing_in = async {
        let mut client = SmbClient::connect(config).await?;
        let tree = client.connect_share(&name.share).await?;
        Ok(Share { client, tree })
    };
    limited(timeout, Box::pin(signing_in)).await
}

/// A step with a time limit.
pub(crate) async fn limited<T>(
    timeout: Duration,
    step: impl Future<Output = Result<T, smb2::Error>>,
) -> Outcome<T> {
    match tokio::time::timeout(timeout, step).await {
        Ok(result) => result.map_err(|error| explain(&error)),
        Err(_) => Err(transport(ERROR_WINHTTP_TIMEOUT, "The server of the share does not answer.")),
    }
}

impl Share {
    /// What the server tells of a file.
    pub(crate) async fn look(
        &mut self,
        path: &str,
        timeout: Duration,
    ) -> Outcome<(FileInfo, Option<FileIdentity>)> {
        limited(timeout, Box::pin(self.client.stat_with_identity(&mut self.tree, path))).await
    }
}
