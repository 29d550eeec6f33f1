//! Orders for workers, made of jobs.

use crate::policy::Settings;
use crate::secrets::Vault;
use crate::secrets::outgoing::Lost;
use openbits_core::delivery::codes::DO_E_HTTP_BLOCKSIZE_MISMATCH;
use openbits_core::enums::notify;
use openbits_core::hresult::ERROR_DISK_FULL;
use openbits_core::job::api::FinishPlan;
use openbits_core::job::http::{CertificateName, CertificateQuery, RedirectPolicy, parse_headers, security};
use openbits_core::job::{Dialect, ErrorRecord, File, REPLY_INDEX};
use openbits_core::queue::FileReport;
use openbits_core::{
    AttemptId, AuthScheme, AuthTarget, FileTime, Job, JobType, Mono, Priority, ProxyUsage, Secret, Slot,
    Ticket,
};
use openbits_transfer::protocol::{
    CancelUpload, Credential, Failure, FailureClass, FileCheckpoint, FileOrder, Finish, HARMLESS_HEADERS,
    Header, Order, Proxy, Rename, TransferOptions, UploadOrder, Validator, Wanted,
};

/// The order for an attempt: every file of which something is wanted, with the secrets that its worker needs.
///
/// # Errors
/// A secret cannot be opened: the job needs its credentials anew.
pub fn order(job: &Job, attempt: AttemptId, settings: &Settings, vault: &Vault) -> Result<Order, Lost> {
    let files = (0u32..).zip(&job.files).filter(|(_, file)| job.kind == JobType::Download && job.wants(file));
    let files = files.map(|(index, file)| {
        let remote = match job.cache_url(file) {
            Some(url) => url,
            None => vault.remote(job, index, file)?,
        };
        Ok(file_order(job, index, file, settings, remote))
    });
    Ok(Order {
        job: job.id,
        attempt,
        priority: job.priority,
        files: files.collect::<Result<_, Lost>>()?,
        upload: upload(job, settings, vault)?,
        options: options(job, settings, vault)?,
    })
}

/// The order for an upload job: its file, what is known of it, and where a reply goes.
fn upload(job: &Job, settings: &Settings, vault: &Vault) -> Result<Option<Box<UploadOrder>>, Lost> {
    let Some(file) = job.files.first().filter(|_| job.kind != JobType::Download) else { return Ok(None) };
    let reply = job.reply.as_deref().map(|reply| {
        let begun = reply.file.as_deref();
        let local = begun.map(|file| file.local.clone()).or_else(|| reply.file_name.clone());
        let fresh = File { local: local.unwrap_or_default(), ..File::default() };
        file_order(job, REPLY_INDEX, begun.unwrap_or(&fresh), settings, String::new())
    });
    Ok(Some(Box::new(UploadOrder {
        remote: vault.remote(job, 0, file)?,
        local: file.local.to_string(),
        protocol: job.extras().upload_protocol,
        state: file.upload.as_deref().cloned().unwrap_or_default(),
        reply,
        reply_finished: job.reply_file().is_some_and(|file| file.transferred),
    })))
}

fn file_order(job: &Job, index: u32, file: &File, settings: &Settings, remote: String) -> FileOrder {
    FileOrder {
        index,
        remote,
        local: file.local.to_string(),
        temp: job.temporary_name(index),
        size: file.size,
        remote_size: file.remote_size,
        wanted: wanted(job, file, settings),
        done: file.done.clone(),
        validator: validator(file),
        digests: file.digests(),
        expected_size: file.expect().size,
        sources: file.expect().sources.clone(),
        mirrors: file.expect().mirrors.iter().map(ToString::to_string).collect(),
        piece_file: file.expect().piece_file.clone(),
        moved: file.moved,
        made: job.made(),
    }
}

/// What is wanted of a file. In strict mode a server without ranges is refused, unless the job is dynamic and FOREGROUND
/// (spec/behaviour.md 3.2, S18; conformance row 32).
pub fn wanted(job: &Job, file: &File, settings: &Settings) -> Wanted {
    let mut wanted = job.wanted(file);
    if settings.is_strict() {
        wanted.strict = true;
        wanted.dynamic &= job.priority == Priority::Foreground;
    }
    wanted
}

fn validator(file: &File) -> Option<Validator> {
    let validator = Validator {
        etag: file.etag.as_deref().map(str::to_owned),
        last_modified: file.last_modified.as_deref().map(str::to_owned),
        mirror: file.mirror.as_deref().map(str::to_owned),
    };
    (validator != Validator::default()).then_some(validator)
}

