//! The file that is being transferred, and what its body meets on the way.

use super::super::pieces::{Repair, reportable};
use super::super::report::Reporter;
use super::super::steer::Steer;
use super::Current;
use crate::failure::{Outcome, with};
use crate::file::{self, Part};
use crate::protocol::{Digest, Order};
use openbits_core::ErrorContext;
use openbits_core::classify::Class;
use openbits_core::hresult::BG_E_MAX_DOWNLOAD_SIZE_LIMIT_REACHED;
use openbits_core::plan::Restart;

/// What a body meets on its way, apart from its own file.
pub(in crate::worker) struct Surroundings<'a> {
    pub(in crate::worker) order: &'a Order,
    pub(in crate::worker) reporter: &'a Reporter,
    pub(in crate::worker) steer: &'a Steer,
    pub(super) finished_bytes: u64,
}

impl Surroundings<'_> {
    /// So many bytes of the present file, and those of the finished ones, are within the job's limit (MAX_DOWNLOAD_SIZE).
    pub(in crate::worker) fn check_cap(&self, bytes: u64) -> Outcome<()> {
        let Some(cap) = self.order.options.max_bytes else { return Ok(()) };
        if self.finished_bytes.saturating_add(bytes) <= cap {
            return Ok(());
        }
        Err(with(
            ErrorContext::RemoteFile,
            BG_E_MAX_DOWNLOAD_SIZE_LIMIT_REACHED,
            Class::Fatal,
            "The files are larger than the job's limit.",
        ))
    }
}

impl Current {
    /// A new temporary file for the version that the plan is bound to.
    pub(in crate::worker) fn new_part(&self) -> Outcome<Part> {
        let temp = file::create(&self.place, &file::version_tag(self.plan.validator()))?;
        Ok(Part::new(self.place.clone(), temp, &self.hashed))
    }

    /// The server tells a digest of the version that it serves.
    pub(super) fn expect(&mut self, told: Digest) {
        if !self.hashed.algorithms.contains(&told.algorithm()) {
            self.hashed.algorithms.push(told.algorithm());
        }
        self.told_digest = Some(told);
    }

    /// This place has what it takes: what another mirror left goes.
    pub(super) async fn take_over(&mut self, reporter: &Reporter) -> Outcome<()> {
        if !std::mem::take(&mut self.others) {
            return Ok(());
        }
        let reason = "the file goes on from another mirror".to_owned();
        self.restart(reporter, Restart { reason }).await
    }

    /// Throws away what is kept, in the file first, and tells it.
    pub(super) async fn restart(&mut self, reporter: &Reporter, restart: Restart) -> Outcome<()> {
        if let Some(mut part) = self.part.take() {
            part.abandon_run().await;
            let _ = part.synced().await;
        }
        file::remove(&self.place);
        self.modified_s = None;
        self.told_digest = None;
        self.proven = false;
        reporter.restarted(self.index, restart.reason).await;
        Ok(())
    }

    /// No pieces are fetched again any more, if they were: nothing counts but what is proven, and that belongs to the version that the file
    /// came in.
    pub(in crate::worker) async fn end_repair(&mut self) {
        let Some(Repair { proven, original, login }) = self.repair.take() else { return };
        (self.plan, self.login) = (original, login);
        if let Some(part) = &mut self.part {
            part.abandon_run().await;
            part.keep_only(&reportable(&proven));
        }
    }

    pub(super) async fn connect(&mut self, reporter: &Reporter, size: Option<u64>, peer: &str) {
        if !std::mem::replace(&mut self.connected, true) {
            self.told = Some(peer.to_owned());
            reporter.connected(self.index, size, peer).await;
        }
    }
}
