//! Live sessions counted by caller, so that nobody can fill the server (spec/upload-protocol.md 9.3, 16).

use crate::settings::Rules;
use crate::storage::Census;
use openbits_core::upload::{Refusal, SessionId};
use std::collections::HashMap;
use std::sync::Mutex;

#[derive(Default)]
struct Books {
    sessions: HashMap<SessionId, (String, u64)>,
    callers: HashMap<String, (usize, u64)>,
}

/// The counts. The truth is the storage: the sweeper sets them anew from it.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Books>);

impl Books {
    fn remove(&mut self, id: &SessionId) {
        let Some((caller, bytes)) = self.sessions.remove(id) else { return };
        if let Some(count) = self.callers.get_mut(&caller) {
            count.0 = count.0.saturating_sub(1);
            count.1 = count.1.saturating_sub(bytes);
            if count.0 == 0 {
                self.callers.remove(&caller);
            }
        }
    }

    fn insert(&mut self, id: SessionId, caller: &str, bytes: u64) {
        self.remove(&id);
        let count = self.callers.entry(caller.to_owned()).or_default();
        count.0 += 1;
        count.1 = count.1.saturating_add(bytes);
        self.sessions.insert(id, (caller.to_owned(), bytes));
    }
}

impl Ledger {
    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.0.lock().expect("never poisoned: nothing panics under it")
    }

    /// Counts a new session, if limits allow it.
    pub(crate) fn admit(
        &self,
        id: &SessionId,
        caller: &str,
        rules: &Rules,
        all: usize,
    ) -> Result<(), Refusal> {
        let mut books = self.books();
        let own = books.callers.get(caller).map_or(0, |count| count.0);
        let full = rules.sessions_per_user != 0 && own >= rules.sessions_per_user;
        if full || books.sessions.len() >= all {
            return Err(Refusal::Busy);
        }
        books.insert(id.clone(), caller, 0);
        Ok(())
    }

    /// Counts the announced size of a session, if the caller's quota allows it.
    pub(crate) fn reserve(
        &self,
        id: &SessionId,
        caller: &str,
        bytes: u64,
        rules: &Rules,
    ) -> Result<(), Refusal> {
        let mut books = self.books();
        let mine = books.sessions.get(id).map_or(0, |session| session.1);
        let others = books.callers.get(caller).map_or(0, |count| count.1.saturating_sub(mine));
        if others.saturating_add(bytes) > rules.pending_bytes_per_user {
            return Err(Refusal::DiskFull);
        }
        books.insert(id.clone(), caller, bytes);
        Ok(())
    }

    pub(crate) fn remove(&self, id: &SessionId) {
        self.books().remove(id);
    }

    /// Sets the counts from the storage.
    pub(crate) fn recount(&self, census: &[Census]) {
        let mut books = Books::default();
        for one in census {
            books.insert(one.id.clone(), &one.counted_as, one.bytes);
        }
        *self.books() = books;
    }

    /// Number of live sessions.
    pub(crate) fn len(&self) -> usize {
        self.books().sessions.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{PathSettings, Settings};

    fn rules(sessions: usize, bytes: u64) -> Rules {
        let path = PathSettings {
            sessions_per_user: Some(sessions),
            pending_bytes_per_user: Some(bytes),
            ..PathSettings::enabled("/")
        };
        Settings { path: vec![path], ..Settings::default() }.rules(&crate::SafePath::parse("/x").unwrap())
    }

    #[test]
    fn sessions_and_bytes_are_bounded_by_caller_and_by_server() {
        let (ledger, rules) = (Ledger::default(), rules(2, 100));
        let id = |n| SessionId::from_random_bytes([n; 16]);
        ledger.admit(&id(1), "ann", &rules, 3).unwrap();
        ledger.admit(&id(2), "ann", &rules, 3).unwrap();
        assert_eq!(ledger.admit(&id(3), "ann", &rules, 3), Err(Refusal::Busy));
        ledger.admit(&id(3), "bob", &rules, 3).unwrap();
        assert_eq!(ledger.admit(&id(4), "cy", &rules, 3), Err(Refusal::Busy));
        ledger.reserve(&id(1), "ann", 60, &rules).unwrap();
        assert_eq!(ledger.reserve(&id(2), "ann", 41, &rules), Err(Refusal::DiskFull));
        ledger.reserve(&id(2), "ann", 40, &rules).unwrap();
        ledger.reserve(&id(1), "ann", 60, &rules).unwrap();
        ledger.remove(&id(1));
        ledger.admit(&id(4), "ann", &rules, 3).unwrap();
        assert_eq!(ledger.len(), 3);
        ledger.recount(&[]);
        assert_eq!(ledger.len(), 0);
    }
}
