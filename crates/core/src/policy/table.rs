//! Every key of the policy: the one place that says its name, type, range, default and effect (spec/policy.md C3, C4).

use super::kind::Kind;
use super::value::{Raw, Value};

/// A default, as it would stand in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Literal {
    /// Nothing.
    None,
    /// `true`, `false`
    Bool(bool),
    /// A number.
    Int(i64),
    /// A text.
    Text(&'static str),
    /// A list of texts.
    List(&'static [&'static str]),
    /// `{}`
    EmptyTable,
}

impl Literal {
    /// As a file's value; `None` for nothing.
    pub fn raw(self) -> Option<Raw> {
        Some(match self {
            Self::None => return None,
            Self::Bool(value) => Raw::Bool(value),
            Self::Int(value) => Raw::Int(value),
            Self::Text(text) => Raw::Text(text.to_owned()),
            Self::List(list) => Raw::List(list.iter().map(|t| Raw::Text((*t).to_owned())).collect()),
            Self::EmptyTable => Raw::Table(super::value::Tree::new()),
        })
    }
}

impl std::fmt::Display for Literal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("–"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::List(list) => {
                let list: Vec<_> = list.iter().map(|t| format!("{t:?}")).collect();
                write!(f, "[{}]", list.join(","))
            }
            Self::EmptyTable => f.write_str("{}"),
        }
    }
}

/// When a changed value has its effect (spec/policy.md C6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Applies {
    /// At once, also for jobs that are there.
    AtOnce,
    /// At the next create or add; nothing is removed.
    NextCall,
    /// At the next decision of the scheduler.
    NextTurn,
    /// For new jobs only.
    NewJobs,
    /// With the next attempt of each job.
    NextAttempt,
    /// With the next start of a program.
    NextLaunch,
    /// With the next Start or Resume of a job.
    NextStart,
    /// For jobs now forbidden (they become SUSPENDED) and new ones (they are refused).
    Forbids,
}

impl Applies {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AtOnce => "at once",
            Self::NextCall => "next create or add; removes nothing",
            Self::NextTurn => "next scheduling decision",
            Self::NewJobs => "new jobs",
            Self::NextAttempt => "next attempt of a job",
            Self::NextLaunch => "next launch",
            Self::NextStart => "next Start or Resume of a job",
            Self::Forbids => "new jobs are refused, forbidden ones SUSPENDED",
        }
    }
}

/// One key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// Dotted name.
    pub name: &'static str,
    /// Type and range.
    pub kind: Kind,
    /// Value when no file sets it.
    pub default: Literal,
    /// The same when `compat.strict` is true, where that differs.
    pub strict: Option<Literal>,
    /// A user's preferences may set it.
    pub preference: bool,
    /// Only the machine's files set it: not the policy of a user for his own service.
    pub machine: bool,
    /// This version acts on it.
    pub used: bool,
    /// Registry value of the original; empty if there is none.
    pub registry: &'static str,
    /// What it does.
    pub text: &'static str,
}

impl Key {
    const fn strict(mut self, default: Literal) -> Self {
        self.strict = Some(default);
        self
    }

    const fn preference(mut self) -> Self {
        self.preference = true;
        self
    }

    const fn machine(mut self) -> Self {
        self.machine = true;
        self
    }

    const fn unused(mut self) -> Self {
        self.used = false;
        self
    }

