//! The threads that call the program.

use super::{Check, Event, checker, forget, registered, store};
use crate::bridge::h;
use crate::generated::types::BG_FILE_RANGE;
use crate::job::Job;
use crate::pool;
use crate::turns::STACK_BYTES;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openbits_api::{CallbackKind, CallbackView, CertificateCheck};
use openbits_core::{HResult, JobId};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Calls at a time, as the service makes them for one user.
const CALLERS: usize = 4;
/// Calls that may wait. Those that the service waits for are never more than a handful.
const WAITING_MAX: usize = 64;
/// Calls that nobody waits for are dropped when so many are waiting.
const LOSSY_MAX: usize = 32;

pub(super) enum Work {
    /// A callback.
    Call(CallbackView),
    /// A question about a server's certificate.
    Check(JobId, Box<CertificateCheck>),
}

static QUEUE: Mutex<Option<SyncSender<Work>>> = Mutex::new(None);
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Starts the threads.
pub(super) fn start() -> io::Result<()> {
    let (sender, receiver) = sync_channel(WAITING_MAX);
    let receiver = Arc::new(Mutex::new(receiver));
    for number in 0..CALLERS {
        let receiver = receiver.clone();
        std::thread::Builder::new()
            .name(format!("openbits-call-{number}"))
            .stack_size(STACK_BYTES)
            .spawn(move || work(&receiver))?;
    }
    WAITING.store(0, Ordering::Relaxed);
    *QUEUE.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
    Ok(())
}

/// Queues a call. One that does not fit is lost: the service repeats what it has no answer to.
pub(super) fn hand_on(work: Work) {
    let lossy = matches!(&work, Work::Call(call) if call.call.is_none());
    if lossy && WAITING.load(Ordering::Relaxed) >= LOSSY_MAX {
        return;
    }
    let queue = QUEUE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(queue) = &*queue {
        WAITING.fetch_add(1, Ordering::Relaxed);
        if queue.try_send(work).is_err() {
            WAITING.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn work(queue: &Mutex<Receiver<Work>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return };
        WAITING.fetch_sub(1, Ordering::Relaxed);
        // A panic is the library's own: the program's exceptions do not come through.
        let done = catch_unwind(AssertUnwindSafe(|| match work {
            Work::Call(call) => carry_out(call),
            Work::Check(job, check) => carry_out_check(job, *check),
        }));
        drop(done);
    }
}

fn carry_out(call: CallbackView) {
    let Ok(id) = call.job.parse() else { return };
    let number = call.call;
    let ended = call.state.is_final();
    let code = make(id, call);
    if let Some(number) = number {
        // A call that nobody waits for any more, or a service that is gone: it will be made again.
        let _ = pool::call(async |client| client.answer_callback(number, code).await);
    }
    if ended {
        forget(id);
    }
}

fn make(id: JobId, call: CallbackView) -> HResult {
    // Meanwhile it was taken back; whoever registers next is told.
    let Some(target) = registered(id) else { return h::E_FAIL };
    let job = Job::with_face(id, target.face());
    let event = match call.kind {
        CallbackKind::JobTransferred => Event::JobTransferred,
        CallbackKind::JobModification => Event::JobModification,
        CallbackKind::JobError => match job.read(async |client, id| client.error(id).await) {
            Ok(error) => Event::JobError(Box::new(error)),
            // Meanwhile the job was resumed or cancelled: there is nothing to tell.
            Err(code)
                if code == job.said(h::BG_E_ERROR_INFORMATION_UNAVAILABLE)
                    || code == job.said(h::BG_E_NOT_FOUND) =>
            {
                return h::S_OK;
            }
            Err(code) => return code,
        },
        CallbackKind::FileTransferred => Event::FileTransferred(call.file.unwrap_or(0)),
        CallbackKind::FileRangesTransferred => {
            let ranges = call.ranges.iter();
            let ranges =
                ranges.map(|r| BG_FILE_RANGE { InitialOffset: r.offset, Length: r.length }).collect();
            Event::FileRangesTransferred(call.file.unwrap_or(0), ranges)
        }
    };
    target.call(&job, event)
}

fn carry_out_check(id: JobId, check: CertificateCheck) {
    let code = ask(id, &check);
    let number = check.check;
    // The question may have been given up meanwhile.
    let _ = pool::call(async |client| client.answer_certificate_check(id, number, code).await);
}

fn ask(id: JobId, check: &CertificateCheck) -> HResult {
    let Some(target) = checker(id) else { return h::BG_E_SERVER_CERT_VALIDATION_INTERFACE_REQUIRED };
    let decode = |text: &String| STANDARD.decode(text).ok();
    let (Some(certificate), Some(chain)) =
        (decode(&check.certificate), check.chain.iter().map(decode).collect::<Option<Vec<_>>>())
    else {
        return h::E_UNEXPECTED;
    };
    let store = store::serialise(std::iter::once(&certificate).chain(&chain));
    target.check(&Job::new(id), &Check { file: check.file, certificate, encoding: check.encoding, store })
}
