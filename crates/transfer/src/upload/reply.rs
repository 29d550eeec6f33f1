//! The reply of a back-end (spec/upload-protocol.md 14): an ordinary download, beside the file that it will be.

use crate::failure::{Outcome, local_io};
use crate::file::{self, Folder, Place};
use crate::protocol::{Event, FileCheckpoint, FileOrder, Order};
use crate::worker::{Attempt, Means, Stop};
use openbits_core::RangeSet;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Downloads it from the first of these addresses that has it. `None`: it was stopped. Otherwise the last event of the download.
pub(super) async fn download(
    order: &Order,
    reply: &FileOrder,
    addresses: &[String],
    events: &mpsc::Sender<Event>,
    means: &Means,
    stop: &Stop,
) -> Option<Event> {
    let mut last = None;
    for (at, address) in addresses.iter().enumerate() {
        let file = FileOrder { remote: address.clone(), ..reply.clone() };
        let order = Order { files: vec![file], upload: None, ..order.clone() };
        last = Box::pin(Attempt::new(order, events.clone(), means.clone()).go(stop)).await;
        let elsewhere = match &last {
            // Another host may have it: the one that the caller named (section 14).
            Some(Event::Failed { failure, .. }) => {
                failure.http_status.is_none_or(|status| status == 404) && at + 1 < addresses.len()
            }
            _ => false,
        };
        if !elsewhere {
            break;
        }
    }
    last
}

/// The back-end gave none: an empty file.
pub(super) async fn empty(order: &Order, reply: &FileOrder, events: &mpsc::Sender<Event>) -> Outcome<()> {
    let (parent, name) = Place::split(&reply.local)?;
    let place = Place::new(Arc::new(Folder::open(parent)?), name, &reply.temp)?;
    place.check_target()?;
    let file = file::create(&place, "")?;
    file.sync_all().map_err(|error| local_io(&error, "The reply file cannot be synced"))?;
    place.folder.sync()?;
    let checkpoint = FileCheckpoint {
        file: reply.index,
        size: Some(0),
        remote_size: None,
        no_ranges: false,
        done: RangeSet::new(),
        validator: None,
        modified_s: None,
        finished: true,
    };
    let event = Event::Checkpoint { job: order.job, attempt: order.attempt, files: vec![checkpoint] };
    // A service that is gone hears nothing; the attempt then ends with its command channel.
    let _ = events.send(event).await;
    Ok(())
}
