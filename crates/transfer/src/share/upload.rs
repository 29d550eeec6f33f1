//! The writing half: a file is made under a temporary name, resumed from what is durable, and renamed when it is whole.

use super::{Share, User, connect, limited};
use crate::failure::{Outcome, with};
use openbits_core::ErrorContext;
use openbits_core::classify::Class;
use openbits_core::hresult::{BG_E_VALIDATION_FAILED, ERROR_INVALID_NAME};
use openbits_core::plan::Fail;
use openbits_core::remote::SmbName;
use serde::{Deserialize, Serialize};
use smb2::{FileIdentity, FileWriter, RenameOptions, WriteCheckpoint};
use std::time::Duration;

/// How far an upload is durable on the server, and in which file: plain data, to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Bytes from the first on that the server has synced.
    pub offset: u64,
    /// Serial number of the volume, and number of the file on it; `None`: the server does not tell, and nothing can be resumed.
    pub file: Option<(u32, u64)>,
}

impl Checkpoint {
    fn of(checkpoint: &WriteCheckpoint) -> Self {
        let file = checkpoint.identity.map(|identity| (identity.volume_serial, identity.index_number));
        Self { offset: checkpoint.offset, file }
    }

    fn told(self) -> WriteCheckpoint {
        let identity =
            self.file.map(|(volume_serial, index_number)| FileIdentity { volume_serial, index_number });
        WriteCheckpoint::new(self.offset, identity)
    }
}

/// A file being written on a share. Dropping it leaves the temporary file, for [`Upload::resume`] or [`remove`].
pub struct Upload {
    share: Share,
    writer: FileWriter,
    name: SmbName,
    temp: String,
    timeout: Duration,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Upload {
    /// Begins a file at its first byte. `temp`: name (not path) of the temporary file, beside the final name; what has it is replaced.
    /// Each step may take `timeout`.
    ///
    /// # Errors
    /// The server cannot be reached, refuses the user, or refuses the file: a code of the specification, and whether it may pass.
    pub async fn create(
        name: &SmbName,
        user: &User,
        temp: &str,
        timeout: Duration,
    ) -> Result<Self, Box<Fail>> {
        let temp = beside(name, temp)?;
        let mut share = connect(name, user, timeout).await?;
        let opening = Box::pin(share.client.create_file_writer(&share.tree, &temp));
        let writer = limited(timeout, opening).await?;
        Ok(Self { share, writer, name: name.clone(), temp, timeout })
    }

    /// Goes on after a checkpoint, on a new connection. `None`: the temporary file is not the one of the checkpoint any more (or nothing
    /// can prove it), so the file has to begin again.
    ///
    /// # Errors
    /// As [`Upload::create`].
    pub async fn resume(
        name: &SmbName,
        user: &User,
        temp: &str,
        checkpoint: Checkpoint,
        timeout: Duration,
    ) -> Result<Option<Self>, Box<Fail>> {
        let temp = beside(name, temp)?;
        let mut share = connect(name, user, timeout).await?;
        let told = checkpoint.told();
        let opening = Box::pin(share.client.resume_file_writer(&share.tree, &temp, &told));
        let opened = tokio::time::timeout(timeout, opening).await;
        let writer = match opened {
            Ok(Err(smb2::Error::ResumeRefused { .. })) => return Ok(None),
            Ok(result) => limited(timeout, std::future::ready(result)).await?,
            Err(_) => limited(Duration::ZERO, std::future::pending()).await?,
        };
        Ok(Some(Self { share, writer, name: name.clone(), temp, timeout }))
    }

    /// Takes the next bytes; waits while the server is behind.
    ///
    /// # Errors
    /// The session broke or the server refuses. What the last checkpoint told is durable.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Box<Fail>> {
        limited(self.timeout, self.writer.write_chunk(bytes)).await
    }

    /// Makes everything so far durable on the server.
    ///
    /// # Errors
    /// As [`Upload::write`].
    pub async fn checkpoint(&mut self) -> Result<Checkpoint, Box<Fail>> {
        let checkpoint = limited(self.timeout, self.writer.flush_checkpoint()).await?;
        Ok(Checkpoint::of(&checkpoint))
    }

    /// Ends the file: everything is durable, it has `size` bytes, and then it gets its name in one step, in place of whatever had it.
    ///
    /// # Errors
    /// As [`Upload::write`]; `BG_E_VALIDATION_FAILED` if the server has another number of bytes. The final name is untouched then.
    pub async fn finish(mut self, size: u64) -> Result<(), Box<Fail>> {
        limited(self.timeout, Box::pin(self.writer.finish())).await?;
        let (info, _) = self.share.look(&self.temp, self.timeout).await?;
        if info.size != size {
            let detail = format!("The file has {} bytes on the share instead of {size}.", info.size);
            return Err(with(ErrorContext::RemoteFile, BG_E_VALIDATION_FAILED, Class::Fatal, detail));
        }
        let options = RenameOptions::new().replace_if_exists(true);
        let renaming =
            Box::pin(self.share.client.rename_with(&self.share.tree, &self.temp, &self.name.path, options));
        limited(self.timeout, renaming).await
    }
}

/// Removes the temporary file of an upload that was given up; one that is not there is fine.
///
/// # Errors
/// As [`Upload::create`].
pub async fn remove(name: &SmbName, user: &User, temp: &str, timeout: Duration) -> Result<(), Box<Fail>> {
    let temp = beside(name, temp)?;
    let mut share = connect(name, user, timeout).await?;
    let removing = Box::pin(share.client.delete_file(&share.tree, &temp));
    match tokio::time::timeout(timeout, removing).await {
        Ok(Err(error)) if error.kind() == smb2::ErrorKind::NotFound => Ok(()),
        Ok(result) => limited(timeout, std::future::ready(result)).await,
        Err(_) => limited(Duration::ZERO, std::future::pending()).await,
    }
}

/// Path of the temporary file.
fn beside(name: &SmbName, temp: &str) -> Outcome<String> {
    if temp.is_empty() || temp.contains(['/', '\\']) {
        let detail = "The temporary file needs a name and no path.";
        return Err(with(ErrorContext::RemoteFile, ERROR_INVALID_NAME, Class::Fatal, detail));
    }
    Ok(match name.path.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{temp}"),
        None => temp.to_owned(),
    })
}
