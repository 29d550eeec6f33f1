//! Live sessions counted by caller, so that nobody can fill the server (spec/upload-protocol.md 9.3, 16).

use crate::settings::Rules;
use crate::storage::Census;
use openbits_core::upload::{Refusal, SessionId};
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

#[derive(Default)]
struct Books {
    sessions: HashMap<SessionId, (String, u64)>,
    callers: HashMap<String, (usize, u64)>,
    /// Admitted, but perhaps not in the storage yet: a census that misses them says nothing.
    arriving: HashSet<SessionId>,
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
        books.arriving.insert(id.clone());
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

    /// The session is in the storage now.
    pub(crate) fn stored(&self, id: &SessionId) {
        self.books().arriving.remove(id);
    }

    pub(crate) fn remove(&self, id: &SessionId) {
        let mut books = self.books();
        books.remove(id);
        books.arriving.remove(id);
    }

    /// The sessions counted and stored now; taken before a census, for [`Ledger::recount`].
    pub(crate) fn known(&self) -> HashSet<SessionId> {
        let books = self.books();
        books.sessions.keys().filter(|id| !books.arriving.contains(id)).cloned().collect()
    }

    /// Corrects the counts by a census that was taken after `known`. Sessions that began or ended meanwhile keep the
    /// count they have.
    pub(crate) fn recount(&self, census: &[Census], known: &HashSet<SessionId>) {
        let mut books = self.books();
        let there: HashSet<&SessionId> = census.iter().map(|one| &one.id).collect();
        for gone in known.iter().filter(|id| !there.contains(id)) {
            books.remove(gone);
        }
        for new in census.iter().filter(|one| !known.contains(&one.id)) {
            if !books.sessions.contains_key(&new.id) {
                books.insert(new.id.clone(), &new.counted_as, new.bytes);
            }
        }
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
        for n in [2, 3, 4] {
            ledger.stored(&id(n));
        }
        ledger.admit(&id(8), "eve", &rules, 9).unwrap();
        let known = ledger.known();
        ledger.admit(&id(9), "dan", &rules, 9).unwrap();
        ledger.recount(&[], &known);
        assert_eq!(ledger.len(), 2, "those that begin around the census stay");
    }
}