    /// First part of the name.
    pub fn group(&self) -> &'static str {
        self.name.split('.').next().unwrap_or(self.name)
    }

    fn is_of_cache_hosts(&self) -> bool {
        ["delivery_optimization.cache_", "delivery_optimization.vpn_"]
            .iter()
            .any(|start| self.name.starts_with(start))
    }

    /// When a change has its effect.
    pub fn applies(&self) -> Applies {
        match self.group() {
            "limits" => Applies::NextCall,
            "scheduler" => Applies::NextTurn,
            "http" | "tls" | "proxy" | "network" | "disk" | "auth" => Applies::NextAttempt,
            "notify" => Applies::NextLaunch,
            "security" => Applies::Forbids,
            "integrity" => Applies::NextCall,
            "delivery_optimization" if self.is_of_cache_hosts() => Applies::NextStart,
            "retry" if self.name.starts_with("retry.default_") => Applies::NewJobs,
            _ => Applies::AtOnce,
        }
    }

    /// The default as a value.
    pub fn default_value(&self, strict: bool) -> Value {
        let literal = self.strict.filter(|_| strict).unwrap_or(self.default);
        let raw = literal.raw();
        // A test parses every default of the table.
        raw.and_then(|raw| self.kind.parse(&raw).ok()).unwrap_or(Value::Unset)
    }
}

const fn key(
    name: &'static str,
    kind: Kind,
    default: Literal,
    registry: &'static str,
    text: &'static str,
) -> Key {
    Key { name, kind, default, strict: None, preference: false, machine: false, used: true, registry, text }
}

const fn new(name: &'static str, kind: Kind, default: Literal, text: &'static str) -> Key {
    key(name, kind, default, "", text)
}

const DAY_S: u64 = 86_400;
const HOUR_S: u64 = 3_600;
const LONG_S: u64 = u32::MAX as u64;
const NONE: Literal = Literal::None;
const TRUE: Literal = Literal::Bool(true);
const FALSE: Literal = Literal::Bool(false);
const NO_LIST: Literal = Literal::List(&[]);
const UNLIMITED: Literal = Literal::Text("unlimited");
const COUNT: Kind = Kind::Int { min: 0, max: 4_294_967_200 };
const FALLBACK: Kind = Kind::DurationOr { min_s: 0, max_s: 30 * DAY_S, word: "never" };
const ANY_DURATION: Kind = Kind::Duration { min_s: 1, max_s: LONG_S };

const fn text(text: &'static str) -> Literal {
    Literal::Text(text)
}

