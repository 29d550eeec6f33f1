//! Jobs, errors and reasons in the forms of the contract.

use crate::clock::Clock;
use crate::http::ranges;
use openbits_api::{
    CallbackKind, CallbackView, CertificateView, CredentialView, ErrorView, EventKind, EventView,
    FileRangeView, FileView, HttpView, JobView, LogView, NumberedProperty, PaceView, PieceHashFile,
    ProxyView, ReplyView, SCHEMA, UploadView, Why, error,
};
use openbits_core::events_log::{Level, Record};
use openbits_core::integrity::SourceKind;
use openbits_core::job::http::ClientCertificate;
use openbits_core::job::options::PropertyId;
use openbits_core::job::{ErrorRecord, File};
use openbits_core::pace::Mode;
use openbits_core::queue::{self, Callback, Notice, NoticeKind, Queue, Reason};
use openbits_core::upload::client::Protocol;
use openbits_core::{Caller, Job, JobType, ProxyUsage};

/// A job; `files` adds the list of its files.
pub fn job(queue: &Queue, job: &Job, files: bool, clock: Clock) -> JobView {
    let progress = job.progress();
    let (program, parameters) = job
        .notify_command
        .as_deref()
        .map_or_else(Default::default, |c| (c.program.clone(), c.parameters.clone().unwrap_or_default()));
    let proxy = job.proxy.as_deref();
    let options = job.options();
    JobView {
        schema: SCHEMA,
        id: job.id.to_string(),
        display_name: job.display_name.to_string(),
        description: job.description.to_string(),
        kind: job.kind,
        dialect: job.dialect(),
        state: job.state,
        priority: job.priority,
        owner_uid: job.owner.0,
        owner_sid: job.owner.sid(),
        owner_integrity_level: job.owner_integrity_level(),
        owner_elevated: job.is_owner_elevated(),
        bytes_total: progress.bytes_total,
        bytes_transferred: progress.bytes_transferred,
        files_total: progress.files_total,
        files_transferred: progress.files_transferred,
        creation_time_ms: job.created.unix_ms(),
        modification_time_ms: job.modified.unix_ms(),
        transfer_completion_time_ms: (job.transferred_at.0 != 0).then(|| job.transferred_at.unix_ms()),
        active_time_ms: job.active_time_ms(clock.now().mono),
        error_count: job.error_count,
        error: job.error.as_deref().map(error_view),
        minimum_retry_delay_s: job.minimum_retry_delay_s,
        no_progress_timeout_s: job.no_progress_timeout_s,
        notify_flags: job.notify_flags,
        notify_interface: queue.has_notify_interface(job.id),
        notify_program: program,
        notify_parameters: parameters,
        proxy: ProxyView {
            usage: proxy.map_or(ProxyUsage::Preconfig, |p| p.usage),
            list: proxy.and_then(|p| p.list.clone()),
            bypass: proxy.and_then(|p| p.bypass.clone()),
        },
        credentials: job
            .credentials
            .iter()
            .map(|credential| CredentialView {
                target: credential.target.to_string(),
                scheme: credential.scheme.to_string(),
                implicit: credential.sealed.is_none(),
            })
            .collect(),
        auto_complete: job.extras().auto_complete,
        bind: job.extras().bind.clone(),
        http: http(job),
        upload: upload(job),
        reply: job.reply.as_deref().map(|reply| ReplyView {
            file_name: reply.file_name.as_deref().map(str::to_owned),
            bytes_total: reply.size,
            bytes_transferred: reply.transferred,
        }),
        acl_flags: options.acl_flags,
        peer_caching_flags: options.peer_caching_flags,
        maximum_download_time_s: job.maximum_download_time_s(queue.limits()),
        cost_flags: job.cost_flags(queue.limits()),
        cost_flags_set: options.cost_flags.is_some(),
        disallow_cellular: options.disallow_cellular,
        notification_clsid: options.notification_class.map(|class| class.to_string()),
        dynamic_content: options.dynamic_content,
        high_performance: options.high_performance,
        max_download_size: options.max_download_bytes,
        use_stored_credentials: if options.stored_proxy_credentials { "PROXY" } else { "NONE" }.to_owned(),
        minimum_notification_interval_ms: options.notification_interval_ms(),
        on_demand_mode: options.on_demand,
        helper_token_flags: options.helper_flags,
        helper_token_sid: queue.helper(job.id).map(openbits_core::Uid::sid),
        next_retry_time_ms: job.retry_at(&queue.limits().retry).map(|at| clock.wall_ms(at)),
        peer: queue.peer(job.id).map(str::to_owned),
        pace: queue.pace(job.id).map(|pace| self::pace(pace, clock)),
        cache_host: job.asks_cache_host().filter(|_| job.state.is_running()).map(str::to_owned),
        files: files.then(|| self::files(job)),
    }
}