fn options(job: &Job, settings: &Settings, vault: &Vault) -> Result<TransferOptions, Lost> {
    let mut options = settings.transfer.clone();
    options.credentials = vault.credentials(job)?;
    options.stored_proxy_credentials = job.options().stored_proxy_credentials;
    own_credentials(&mut options.credentials, settings.policy.text("auth.implicit_credentials"));
    if job.asks_cache_host().is_some() {
        options.credentials.retain(|credential| credential.target != AuthTarget::Server);
        options.anonymous = true;
        options.connect_timeout_ms = options.connect_timeout_ms.min(CACHE_PATIENCE_MS);
    }
    if let Some(bind) = &job.extras().bind {
        options.bind = Some(bind.clone());
    }
    let (own, listens) = (job.options(), job.notify_flags & notify::FILE_RANGES_TRANSFERRED != 0);
    options.volatile = own.dynamic_content || own.high_performance;
    options.tell_ranges = listens || own.on_demand || job.files.iter().any(|file| file.pinned);
    // The cap is for the whole job: what is there already counts.
    let there = job.files.iter().filter(|file| !job.wants(file)).map(File::bytes_transferred);
    let there = there.fold(0, u64::saturating_add);
    options.max_bytes = own.max_download_bytes.map(|cap| cap.saturating_sub(there));
    options.proxy = match job.proxy.as_deref() {
        None => preconfigured(job, settings, vault, &mut options)?,
        Some(proxy) => match proxy.usage {
            ProxyUsage::Preconfig | ProxyUsage::Autodetect => {
                preconfigured(job, settings, vault, &mut options)?
            }
            ProxyUsage::NoProxy => Proxy::None,
            ProxyUsage::Override => {
                Proxy::List { list: vault.proxy_list(job)?, bypass: proxy.bypass.clone() }
            }
        },
    };
    http_options(job, vault, &mut options)?;
    if job.dialect() == Dialect::DeliveryOptimization {
        options.wrong_size = DO_E_HTTP_BLOCKSIZE_MISMATCH;
        options.delivery_optimization = true;
    }
    // Its client removed it, and is told so (spec/delivery-optimization-com.md 4.7).
    options.loss_is_fatal = job.download.is_some();
    if job.delivery.is_some() {
        // Spec/delivery-optimization-linux-agent.md 7.1.
        options.user_agent = DELIVERY_AGENT.to_owned();
        options.connect_timeout_ms = options.connect_timeout_ms.min(15_000);
        options.idle_timeout_ms = options.idle_timeout_ms.min(20_000);
        options.least_bytes_per_s = 4_000;
        // 7.2.
        options.any_success = true;
    }
    Ok(options)
}

/// How long a cache host may take to accept a connection: it is near, or of no use.
const CACHE_PATIENCE_MS: u64 = 3_000;

/// User-Agent of downloads of Delivery Optimization.
const DELIVERY_AGENT: &str = "Microsoft-Delivery-Optimization-Lite/10.0.0.1";

/// What the job's HTTP options say, over what the policy says.
fn http_options(job: &Job, vault: &Vault, options: &mut TransferOptions) -> Result<(), Lost> {
    let http = job.http();
    options.headers = headers(job, vault, Slot::Headers)?;
    options.headers_stay = http.write_only;
    // What tells who the user is, is for the origin; a cache host that stands in for it has not earned it.
    let cached = job.asks_cache_host().is_some();
    match cached {
        true if http.write_only => options.headers.clear(),
        true => options.headers.retain(|header| {
            HARMLESS_HEADERS.iter().any(|harmless| header.name.eq_ignore_ascii_case(harmless))
        }),
        false => options.challenge_headers = headers(job, vault, Slot::ChallengeHeaders)?,
    }
    options.method = http.method.as_deref().map(str::to_owned);
    if let Some(flags) = http.security {
        options.tls.flags = flags & security::CERTIFICATE;
        options.redirects = RedirectPolicy::of(flags);
        options.allow_https_to_http = flags & security::ALLOW_HTTPS_TO_HTTP != 0;
    }
    options.tls.certificate =
        http.certificate.as_deref().filter(|_| !cached).map(|certificate| CertificateQuery {
            location: certificate.location,
            store: certificate.store.clone(),
            name: CertificateName::Hash(certificate.sha256.clone()),
        });
    options.tls.validate = http.validates;
    Ok(())
}

/// The headers in a slot. They were checked when they were set; what cannot be read is not sent.
fn headers(job: &Job, vault: &Vault, slot: Slot) -> Result<Vec<Header>, Lost> {
    let Some(text) = vault.slot(job, slot)? else { return Ok(Vec::new()) };
    let lines = parse_headers(text.reveal(), job.kind).unwrap_or_default().into_iter();
    Ok(lines.map(|(name, value)| Header { name: name.to_owned(), value: Secret::new(value) }).collect())
}

