//! Several places for one file: which is tried next, and what is told when none is left.

use openbits_core::ErrorContext;
use openbits_core::classify::Class;
use openbits_core::integrity::MIRRORS_MAX;
use openbits_core::plan::Fail;

/// A failure with what is told of it.
#[derive(Debug)]
pub(super) struct Blame {
    pub(super) fail: Box<Fail>,
    pub(super) http_status: Option<u16>,
    pub(super) url: Option<String>,
}

/// The places that are left.
#[derive(Debug)]
pub(super) struct Mirrors {
    /// Remote names, the next one last.
    left: Vec<String>,
    /// The failure that will be told if nothing helps.
    worst: Option<Blame>,
}

impl Mirrors {
    /// `places` in the order in which they are tried; `kept_from` goes first, because something of it is there.
    pub(super) fn new(places: impl IntoIterator<Item = String>, kept_from: Option<&str>) -> Self {
        let mut order: Vec<String> = Vec::new();
        for place in places {
            if order.len() <= MIRRORS_MAX && !order.contains(&place) {
                order.push(place);
            }
        }
        if let Some(at) = kept_from.and_then(|kept| order.iter().position(|place| place == kept)) {
            let kept = order.remove(at);
            order.insert(0, kept);
        }
        order.reverse();
        Self { left: order, worst: None }
    }

    /// The next place.
    pub(super) fn next(&mut self) -> Option<String> {
        self.left.pop()
    }

    /// Another place may do better than one that failed so. Our own disk is the same for all of them.
    pub(super) fn may_help(&self, fail: &Fail) -> bool {
        !self.left.is_empty() && fail.context != ErrorContext::LocalFile
    }

    /// Remembers a failure. What may pass goes before what does not: the job shall be tried again while one place may work; else the first
    /// place is the one that the caller meant.
    pub(super) fn failed(&mut self, blame: Blame) {
        let better = match &self.worst {
            None => true,
            Some(worst) => worst.fail.class == Class::Fatal && blame.fail.class == Class::Transient,
        };
        if better {
            self.worst = Some(blame);
        }
    }

    /// The failure to tell.
    pub(super) fn verdict(self) -> Option<Blame> {
        self.worst
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{local_code, with};
    use openbits_core::hresult::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&name| name.to_owned()).collect()
    }

    fn order(mut mirrors: Mirrors) -> Vec<String> {
        std::iter::from_fn(|| mirrors.next()).collect()
    }

    #[test]
    fn order_of_places() {
        assert_eq!(order(Mirrors::new(names(&["a", "b", "a", "c"]), None)), ["a", "b", "c"]);
        assert_eq!(order(Mirrors::new(names(&["a", "b", "c"]), Some("c"))), ["c", "a", "b"]);
        assert_eq!(order(Mirrors::new(names(&["a", "b"]), Some("x"))), ["a", "b"]);
        let many = (0..100).map(|n| n.to_string());
        assert_eq!(order(Mirrors::new(many, None)).len(), MIRRORS_MAX + 1);
    }

    #[test]
    fn what_is_told_when_nothing_helps() {
        let fail = |code, class| with(ErrorContext::RemoteFile, code, class, "");
        let blame = |fail| Blame { fail, http_status: None, url: None };
        let told = |fails: Vec<Box<Fail>>| {
            let mut mirrors = Mirrors::new(names(&["a"]), None);
            fails.into_iter().for_each(|fail| mirrors.failed(blame(fail)));
            mirrors.verdict().map(|blame| blame.fail.code)
        };
        let (gone, busy) =
            (fail(BG_E_HTTP_ERROR_404, Class::Fatal), fail(BG_E_HTTP_ERROR_503, Class::Transient));
        let wrong = fail(BG_E_VALIDATION_FAILED, Class::Fatal);
        assert_eq!(told(vec![gone.clone(), busy.clone(), wrong.clone()]), Some(BG_E_HTTP_ERROR_503));
        assert_eq!(told(vec![wrong, gone.clone()]), Some(BG_E_VALIDATION_FAILED));
        let mirrors = Mirrors::new(names(&["a"]), None);
        assert!(mirrors.may_help(&gone));
        assert!(!mirrors.may_help(&local_code(ERROR_DISK_FULL, "")));
        assert!(!Mirrors::new(None, None).may_help(&gone));
    }
}