fn http(job: &Job) -> HttpView {
    let http = job.http();
    HttpView {
        method: job.http_method().to_owned(),
        security_flags: job.security_flags(),
        custom_headers: job.has_custom_headers(),
        challenge_headers: job.has_challenge_headers(),
        custom_headers_write_only: http.write_only,
        client_certificate: http.certificate.as_deref().map(certificate),
        certificate_validation: http.validates,
    }
}

/// The client certificate of a job.
pub fn certificate(certificate: &ClientCertificate) -> CertificateView {
    CertificateView {
        location: certificate.location,
        store: certificate.store.clone(),
        sha1: certificate.sha1.clone(),
        sha256: certificate.sha256.clone(),
        subject: certificate.subject.clone(),
    }
}

/// Pacing of a transfer.
fn pace(pace: &queue::Pace, clock: Clock) -> PaceView {
    PaceView {
        mode: pace.mode,
        since_ms: clock.wall_ms(pace.since),
        base_us: pace.base_us,
        queue_us: pace.queue_us,
        window_bytes: pace.window_bytes,
        blind: pace.blind,
    }
}

/// How an upload job uploads.
fn upload(job: &Job) -> Option<UploadView> {
    if job.kind == JobType::Download {
        return None;
    }
    let used = job.files.first().and_then(|file| file.upload.as_deref()).and_then(|state| state.protocol);
    let protocol = job.extras().upload_protocol;
    let known = used.or((protocol != Protocol::Auto).then_some(protocol));
    Some(UploadView { protocol, used, resumable: known.map(|known| known != Protocol::Put) })
}

/// A numbered property of a job.
pub fn numbered(queue: &Queue, job: &Job, id: PropertyId) -> NumberedProperty {
    NumberedProperty {
        id: id as u32,
        name: id.name().to_owned(),
        value: job.property(id, queue.limits()).to_string(),
    }
}

/// The files of a job.
pub fn files(job: &Job) -> Vec<FileView> {
    (0u32..).zip(&job.files).map(|(index, file)| self::file(job, index, file)).collect()
}

