//! Who calls, and what that allows (spec/bits-core.md 4.2).

use crate::id::Uid;

/// The peer of a connection, as the kernel reports it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller {
    /// User id of the peer.
    pub uid: Uid,
    /// Exempt from the quotas: root, system accounts, members of exempt groups (spec/policy.md C4).
    pub exempt: bool,
}

impl Caller {
    /// An ordinary user.
    pub const fn user(uid: u32) -> Self {
        Self { uid: Uid(uid), exempt: false }
    }

    /// The administrator.
    pub const fn root() -> Self {
        Self { uid: Uid::ROOT, exempt: true }
    }

    /// Root is the only "elevated administrator" (spec/behaviour.md 6, Linux).
    pub fn is_administrator(self) -> bool {
        self.uid == Uid::ROOT
    }

    /// Owner or administrator: may read and change the job.
    pub fn may_use(self, owner: Uid) -> bool {
        self.uid == owner || self.is_administrator()
    }
}
