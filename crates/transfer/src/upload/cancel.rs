//! Telling a server that a cancelled upload is not wanted any more.

use super::exchange::Exchange;
use super::s3;
use crate::protocol::CancelUpload;
use crate::worker::{Means, Reporter};
use openbits_core::Priority;
use openbits_core::upload::client::{self, Protocol, SourceMark, Target};
use std::time::Duration;

/// Longest try, so that a host that swallows everything holds nobody up.
const LIMIT: Duration = Duration::from_secs(30);

/// True if nothing is left to be done: the server was told, or knows nothing of it, or there is no way to tell it.
pub(crate) async fn cancel(order: &CancelUpload, reporter: Reporter, means: Means) -> bool {
    // The job is over, and nobody can look its server over any more: then it is not spoken to.
    if order.options.tls.validate {
        return true;
    }
    let nowhere = SourceMark { size: 0, modified_s: 0, modified_ns: 0, inode: 0, device: 0 };
    let source = order.state.source.unwrap_or(nowhere);
    let Ok(target) = Target::new(&order.remote, source, "", false) else { return true };
    let ask = match (order.state.protocol, &order.state.session) {
        (Some(Protocol::S3), Some(upload)) if order.state.is_open() => {
            // Without a key nothing can be asked for.
            s3::Place::of(target.url()).ok().map(|place| place.abort(upload))
        }
        _ => client::cancel(&target, &order.state),
    };
    let Some(ask) = ask else { return true };
    let mut exchange = Exchange::new(&order.options, reporter, Priority::Foreground, means, target.url());
    match tokio::time::timeout(LIMIT, exchange.run(&ask, None, |_, _| {})).await {
        Ok(Ok(answer)) => answer.heard(client::is_cancelled),
        Ok(Err(_)) | Err(_) => false,
    }
}
