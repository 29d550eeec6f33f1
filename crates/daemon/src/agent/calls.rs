//! The verbs: from a request to the brain, and from its answer to the bytes that the client expects.

use super::log::Lines;
use crate::brain::forbidden;
use crate::http::App;
use crate::policy::Settings;
use crate::secrets::intake;
use openbits_api::EnvironmentProxyView;
use openbits_core::delivery::request::Request;
use openbits_core::delivery::route::{self, Ask, Key, Values, Verb};
use openbits_core::delivery::{codes, reply, status};
use openbits_core::events_log::Urls;
use openbits_core::hresult as h;
use openbits_core::job::property::EnvironmentProxy;
use openbits_core::job::{Delivery, DeliveryChange, Dialect, Extras};
use openbits_core::queue::{Call, Failure, NewJob};
use openbits_core::{Caller, HResult, JobId, JobType, Uid};
use std::fmt::Write as _;
use std::sync::Arc;
use tokio::sync::watch;

/// Name of every download in lists.
const NAME: &str = "Delivery Optimization";

/// The verbs.
#[derive(Clone)]
pub(crate) struct Calls {
    app: App,
    /// Of new downloads; a change of the policy changes it.
    runs_as: watch::Receiver<Option<Uid>>,
    config: super::Config,
    /// How URLs are shown is the policy's matter.
    settings: watch::Receiver<Arc<Settings>>,
    lines: Lines,
}

type Answer = Result<Vec<u8>, HResult>;

impl Calls {
    pub(super) fn new(
        app: App,
        runs_as: watch::Receiver<Option<Uid>>,
        config: super::Config,
        settings: watch::Receiver<Arc<Settings>>,
        lines: Lines,
    ) -> Self {
        Self { app, runs_as, config, settings, lines }
    }

    /// The administrator's configuration is read again.
    pub(super) fn reload(&self) {
        self.config.reload();
        self.lines.write('I', "SIGHUP: admin-config.json is read again");
    }

    /// Somebody sent what is no request.
    pub(super) fn malformed(&self, caller: Caller) {
        self.lines.write('W', &format!("uid {}: malformed, the connection is closed", caller.uid));
    }

    /// The answer to a request. `loopback`: the peer's address is of the loopback.
    pub(super) async fn answer(&self, caller: Caller, request: &Request<'_>, loopback: bool) -> Vec<u8> {
        let mut about = String::new();
        let answer = self.answered(caller, request, loopback, &mut about).await;
        if self.lines.are_kept() {
            let (level, outcome) = match &answer {
                Ok(_) => ('I', "ok".to_owned()),
                Err(code) => ('W', code.to_string()),
            };
            let (verb, path) = (request.verb, path_shown(request.path));
            self.lines.write(level, &format!("uid {}: {verb} {path}{about}: {outcome}", caller.uid));
        }
        answer.unwrap_or_else(reply::error)
    }

    /// `about` becomes what the log says of the request.
    async fn answered(
        &self,
        caller: Caller,
        request: &Request<'_>,
        loopback: bool,
        about: &mut String,
    ) -> Answer {
        if request.from_web {
            about.push_str(" of a web page");
            return Err(h::E_INVALIDARG);
        }
        if !loopback && self.config.validates_peers() {
            about.push_str(" from an address that is not of the loopback");
            return Err(h::E_INVALIDARG);
        }
        let ask = route::route(request)?;
        if self.lines.are_kept() {
            let urls = Urls::of(self.settings.borrow().policy.text("log.urls"));
            *about = described(&ask, urls);
        }
        self.carry_out(caller, ask, about).await
    }

    async fn carry_out(&self, caller: Caller, ask: Ask, about: &mut String) -> Answer {
        match ask {
            Ask::Create(values) => {
                let id = self.create(caller, values).await?;
                // Writing into a text cannot fail.
                let _ = write!(about, " Id={id}");
                Ok(reply::created(id))
            }
            Ask::On(verb, id) => self.on(caller, verb, id.ok_or(codes::E_NOT_SET)?).await,
            Ask::GetProperty(key, sent, id) => {
                let value = self.property(caller, key, id.ok_or(codes::E_NOT_SET)?).await?;
                Ok(reply::property(&sent, &value))
            }
            Ask::SetProperty(values, id) => self.set(caller, values, id.ok_or(codes::E_NOT_SET)?).await,
        }
    }

