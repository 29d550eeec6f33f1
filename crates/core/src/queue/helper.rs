//! Helper tokens: a second identity for a job (spec/bits-extended.md 10, spec/behaviour.md 7).
//!
//! The identity is the user at the other end of the connection that sets it; the owner's one-time ticket lets that user in. It is kept
//! in memory alone. With LOCAL_FILE the whole job runs in the helper's worker (docs/decisions/0011).

use super::{Failure, Queue};
use crate::caller::Caller;
use crate::enums::ErrorContext;
use crate::hresult::{self as h, HResult};
use crate::id::{JobId, Ticket, Uid};
use crate::job::event::Event;
use crate::job::options::helper::LOCAL_FILE;
use crate::job::{ErrorRecord, Job};
use crate::time::{Mono, Now};
use std::collections::BTreeSet;

/// Random number that lets a helper in once.
pub type HelperTicket = [u8; 16];

/// A ticket that nobody used is void after so many seconds.
pub const HELPER_TICKET_S: u64 = 300;

/// What is kept of a job's helper, in memory only.
#[derive(Clone, Debug, Default)]
pub(super) struct Helper {
    token: Option<Uid>,
    ticket: Option<Issued>,
}

#[derive(Clone, Debug)]
struct Issued {
    ticket: HelperTicket,
    until: Mono,
    /// An administrator issued it: the helper may be one, too.
    by_administrator: bool,
}

impl Queue {
    /// The identity that was set, if any.
    pub fn helper(&self, id: JobId) -> Option<Uid> {
        self.helpers.get(&id)?.token
    }

    /// Whose worker does the job: the helper's if its token is to be used for files, else the owner's.
    pub fn file_worker(&self, job: &Job) -> Uid {
        if let Some(agent) = job.runs_as() {
            return agent;
        }
        let helps = job.options().helper_flags & LOCAL_FILE != 0;
        self.helper(job.id).filter(|_| helps).unwrap_or(job.owner)
    }

    /// The job says that a helper is to be used, and there is none.
    pub(super) fn token_missing(&self, id: JobId) -> bool {
        self.jobs.get(&id).is_some_and(|job| job.options().helper_flags != 0) && self.helper(id).is_none()
    }

    /// The same for what is done to files.
    pub(super) fn file_token_missing(&self, id: JobId) -> bool {
        let helps = |job: &Job| job.options().helper_flags & LOCAL_FILE != 0;
        self.jobs.get(&id).is_some_and(helps) && self.helper(id).is_none()
    }

    /// True if this ticket lets its bearer set the helper of the job.
    pub(super) fn ticket_fits(&self, id: JobId, ticket: HelperTicket, now: Now) -> bool {
        let issued = self.helpers.get(&id).and_then(|helper| helper.ticket.as_ref());
        issued.is_some_and(|issued| issued.ticket == ticket && now.mono < issued.until)
    }

    pub(super) fn issue_ticket(&mut self, caller: Caller, id: JobId, ticket: HelperTicket, now: Now) {
        let (until, by_administrator) = (now.mono.plus_s(HELPER_TICKET_S), caller.is_administrator());
        self.helpers.entry(id).or_default().ticket = Some(Issued { ticket, until, by_administrator });
    }

    /// SetHelperToken. Who brings a ticket was let in by it; who brings none is the owner or an administrator.
    pub(super) fn set_helper_token(
        &mut self,
        caller: Caller,
        id: JobId,
        by_ticket: bool,
        now: Now,
    ) -> Result<HResult, Failure> {
        let helper = self.helpers.entry(id).or_default();
        if by_ticket {
            let issued = helper.ticket.take();
            if caller.is_administrator() && !issued.is_some_and(|issued| issued.by_administrator) {
                return Err(Failure::new(h::E_ACCESSDENIED, "an administrator is no helper of a user"));
            }
        }
        helper.token = Some(caller.uid);
        self.settle(id, now);
        Ok(h::S_OK)
    }

    /// ClearHelperToken: the flags stay.
    pub(super) fn clear_helper_token(&mut self, id: JobId, now: Now) -> HResult {
        self.helpers.remove(&id);
        self.require_token(id, now);
        self.settle(id, now);
        h::S_OK
    }

    /// Helpers, and owners of jobs that have one.
    pub(super) fn people_of_helpers(&self) -> BTreeSet<Uid> {
        let owner = |id: &JobId| self.jobs.get(id).map(|job| job.owner);
        self.helpers.iter().flat_map(|(id, helper)| [helper.token, owner(id)]).flatten().collect()
    }

    /// A user has no session any more, and does not linger: his identity is dropped wherever it helps, and helpers of his own jobs
    /// with it. A transfer that needs one ends in ERROR with `BG_E_TOKEN_REQUIRED`.
    pub fn user_logged_off(&mut self, user: Uid, now: Now) {
        let gone = |(id, helper): (&JobId, &Helper)| {
            let owner = self.jobs.get(id).map(|job| job.owner);
            (helper.token == Some(user) || owner == Some(user)).then_some(*id)
        };
        let mut ids: Vec<JobId> = self.helpers.iter().filter_map(gone).collect();
        ids.sort_unstable();
        for id in ids {
            self.helpers.remove(&id);
            self.require_token(id, now);
        }
        self.reschedule(now);
    }

    /// Ends what cannot go on without its token. False if nothing is missing.
    pub(super) fn require_token(&mut self, id: JobId, now: Now) -> bool {
        self.token_missing(id) && self.apply(id, Event::TokenRequired(token_required(now)), now)
    }

    /// Complete needs the helper's rights and is refused without them: renaming with others would take the files for lost.
    pub(super) fn refuse_complete(&mut self, id: JobId, caller: Option<Ticket>, now: Now) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.finishing = None;
        }
        self.finishes.remove(&id);
        self.save(id);
        if !self.apply(id, Event::TokenRequired(token_required(now)), now) {
            self.settle(id, now);
        }
        self.answer(caller, Err(h::BG_E_TOKEN_REQUIRED.into()));
    }

    /// The tokens of a queue that this one replaces.
    pub(super) fn take_helpers(&mut self, old: &Self) {
        self.helpers = old.helpers.iter().map(|(id, helper)| (*id, helper.clone())).collect();
        self.helpers.retain(|id, _| self.jobs.contains_key(id));
    }

    pub(super) fn forget_helper(&mut self, id: JobId) {
        self.helpers.remove(&id);
    }
}

pub(super) fn token_required(now: Now) -> ErrorRecord {
    let context = ErrorContext::GeneralQueueManager;
    let mut error = ErrorRecord::new(h::BG_E_TOKEN_REQUIRED, context, now.wall);
    error.detail =
        "The job's helper has to set its token again, or the helper flags have to be cleared.".into();
    error
}
