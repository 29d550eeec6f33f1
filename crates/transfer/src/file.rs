//! Local files: the folder, the temporary file in it, and the way from one to the other.
//!
//! Everything happens relative to an open folder, so that nobody can exchange a path under us; the names in it are never
//! followed if they are links (spec/behaviour.md 12).

mod direct;
mod finish;
mod folder;
mod group;
mod hash;
mod made;
mod part;
mod probe;
mod temp;
mod writer;

pub(crate) use finish::finish;
pub(crate) use folder::{Folder, Place};
pub(crate) use group::{Finished, Group};
pub(crate) use hash::{Cut, Wanted as Hashed, digest_of};

pub(crate) use part::{MAX_UNSYNCED, Part};
pub(crate) use probe::probe;
pub(crate) use temp::{Reopened, create, mark_version, remove, reopen, version_tag};
