//! Callbacks: what a client that registers for a job's notifications builds on (spec/bits-core.md 5.6 and 6, spec/bits-extended.md 8).
//!
//! [`Client::callbacks`] opens a connection; [`Callbacks::register`] is SetNotifyInterface for one job; [`Callbacks::next`] gives the
//! calls one after the other; [`Callbacks::answer`] says what the callback returned. Registrations live as long as the connection: when
//! it breaks, another is made and every job is registered again, so that a call that was not answered comes again (at least once).

use crate::calls::Client;
use crate::error::Error;
use crate::stream::{RawStream, until_back};
use openbits_api::{CallbackView, ListenerView};
use openbits_core::hresult as h;
use openbits_core::{HResult, JobId};
use std::collections::BTreeSet;

/// A connection for callbacks, and the jobs that are registered with it.
///
/// The service waits 60 s for an answer, and makes at most four calls at a time for one user over all of his applications: a callback
/// that takes its time holds up the others.
#[derive(Debug)]
pub struct Callbacks {
    client: Client,
    stream: Option<RawStream>,
    listener: u64,
    jobs: BTreeSet<JobId>,
}

impl Client {
    /// Opens a connection for callbacks; no job is registered yet.
    ///
    /// # Errors
    /// The service cannot be reached, or refuses.
    pub async fn callbacks(&self) -> Result<Callbacks, Error> {
        let (stream, listener) = open(self).await?;
        Ok(Callbacks { client: self.clone(), stream: Some(stream), listener, jobs: BTreeSet::new() })
    }
}

async fn open(client: &Client) -> Result<(RawStream, u64), Error> {
    let mut stream = RawStream::open(client, "/v1/callbacks").await?;
    let first = stream.next().await?.ok_or(Error::Interrupted)?;
    let listener: ListenerView =
        serde_json::from_str(&first.data).map_err(|e| Error::Protocol(format!("listener: {e}")))?;
    Ok((stream, listener.listener))
}

impl Callbacks {
    /// SetNotifyInterface: from now on this connection is called for the job, and no other. An event that the job is in already
    /// (TRANSFERRED, ERROR) is called at once. Which calls are made is a matter of the job's notify flags.
    ///
    /// # Errors
    /// As the service refuses: no such job, somebody else's, or one that is over.
    pub async fn register(&mut self, job: JobId) -> Result<(), Error> {
        self.client.set_notify_interface(job, Some(self.listener)).await?;
        self.jobs.insert(job);
        Ok(())
    }

    /// SetNotifyInterface with NULL.
    ///
    /// # Errors
    /// As the service refuses.
    pub async fn unregister(&mut self, job: JobId) -> Result<(), Error> {
        self.jobs.remove(&job);
        self.client.set_notify_interface(job, None).await?;
        Ok(())
    }

    /// Jobs that are registered, without those that were found to be gone.
    pub fn jobs(&self) -> impl Iterator<Item = JobId> + '_ {
        self.jobs.iter().copied()
    }

    /// Waits for the next call. Those with a number wait for [`Callbacks::answer`]; it may be given from another task, and later.
    ///
    /// Dropping the future loses no call.
    ///
    /// # Errors
    /// The service stays away for longer than [`crate::Timeouts::return_of_service`], or refuses.
    pub async fn next(&mut self) -> Result<CallbackView, Error> {
        loop {
            let event = match &mut self.stream {
                Some(stream) => stream.next().await?,
                None => None,
            };
            match event {
                // What later versions may add is passed over.
                Some(event) if event.event != "callback" => {}
                Some(event) => {
                    return serde_json::from_str(&event.data)
                        .map_err(|e| Error::Protocol(format!("callback: {e}")));
                }
                None => self.come_back().await?,
            }
        }
    }

    /// What the callback returned: any success code accepts; after a failure the call is made again (JobTransferred, JobError,
    /// FileTransferred), or the job's notification program is run. A call that nobody waits for any more is answered in vain.
    ///
    /// # Errors
    /// The service cannot be reached.
    pub async fn answer(&self, call: &CallbackView, code: HResult) -> Result<(), Error> {
        let Some(number) = call.call else { return Ok(()) };
        match self.client.answer_callback(number, code).await {
            Err(e) if e.is_code(h::BG_E_NOT_FOUND) => Ok(()),
            result => result,
        }
    }

    async fn come_back(&mut self) -> Result<(), Error> {
        self.stream = None;
        let client = self.client.clone();
        let (stream, listener) = until_back(&client, || open(&client)).await?;
        self.listener = listener;
        for job in self.jobs.clone() {
            match self.client.set_notify_interface(job, Some(listener)).await {
                Ok(_) => {}
                Err(e) if e.is_code(h::BG_E_NOT_FOUND) || e.is_code(h::BG_E_INVALID_STATE) => {
                    self.jobs.remove(&job);
                }
                Err(e) => return Err(e),
            }
        }
        self.stream = Some(stream);
        Ok(())
    }
}