/// One of them.
pub fn file(job: &Job, index: u32, file: &File) -> FileView {
    let (bytes_from_origin, bytes_from_peers) = file.peer_download_stats();
    let asks_cache = job.asks_cache_host().is_some() && job.state.is_running();
    let bytes_from_cache_hosts = file.bytes_from_cache(asks_cache);
    FileView {
        index,
        remote_name: file.remote.to_string(),
        local_name: file.local.to_string(),
        content_id: file.content_id.as_deref().map(str::to_owned),
        bytes_total: file.size,
        bytes_transferred: file.bytes_transferred(),
        transferred: file.transferred,
        completed: file.completed,
        temporary_name: (job.kind == JobType::Download && file.begun && !file.completed && !job.is_direct())
            .then(|| job.temporary_name(index)),
        temporary_path: job.temporary_path(index).ok().flatten(),
        valid: file.validated,
        downloaded_from_peer: file.is_downloaded_from_peer(),
        bytes_from_origin: bytes_from_origin.saturating_sub(bytes_from_cache_hosts),
        bytes_from_peers,
        bytes_from_cache_hosts,
        integrity_check_mandatory: file.integrity.as_deref().and_then(|check| check.mandatory),
        sha256: file.sha256.as_deref().map(str::to_owned),
        digests: file.expect().digests.iter().map(ToString::to_string).collect(),
        expected_size: file.expect().size,
        checksum: source(file, SourceKind::Checksums),
        metalink: source(file, SourceKind::Metalink),
        pieces: file.expect().piece_file.as_ref().map(|pieces| PieceHashFile {
            location: pieces.location.to_string(),
            digest: pieces.digest.clone(),
            mandatory: pieces.mandatory,
        }),
        mirrors: file.expect().mirrors.iter().map(ToString::to_string).collect(),
        mirror: file.mirror.as_deref().map(str::to_owned),
        ranges: (!file.layout.is_whole()).then(|| ranges::shown(file.layout.ranges())),
        restarts: file.restarts,
    }
}

/// Location of the file's list of digests, if it is of this kind.
fn source(file: &File, kind: SourceKind) -> Option<String> {
    file.expect().sources.iter().find(|s| s.kind == kind).map(|s| s.location.to_string())
}

/// The error record of a job.
pub fn error_view(record: &ErrorRecord) -> ErrorView {
    ErrorView {
        hresult: record.code.to_string(),
        name: error::name(record.code),
        text: record.code.text(),
        context: record.context,
        context_text: record.context.text().to_owned(),
        file: record.get_file().ok(),
        protocol: record.get_protocol().ok().map(str::to_owned),
        http_status: record.http_status,
        url: record.url.as_deref().map(str::to_owned),
        detail: record.detail.to_string(),
        time_ms: record.at.unix_ms(),
        suggestion: error::row(record.code).suggestion.to_owned(),
    }
}

/// A notice as an event.
pub fn event(notice: &Notice, seq: Option<u64>, clock: Clock) -> EventView {
    let (kind, file) = match notice.kind {
        NoticeKind::Created => (EventKind::Created, None),
        NoticeKind::Modified => (EventKind::Modified, None),
        NoticeKind::Transferred => (EventKind::Transferred, None),
        NoticeKind::Error => (EventKind::Error, None),
        NoticeKind::FileTransferred(file) => (EventKind::FileTransferred, Some(file)),
        NoticeKind::FileRangesTransferred(file) => (EventKind::FileRangesTransferred, Some(file)),
        NoticeKind::Acknowledged => (EventKind::Acknowledged, None),
        NoticeKind::Cancelled => (EventKind::Cancelled, None),
        NoticeKind::Progress => (EventKind::Progress, None),
    };
    EventView {
        seq,
        kind,
        job: notice.job.to_string(),
        time_ms: notice.at.unix_ms(),
        state: notice.state,
        display_name: notice.display_name.to_string(),
        bytes_transferred: notice.progress.bytes_transferred,
        bytes_total: notice.progress.bytes_total,
        files_transferred: notice.progress.files_transferred,
        files_total: notice.progress.files_total,
        hresult: notice.error.map(|(code, _)| code.to_string()),
        pace: notice.pace.as_ref().map(|pace| self::pace(pace, clock)),
        file,
        log: None,
        ranges: ranges::shown(&notice.ranges),
    }
}

/// An entry of a job's history; `None`: the event is not one of a job, or too small for its history.
pub fn log_event(queue: &Queue, record: &Record, seq: u64, clock: Clock) -> Option<EventView> {
    let id = record.job.filter(|_| record.kind.level != Level::Verbose)?;
    let job = queue.held_job(Caller::root(), id).ok()?;
    let progress = job.progress();
    let fields = record.fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Some(EventView {
        seq: Some(seq),
        kind: EventKind::Log,
        job: id.to_string(),
        time_ms: clock.now().wall.unix_ms(),
        state: job.state,
        display_name: job.display_name.to_string(),
        bytes_transferred: progress.bytes_transferred,
        bytes_total: progress.bytes_total,
        files_transferred: progress.files_transferred,
        files_total: progress.files_total,
        hresult: None,
        pace: None,
        file: None,
        log: Some(Box::new(LogView {
            event: record.kind.number,
            level: record.kind.level.as_str().to_owned(),
            text: record.kind.text.to_owned(),
            fields,
        })),
        ranges: Vec::new(),
    })
}

