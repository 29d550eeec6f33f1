//! The event stream as a channel, so that a command can wait for events, keys and time at once.

use openbits_client::{Client, Error, Item, Scope};
use tokio::sync::mpsc;

/// Events that wait for the command; the service holds back the rest.
const BACKLOG: usize = 1_024;

/// Follows jobs from the cursor on. The channel ends after the first error.
pub(crate) async fn follow(
    client: &Client,
    after: Option<u64>,
    scope: Scope,
) -> Result<mpsc::Receiver<Result<Item, Error>>, Error> {
    let mut stream = client.events(after, scope).await?;
    let (send, receive) = mpsc::channel(BACKLOG);
    tokio::spawn(async move {
        loop {
            let item = stream.next().await;
            let failed = item.is_err();
            if send.send(item).await.is_err() || failed {
                return;
            }
        }
    });
    Ok(receive)
}

/// The next item. The channel has no end but an error.
pub(crate) async fn next(events: &mut mpsc::Receiver<Result<Item, Error>>) -> Result<Item, Error> {
    events.recv().await.unwrap_or(Err(Error::Interrupted))
}
