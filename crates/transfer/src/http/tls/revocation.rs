//! Certificate revocation lists: fetched over plain http from where the certificates say, and kept for a while. They are signed, so the
//! way does not matter.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};
use webpki::CertRevocationList;

/// How long a list is used without asking again; one that runs out earlier is refused by the check, and then fetched anew.
const MAX_AGE: Duration = Duration::from_secs(900);
/// Lists that are kept; those of large authorities have megabytes.
const MAX_LISTS: usize = 8;
/// Longest list, in bytes.
pub(crate) const LIST_MAX: u64 = 16 << 20;

type Kept = (Instant, Rc<CertRevocationList<'static>>);

/// The lists of a worker.
#[derive(Debug, Default)]
pub(crate) struct Lists(RefCell<HashMap<String, Kept>>);

impl Lists {
    /// A list that was fetched a short while ago.
    pub(crate) fn get(&self, address: &str) -> Option<Rc<CertRevocationList<'static>>> {
        let lists = self.0.borrow();
        let (since, list) = lists.get(address)?;
        (since.elapsed() < MAX_AGE).then(|| list.clone())
    }

    /// Reads a list and keeps it; `None` if it is none.
    pub(crate) fn put(&self, address: &str, der: &[u8]) -> Option<Rc<CertRevocationList<'static>>> {
        let list = webpki::OwnedCertRevocationList::from_der(der).ok()?;
        let list = Rc::new(CertRevocationList::from(list));
        let mut lists = self.0.borrow_mut();
        if lists.len() >= MAX_LISTS {
            lists.clear();
        }
        lists.insert(address.to_owned(), (Instant::now(), list.clone()));
        Some(list)
    }

    /// A list that turned out to be of no use.
    pub(crate) fn forget(&self, address: &str) {
        self.0.borrow_mut().remove(address);
    }
}