/// Where the policy lets the owner's own credentials be sent without a word of the application (spec/policy.md A8): the ticket cache,
/// to whoever asks for Negotiate and has no explicit credentials.
fn own_credentials(credentials: &mut Vec<Credential>, policy: Option<&str>) {
    if !matches!(policy, Some("always" | "if-strong")) {
        return;
    }
    for &target in AuthTarget::ALL {
        if !credentials.iter().any(|c| c.target == target) {
            credentials.push(Credential { target, scheme: AuthScheme::Negotiate, pair: None });
        }
    }
}

/// PRECONFIG: the policy, else the desktop, else the environment captured when the job was created (spec/behaviour.md 20, Linux).
fn preconfigured(
    job: &Job,
    settings: &Settings,
    vault: &Vault,
    options: &mut TransferOptions,
) -> Result<Proxy, Lost> {
    let text = |key: &str| settings.policy.text(key).map(str::to_owned);
    match settings.policy.text("proxy.mode") {
        Some("none") => return Ok(Proxy::None),
        Some("list") => {
            let list = text("proxy.list").unwrap_or_default();
            return Ok(Proxy::List { list, bypass: text("proxy.bypass") });
        }
        _ => options.desktop_proxy = true,
    }
    let environment = vault.environment(job)?;
    Ok(environment.map_or(Proxy::None, |e| Proxy::Environment {
        http: e.http,
        https: e.https,
        all: e.all,
        no: e.no,
    }))
}

/// The order for the last step of a job.
pub fn finish(job: &Job, ticket: Ticket, plan: &FinishPlan, settings: &Settings, vault: &Vault) -> Finish {
    let file = |index: u32| match job.kind {
        JobType::UploadReply if index == REPLY_INDEX => job.reply_file(),
        _ => job.files.get(index as usize),
    };
    let cancel = job.files.first().filter(|_| plan.cancel_upload).and_then(|file| {
        Some(Box::new(CancelUpload {
            // Without its secrets the server cannot be told; it forgets the upload by itself in time.
            remote: vault.remote(job, 0, file).ok()?,
            state: file.upload.as_deref()?.clone(),
            options: options(job, settings, vault).ok()?,
        }))
    });
    Finish {
        job: job.id,
        ticket,
        rename: plan
            .rename
            .iter()
            .filter_map(|&index| {
                let file = file(index)?;
                Some(Rename {
                    index,
                    local: file.local.to_string(),
                    temp: job.temporary_name(index),
                    // Of a file of which only ranges were asked for, what is behind the last one was never written.
                    size: match file.transferred {
                        true => file.size.unwrap_or_else(|| file.done.len()),
                        false => file.done.end(),
                    },
                    truncate: !file.transferred,
                    validator: validator(file),
                    modified_s: file.modified_s,
                })
            })
            .collect(),
        remove: plan
            .remove
            .iter()
            .filter_map(|&index| Some((file(index)?.local.to_string(), job.temporary_name(index))))
            .collect(),
        made: job.made(),
        cancel,
    }
}

/// A checkpoint in the brain's words.
pub fn report(checkpoint: FileCheckpoint) -> FileReport {
    let validator = checkpoint.validator.unwrap_or_default();
    FileReport {
        file: checkpoint.file,
        size: checkpoint.size,
        remote_size: checkpoint.remote_size,
        no_ranges: checkpoint.no_ranges,
        done: checkpoint.done,
        etag: validator.etag,
        last_modified: validator.last_modified,
        mirror: validator.mirror,
        modified_s: checkpoint.modified_s,
        finished: checkpoint.finished,
    }
}

/// A failure in the brain's words: the record, and the wait a server asked for if trying again may help.
pub fn failure(failure: Failure, at: FileTime, full_is_transient: bool) -> (ErrorRecord, Option<u64>) {
    let waits_for_space = full_is_transient && failure.code == ERROR_DISK_FULL;
    let retry = match failure.class {
        FailureClass::Fatal if waits_for_space => Some(0),
        FailureClass::Transient => Some(failure.retry_after_ms.unwrap_or(0)),
        FailureClass::Fatal => None,
    };
    let record = ErrorRecord {
        code: failure.code,
        context: failure.context,
        file: failure.file,
        at,
        http_status: failure.http_status,
        url: failure.url.map(Into::into),
        detail: failure.detail.into(),
    };
    (record, retry)
}

/// The worker's word on pacing, on the service's clock.
pub fn pace(pace: openbits_transfer::protocol::Pace, now: Mono) -> openbits_core::queue::Pace {
    openbits_core::queue::Pace {
        mode: pace.mode,
        since: Mono(now.0.saturating_sub(i64::try_from(pace.for_ms).unwrap_or(i64::MAX))),
        base_us: pace.base_us,
        queue_us: pace.queue_us,
        window_bytes: pace.window_bytes,
        blind: pace.blind,
    }
}
