//! Properties and their checks: values, lengths, types (spec/bits-core.md 5.2 setters, 5.3).

use super::download::default_no_progress_s;
use super::http::{CheckedHeaders, check_method, check_security_flags};
use super::{Change, Dialect, Job, Notice, Options, RETRY_DELAY_FLOOR_S, Setting};
use crate::enums::{JobState, JobType, Priority, ProxyUsage, notify};
use crate::group::GroupData;
use crate::hresult::{self as h, HResult};
use crate::id::Uid;
use crate::names;
use crate::notify::command_line;
use crate::secret::{Sealed, Slot};
use crate::time::Now;
use crate::upload::client::Protocol;
use serde::{Deserialize, Serialize};

/// SetNotifyCmdLine: program and whole command line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NotifyCommand {
    /// Full path of the program.
    pub program: String,
    /// Whole command line; its first word is the program again.
    pub parameters: Option<String>,
    /// Who set it, and as whom it runs; absent: the job's owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_by: Option<Uid>,
}

impl NotifyCommand {
    /// The arguments, first the program's name as the command line has it. No parameters: the program's path alone.
    pub fn arguments(&self) -> Vec<String> {
        let words = self.parameters.as_deref().map(command_line::split).unwrap_or_default();
        if words.is_empty() { vec![self.program.clone()] } else { words }
    }
}

/// SetProxySettings.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProxySettings {
    /// Where the proxy comes from.
    pub usage: ProxyUsage,
    /// Proxy list, only with OVERRIDE.
    pub list: Option<String>,
    /// Bypass list, only with OVERRIDE.
    pub bypass: Option<String>,
}

/// Properties that the original does not have.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Extras {
    /// The service completes the job by itself when it is TRANSFERRED.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub auto_complete: bool,
    /// Local address or interface of the job's connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind: Option<String>,
    /// `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy` of the creator, captured at creation (spec/behaviour.md 20).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_proxy: Option<EnvironmentProxy>,
    /// How an upload is done.
    #[serde(default, skip_serializing_if = "is_auto")]
    pub upload_protocol: Protocol,
    /// Whose rules the job follows; fixed at creation.
    #[serde(default, skip_serializing_if = "Dialect::is_bits")]
    pub dialect: Dialect,
    /// What a group of the first generation has beside the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Box<GroupData>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_auto(protocol: &Protocol) -> bool {
    *protocol == Protocol::Auto
}

impl Extras {
    /// Nothing set.
    pub const NONE: Self = Self {
        auto_complete: false,
        bind: None,
        environment_proxy: None,
        upload_protocol: Protocol::Auto,
        dialect: Dialect::Bits,
        group: None,
    };
}

/// Proxy variables of the creator's environment.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct EnvironmentProxy {
    /// `http_proxy`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// `https_proxy`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https: Option<String>,
    /// `all_proxy`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<String>,
    /// `no_proxy`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no: Option<String>,
}

/// A property to set. One call may set several; all are checked before the first is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Property {
    /// SetDisplayName
    DisplayName(String),
    /// SetDescription
    Description(String),
    /// SetPriority, as a raw value
    Priority(i64),
    /// SetNotifyFlags
    NotifyFlags(u32),
    /// SetMinimumRetryDelay, seconds
    MinimumRetryDelay(u32),
    /// SetNoProgressTimeout, seconds
    NoProgressTimeout(u32),
    /// SetProxySettings, usage as a raw value
    Proxy {
        /// BG_JOB_PROXY_USAGE
        usage: i64,
        /// Proxy list
        list: Option<String>,
        /// Bypass list
        bypass: Option<String>,
    },
    /// SetNotifyCmdLine
    NotifyCommand {
        /// Full path; both `None` clears
        program: Option<String>,
        /// Command line
        parameters: Option<String>,
    },
    /// The same by the arguments, first the program's full path; empty clears.
    NotifyArguments(Vec<String>),
    /// SetReplyFileName (upload-reply jobs)
    ReplyFileName(Option<String>),
    /// The service completes the job by itself.
    AutoComplete(bool),
    /// Local address or interface of the job's connections.
    Bind(Option<String>),
    /// SetCustomHeaders
    CustomHeaders(CheckedHeaders),
    /// Headers that are sent only to who asks with 401 or 407 (HttpCustomAuthHeaders)
    ChallengeHeaders(CheckedHeaders),
    /// MakeCustomHeadersWriteOnly
    HeadersWriteOnly,
    /// SetHttpMethod
    HttpMethod(String),
    /// SetSecurityFlags
    SecurityFlags(u32),
    /// How an upload is done; only until its session began.
    UploadProtocol(Protocol),
    /// A property that came after BITS 1.5; its checks need the job ([`super::options`]).
    Option(Setting),
    /// A secret, sealed for this job and slot; `None` forgets it. It goes with the property that it belongs to, and after it.
    Sealed(Slot, Option<Sealed>),
}