/// A call of a callback.
pub fn callback(callback: &Callback) -> CallbackView {
    let none = Vec::new();
    let (kind, file, ranges) = match &callback.kind {
        queue::CallbackKind::Transferred => (CallbackKind::JobTransferred, None, none),
        queue::CallbackKind::Error => (CallbackKind::JobError, None, none),
        queue::CallbackKind::Modification => (CallbackKind::JobModification, None, none),
        queue::CallbackKind::FileTransferred(file) => (CallbackKind::FileTransferred, Some(*file), none),
        queue::CallbackKind::RangesTransferred(file, ranges) => {
            let view = |r: std::ops::Range<u64>| FileRangeView { offset: r.start, length: r.end - r.start };
            (CallbackKind::FileRangesTransferred, Some(*file), ranges.iter().map(view).collect())
        }
    };
    let job = &callback.job;
    CallbackView {
        call: callback.call.map(|call| call.0),
        kind,
        job: job.job.to_string(),
        display_name: job.display_name.to_string(),
        state: job.state,
        bytes_transferred: job.progress.bytes_transferred,
        bytes_total: job.progress.bytes_total,
        files_transferred: job.progress.files_transferred,
        files_total: job.progress.files_total,
        hresult: job.error.map(|(code, _)| code.to_string()),
        file,
        ranges,
    }
}

/// Why a job does not move.
pub fn why(queue: &Queue, job: &Job, clock: Clock) -> Option<Why> {
    let why = queue.why(job.id)?;
    let (reason, text, remedy) = words(why.reason);
    let record = job.error.as_deref().filter(|_| why.code.is_some());
    Some(Why {
        schema: SCHEMA,
        id: job.id.to_string(),
        state: job.state,
        moving: why.reason == Reason::Moving,
        reason: reason.to_owned(),
        text: format!("{text}{}{}", queue.pace(job.id).map_or("", paced), no_resume(job)),
        until_ms: why.until.map(|at| clock.wall_ms(at)),
        remedy: match record {
            Some(record) if why.reason == Reason::Error => {
                format!("{} {remedy}", error::row(record.code).suggestion)
            }
            _ => remedy.to_owned(),
        },
        jobs_ahead: why.ahead,
        hresult: why.code.map(|c| c.to_string()),
        name: why.code.map(error::name),
        detail: record
            .map(|r| Some(r.detail.to_string()).filter(|d| !d.is_empty()).unwrap_or_else(|| r.code.text())),
    })
}

/// Said of a job that moves, and that has reasons of its own to move slowly.
const fn paced(pace: &queue::Pace) -> &'static str {
    match (pace.mode, pace.blind) {
        (Mode::Yield | Mode::Probe, _) => {
            " It leaves the network to other traffic, and comes back when that ends; a FOREGROUND job would not."
        }
        (_, true) => {
            " The connection has no TCP timestamps, so other traffic is noticed by what arrives only, and later: switch them on at both ends (sysctl net.ipv4.tcp_timestamps=1)."
        }
        _ => "",
    }
}

/// Said plainly of an upload that cannot be resumed.
fn no_resume(job: &Job) -> &'static str {
    match upload(job) {
        Some(UploadView { resumable: Some(false), .. }) if !job.all_transferred() => {
            " The server takes the file by a plain PUT only: whenever the upload breaks off, it begins again at the first byte."
        }
        _ => "",
    }
}

