//! One run of one upload job: does what the plan says.

use super::exchange::{Answer, Exchange};
use super::reply;
use super::s3::S3;
use super::source::Source;
use crate::failure::{Outcome, with};
use crate::protocol::{Event, Order, Pace, UploadOrder};
use crate::worker::{Means, Reporter, Stop, failure};
use openbits_core::ErrorContext;
use openbits_core::classify::Class;
use openbits_core::hresult::*;
use openbits_core::pace::Mode;
use openbits_core::plan::Fail;
use openbits_core::upload::client::{
    Ask, Bits, Discover, Next, Patch, Plan, Protocol, Put, Target, Turn, UploadState,
};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{Notify, mpsc};

/// Longest wait for the service to store what has to be durable before the next request.
const KEEP: Duration = Duration::from_secs(60);
/// Pause between two progress reports.
const PROGRESS: Duration = Duration::from_millis(500);
/// Pause between two reports of the pacing while it goes on as it does.
const PACE: Duration = Duration::from_secs(1);

/// An attempt at an upload job.
pub(crate) struct UploadAttempt {
    order: Order,
    upload: Box<UploadOrder>,
    reporter: Reporter,
    events: mpsc::Sender<Event>,
    means: Means,
    /// The service has stored what it was asked to keep.
    kept: Rc<Notify>,
    /// What was reported last.
    told: Option<UploadState>,
    status: Option<u16>,
    shown: Option<String>,
    connected: bool,
}

fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Why a run ended before its end.
enum Halt {
    /// It was asked to.
    Stopped,
    /// The reply's download ended the attempt with this event.
    Event(Event),
    Fail(Box<Fail>),
}

impl From<Box<Fail>> for Halt {
    fn from(fail: Box<Fail>) -> Self {
        Self::Fail(fail)
    }
}

/// Does it, unless the attempt is stopped meanwhile. Nothing is written to any file here, so it may simply be dropped.
async fn unless_stopped<T>(stop: &Stop, work: impl Future<Output = T>) -> Result<T, Halt> {
    tokio::select! {
        biased;
        () = stop.asked() => Err(Halt::Stopped),
        done = work => Ok(done),
    }
}

impl UploadAttempt {
    pub(crate) fn new(
        mut order: Order,
        events: mpsc::Sender<Event>,
        means: Means,
        kept: Rc<Notify>,
    ) -> Option<Self> {
        let upload = order.upload.take()?;
        let reporter = Reporter { job: order.job, attempt: order.attempt, events: events.clone() };
        Some(Self {
            order,
            upload,
            reporter,
            events,
            means,
            kept,
            told: None,
            status: None,
            shown: None,
            connected: false,
        })
    }

    /// Runs to the end, or until it is stopped. What the server has confirmed has been reported when this returns; the last event of the
    /// attempt comes back, unless it was stopped.
    pub(crate) async fn go(mut self, stop: &Stop) -> Option<Event> {
        let (job, attempt) = (self.order.job, self.order.attempt);
        match Box::pin(self.run(stop)).await {
            Ok(()) => Some(Event::Done { job, attempt }),
            Err(Halt::Stopped) => None,
            Err(Halt::Event(event)) => Some(event),
            Err(Halt::Fail(fail)) => {
                let url = self.shown.take();
                Some(Event::Failed {
                    job,
                    attempt,
                    failure: Box::new(failure(&fail, Some(0), self.status, url)),
                })
            }
        }
    }

    async fn run(&mut self, stop: &Stop) -> Result<(), Halt> {
        let mut state = self.upload.state.clone();
        if !state.is_sound() {
            state = UploadState::default();
        }
        let source = Source::open(&self.upload.local, state.source.filter(|_| state.session.is_some()))?;
        state.source = Some(source.mark);
        let name = self.upload.local.rsplit('/').next().unwrap_or_default();
        let target = Target::new(&self.upload.remote, source.mark, name, self.upload.reply.is_some())?;
        self.shown = Some(target.shown());
        let (reporter, means) = (self.reporter.clone(), self.means.clone());
        let mut exchange =
            Exchange::new(&self.order.options, reporter, self.order.priority, means, target.url());
        if self.upload.reply_finished {
            state.reply_stored = true;
        }
        let mut plan = plan(&target, state, self.upload.protocol)?;
        loop {
            let next = plan.step(now_ms());
            if !matches!(next, Next::Settled(_)) {
                unless_stopped(stop, self.report(&mut *plan, true)).await??;
            }
            match next {
                Next::Finished => return Ok(()),
                Next::Settled(protocol) => {
                    let state = UploadState { protocol: Some(protocol), ..plan.state().clone() };
                    plan = self::plan(&target, state, protocol)?;
                }
                Next::Reply(addresses) => match self.reply(&addresses, stop).await? {
                    Some(Event::Done { .. }) => plan.reply_stored(),
                    Some(event) => return Err(Halt::Event(event)),
                    None => return Err(Halt::Stopped),
                },
                Next::Send(ask) => {
                    source.check()?;
                    let sending = Box::pin(self.send(&mut exchange, &ask, &source, plan.state().offset));
                    let heard = unless_stopped(stop, sending).await?;
                    // Nothing that was read from a file that changed meanwhile counts.
                    source.check()?;
                    let turn = match heard {
                        Ok(answer) => {
                            self.status = Some(answer.status);
                            let mut turn = answer.heard(|heard| plan.answer(heard, now_ms()));
                            if let (Turn::Fail(fail), Some(why)) = (&mut turn, &answer.why) {
                                fail.detail = format!("{} {why}", fail.detail).trim_start().to_owned();
                            }
                            if !matches!(turn, Turn::Fail(_)) {
                                self.connect(&source, &answer).await;
                            }
                            turn
                        }
                        Err(fail) => {
                            self.status = None;
                            plan.broken(fail, exchange.sent.bytes(), now_ms())
                        }
                    };
                    unless_stopped(stop, self.follow(turn, &mut *plan)).await??;
                }
            }
        }
    }