    async fn create(&self, caller: Caller, values: Values) -> Result<JobId, HResult> {
        let id = crate::http::jobs::fresh_id().map_err(|_| h::E_UNEXPECTED)?;
        let (mut properties, mut extras) =
            (Vec::new(), Extras { dialect: Dialect::DeliveryOptimization, ..Extras::NONE });
        let (environment, sealed) =
            intake::environment(&self.app.vault, id, own_environment()).map_err(|_| h::E_UNEXPECTED)?;
        properties.extend(sealed);
        extras.environment_proxy = (environment != EnvironmentProxy::default()).then_some(environment);
        let mut delivery = Delivery {
            path: values.path.unwrap_or_default(),
            no_progress_s: values.no_progress_s,
            runs_as: self.runs_as.borrow().filter(|agent| *agent != caller.uid),
            ..Delivery::default()
        };
        if let Some(uri) = values.uri {
            let (uri, login) = intake::remote(&self.app.vault, id, &uri).map_err(|_| h::E_UNEXPECTED)?;
            (delivery.uri, delivery.login) = (uri, login);
        }
        let new = NewJob {
            id,
            display_name: NAME.to_owned(),
            kind: JobType::Download,
            properties,
            files: Vec::new(),
            resume: false,
            extras,
            delivery: Some(Box::new(delivery)),
            download: None,
        };
        self.app.brain.create(caller, new).await.map_err(|failure| code(&failure))?;
        Ok(id)
    }

    async fn on(&self, caller: Caller, verb: Verb, id: JobId) -> Answer {
        let now = self.status(caller, id).await?;
        let call = match (verb, now.state) {
            (Verb::GetStatus, _) => return Ok(reply::status(&now)),
            (Verb::Start, status::State::Transferring | status::State::Transferred) => {
                return Ok(reply::done());
            }
            (Verb::Start, _) => {
                self.route(caller, id).await?;
                self.app.brain.start(caller, id).await.map_err(|failure| code(&failure))?;
                return Ok(reply::done());
            }
            (Verb::Pause, status::State::Created | status::State::Transferred) => return Ok(reply::done()),
            (Verb::Pause, _) => Call::Suspend,
            (Verb::Finalize, status::State::Transferred) => Call::Complete,
            (Verb::Finalize, _) => return Err(codes::DO_E_INVALID_STATE),
            (Verb::Abort, _) => Call::Cancel,
        };
        self.call(caller, id, call).await
    }

    /// The configuration is looked at with every Start that begins something.
    async fn route(&self, caller: Caller, id: JobId) -> Result<(), HResult> {
        let found = self.app.brain.read(move |view| {
            let has = view.queue.job(caller, id).is_ok_and(|job| job.route.is_some());
            (has, view.queue.limits().cache.clone(), view.queue.machine().vpn)
        });
        let (has, policy, vpn) = found.await.map_err(|failure| code(&failure))?;
        let cache = self.config.cache_hosts(&policy).filter(|_| !policy.forbids(vpn));
        if cache.is_some() || has {
            let change = DeliveryChange { cache: Some(cache), ..DeliveryChange::default() };
            self.call(caller, id, Call::SetDelivery(change)).await?;
        }
        Ok(())
    }

    async fn set(&self, caller: Caller, values: Values, id: JobId) -> Answer {
        self.status(caller, id).await?;
        let uri = match values.uri {
            Some(uri) => {
                let (uri, login) = intake::remote(&self.app.vault, id, &uri).map_err(|_| h::E_UNEXPECTED)?;
                let fetched = route::fetched(&uri)?;
                Some((uri, fetched, login))
            }
            None => None,
        };
        let change =
            DeliveryChange { uri, path: values.path, no_progress_s: values.no_progress_s, cache: None };
        self.call(caller, id, Call::SetDelivery(change)).await
    }

