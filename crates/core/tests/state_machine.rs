//! Every transition row of spec/constants/bits-core.json as a test of its own name.
//!
//! The rows are data of the specification; this file only says how each kind of row is set up and driven.

use libtest_mimic::{Arguments, Failed, Trial};
use openbits_core::hresult::{self as h, HResult};
use openbits_core::job::api::FinishResult;
use openbits_core::job::event::Event;
use openbits_core::job::property::Property;
use openbits_core::job::retry::RetryRules;
use openbits_core::job::{Change, ErrorRecord, NewFile, Notice, Wait};
use openbits_core::{ErrorContext, FileTime, Job, JobId, JobState, JobType, Mono, Now, Uid};
use serde_json::Value;

const START: Now = Now { mono: Mono(1_000_000), wall: FileTime(FileTime::UNIX_EPOCH_TICKS + 10_000) };
const LATER: Now = Now { mono: Mono(2_000_000), wall: FileTime(FileTime::UNIX_EPOCH_TICKS + 20_000) };

fn main() {
    let arguments = Arguments::from_args();
    let json: Value =
        serde_json::from_str(include_str!("../../../spec/constants/bits-core.json")).expect("valid");
    let machine = &json["state_machine"];
    let api = machine["api_transitions"].as_array().expect("list");
    let internal = machine["internal_transitions"].as_array().expect("list");
    assert_eq!((api.len(), internal.len()), (120, 58), "the specification has 178 rows");
    let mut trials = Vec::new();
    for (kind, rows) in [("api", api), ("internal", internal)] {
        for row in rows {
            let row = row.clone();
            let text = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
            let name = format!(
                "{kind}: {} / {} / {} -> {}",
                text("event"),
                text("condition"),
                text("from"),
                text("to")
            );
            let api = kind == "api";
            trials.push(Trial::test(name, move || if api { api_row(&row) } else { internal_row(&row) }));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn state(name: &str) -> JobState {
    name.parse().unwrap_or_else(|_| panic!("state {name}"))
}

fn file(n: u32) -> NewFile {
    NewFile { remote: format!("http://h/{n}"), local: format!("/d/{n}"), ..NewFile::default() }
}

fn record() -> ErrorRecord {
    ErrorRecord::new(h::BG_E_HTTP_ERROR_503, ErrorContext::RemoteFile, START.wall)
}

/// A job in the wanted state, brought there through the machine itself.
fn job_in(wanted: JobState, kind: JobType, files: u32) -> Job {
    let mut job = Job::new(JobId::from_random_bytes([1; 16]), Uid(1000), kind, "test", START);
    for n in 0..files {
        let _ = job.add_files(vec![file(n)], None, START).expect("a new job takes files");
    }
    let recoverable = Event::Recoverable { error: record(), retry_after_ms: 0 };
    if wanted != JobState::Suspended {
        match job.files.is_empty() {
            true => job.state = JobState::Queued,
            false => drop(job.resume(START).expect("resumes")),
        }
        match wanted {
            JobState::Queued | JobState::Suspended => {}
            JobState::Connecting => drive_on(&mut job, &[Event::Turn]),
            JobState::Transferring => drive_on(&mut job, &[Event::Turn, Event::Answered]),
            JobState::Error => drive_on(&mut job, &[Event::Turn, Event::Fatal(record())]),
            JobState::TransientError => drive_on(&mut job, &[Event::Turn, recoverable]),
            JobState::Transferred | JobState::Acknowledged => {
                drive_on(&mut job, &[Event::Turn, Event::Answered]);
                for file in &mut job.files {
                    file.transferred = true;
                }
                drive_on(&mut job, &[Event::AllFinished]);
                if wanted == JobState::Acknowledged {
                    job.complete().expect("completes");
                    let _ = job.completed(&FinishResult::default(), START).expect("completes");
                }
            }
            JobState::Cancelled => {
                job.cancel(START).expect("cancels");
                let _ = job.cancelled(&FinishResult::default());
            }
        }
    }
    assert_eq!(job.state, wanted);
    job
}

fn drive_on(job: &mut Job, events: &[Event]) {
    for event in events {
        let _ = job.apply(event.clone(), START).unwrap_or_else(|| panic!("{event:?} in {:?}", job.state));
    }
}

fn code_named(name: &str) -> HResult {
    h::TABLE.iter().find(|row| row.1 == name).unwrap_or_else(|| panic!("code {name}")).0
}

fn expect_notice(row: &Value, notice: Notice) -> Result<(), Failed> {
    let text = row["notification"].as_str().unwrap_or("none");
    let fits = match text {
        "none" => notice == Notice::None,
        "MODIFICATION (best effort)" => notice == Notice::Final,
        "TRANSFERRED" => notice == Notice::Transferred,
        "ERROR" => notice == Notice::Error,
        t if t.starts_with("MODIFICATION") => notice == Notice::Modification,
        t if t.starts_with("pending ERROR/TRANSFERRED") => notice == Notice::None,
        other => return Err(format!("unknown notification {other:?}").into()),
    };
    if fits { Ok(()) } else { Err(format!("notification {notice:?}, wanted {text}").into()) }
}

fn api_row(row: &Value) -> Result<(), Failed> {
    let text = |key: &str| row[key].as_str().expect("text");
    let (event, condition) = (text("event"), text("condition"));
    let (from, to) = (state(text("from")), state(text("to")));
    let upload = condition.starts_with("upload");
    let kind = if upload { JobType::Upload } else { JobType::Download };
    let no_files = condition == "job holds no file" || condition == "download without any file";
    let mut job = job_in(from, kind, u32::from(!no_files));
    if condition == "all files already transferred" {
        job.files[0].transferred = true;
    }
    if event == "GetError" {
        job.error = (condition == "error record present").then(|| Box::new(record()));
    }
    for file in &mut job.files {
        file.begun = true;
    }
    let before = job.clone();
    let result = call(&mut job, event, condition);
    let wanted = text("hresult");
    match (&result, wanted) {
        (Err(code), "rename error as HRESULT_FROM_WIN32(...)") => {
            assert_eq!(*code, h::ERROR_SHARING_VIOLATION);
            assert!(job.files[0].completed, "what was renamed stays available");
        }
        (Ok(change), name) => assert_eq!(change.code, code_named(name)),
        (Err(code), name) => {
            assert_eq!(*code, code_named(name));
            assert_eq!(job, before, "a failed call changes nothing");
        }
    }
    assert_eq!(job.state, to);
    expect_notice(row, result.map_or(Notice::None, |change| change.notice))?;
    side_effect(&before, &job, event, to)
}

fn call(job: &mut Job, event: &str, condition: &str) -> Result<Change, HResult> {
    match event {
        "AddFile" => job.add_files(vec![file(7)], None, LATER),
        "Resume" => job.resume(LATER),
        "Suspend" => job.suspend(LATER),
        "Cancel" => {
            let plan = job.cancel(LATER)?;
            assert_eq!(plan.remove.len(), job.files.len(), "every temporary file goes");
            let left_behind = condition == "a temporary file could not be removed";
            Ok(job.cancelled(&FinishResult { left_behind, ..FinishResult::default() }))
        }
        "Complete" => {
            if condition == "download, a rename fails" {
                job.files.push(job.files[0].clone());
            }
            let plan = job.complete()?;
            let result = match condition {
                "download, a rename fails" => FinishResult {
                    renamed: vec![plan.rename[0]],
                    error: Some(h::ERROR_SHARING_VIOLATION),
                    ..FinishResult::default()
                },
                "download, temporary file cannot be deleted" => {
                    // Both success codes apply where files are unfinished, and PARTIAL wins (12, row 17): the row itself is
                    // about a job whose files are all there.
                    if job.state != JobState::Transferred {
                        job.files.clear();
                    }
                    FinishResult {
                        renamed: plan.rename.clone(),
                        left_behind: true,
                        ..FinishResult::default()
                    }
                }
                _ => FinishResult { renamed: plan.rename.clone(), ..FinishResult::default() },
            };
            job.completed(&result, LATER)
        }
        "Set* (property setters)" => every_setter(job),
        "SetNoProgressTimeout(0)" => job.set(vec![Property::NoProgressTimeout(0)], LATER),
        "SetMinimumRetryDelay(d)" => {
            job.set(vec![Property::MinimumRetryDelay(job.no_progress_timeout_s + 1)], LATER)
        }
        "TakeOwnership" => job.take_ownership(Uid::ROOT, LATER),
        "Get*/Enum*" => {
            let progress = job.progress();
            assert_eq!(progress.files_total as usize, job.files.len());
            assert!(job.file_progress(0).is_some());
            Ok(Change { code: h::S_OK, notice: Notice::None })
        }
        "GetError" => job.get_error().map(|_| Change { code: h::S_OK, notice: Notice::None }),
        other => panic!("unknown event {other}"),
    }
}

/// Every setter gives the same answer; the last one's is returned.
fn every_setter(job: &mut Job) -> Result<Change, HResult> {
    let setters = [
        Property::DisplayName("n".into()),
        Property::Description("d".into()),
        Property::Priority(1),
        Property::NotifyFlags(0x1F),
        Property::MinimumRetryDelay(60),
        Property::NoProgressTimeout(3600),
        Property::Proxy { usage: 2, list: Some("p:80".into()), bypass: None },
        Property::NotifyCommand { program: Some("/bin/true".into()), parameters: None },
    ];
    let mut last = None;
    for setter in setters {
        let result = job.set(vec![setter], LATER);
        if let Some(last) = last {
            assert_eq!(last, result, "all setters agree");
        }
        last = Some(result);
    }
    last.expect("there are setters")
}

fn side_effect(before: &Job, job: &Job, event: &str, to: JobState) -> Result<(), Failed> {
    let changed = before != job;
    if changed && job.modified < before.modified {
        return Err("the modification time went back".into());
    }
    match event {
        "AddFile" if changed => {
            assert_eq!(job.files.len(), before.files.len() + 1);
            assert_eq!(&*job.files.last().expect("added").remote, "http://h/7", "appended at the end");
            assert_eq!(job.progress().bytes_total, None);
            assert_eq!(job.transferred_at, FileTime::ZERO);
        }
        "Resume" if before.state == JobState::TransientError => {
            assert_eq!(job.no_progress_since, before.no_progress_since, "the no-progress clock runs on");
            assert_eq!(job.wait, None);
            assert!(job.error.is_some());
        }
        "Resume" if before.state == JobState::Error => {
            assert_eq!(job.no_progress_since, None, "the no-progress clock begins anew");
            assert!(job.error.is_some(), "readable until TRANSFERRING");
        }
        "Suspend" if before.state == JobState::TransientError => {
            assert_eq!(job.wait, None);
            assert!(job.error.is_some());
        }
        "TakeOwnership" if changed => {
            assert_eq!(job.owner, Uid::ROOT);
            assert!(job.credentials.is_empty() && job.notify_command.is_none());
        }
        _ => {}
    }
    if to == JobState::Transferred && event == "Resume" && before.state != to {
        assert_eq!(job.transferred_at, LATER.wall);
    }
    Ok(())
}

fn internal_row(row: &Value) -> Result<(), Failed> {
    let text = |key: &str| row[key].as_str().unwrap_or("-");
    let name = text("event");
    if name == "create" {
        let job = Job::new(JobId::from_random_bytes([9; 16]), Uid(5), JobType::Download, "n", START);
        assert_eq!((job.state, job.created, job.modified), (JobState::Suspended, START.wall, START.wall));
        assert_eq!(
            (job.notify_flags, job.minimum_retry_delay_s, job.no_progress_timeout_s),
            (3, 600, 1_209_600)
        );
        assert_eq!(job.progress().bytes_total, Some(0));
        return Ok(());
    }
    let (from, to) = (state(text("from")), state(text("to")));
    let kind = if name.contains("upload") { JobType::Upload } else { JobType::Download };
    let mut job = job_in(from, kind, if kind == JobType::Download { 2 } else { 1 });
    if name.contains("NoProgressTimeout = 0") {
        let _ = job.set(vec![Property::NoProgressTimeout(0)], START).expect("settable");
    }
    if name == "zero-bandwidth policy ends" {
        job.wait = Some(Wait::Policy);
    }
    job.files[0].done.insert(0..10);
    let before = job.clone();
    let change = job.apply(internal_event(name, text("error")), LATER);
    assert_eq!(job.state, to, "state");
    if before.state != to && name != "inactivity timeout (90 days default)" && name != "service restart" {
        assert_eq!(job.modified, LATER.wall);
    }
    let error = text("error");
    if error.starts_with("BG_E_") {
        assert_eq!(job.get_error().map(|e| e.code), Ok(code_named(error)));
    }
    let gate = ["network", "policy", "volume locked"].iter().any(|g| name.contains(g));
    let expected = match (to, gate) {
        (JobState::Error | JobState::TransientError, false)
            if before.state != to && name != "no-progress timeout over" =>
        {
            1
        }
        _ => 0,
    };
    if !name.starts_with("network lost, NoProgressTimeout = 0") {
        assert_eq!(job.error_count - before.error_count, expected, "error count");
    }
    match name {
        "server answered, transfer possible" => assert!(job.error.is_none()),
        "retry delay over" => assert!(job.no_progress_since.is_some()),
        "recoverable error" => {
            let at = job.retry_at(&RetryRules::default());
            assert!(at == Some(LATER.mono.plus_s(600)) && job.no_progress_since.is_some());
        }
        "bytes moved" => assert!(job.no_progress_since.is_none()),
        "last file (and reply) finished" => assert_eq!(job.transferred_at, LATER.wall),
        "time slice over or pre-empted" => assert_eq!(job.files[0].done.len(), 10, "data kept"),
        n if n.starts_with("remote file changed") => {
            assert!(job.files[0].done.is_empty() && job.files[0].restarts == 1);
        }
        "no-progress timeout over" => assert_eq!(job.error, before.error, "last error kept"),
        _ => {}
    }
    expect_notice(row, change.map_or(Notice::None, |c| c.notice))
}

fn internal_event(name: &str, error: &str) -> Event {
    let named = |context| {
        let code = if error.starts_with("BG_E_") { code_named(error) } else { h::BG_E_HTTP_ERROR_404 };
        Event::Fatal(ErrorRecord::new(code, context, LATER.wall))
    };
    match name {
        "scheduler gives a turn" => Event::Turn,
        "server answered, transfer possible" => Event::Answered,
        "bytes moved" => Event::BytesMoved,
        "one file finished, more remain" => Event::FileFinished,
        "last file (and reply) finished" => Event::AllFinished,
        "time slice over or pre-empted" => Event::Preempted,
        n if n.starts_with("recoverable error") => Event::Recoverable { error: record(), retry_after_ms: 0 },
        "unrecoverable error" => named(ErrorContext::RemoteFile),
        "retry delay over" => Event::RetryDelayOver,
        "no-progress timeout over" => Event::NoProgressOver,
        n if n.starts_with("network lost") => Event::NetworkLost,
        "network available" => Event::NetworkAvailable,
        "owner logs off" => Event::OwnerLoggedOff,
        n if n.starts_with("zero-bandwidth policy begins") => Event::PolicyBlocks,
        "zero-bandwidth policy ends" => Event::PolicyUnblocks,
        "destination volume locked" => Event::VolumeLocked,
        "destination volume changed" | "local file changed, upload" => named(ErrorContext::LocalFile),
        n if n.starts_with("remote file changed") => Event::RemoteChanged { file: 0 },
        "server gives no size" => named(ErrorContext::RemoteFile),
        n if n.starts_with("server ignores range request") => named(ErrorContext::RemoteFile),
        "proxy settings unusable" => named(ErrorContext::GeneralTransport),
        n if n.starts_with("active transfer time over") => Event::DownloadTimeOver,
        n if n.starts_with("inactivity timeout") => Event::Inactive,
        "service restart" => Event::ServiceRestarted,
        other => panic!("unknown internal event {other}"),
    }
}