    /// Waits or ends, as the plan says; what it knows is told before.
    async fn follow(&mut self, turn: Turn, plan: &mut dyn Plan) -> Outcome<()> {
        match turn {
            Turn::Next => self.report(plan, false).await,
            Turn::Wait(ms) => {
                self.report(plan, false).await?;
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Ok(())
            }
            Turn::Fail(fail) => {
                self.report(plan, false).await?;
                Err(fail)
            }
        }
    }

    async fn send(
        &self,
        exchange: &mut Exchange,
        ask: &Ask,
        source: &Source,
        offset: u64,
    ) -> Outcome<Answer> {
        let mut last = Instant::now();
        let mut paced: Option<(Mode, Instant)> = None;
        let progress = |bytes: u64, pace: Option<Pace>| {
            if let Some(pace) = pace
                && paced.is_none_or(|(mode, at)| mode != pace.mode || at.elapsed() >= PACE)
            {
                paced = Some((pace.mode, Instant::now()));
                self.reporter.pace(pace);
            }
            if last.elapsed() >= PROGRESS && !ask.body.is_empty() {
                last = Instant::now();
                // What is on its way may be shown, within the file.
                self.reporter.progress(0, (offset + bytes).min(source.mark.size));
            }
        };
        exchange.run(ask, Some(&source.file), progress).await
    }

    async fn connect(&mut self, source: &Source, answer: &Answer) {
        if !std::mem::replace(&mut self.connected, true) {
            self.reporter.connected(0, Some(source.mark.size), &answer.peer).await;
        }
    }

    /// Tells what is new. `before_request`: if the plan says that it has to be durable before the next request, it is.
    async fn report(&mut self, plan: &mut dyn Plan, before_request: bool) -> Outcome<()> {
        let state = plan.state();
        let is_new = self.told.as_ref() != Some(state);
        if !is_new && !before_request {
            return Ok(());
        }
        let state = state.clone();
        let keep = before_request && plan.take_must_keep();
        if is_new || keep {
            self.told = Some(state.clone());
            let (job, attempt) = (self.order.job, self.order.attempt);
            let event = Event::Upload { job, attempt, state: Box::new(state), keep };
            // A service that is gone hears nothing; the attempt then ends with its command channel.
            let _ = self.events.send(event).await;
        }
        if keep && tokio::time::timeout(KEEP, self.kept.notified()).await.is_err() {
            return Err(with(
                ErrorContext::GeneralQueueManager,
                BG_E_WATCHDOG_TIMEOUT,
                Class::Transient,
                "The service did not store the upload's session.",
            ));
        }
        Ok(())
    }

    async fn reply(&mut self, addresses: &[String], stop: &Stop) -> Outcome<Option<Event>> {
        let Some(order) = &self.upload.reply else {
            return Err(with(
                ErrorContext::GeneralQueueManager,
                E_UNEXPECTED,
                Class::Transient,
                "A reply of a job without one.",
            ));
        };
        if addresses.is_empty() {
            tracing::warn!(job = %self.order.job, "the back-end gave no reply: the reply file is empty");
            reply::empty(&self.order, order, &self.events).await?;
            return Ok(Some(Event::Done { job: self.order.job, attempt: self.order.attempt }));
        }
        Ok(reply::download(&self.order, order, addresses, &self.events, &self.means, stop).await)
    }
}

/// The plan for a protocol; `Auto` asks, unless an earlier attempt did.
fn plan(target: &Target, state: UploadState, wanted: Protocol) -> Outcome<Box<dyn Plan>> {
    let protocol = match (wanted, state.protocol) {
        (Protocol::Auto, Some(known)) => known,
        (wanted, _) => wanted,
    };
    let state = UploadState { protocol: Some(protocol).filter(|p| *p != Protocol::Auto), ..state };
    let target = target.clone();
    Ok(match protocol {
        Protocol::Auto => Box::new(Discover::new(target, state)),
        Protocol::Bits => Box::new(Bits::new(target, state)),
        Protocol::Tus | Protocol::Ietf => Box::new(Patch::new(target, state, protocol)),
        Protocol::Put => Box::new(Put::new(target, state)),
        Protocol::S3 => Box::new(S3::new(target, state)?),
    })
}