/// Stable word, sentence, remedy.
fn words(reason: Reason) -> (&'static str, &'static str, &'static str) {
    match reason {
        Reason::Moving => ("moving", "The job is moving.", ""),
        Reason::Empty => (
            "empty",
            "The job has no files.",
            "Add one with `bits add JOB URL PATH`, then `bits resume JOB`.",
        ),
        Reason::Suspended => {
            ("suspended", "A client suspended the job, or never resumed it.", "`bits resume JOB`")
        }
        Reason::WaitsForTurn => (
            "waits-for-turn",
            "Other background jobs are served first.",
            "Wait, raise it with `bits set JOB priority=HIGH`, or run it now with `priority=FOREGROUND`.",
        ),
        Reason::WaitsForForegroundSlot => (
            "waits-for-foreground-slot",
            "As many foreground jobs run as the policy allows (scheduler.max_foreground).",
            "Wait, or raise the cap in the policy file.",
        ),
        Reason::Stopping => {
            ("stopping", "The last attempt is being stopped before the next one begins.", "Wait a moment.")
        }
        Reason::StoreUnavailable => (
            "store-unavailable",
            "The service's queue cannot be written, so nothing is started.",
            "See `bits service-info` for the cause; free space on the disk of the queue.",
        ),
        Reason::NoNetwork => {
            ("no-network", "There is no network.", "The job goes on by itself when the network is back.")
        }
        Reason::BlockedByPolicy => (
            "blocked-by-policy",
            "The bandwidth policy allows jobs of this priority nothing now.",
            "Wait for the end of the interval, or `bits set JOB priority=FOREGROUND`; `bits policy explain JOB` names the rule.",
        ),
        Reason::BlockedByCost => (
            "blocked-by-cost",
            "The network costs what the job is not allowed to pay.",
            "The job goes on by itself on a cheaper network; `bits set JOB priority=FOREGROUND` may pay more (cost.* in the policy).",
        ),
        Reason::BlockedByCellular => (
            "blocked-by-cellular",
            "The network is a cellular one, and the job stays away from those (disallow_cellular).",
            "The job goes on by itself on another network, or now with `bits set JOB cellular=yes`.",
        ),
        Reason::OnBattery => (
            "on-battery",
            "The machine runs on battery, and the policy holds jobs meanwhile (power.on_battery).",
            "The job goes on by itself with mains power.",
        ),
        Reason::PowerSaver => (
            "power-saver",
            "The power saver is on, and the policy holds background jobs meanwhile (power.saver_blocks_background).",
            "Turn it off, or `bits set JOB priority=FOREGROUND`.",
        ),
        Reason::GameMode => (
            "game-mode",
            "A game runs, and the policy holds background jobs meanwhile (power.game_mode).",
            "The job goes on by itself after the game, or now with `bits set JOB priority=FOREGROUND`.",
        ),
        Reason::OwnerAbsent => (
            "owner-absent",
            "The owner is not logged on, and the policy lets only jobs of people who are run (owner.presence).",
            "The job goes on by itself when the owner logs on.",
        ),
        Reason::VolumeLocked => (
            "volume-locked",
            "The volume of the destination is locked.",
            "The job goes on when the lock is gone.",
        ),
        Reason::WaitsForRetry => (
            "waits-for-retry",
            "The last attempt failed with an error that may pass; the next one is timed.",
            "`bits resume JOB` tries at once.",
        ),
        Reason::Error => (
            "error",
            "The last attempt failed with an error that does not pass by itself.",
            "Then `bits resume JOB`.",
        ),
        Reason::WaitsForComplete => (
            "waits-for-complete",
            "All data is there; the files appear when the owner completes the job.",
            "`bits complete JOB`",
        ),
        Reason::Finishing => {
            ("finishing", "Files are being renamed into place or removed.", "Wait a moment.")
        }
        Reason::Acknowledged => ("acknowledged", "The job is completed and has left the queue.", ""),
        Reason::Cancelled => ("cancelled", "The job was cancelled and has left the queue.", ""),
    }
}
