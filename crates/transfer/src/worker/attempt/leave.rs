//! Leaving a file before its end: for another file, for another mirror, or for good.

use super::super::report;
use super::Attempt;
use crate::failure::Outcome;
use crate::file;
use openbits_core::RangeSet;
use openbits_core::plan::Restart;

impl Attempt {
    /// Leaves a file in the middle: what is there of it is made durable and reported.
    pub(super) async fn put_aside(&mut self, at: usize) -> Outcome<()> {
        let current = self.current.as_mut().expect("a file is open");
        let mut done = RangeSet::new();
        if let Some(part) = &mut current.part {
            part.finish_run().await?;
            part.settle().await?;
            done = part.durable().clone();
        }
        if !done.is_empty() {
            let checkpoint =
                report::checkpoint(current.index, &current.plan, done.clone(), current.modified_s, false);
            self.reporter.checkpoint(checkpoint).await;
        }
        let file = &mut self.order.files[at];
        file.size = current.plan.local_size();
        file.remote_size = current.plan.size();
        file.validator = Some(current.plan.validator().clone());
        file.done = done;
        self.told = self.current.take().and_then(|current| current.told);
        Ok(())
    }

    /// Ends what is under way and reports what is durable.
    pub(super) async fn wind_down(&mut self, discard: bool) {
        if let Some(mut current) = self.current.take().filter(|current| !current.others) {
            current.end_repair().await;
            // Dynamic content cannot be continued, not even after a Suspend (spec/bits-extended.md 16, row 48).
            if discard || current.plan.wanted().dynamic {
                if let Some(part) = &mut current.part {
                    part.abandon_run().await;
                    let _ = part.synced().await;
                }
                file::remove(&current.place);
                let empty = report::checkpoint(current.index, &current.plan, RangeSet::new(), None, false);
                self.reporter
                    .checkpoint(crate::protocol::FileCheckpoint { validator: None, size: None, ..empty })
                    .await;
            } else if let Some(part) = &mut current.part {
                // An error of the disk was either the reason to come here, or it ends the next attempt.
                let _ = part.finish_run().await;
                let _ = part.settle().await;
                if !part.durable().is_empty() {
                    let done = part.durable().clone();
                    let last =
                        report::checkpoint(current.index, &current.plan, done, current.modified_s, false);
                    self.reporter.checkpoint(last).await;
                }
            }
        }
        // Its error, if any, would only hide the first one; unreported files are fetched again.
        let _ = self.group.flush().await;
    }

    /// Lets go of a mirror: what is durable of it is reported and stays, unless it is worth nothing. True if something stays.
    pub(super) async fn set_aside(&mut self, discard: bool) -> Outcome<bool> {
        let Some(mut current) = self.current.take() else { return Ok(false) };
        self.told = current.told.take();
        if current.others {
            return Ok(true); // it came to nothing
        }
        if discard {
            let reason = "the content of a mirror is not what is expected".to_owned();
            current.restart(&self.reporter, Restart { reason }).await?;
            return Ok(false);
        }
        if let Some(part) = &mut current.part {
            part.finish_run().await?;
            part.settle().await?;
            if !part.durable().is_empty() {
                let done = part.durable().clone();
                let last = report::checkpoint(current.index, &current.plan, done, current.modified_s, false);
                self.reporter.checkpoint(last).await;
                return Ok(true);
            }
        }
        Ok(false)
    }
}
