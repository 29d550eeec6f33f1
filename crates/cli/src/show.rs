//! Jobs as text for people.

use crate::commands::http::security_names;
use crate::failure::job_error_lines;
use crate::text::{self, clean};
use openbits_api::{EventView, FileView, JobView, PaceView, ServiceInfo, UploadView, Why};
use openbits_core::pace::Mode;

/// A table of jobs: heading and one line each.
pub(crate) fn table(jobs: &[JobView]) -> Vec<String> {
    let mut rows = vec![["GUID", "STATE", "PRIORITY", "FILES", "BYTES", "NAME"].map(str::to_owned)];
    rows.extend(jobs.iter().map(|job| {
        [
            clean(&job.id),
            job.state.to_string(),
            job.priority.to_string(),
            format!("{}/{}", job.files_transferred, job.files_total),
            text::progress(job.bytes_transferred, job.bytes_total),
            name(job),
        ]
    }));
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// The job's name, and in brackets before it whose rules it follows, unless those are BITS'.
fn name(job: &JobView) -> String {
    let name = clean(&job.display_name);
    if job.dialect.is_bits() { name } else { format!("[{}] {name}", job.dialect).trim_end().to_owned() }
}

/// The slots in use, e.g. `SERVER/DIGEST, PROXY/NEGOTIATE (own)`.
fn credentials(job: &JobView) -> String {
    let slot = |c: &openbits_api::CredentialView| {
        format!("{}/{}{}", clean(&c.target), clean(&c.scheme), if c.implicit { " (own)" } else { "" })
    };
    let slots: Vec<String> = job.credentials.iter().map(slot).collect();
    if slots.is_empty() { "none".to_owned() } else { slots.join(", ") }
}

/// Everything about a job.
pub(crate) fn job(job: &JobView) -> Vec<String> {
    let or_none = |t: &Option<String>| t.as_deref().map_or_else(|| "none".to_owned(), clean);
    let notify = match (job.notify_program.as_str(), job.notify_parameters.as_str()) {
        ("", _) => "none".to_owned(),
        (program, "") => clean(program),
        (program, parameters) => format!("{} ({})", clean(program), clean(parameters)),
    };
    let proxy = [
        job.proxy.list.as_deref(),
        job.proxy.bypass.as_deref().map(|_| "bypass"),
        job.proxy.bypass.as_deref(),
    ];
    let proxy = proxy.into_iter().flatten().map(|p| format!(" {}", clean(p))).collect::<String>();
    let headers = match (job.http.custom_headers, job.http.custom_headers_write_only) {
        (true, true) => "set, write-only",
        (true, false) => "set",
        (false, true) => "none, write-only",
        (false, false) => "none",
    };
    let certificate = job.http.client_certificate.as_ref().map_or_else(
        || "none".to_owned(),
        |c| format!("{} ({}, sha1 {})", clean(&c.subject), clean(&c.store), clean(&c.sha1)),
    );
    let times = |ms: Option<i64>| ms.map_or_else(|| "none".to_owned(), text::time);
    let rows = [
        ("GUID", clean(&job.id)),
        ("Name", clean(&job.display_name)),
        ("Description", clean(&job.description)),
        ("Type", job.kind.to_string()),
        ("State", job.state.to_string()),
        ("Priority", job.priority.to_string()),
        ("Owner", format!("{} ({})", job.owner_uid, clean(&job.owner_sid))),
        ("Files", format!("{} / {}", job.files_transferred, job.files_total)),
        ("Bytes", text::progress(job.bytes_transferred, job.bytes_total)),
        ("Created", text::time(job.creation_time_ms)),
        ("Modified", text::time(job.modification_time_ms)),
        ("Transferred", times(job.transfer_completion_time_ms)),
        ("Errors", job.error_count.to_string()),
        ("Next try", times(job.next_retry_time_ms)),
        ("Retry delay", format!("{} s", job.minimum_retry_delay_s)),
        ("No-progress timeout", format!("{} s", job.no_progress_timeout_s)),
        ("Notify flags", job.notify_flags.to_string()),
        ("Notify command", notify),
        ("Proxy", format!("{}{proxy}", job.proxy.usage)),
        ("Credentials", credentials(job)),
        ("Auto-complete", if job.auto_complete { "yes" } else { "no" }.to_owned()),
        ("Bind", or_none(&job.bind)),
        ("HTTP method", clean(&job.http.method)),
        ("Security flags", security_names(job.http.security_flags)),
        ("Custom headers", headers.to_owned()),
        ("Challenge headers", if job.http.challenge_headers { "set" } else { "none" }.to_owned()),
        ("Client certificate", certificate),
        (
            "Server validation",
            if job.http.certificate_validation { "by a program" } else { "none" }.to_owned(),
        ),
        ("Peer", or_none(&job.peer)),
        ("Background", job.pace.as_ref().map_or_else(|| "none".to_owned(), pace)),
    ];
    let mut rows = rows.to_vec();
    if let Some(upload) = &job.upload {
        rows.push(("Protocol", protocol(upload)));
    }
    if let Some(reply) = &job.reply {
        rows.push(("Reply file", or_none(&reply.file_name)));
        rows.push(("Reply", text::progress(reply.bytes_transferred, reply.bytes_total)));
    }
    let mut lines: Vec<String> = rows
        .iter()
        .chain(&later(job))
        .map(|(key, value)| format!("{:<23}{value}", format!("{key}:")).trim_end().to_owned())
        .collect();
    if let Some(error) = &job.error {
        lines.push("Error:".to_owned());
        lines.extend(
            job_error_lines(job, error)
                .into_iter()
                .map(|l| format!("  {}", l.strip_prefix("bits: error ").unwrap_or(&l))),
        );
    }
    for one in job.files.iter().flatten() {
        file(job, one, &mut lines);
    }
    lines
}

/// How the transfer behaves towards others, in a line.
fn pace(pace: &PaceView) -> String {
    let doing = match pace.mode {
        Mode::Start => "learning the path",
        Mode::Fill => "using what nobody else wants",
        Mode::Yield => "yielding to other traffic",
        Mode::Probe => "looking whether the path is free again",
    };
    let delay = |us: u64| format!("{}.{} ms", us / 1000, us % 1000 / 100);
    let base = pace.base_us.map_or_else(|| "unknown".to_owned(), delay);
    let blind = if pace.blind { "; without TCP timestamps the delay says little" } else { "" };
    format!(
        "{doing} since {}; delay {base} + {} by the queue; window {}{blind}",
        text::time(pace.since_ms),
        delay(pace.queue_us),
        text::bytes(pace.window_bytes)
    )
}

/// Properties that came after BITS 1.5. Those that are rare are shown where they are set.
fn later(job: &JobView) -> Vec<(&'static str, String)> {
    let mask = openbits_core::policy::cost::name(job.cost_flags);
    let mask = mask.map_or_else(|| format!("{:#010x}", job.cost_flags), str::to_owned);
    let by = if job.cost_flags_set { "" } else { " (policy)" };
    let elevated = if job.owner_elevated { ", elevated" } else { "" };
    let owner = format!("{:#x}{elevated}", job.owner_integrity_level);
    let mut rows = vec![
        ("Owner's level", owner),
        ("Max download time", format!("{} s", job.maximum_download_time_s)),
        ("Network cost", format!("{mask}{by}")),
    ];
    let mut add = |key, wanted: bool, value: String| {
        if wanted {
            rows.push((key, value));
        }
    };
    add("Dialect", !job.dialect.is_bits(), job.dialect.to_string());
    let yes = || "yes".to_owned();
    add("ACL flags", job.acl_flags != 0, job.acl_flags.to_string());
    add("Peer caching flags", job.peer_caching_flags != 0, job.peer_caching_flags.to_string());
    add("Dynamic content", job.dynamic_content, yes());
    add("Cellular networks", job.disallow_cellular, "not used".to_owned());
    add("High performance", job.high_performance, yes());
    add("On demand", job.on_demand_mode, yes());
    let size = job.max_download_size;
    add("Max download size", size.is_some(), size.map(|n| format!("{n} bytes")).unwrap_or_default());
    let class = &job.notification_clsid;
    add("Notification class", class.is_some(), class.as_deref().map(clean).unwrap_or_default());
    add("Stored credentials", job.use_stored_credentials != "NONE", clean(&job.use_stored_credentials));
    let interval = job.minimum_notification_interval_ms;
    add("Notification interval", interval != 500, format!("{interval} ms"));
    add("Helper token flags", job.helper_token_flags != 0, job.helper_token_flags.to_string());
    let sid = &job.helper_token_sid;
    add("Helper", sid.is_some(), sid.as_deref().map(clean).unwrap_or_default());
    rows
}

/// How it uploads; and said plainly if it cannot be resumed.
fn protocol(upload: &UploadView) -> String {
    let used = match upload.used {
        Some(used) if used != upload.protocol => format!("{} ({used})", upload.protocol),
        _ => upload.protocol.to_string(),
    };
    match upload.resumable {
        Some(false) => format!("{used}: begins again at the first byte whenever it breaks off"),
        _ => used,
    }
}

fn file(job: &JobView, file: &FileView, lines: &mut Vec<String>) {
    let state = match (file.completed, file.transferred) {
        (true, _) if job.upload.is_some() => "delivered",
        (true, _) => "in place",
        (false, true) => "transferred",
        (false, false) => "working",
    };
    lines.push(format!(
        "File {}:  {}  {state}",
        file.index,
        text::progress(file.bytes_transferred, file.bytes_total)
    ));
    let (remote, local) = (clean(&text::redact_url(&file.remote_name)), clean(&file.local_name));
    let (from, to) = if job.upload.is_some() { (local, remote) } else { (remote, local) };
    lines.push(format!("  from:      {from}"));
    lines.push(format!("  to:        {to}"));
    if let Some(temporary) = &file.temporary_name {
        lines.push(format!("  temporary: {}", clean(temporary)));
    }
    if file.valid {
        lines.push("  validated: yes".to_owned());
    }
    if file.downloaded_from_peer {
        lines.push(format!("  peers:     {} of {} bytes", file.bytes_from_peers, file.bytes_transferred));
    }
    if file.bytes_from_cache_hosts > 0 {
        let bytes = file.bytes_from_cache_hosts;
        lines.push(format!("  cache:     {bytes} of {} bytes came from cache hosts", file.bytes_transferred));
    }
    if let Some(sha256) = &file.sha256 {
        lines.push(format!("  SHA-256:   {}", clean(sha256)));
    }
    for digest in &file.digests {
        lines.push(format!("  digest:    {}", clean(digest)));
    }
    for (what, place) in [("checksums:", &file.checksum), ("Metalink: ", &file.metalink)] {
        if let Some(place) = place {
            lines.push(format!("  {what} {}", clean(&text::redact_url(place))));
        }
    }
    if let Some(pieces) = &file.pieces {
        let must = if pieces.mandatory { " (required)" } else { "" };
        lines.push(format!("  pieces:    {}{must}", clean(&text::redact_url(&pieces.location))));
    }
    for mirror in &file.mirrors {
        lines.push(format!("  mirror:    {}", clean(&text::redact_url(mirror))));
    }
    if let Some(mirror) = &file.mirror {
        lines.push(format!("  in use:    {}", clean(&text::redact_url(mirror))));
    }
    if let Some(ranges) = &file.ranges {
        let shown: Vec<String> = ranges.iter().take(8).map(text::range_shown).collect();
        let more = if ranges.len() > 8 { format!(" and {} more", ranges.len() - 8) } else { String::new() };
        lines.push(format!("  ranges:    {}{more}", shown.join(",")));
    }
    if file.restarts > 0 {
        lines.push(format!("  restarts:  {}", file.restarts));
    }
}

/// One line for an event.
pub(crate) fn event(event: &EventView) -> String {
    let mut line = format!(
        "{} {} '{}' {} {} files {}/{} bytes {}",
        text::time(event.time_ms),
        clean(&event.job),
        clean(&event.display_name),
        event.kind.as_str(),
        event.state,
        event.files_transferred,
        event.files_total,
        text::progress(event.bytes_transferred, event.bytes_total),
    );
    if let Some(file) = event.file {
        line.push_str(&format!(" file {file}"));
    }
    if let Some(hresult) = &event.hresult {
        let name = openbits_api::error::parse_code(hresult).map(openbits_api::error::name);
        line.push_str(&format!(" {} {}", clean(hresult), name.unwrap_or_default()));
    }
    line.trim_end().to_owned()
}

/// One line for an entry of a history.
pub(crate) fn log(event: &EventView) -> String {
    let mut line = text::time(event.time_ms);
    let Some(log) = &event.log else { return line };
    let mark = match log.level.as_str() {
        "error" => "error: ",
        "warning" => "warning: ",
        _ => "",
    };
    line.push_str(&format!(" {:>5} {mark}{}", log.event, clean(&log.text)));
    // What every line would repeat is left out.
    let told = [
        "JobGuid", "jobId", "Id", "Title", "jobTitle", "name", "jobName", "job", "Job", "jobOwner", "Owner",
        "owner",
    ];
    let facts = log.fields.iter().filter(|(name, value)| !told.contains(&name.as_str()) && !value.is_empty());
    let facts: Vec<String> = facts.map(|(name, value)| format!("{name}={}", clean(value))).collect();
    if !facts.is_empty() {
        line.push_str(&format!(" ({})", facts.join(", ")));
    }
    line
}

/// Why a job does not move.
pub(crate) fn why(why: &Why) -> Vec<String> {
    let mut lines = vec![format!("{}: {}", why.state, clean(&why.text))];
    let mut add = |key: &str, value: Option<String>| {
        if let Some(value) = value.filter(|v| !v.is_empty()) {
            lines.push(format!("  {:<12}{}", format!("{key}:"), clean(&value)));
        }
    };
    add("reason", Some(why.reason.clone()));
    add("until", why.until_ms.map(text::time));
    add("jobs ahead", why.jobs_ahead.map(|n| n.to_string()));
    add("error", why.hresult.as_ref().map(|h| format!("{h} {}", why.name.as_deref().unwrap_or_default())));
    add("detail", why.detail.as_deref().map(text::redact_urls_in));
    add("try", Some(why.remedy.clone()));
    lines
}

/// What the service says of itself.
pub(crate) fn service(info: &ServiceInfo, socket: &std::path::Path) -> Vec<String> {
    let mut lines = vec![
        format!("version: {}", clean(&info.version)),
        format!("mode:    {}", clean(&info.mode)),
        format!("pid:     {}", info.pid),
        format!("socket:  {}", clean(&socket.to_string_lossy())),
        format!("jobs:    {} ({} running)", info.jobs, info.running),
        format!("network: {}", if info.network { "yes" } else { "no" }),
        format!("store:   {}", info.store_error.as_deref().map_or_else(|| "ok".to_owned(), clean)),
    ];
    lines.extend(info.findings.iter().map(|f| format!("found:   {}", clean(f))));
    lines
}
