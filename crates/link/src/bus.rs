//! One bus: subscribes to what matters, and asks its services again whenever something changed.
//!
//! The content of a signal is never believed: it only leads to the questions. A service that does not run is not started by us.

use crate::facts::Facts;
use crate::sources::{self, Source};
use futures_util::StreamExt;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::watch::Sender;
use zbus::{Connection, Message, MessageStream, OwnedVariant};

/// Signals that come together count as one.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Waits between attempts to reach a bus that was lost; after the last one it counts as gone.
const AGAIN: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(300)];

/// Properties of an object.
pub(crate) type Properties = HashMap<String, OwnedVariant>;

/// Which bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Of the machine.
    System,
    /// Of the user's session.
    Session,
}

impl Which {
    const fn sources(self) -> &'static [Source] {
        match self {
            Self::System => sources::SYSTEM,
            Self::Session => sources::SESSION,
        }
    }
}

/// Keeps the facts of a bus current, for ever. A bus that is not there tells nothing.
pub(crate) async fn watch(which: Which, facts: Sender<Facts>) {
    let mut lost = AGAIN.iter();
    loop {
        match connect(which).await {
            Ok(connection) => {
                lost = AGAIN.iter();
                if let Err(error) = serve(&connection, which, &facts).await {
                    tracing::warn!(?which, %error, "the message bus cannot be asked");
                }
                // What its services told may not hold any more.
                sources::forget(which, &facts);
            }
            Err(error) if lost.len() == AGAIN.len() => {
                tracing::info!(?which, %error, event = 312, "no message bus: cost, power and sessions stay unknown");
                return;
            }
            Err(_) => {}
        }
        let Some(wait) = lost.next() else { return };
        tokio::time::sleep(*wait).await;
    }
}

async fn connect(which: Which) -> zbus::Result<Connection> {
    let builder = match which {
        Which::System => zbus::connection::Builder::system(),
        Which::Session => zbus::connection::Builder::session(),
    };
    builder.method_timeout(PATIENCE).build().await
}

/// Until the bus is gone.
async fn serve(connection: &Connection, which: Which, facts: &Sender<Facts>) -> zbus::Result<()> {
    let mut messages = MessageStream::from(connection);
    for rule in which.sources().iter().flat_map(Source::rules) {
        call(
            connection,
            "org.freedesktop.DBus",
            "/org/freedesktop/DBus",
            "org.freedesktop.DBus",
            "AddMatch",
            &rule,
        )
        .await?;
    }
    loop {
        let told = sources::ask(connection, which).await;
        facts.send_if_modified(|facts| {
            let before = facts.clone();
            told.into_iter().for_each(|tell| tell(facts));
            *facts != before
        });
        if !signal(&mut messages).await {
            return Ok(());
        }
        let end = tokio::time::Instant::now() + DEBOUNCE;
        while let Ok(more) = tokio::time::timeout_at(end, signal(&mut messages)).await {
            if !more {
                return Ok(());
            }
        }
    }
}

/// Waits for a signal; false at the end of the stream.
async fn signal(messages: &mut MessageStream) -> bool {
    while let Some(message) = messages.next().await {
        let Ok(message) = message else { continue };
        if message.message_type() != zbus::message::Type::Signal {
            continue;
        }
        // The bus greets us with the name that we got.
        if message.header().member().is_some_and(|member| member.as_str() != "NameAcquired") {
            return true;
        }
    }
    false
}

/// Asks an object.
pub(crate) async fn call(
    connection: &Connection,
    destination: &str,
    path: &str,
    interface: &str,
    method: &str,
    body: &(impl serde::Serialize + zbus::DynamicType),
) -> zbus::Result<Message> {
    connection.call_method(Some(destination), path, Some(interface), method, body).await
}

/// All properties of an object's interface.
pub(crate) async fn properties(
    connection: &Connection,
    owner: &str,
    path: &str,
    interface: &str,
) -> zbus::Result<Properties> {
    let answer =
        call(connection, owner, path, "org.freedesktop.DBus.Properties", "GetAll", &interface).await?;
    answer.body().deserialize()
}

#[cfg(test)]
mod tests;