/// All keys, in the order of the specification; the last are ours.
pub const KEYS: &[Key] = &[
    // C3: those of the original.
    key(
        "timeouts.job_inactivity",
        Kind::Duration { min_s: DAY_S, max_s: 999 * DAY_S },
        text("90d"),
        "JobInactivityTimeout",
        "a job without progress or change for so long is cancelled",
    ),
    key(
        "timeouts.max_download",
        Kind::Duration { min_s: 1, max_s: 2_147_483_648 },
        text("90d"),
        "MaxDownloadTime",
        "longest time of active transfer; then ERROR 0x80200054",
    ),
    key(
        "limits.jobs_per_machine",
        COUNT,
        Literal::Int(300),
        "MaxJobsPerMachine",
        "jobs of all users together; beyond it 0x80200050",
    ),
    key(
        "limits.jobs_per_user",
        COUNT,
        Literal::Int(60),
        "MaxJobsPerUser",
        "jobs of one user; beyond it 0x80200049; never above the limit per machine",
    ),
    key(
        "limits.files_per_job",
        COUNT,
        Literal::Int(200),
        "MaxFilesPerJob",
        "files of a job; beyond it 0x80200051",
    ),
    key(
        "limits.ranges_per_file",
        COUNT,
        Literal::Int(500),
        "MaxRangesPerFile",
        "ranges of a file; beyond it 0x80200052",
    ),
    key(
        "bandwidth.simple.enabled",
        Kind::Bool,
        FALSE,
        "EnableBITSMaxBandwidth",
        "one limit inside daily hours; the schedule goes before it",
    ),
    key(
        "bandwidth.simple.rate",
        Kind::Rate,
        Literal::Int(1000),
        "MaxTransferRateOnSchedule",
        "limit inside the hours; 0 holds background jobs",
    ),
    key(
        "bandwidth.simple.hours",
        Kind::Hours,
        text("08-17"),
        "MaxBandwidthValidFrom, MaxBandwidthValidTo",
        "the hours, every day, local time",
    ),
    key(
        "bandwidth.simple.off_rate",
        Kind::Rate,
        UNLIMITED,
        "UseSystemMaximum, MaxTransferRateOffSchedule",
        "limit outside the hours",
    ),
    key(
        "bandwidth.schedule_enabled",
        Kind::Bool,
        FALSE,
        "Throttling\\EnableBandwidthLimits",
        "limits of the work and nonwork profiles",
    ),
    key(
        "bandwidth.ignore_on_lan",
        Kind::Bool,
        FALSE,
        "Throttling\\IgnoreBandwidthLimitsOnLan",
        "no limit of the schedule for servers in the own subnet",
    ),
    key(
        "bandwidth.work.days",
        Kind::Days,
        Literal::List(&["mon-fri"]),
        "WorkSchedule\\StartDay, EndDay",
        "days of the work profile",
    ),
    key(
        "bandwidth.work.hours",
        Kind::Hours,
        text("08-17"),
        "WorkSchedule\\StartHour, EndHour",
        "hours of the work profile on each of its days",
    ),
    key(
        "bandwidth.work.high",
        Kind::Rate,
        UNLIMITED,
        "WorkSchedule\\HighBandwidthLimit, HighBandwidthType",
        "limit of HIGH jobs in the work profile",
    ),
    key(
        "bandwidth.work.normal",
        Kind::Rate,
        UNLIMITED,
        "WorkSchedule\\NormalBandwidthLimit, NormalBandwidthType",
        "limit of NORMAL jobs in the work profile",
    ),
    key(
        "bandwidth.work.low",
        Kind::Rate,
        UNLIMITED,
        "WorkSchedule\\LowBandwidthLimit, LowBandwidthType",
        "limit of LOW jobs in the work profile",
    ),
    key(
        "bandwidth.nonwork.high",
        Kind::Rate,
        UNLIMITED,
        "NonWorkSchedule\\HighBandwidthLimit, HighBandwidthType",
        "limit of HIGH jobs outside the work profile",
    ),
    key(
        "bandwidth.nonwork.normal",
        Kind::Rate,
        UNLIMITED,
        "NonWorkSchedule\\NormalBandwidthLimit, NormalBandwidthType",
        "limit of NORMAL jobs outside the work profile",
    ),
    key(
        "bandwidth.nonwork.low",
        Kind::Rate,
        UNLIMITED,
        "NonWorkSchedule\\LowBandwidthLimit, LowBandwidthType",
        "limit of LOW jobs outside the work profile",
    ),
    key(
        "bandwidth.maintenance.enabled",
        Kind::Bool,
        FALSE,
        "Throttling\\EnableMaintenanceLimits",
        "the maintenance profile, which goes before the others in its window",
    ),
    key(
        "bandwidth.maintenance.days",
        Kind::Days,
        NONE,
        "MaintenanceSchedule\\StartDay, EndDay",
        "days of the maintenance profile; required if it is enabled",
    ),
    key(
        "bandwidth.maintenance.hours",
        Kind::Hours,
        NONE,
        "MaintenanceSchedule\\StartHour, EndHour",
        "hours of the maintenance profile; required if it is enabled",
    ),
    key(
        "bandwidth.maintenance.high",
        Kind::Rate,
        UNLIMITED,
        "MaintenanceSchedule\\HighBandwidthLimit, HighBandwidthType",
        "limit of HIGH jobs in the maintenance profile",
    ),
    key(
        "bandwidth.maintenance.normal",
        Kind::Rate,
        UNLIMITED,
        "MaintenanceSchedule\\NormalBandwidthLimit, NormalBandwidthType",
        "limit of NORMAL jobs in the maintenance profile",
    ),
    key(
        "bandwidth.maintenance.low",
        Kind::Rate,
        UNLIMITED,
        "MaintenanceSchedule\\LowBandwidthLimit, LowBandwidthType",
        "limit of LOW jobs in the maintenance profile",
    ),
    key(
        "cost.foreground",
        Kind::Cost,
        text("always"),
        "TransferPolicy\\…ForegroundPriorityValue",
        "networks that FOREGROUND jobs may use",
    ),
    key(
        "cost.high",
        Kind::Cost,
        text("unless-surcharge"),
        "TransferPolicy\\…HighPriorityValue",
        "networks that HIGH jobs may use",
    )
    .strict(text("always")),
    key(
        "cost.normal",
        Kind::Cost,
        text("unless-surcharge"),
        "TransferPolicy\\…NormalPriorityValue",
        "networks that NORMAL jobs may use",
    )
    .strict(text("always")),
    key(
        "cost.low",
        Kind::Cost,
        text("unconstrained"),
        "TransferPolicy\\…LowPriorityValue",
        "networks that LOW jobs may use",
    )
    .strict(text("always")),
    key("peer.enabled", Kind::Bool, FALSE, "EnablePeercaching", "fetch from peers and serve them")
        .preference()
        .unused(),
    key("peer.client", Kind::Bool, TRUE, "DisablePeerCachingClient", "may fetch from peers").unused(),
    key("peer.server", Kind::Bool, TRUE, "DisablePeerCachingServer", "may serve peers").unused(),
    key(
        "peer.max_content_age",
        Kind::Duration { min_s: DAY_S, max_s: 120 * DAY_S },
        text("90d"),
        "MaxContentAge",
        "content that nobody asked for so long is removed",
    )
    .preference()
    .unused(),
    key(
        "peer.max_cache_percent",
        Kind::Percent { min: 1, max: 80 },
        Literal::Int(1),
        "MaxCacheSize",
        "part of the disk for the cache",
    )
    .preference()
    .unused(),
    key(
        "peer.max_served",
        Kind::BitRate { min: 1_000_000, max: 4_294_967_200 },
        text("1Mbps"),
        "MaxBandwidthServed",
        "bandwidth for serving peers; a bare number is bits a second",
    )
    .unused(),
    key("peer.content_cache", Kind::Bool, TRUE, "DisableBranchCache", "use the cache of the local network")
        .unused(),
    key(
        "auth.implicit_credentials",
        Kind::Word(&["always", "if-strong", "explicit-only"]),
        text("explicit-only"),
        "UseLMCompat",
        "when the account's own credentials are sent",
    ),
    key("peer.max_peers", COUNT, Literal::Int(0), "maxPeers", "peers that are asked; 0 = automatic").unused(),
    key("peer.max_clients", COUNT, Literal::Int(3), "maxClients", "peers that are served at a time").unused(),
    key("peer.min_disk", Kind::Size, text("0"), "minCacheDiskSize", "smallest disk that has a cache")
        .unused(),
    key("peer.deny_urls", Kind::List, NO_LIST, "denyUrls", "URLs that are never shared").unused(),
    // C4: without a counterpart.
    new(
        "meta.version",
        Kind::Int { min: 1, max: 1 },
        Literal::Int(1),
        "version of the file's form; a file with a higher one is refused",
    ),
    new("meta.strict", Kind::Bool, FALSE, "an unknown key is an error, not a warning"),
    new("meta.locked", Kind::List, NO_LIST, "keys and groups that preferences may not set"),
    new(
        "compat.strict",
        Kind::Bool,
        FALSE,
        "behave as the original where ours is kinder: presence of owners, limits of names, clock and cost defaults",
    ),
    new("owner.presence", Kind::Word(&["any", "logged-on"]), text("any"), "who counts as online")
        .strict(text("logged-on")),
    new("owner.count_lingering", Kind::Bool, TRUE, "a lingering user counts as logged on"),
    new("owner.count_remote_sessions", Kind::Bool, TRUE, "ssh sessions count"),
    new(
        "limits.exempt_groups",
        Kind::List,
        Literal::List(&["root"]),
        "members are exempt from the limits, besides uid 0 and system accounts; of the system's service",
    ),
    new(
        "limits.exempt_system_accounts",
        Kind::Bool,
        TRUE,
        "accounts below uid 1000 are exempt; of the system's service",
    ),
    new(
        "limits.allow_users",
        Kind::List,
        NO_LIST,
        "who may create jobs, as names or uids; empty: everybody; root always may",
    ),
    new("limits.deny_users", Kind::List, NO_LIST, "who may not create jobs"),
    new(
        "scheduler.time_slice",
        Kind::Duration { min_s: 5, max_s: HOUR_S },
        text("120s"),
        "turn of a background job while others of its level wait",
    ),
    new(
        "scheduler.max_foreground",
        Kind::Int { min: 0, max: 10_000 },
        Literal::Int(0),
        "foreground jobs at a time; 0 = no cap",
    ),
    new(
        "scheduler.max_background",
        Kind::Int { min: 1, max: 8 },
        Literal::Int(1),
        "background jobs at a time; the original has exactly 1",
    ),
    new("scheduler.per_user_fairness", Kind::Bool, TRUE, "owners take turns, then each owner's jobs"),
    new(
        "scheduler.starvation_relief",
        Kind::DurationOr { min_s: 1, max_s: LONG_S, word: "off" },
        text("off"),
        "after this wait a lower level gets one turn",
    )
    .unused(),
    new(
        "bandwidth.estimator",
        Kind::Word(&["auto", "interface", "igd", "off"]),
        text("auto"),
        "how idle bandwidth is found",
    )
    .unused(),
    new("bandwidth.igd", Kind::Bool, FALSE, "use the gateway's counters").unused(),
    new("bandwidth.trickle", Kind::Rate, text("16kbps"), "smallest share when the link is busy").unused(),
    new(
        "bandwidth.apply_to_foreground",
        Kind::Bool,
        FALSE,
        "FOREGROUND jobs have the limit of HIGH ones, and bandwidth.foreground",
    ),
    new(
        "bandwidth.foreground",
        Kind::Rate,
        UNLIMITED,
        "limit of FOREGROUND jobs when apply_to_foreground is true",
    ),
    new(
        "bandwidth.follow_wall_clock",
        Kind::Bool,
        TRUE,
        "a changed clock or zone moves the schedule at once",
    )
    .strict(FALSE),
    new("bandwidth.timezone", Kind::Text, text("local"), "zone of the hours, such as Europe/Berlin"),
    new(
        "cost.treat_unknown_as",
        Kind::Word(&["unrestricted", "metered"]),
        text("unrestricted"),
        "cost of a network that tells none",
    ),
    new(
        "cost.override",
        Kind::States,
        Literal::EmptyTable,
        "cost of connections, by their name or their interface's",
    ),
    new("power.on_battery", Kind::Word(&["run", "foreground-only", "stop"]), text("run"), "jobs on battery"),
    new("power.saver_blocks_background", Kind::Bool, TRUE, "the power saver holds background jobs"),
    new("power.game_mode", Kind::Bool, FALSE, "a game holds background jobs"),
    new(
        "retry.min_delay_floor",
        Kind::Duration { min_s: 5, max_s: LONG_S },
        text("5s"),
        "no job is tried again sooner",
    ),
    new(
        "retry.default_delay",
        Kind::Duration { min_s: 5, max_s: LONG_S },
        text("600s"),
        "retry delay of new jobs",
    ),
    new(
        "retry.default_no_progress",
        Kind::Duration { min_s: 0, max_s: LONG_S },
        text("14d"),
        "no-progress timeout of new jobs",
    ),
    new(
        "retry.jitter",
        Kind::Percent { min: 0, max: 50 },
        Literal::Int(0),
        "retries are spread by up to so much of the delay",
    ),
    new("retry.honour_retry_after", Kind::Bool, TRUE, "wait as long as the server asks"),
    new(
        "retry.gate_pauses_clock",
        Kind::Bool,
        FALSE,
        "closed gates and lost networks stop the no-progress clock",
    ),
    new("http.head_fallback", Kind::Bool, TRUE, "find the size by a ranged GET when HEAD fails")
        .strict(FALSE)
        .unused(),
    new(
        "http.max_redirects",
        Kind::Int { min: 0, max: 100 },
        Literal::Int(10),
        "redirects followed for a file",
    ),
    new(
        "http.strip_credentials_on_redirect",
        Kind::Bool,
        TRUE,
        "custom headers that may carry a key are not sent to another origin",
    ),
    new("http.user_agent", Kind::Text, NONE, "User-Agent; none: product/version"),
    new(
        "http.connect_timeout",
        Kind::Duration { min_s: 1, max_s: DAY_S },
        text("60s"),
        "to resolve, connect and shake hands",
    ),
    new(
        "http.idle_timeout",
        Kind::Duration { min_s: 1, max_s: DAY_S },
        text("120s"),
        "without a byte from the server",
    ),
    new(
        "http.versions",
        Kind::Words(&["1.1", "2"]),
        Literal::List(&["1.1", "2"]),
        "versions that are offered; 1.1 always is",
    ),
    new("tls.min", Kind::Word(&["1.2", "1.3"]), text("1.2"), "oldest version of TLS"),
    new("tls.crl_default", Kind::Bool, FALSE, "check revocation unless a job says otherwise"),
    new("tls.extra_ca", Kind::Text, NONE, "PEM file with more certificate authorities"),
    new(
        "proxy.mode",
        Kind::Word(&["system", "none", "list", "pac"]),
        text("system"),
        "PRECONFIG source; system = desktop, then environment",
    ),
    new("proxy.list", Kind::Text, NONE, "proxies for mode list"),
    new("proxy.bypass", Kind::Text, NONE, "hosts reached directly"),
    new("proxy.pac", Kind::Text, NONE, "script for mode pac").unused(),
    new("auth.allow_plaintext_basic", Kind::Bool, FALSE, "Basic credentials over plain http"),
    new(
        "notify.commands",
        Kind::Word(&["allow", "owner-only", "deny"]),
        text("owner-only"),
        "notification programs",
    ),
    new("notify.allow_for_system_accounts", Kind::Bool, FALSE, "also for system accounts"),
    new("notify.timeout", ANY_DURATION, text("1h"), "longest run of a notification program"),
    new(
        "notify.retry",
        Kind::IntOr { min: 0, max: 1_000_000, word: "forever" },
        text("forever"),
        "how often a failed notification is repeated",
    ),
    new(
        "notify.allowed_programs",
        Kind::List,
        Literal::List(&["*"]),
        "programs that may be run, with * and ?",
    ),
    new("disk.min_free", Kind::Size, text("500MiB"), "space that stays free"),
    new("disk.preallocate", Kind::Bool, TRUE, "reserve a file's space when its size is known"),
    new("disk.full_is_transient", Kind::Bool, FALSE, "a full disk is tried again instead of failing the job"),
    new(
        "security.allowed_url_schemes",
        Kind::Words(&["https", "http", "smb"]),
        Literal::List(&["https", "http", "smb"]),
        "schemes of remote names",
    ),
    new("security.allowed_hosts", Kind::List, NO_LIST, "servers, with * and ?; empty: all"),
    new("security.denied_hosts", Kind::List, NO_LIST, "servers that are refused, with * and ?"),
    new(
        "security.allowed_destinations",
        Kind::List,
        Literal::List(&["*"]),
        "local names, with * (also across folders) and ?",
    ),
    new(
        "integrity.require_digest",
        Kind::Word(&["never", "background", "always"]),
        text("never"),
        "files without an expected digest are refused",
    ),
    new("cleanup.warn_before", ANY_DURATION, text("7d"), "warning before the inactivity clean-up").unused(),
    new(
        "cleanup.orphan_temp",
        Kind::Word(&["report", "delete"]),
        text("report"),
        "temporary files without a job",
    )
    .unused(),
    new(
        "log.level",
        Kind::Word(&["error", "warn", "info", "debug", "trace"]),
        text("info"),
        "lines of the log",
    )
    .unused(),
    new(
        "log.urls",
        Kind::Word(&["redact-query", "host-only", "full"]),
        text("redact-query"),
        "how URLs are shown in the log files of the Delivery Optimization agent; events never show a query",
    ),
    // Ours, beyond the specification's tables.
    new(
        "network.bind",
        Kind::Text,
        NONE,
        "local address or interface of all connections, unless a job has its own",
    ),
    new(
        "delivery_optimization.agent",
        Kind::Bool,
        FALSE,
        "serve Delivery Optimization's clients at a port of the loopback (docs/delivery-optimization.md)",
    )
    .machine(),
    new(
        "delivery_optimization.agent_account",
        Kind::Text,
        text("do"),
        "account with whose rights their downloads are done, not root; of the system's service",
    )
    .machine(),
    new(
        "delivery_optimization.download_mode",
        Kind::Word(&["http-only", "lan", "group", "internet", "simple", "bypass"]),
        text("lan"),
        "where downloads of Delivery Optimization may come from; until machines share with each other, `lan`, `group` and `internet` do what \
         `simple` does, and their statistics say so",
    )
    .machine(),
    key(
        "delivery_optimization.cache_hosts",
        Kind::List,
        NONE,
        "DOCacheHost",
        "cache hosts of downloads of Delivery Optimization, each a name or an address with or without a port, at most 16, asked in this \
         order before the origin; an empty list is set, too: none; not in the mode `bypass`",
    )
    .machine(),
    key(
        "delivery_optimization.cache_fallback_foreground",
        FALLBACK,
        NONE,
        "DODelayCacheServerFallbackForeground",
        "time before a foreground job may leave its cache hosts for the origin; not set: as soon as they fail",
    )
    .machine(),
    key(
        "delivery_optimization.cache_fallback_background",
        FALLBACK,
        NONE,
        "DODelayCacheServerFallbackBackground",
        "the same for all other jobs",
    )
    .machine(),
    key(
        "delivery_optimization.max_foreground_bandwidth",
        Kind::Rate,
        UNLIMITED,
        "DOMaxForegroundDownloadBandwidth",
        "limit of all foreground jobs of Delivery Optimization together, beside that of `bandwidth.*`; 0 limits nothing; a bare number is \
         kilobits, the original's is kilobytes (`2500KB/s`)",
    )
    .machine(),
    key(
        "delivery_optimization.max_background_bandwidth",
        Kind::Rate,
        UNLIMITED,
        "DOMaxBackgroundDownloadBandwidth",
        "the same for all its other jobs together",
    )
    .machine(),
    key(
        "delivery_optimization.cache_on_vpn",
        Kind::Bool,
        TRUE,
        "DODisallowCacheServerDownloadsOnVPN",
        "cache hosts are asked, too, while the default route goes through a VPN",
    )
    .machine(),
    key(
        "delivery_optimization.vpn_keywords",
        Kind::List,
        Literal::List(&["VPN", "Secure", "Virtual Private Network"]),
        "DOVpnKeywords",
        "a connection or interface whose name has one of these in it, in capitals or not, is a VPN; WireGuard, OpenVPN, tun and IPsec always are",
    )
    .machine(),
];

/// Position of a key in [`KEYS`].
pub fn position(name: &str) -> Option<usize> {
    KEYS.iter().position(|key| key.name == name)
}

/// True if keys begin with this name and a dot.
pub fn is_group(name: &str) -> bool {
    KEYS.iter().any(|key| key.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

/// The key or group that is spelled most like this, if any is near.
pub fn nearest(name: &str) -> Option<&'static str> {
    const FAR: usize = 4;
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let distance = |key: &Key| {
        let whole = strsim::damerau_levenshtein(name, key.name);
        // The right word in the wrong group is near, too.
        if last(name) == last(key.name) { whole.min(FAR) } else { whole }
    };
    let (distance, name) = KEYS.iter().map(|key| (distance(key), key.name)).min()?;
    (distance <= FAR).then_some(name)
}