impl Property {
    /// Name of the property, as the log has it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::DisplayName(_) => "DisplayName",
            Self::Description(_) => "Description",
            Self::Priority(_) => "Priority",
            Self::NotifyFlags(_) => "NotifyFlags",
            Self::MinimumRetryDelay(_) => "MinimumRetryDelay",
            Self::NoProgressTimeout(_) => "NoProgressTimeout",
            Self::Proxy { .. } => "ProxySettings",
            Self::NotifyCommand { .. } | Self::NotifyArguments(_) => "NotifyCmdLine",
            Self::ReplyFileName(_) => "ReplyFileName",
            Self::AutoComplete(_) => "AutoComplete",
            Self::Bind(_) => "Bind",
            Self::Option(_) => "Property",
            Self::Sealed(..) => "Secret",
            _ => "Http",
        }
    }

    /// Only the owner himself may set it, no administrator (spec/bits-extended.md 3.1, A2).
    pub const fn is_owners_alone(&self) -> bool {
        matches!(self, Self::CustomHeaders(_) | Self::ChallengeHeaders(_) | Self::HeadersWriteOnly)
    }

    /// A running attempt does not notice it: the job has to begin another one.
    const fn needs_new_attempt(&self) -> bool {
        matches!(self, Self::CustomHeaders(_) | Self::ChallengeHeaders(_) | Self::SecurityFlags(_))
    }

    /// Type, value and syntax: steps 3 to 5 of the order of checks (spec/bits-core.md 4.1).
    pub fn check(&self, kind: JobType) -> Result<(), HResult> {
        match self {
            Self::DisplayName(text) => names::check_text(text, names::DISPLAY_NAME_MAX),
            Self::Description(text) => names::check_text(text, names::DESCRIPTION_MAX),
            Self::Priority(value) => Priority::from_value(*value).map(|_| ()).ok_or(h::E_NOTIMPL),
            Self::NotifyFlags(bits) => {
                if bits & !notify::ALL == 0 {
                    Ok(())
                } else {
                    Err(h::E_NOTIMPL)
                }
            }
            Self::MinimumRetryDelay(_)
            | Self::NoProgressTimeout(_)
            | Self::AutoComplete(_)
            | Self::Option(_)
            | Self::Sealed(..) => Ok(()),
            Self::Proxy { usage, list, bypass } => check_proxy(*usage, list.as_deref(), bypass.as_deref()),
            Self::NotifyCommand { program, parameters } => {
                check_notify_command(program.as_deref(), parameters.as_deref())
            }
            Self::NotifyArguments(words) => match words.first() {
                None => Ok(()),
                Some(program) => {
                    let line = command_line::join(words).ok_or(h::E_INVALIDARG)?;
                    check_notify_command(Some(program), Some(&line))
                }
            },
            Self::ReplyFileName(name) => match (kind, name.as_deref()) {
                (JobType::UploadReply, None | Some("")) => Ok(()),
                (JobType::UploadReply, Some(name)) => names::check_local_name(name, false),
                _ => Err(h::E_NOTIMPL),
            },
            Self::CustomHeaders(headers) | Self::ChallengeHeaders(headers) => headers.check(kind),
            Self::HeadersWriteOnly => Ok(()),
            Self::HttpMethod(method) => check_method(method, kind),
            Self::SecurityFlags(flags) => check_security_flags(*flags),
            Self::UploadProtocol(protocol) => match (kind, protocol) {
                (JobType::Download, _) => Err(h::E_NOTIMPL),
                // No other protocol has replies.
                (JobType::UploadReply, Protocol::Auto | Protocol::Bits) | (JobType::Upload, _) => Ok(()),
                (JobType::UploadReply, _) => Err(h::E_INVALIDARG),
            },
            Self::Bind(name) => match name {
                Some(name)
                    if name.is_empty() || name.len() > 64 || !name.bytes().all(|b| b.is_ascii_graphic()) =>
                {
                    Err(h::E_INVALIDARG)
                }
                _ => Ok(()),
            },
        }
    }
}