    async fn call(&self, caller: Caller, id: JobId, call: Call) -> Answer {
        match self.app.brain.call(caller, id, call).await {
            Ok(_) => Ok(reply::done()),
            Err(failure) if failure.code == h::BG_E_INVALID_STATE => {
                // Somebody finalized or aborted it in the same moment: it is gone, or else it is only not in the right state.
                self.status(caller, id).await?;
                Err(codes::DO_E_INVALID_STATE)
            }
            Err(failure) => Err(code(&failure)),
        }
    }

    /// The status of a download that this caller may see. Another's is not there at all.
    async fn status(&self, caller: Caller, id: JobId) -> Result<status::Status, HResult> {
        let found = self.app.brain.read(move |view| {
            let job = view.queue.job(caller, id).ok()?;
            let mut status = status::of(job)?;
            // The SDK takes a pause without a code for the client's own, and reports success (section 11).
            let unexplained = (status.error, status.extended) == (h::S_OK, h::S_OK);
            if status.state == status::State::Paused
                && unexplained
                && forbidden(&view.settings.security, job).is_some()
            {
                status.error = h::E_ACCESSDENIED;
            }
            Some(status)
        });
        found.await.map_err(|failure| code(&failure))?.ok_or(codes::E_NOT_SET)
    }

    async fn property(&self, caller: Caller, key: Key, id: JobId) -> Result<String, HResult> {
        let read = self.app.brain.read(move |view| {
            let job = view.queue.job(caller, id).ok()?;
            status::of(job)?;
            let delivery = job.delivery.as_deref()?;
            Some(match key {
                Key::Id => id.to_string(),
                Key::Uri => delivery.uri.clone(),
                Key::DownloadFilePath => delivery.path.clone(),
                Key::NoProgressTimeoutSeconds => delivery.no_progress_s.unwrap_or(0).to_string(),
            })
        });
        read.await.map_err(|failure| code(&failure))?.ok_or(codes::E_NOT_SET)
    }
}

/// The path of a request for the log. Only what looks like one of ours is written down: others may hold anything.
fn path_shown(path: &str) -> &str {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'/';
    if path.len() <= 64 && path.bytes().all(plain) { path } else { "(another path)" }
}

/// What is asked for, for the log: no query of a URL, and no user or password in it.
fn described(ask: &Ask, urls: Urls) -> String {
    let mut text = String::new();
    let id = match ask {
        Ask::Create(_) => None,
        Ask::On(_, id) | Ask::GetProperty(_, _, id) | Ask::SetProperty(_, id) => Some(*id),
    };
    // Writing into a text cannot fail.
    let _ = match id {
        None => Ok(()),
        Some(Some(id)) => write!(text, " Id={id}"),
        Some(None) => write!(text, " without a usable id"),
    };
    match ask {
        Ask::On(..) => {}
        Ask::GetProperty(key, ..) => {
            let _ = write!(text, " PropertyKey={key:?}");
        }
        Ask::Create(values) | Ask::SetProperty(values, _) => {
            if let Some(uri) = &values.uri {
                let _ = write!(text, " Uri={}", urls.shown(uri));
            }
            if let Some(path) = &values.path {
                let _ = write!(text, " DownloadFilePath={path:?}");
            }
            if let Some(seconds) = values.no_progress_s {
                let _ = write!(text, " NoProgressTimeoutSeconds={seconds}");
            }
        }
    }
    text
}

/// A refusal in the words of this interface.
fn code(failure: &Failure) -> HResult {
    match failure.code {
        h::BG_E_NOT_FOUND => codes::E_NOT_SET,
        h::BG_E_INVALID_STATE => codes::DO_E_INVALID_STATE,
        h::RPC_E_DISCONNECTED => codes::DO_E_NO_SERVICE,
        code => code,
    }
}

/// The proxy variables of the service itself.
fn own_environment() -> EnvironmentProxyView {
    let usable = |text: &String| text.len() <= 4096 && !text.contains(['\0', '\n', '\r']);
    let get = |name: &str| {
        std::env::var(name).or_else(|_| std::env::var(name.to_ascii_uppercase())).ok().filter(usable)
    };
    EnvironmentProxyView {
        http: std::env::var("http_proxy").ok().filter(usable),
        https: get("https_proxy"),
        all: get("all_proxy"),
        no: get("no_proxy"),
    }
}
