//! Bodies of requests: JSON, checks, and the queue that takes what passes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openbits_api::{AddFiles, CreateJob, SetProperties};
use openbits_core::job::{Dialect, Extras};
use openbits_core::queue::{Call, NewJob};
use openbits_core::{Caller, FileTime, JobId, JobType, Limits, Mono, Now, Queue};
use openbits_daemon::clock::Clock;
use openbits_daemon::http::jobs;
use openbits_daemon::secrets::{Vault, intake};
use openbits_daemon::{rows, views};
use openbits_store::Loaded;

const OWNER: Caller = Caller::user(1000);
const NOW: Now = Now { mono: Mono(0), wall: FileTime(133_000_000_000_000_000) };

fn id() -> JobId {
    JobId::from_bytes([1; 16])
}

fn vault() -> Vault {
    Vault::with_key(b"fuzz")
}

fn new_job(body: CreateJob) -> NewJob {
    NewJob {
        id: id(),
        display_name: body.display_name,
        kind: body.kind,
        properties: jobs::properties(&vault(), id(), body.properties).unwrap_or_default(),
        files: intake::files(&vault(), id(), body.files).expect("sealed"),
        resume: body.resume,
        extras: Extras { dialect: body.dialect, ..Extras::NONE },
        delivery: None,
        download: None,
    }
}

/// What the queue holds can be shown, stored and read again.
fn look(queue: &Queue) {
    for job in queue.own_jobs(OWNER.uid, None) {
        let view = views::job(queue, job, true, Clock::start());
        let _ = serde_json::to_string(&view).expect("a view has a JSON form");
        let files =
            (0..u32::try_from(job.files.len()).expect("few")).map(|i| rows::file_row(job, i).expect("there"));
        let loaded = Loaded { jobs: vec![rows::job_row(job)], files: files.collect(), ..Loaded::default() };
        let (read, complaints) = rows::jobs(loaded);
        assert!(complaints.is_empty(), "{complaints:?}");
        assert_eq!(&read[0], job);
    }
}

fuzz_target!(|data: &[u8]| {
    let mut queue = Queue::load(Limits::default(), Vec::new(), NOW);
    if let Ok(body) = serde_json::from_slice::<CreateJob>(data) {
        let text = serde_json::to_vec(&body).expect("a request has a JSON form");
        assert_eq!(serde_json::from_slice::<CreateJob>(&text).expect("our own text"), body);
        let may = queue.may_create(OWNER, &new_job(body.clone())).is_ok();
        let done = queue.create(OWNER, new_job(body), NOW).is_ok();
        assert!(may || !done, "what may not be created is not");
        look(&queue);
        return;
    }
    let kind = if data.len() % 2 == 0 { JobType::Download } else { JobType::UploadReply };
    let plain = CreateJob {
        id: None,
        display_name: "x".to_owned(),
        kind,
        files: Vec::new(),
        resume: false,
        properties: SetProperties::default(),
        environment_proxy: None,
        dialect: Dialect::Bits,
    };
    let job = queue.create(OWNER, new_job(plain), NOW).expect("a plain job");
    if let Ok(body) = serde_json::from_slice::<SetProperties>(data) {
        let list = jobs::properties(&vault(), id(), body).unwrap_or_default();
        for property in &list {
            let _ = property.check(kind);
        }
        let _ = queue.call(OWNER, job, Call::Set(list), NOW);
    } else if let Ok(body) = serde_json::from_slice::<AddFiles>(data) {
        let _ = queue.call(
            OWNER,
            job,
            Call::AddFiles(intake::files(&vault(), id(), body.files).expect("sealed")),
            NOW,
        );
    }
    look(&queue);
});