fn check_proxy(usage: i64, list: Option<&str>, bypass: Option<&str>) -> Result<(), HResult> {
    let usage = ProxyUsage::from_value(usage).ok_or(h::E_NOTIMPL)?;
    let too_long = |text: Option<&str>| text.is_some_and(|t| names::utf16_len(t) > names::PROXY_LIST_MAX);
    match usage {
        ProxyUsage::Override if list.is_none() => Err(h::E_INVALIDARG),
        ProxyUsage::Override if too_long(list) => Err(h::BG_E_PROXY_LIST_TOO_LARGE),
        ProxyUsage::Override if too_long(bypass) => Err(h::BG_E_PROXY_BYPASS_LIST_TOO_LARGE),
        ProxyUsage::Override => Ok(()),
        _ if list.is_some() || bypass.is_some() => Err(h::E_INVALIDARG),
        _ => Ok(()),
    }
}

fn check_notify_command(program: Option<&str>, parameters: Option<&str>) -> Result<(), HResult> {
    match (program, parameters) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(h::E_INVALIDARG),
        (Some(program), parameters) => {
            names::check_text(program, names::STRICT_PATH_MAX)?;
            if !program.starts_with('/') {
                return Err(h::E_INVALIDARG);
            }
            parameters.map_or(Ok(()), |p| names::check_text(p, names::NOTIFY_PARAMETERS_MAX))
        }
    }
}

impl Job {
    /// Set* with checked values. Any success counts as a modification, also when the value was there already.
    pub fn set(&mut self, properties: Vec<Property>, now: Now) -> Result<Change, HResult> {
        for property in &properties {
            property.check(self.kind)?;
        }
        if self.state.is_final() {
            return Err(h::BG_E_INVALID_STATE);
        }
        let reply_begun = self.reply.as_deref().is_some_and(|r| r.size.is_some() || r.file.is_some())
            || self.state == JobState::Transferred;
        if reply_begun && properties.iter().any(|p| matches!(p, Property::ReplyFileName(_))) {
            return Err(h::BG_E_INVALID_STATE);
        }
        self.check_method_and_priority(&properties)?;
        let stale = properties.iter().any(Property::needs_new_attempt);
        let upload_begun = self.has_open_upload() || self.all_transferred();
        if upload_begun && properties.iter().any(|p| matches!(p, Property::UploadProtocol(_))) {
            return Err(h::BG_E_INVALID_STATE);
        }
        let clocks =
            |p: &Property| matches!(p, Property::MinimumRetryDelay(_) | Property::NoProgressTimeout(_));
        let clocks_change = properties.iter().any(clocks);
        let settings = properties.iter().filter_map(|property| match property {
            Property::Option(setting) => Some(*setting),
            _ => None,
        });
        if let Some(options) = self.with_settings(settings)? {
            self.options = (*options != Options::NONE).then_some(options);
        }
        for property in properties {
            self.store(property);
        }
        self.touch(now);
        if stale {
            self.begin_again(now);
        }
        if clocks_change && self.state == JobState::TransientError && !self.may_retry() {
            self.enter(JobState::Error, now);
            return Ok(Change::ok(Notice::Error));
        }
        Ok(Change::ok(Notice::Modification))
    }

    /// A method of its own may come before the first Resume only, and holds the priority at FOREGROUND (spec/bits-extended.md 9.2.1).
    fn check_method_and_priority(&self, properties: &[Property]) -> Result<(), HResult> {
        let mut custom = self.has_custom_method();
        let made_or_picked = |p: &Property| {
            matches!(p, Property::Option(Setting::DynamicContent(true) | Setting::OnDemandMode(true)))
        };
        if custom && properties.iter().any(made_or_picked) {
            return Err(h::BG_E_NOT_SUPPORTED_WITH_CUSTOM_HTTP_METHOD);
        }
        for property in properties {
            if let Property::HttpMethod(method) = property {
                self.may_set_http_method()?;
                custom = method != super::http::default_method(self.kind);
            }
        }
        let ranged = self.files.iter().any(|file| !file.layout.is_whole());
        let (now, then) = (self.options(), properties.iter().any(made_or_picked));
        if custom && !self.has_custom_method() && (now.dynamic_content || now.on_demand || then || ranged) {
            return Err(h::BG_E_UNSUPPORTED_JOB_CONFIGURATION);
        }
        let foreground = i64::from(Priority::Foreground.value());
        let lowers = |p: &Property| matches!(p, Property::Priority(value) if *value != foreground);
        if custom && properties.iter().any(lowers) {
            return Err(h::BG_E_NOT_SUPPORTED_WITH_CUSTOM_HTTP_METHOD);
        }
        Ok(())
    }

