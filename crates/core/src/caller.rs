//! Who calls, and what that allows (spec/bits-core.md 4.2).

use crate::id::Uid;
use crate::job::options::OwnerLevel;

/// The peer of a connection, as the kernel reports it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller {
    /// User id of the peer.
    pub uid: Uid,
    /// Exempt from the quotas: root, system accounts, members of exempt groups (spec/policy.md C4).
    pub exempt: bool,
    /// Who logged in (the audit login uid of the peer's process); `None`: nobody, or not known. Never decides about rights.
    pub login: Option<Uid>,
}

impl Caller {
    /// An ordinary user.
    pub const fn user(uid: u32) -> Self {
        Self { uid: Uid(uid), exempt: false, login: None }
    }

    /// The administrator.
    pub const fn root() -> Self {
        Self { uid: Uid::ROOT, exempt: true, login: None }
    }

    /// Root is the only "elevated administrator" (spec/behaviour.md 6, Linux).
    pub fn is_administrator(self) -> bool {
        self.uid == Uid::ROOT
    }

    /// How he came to his rights (spec/bits-extended.md 5.7).
    pub fn level(self) -> OwnerLevel {
        match (self.uid, self.login) {
            (Uid::ROOT, Some(Uid::ROOT)) => OwnerLevel::LoggedIn,
            (Uid::ROOT, Some(_)) => OwnerLevel::Elevated,
            _ => OwnerLevel::Plain,
        }
    }

    /// Owner or administrator: may read and change the job.
    pub fn may_use(self, owner: Uid) -> bool {
        self.uid == owner || self.is_administrator()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enums::JobType;
    use crate::id::JobId;
    use crate::job::Job;
    use crate::job::options::integrity;
    use crate::time::{FileTime, Mono, Now};

    /// uid, audit login uid: level, elevated.
    const ROWS: [(u32, Option<u32>, u32, bool); 6] = [
        (1000, None, integrity::MEDIUM, false),
        (1000, Some(1000), integrity::MEDIUM, false),
        (1000, Some(0), integrity::MEDIUM, false),
        (0, None, integrity::SYSTEM, false),
        (0, Some(0), integrity::HIGH, false),
        (0, Some(1000), integrity::HIGH, true),
    ];

    fn job(uid: u32, login: Option<u32>) -> Job {
        let now = Now { mono: Mono(0), wall: FileTime(1) };
        let caller = Caller { uid: Uid(uid), exempt: false, login: login.map(Uid) };
        let mut job = Job::new(JobId::from_bytes([1; 16]), caller.uid, JobType::Download, "j", now);
        job.note_owner_level(caller.level());
        serde_json::from_str(&serde_json::to_string(&job).unwrap())
            .map(|read: Job| Job { owner: job.owner, ..read })
            .unwrap()
    }

    #[test]
    fn job4_get_owner_integrity_level() {
        for (uid, login, level, _) in ROWS {
            assert_eq!(job(uid, login).owner_integrity_level(), level, "{uid} {login:?}");
        }
    }

    #[test]
    fn job4_get_owner_elevation_state() {
        for (uid, login, _, elevated) in ROWS {
            assert_eq!(job(uid, login).is_owner_elevated(), elevated, "{uid} {login:?}");
        }
    }
}