    fn store(&mut self, property: Property) {
        match property {
            Property::DisplayName(text) => self.display_name = text.into(),
            Property::Description(text) => self.description = text.into(),
            Property::Priority(value) => {
                let before = self.priority;
                self.priority = Priority::from_value(value).expect("checked before");
                // The default of Delivery Optimization depends on the level (spec/delivery-optimization-com.md 5.2).
                let own = self.download.as_deref().is_some_and(|download| download.no_progress_s.is_some());
                let usual = !own && self.no_progress_timeout_s == default_no_progress_s(before);
                if self.ages_from_creation() && usual {
                    self.no_progress_timeout_s = default_no_progress_s(self.priority);
                }
            }
            Property::NotifyFlags(bits) => self.notify_flags = bits,
            Property::MinimumRetryDelay(s) => self.minimum_retry_delay_s = s.max(RETRY_DELAY_FLOOR_S),
            Property::NoProgressTimeout(s) => self.no_progress_timeout_s = s,
            Property::Proxy { usage, list, bypass } => {
                let usage = ProxyUsage::from_value(usage).expect("checked before");
                self.secrets.remove(&Slot::ProxyList);
                self.proxy =
                    (usage != ProxyUsage::Preconfig).then(|| Box::new(ProxySettings { usage, list, bypass }));
            }
            Property::NotifyCommand { program, parameters } => {
                self.notify_command =
                    program.map(|program| Box::new(NotifyCommand { program, parameters, set_by: None }));
            }
            Property::NotifyArguments(words) => {
                let line = command_line::join(&words);
                self.notify_command = words
                    .into_iter()
                    .next()
                    .map(|program| Box::new(NotifyCommand { program, parameters: line, set_by: None }));
            }
            Property::ReplyFileName(name) => self.set_reply_file_name(name),
            Property::AutoComplete(on) => self.extras_mut().auto_complete = on,
            Property::Bind(name) => self.extras_mut().bind = name,
            Property::CustomHeaders(headers) => self.set_headers(Slot::Headers, headers),
            Property::ChallengeHeaders(headers) => self.set_headers(Slot::ChallengeHeaders, headers),
            Property::HeadersWriteOnly => self.make_headers_write_only(),
            Property::HttpMethod(method) => self.set_http_method(method),
            Property::SecurityFlags(flags) => self.set_security_flags(flags),
            Property::UploadProtocol(protocol) => {
                self.extras_mut().upload_protocol = protocol;
                if let Some(state) = self.files.first_mut().and_then(|file| file.upload.as_deref_mut()) {
                    state.protocol = None;
                }
            }
            Property::Option(_) => {} // stored with all others of its kind
            Property::Sealed(slot, Some(sealed)) => drop(self.secrets.insert(slot, sealed)),
            Property::Sealed(slot, None) => drop(self.secrets.remove(&slot)),
        }
    }

    fn set_reply_file_name(&mut self, name: Option<String>) {
        let name = name.filter(|n| !n.is_empty());
        let generated = name.is_none();
        let name = name.or_else(|| self.generated_reply_name());
        if let Some(reply) = self.reply.as_deref_mut() {
            reply.file_name = name.map(Into::into);
            reply.generated = generated;
        }
    }

    /// A name in the upload file's folder; `None` until a file is there.
    pub(super) fn generated_reply_name(&self) -> Option<String> {
        let local = &self.files.first()?.local;
        let (folder, _) = local.rsplit_once('/')?;
        Some(format!("{folder}/BIT{}.reply", &self.id.to_string()[..8]))
    }

    /// Extras for changing.
    pub fn extras_mut(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    /// GetReplyFileName.
    pub fn reply_file_name(&self) -> Result<Option<&str>, HResult> {
        self.reply.as_deref().map(|r| r.file_name.as_deref()).ok_or(h::E_NOTIMPL)
    }

    /// Whether GetReplyData may be asked for: the reply's size.
    pub fn reply_data_size(&self) -> Result<u64, HResult> {
        let reply = self.reply.as_deref().ok_or(h::E_NOTIMPL)?;
        if !matches!(self.state, JobState::Transferred | JobState::Acknowledged) {
            return Err(h::BG_E_INVALID_STATE);
        }
        let size = reply.size.unwrap_or(0);
        if size > 1 << 20 { Err(h::BG_E_TOO_LARGE) } else { Ok(size) }
    }
}
