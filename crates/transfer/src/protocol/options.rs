//! How a job is transferred.

use openbits_core::hresult::BG_E_VALIDATION_FAILED;
use openbits_core::job::http::{CertificateQuery, RedirectPolicy};
use openbits_core::{AuthScheme, AuthTarget, HResult, Secret};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

/// The caller's headers that go to other origins too, in lower case. Any other may carry a key (`X-Api-Key`, `Private-Token`, …).
pub const HARMLESS_HEADERS: &[&str] = &["accept", "accept-language", "cache-control", "pragma", "user-agent"];

/// How to transfer; every limit has a default in [`TransferOptions::default`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TransferOptions {
    /// Proxy for this job.
    pub proxy: Proxy,
    /// The proxy settings of the owner's desktop, where there are any, come before [`Self::proxy`] (PRECONFIG; default false).
    pub desktop_proxy: bool,
    /// Credentials of the job, at most one for each target and scheme.
    pub credentials: Vec<Credential>,
    /// The owner's stored credentials (`.netrc`, ticket cache) may be sent to proxies that ask (USE_STORED_CREDENTIALS; default false).
    pub stored_proxy_credentials: bool,
    /// The server gets no login of any kind: a cache host, which stands in for another.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anonymous: bool,
    /// Basic may go to a server over plain http (default false).
    pub plaintext_basic: bool,
    /// Local address or interface that connections are bound to: an IP address, or an interface name (`eth0`).
    pub bind: Option<String>,
    /// Bytes after which new data is synced and reported (default 4 MiB).
    pub checkpoint_bytes: u64,
    /// Milliseconds after which new data is synced and reported (default 2,000).
    pub checkpoint_ms: u64,
    /// Milliseconds to resolve, connect and shake hands (default 60,000).
    pub connect_timeout_ms: u64,
    /// Milliseconds without a byte from the server (default 120,000).
    pub idle_timeout_ms: u64,
    /// A body that comes slower for all of [`Self::idle_timeout_ms`] is given up, in bytes a second (default 0: any byte is enough).
    pub least_bytes_per_s: u64,
    /// Redirects followed for one file (default 10).
    pub max_redirects: u32,
    /// `User-Agent`.
    pub user_agent: String,
    /// Request headers of the job's own.
    pub headers: Vec<Header>,
    /// Request headers of the job's own that are held back until the server of the remote name answers 401, or a proxy 407. Those whose
    /// names begin with `Proxy-` are for proxies, all others for the server.
    pub challenge_headers: Vec<Header>,
    /// The headers never leave the origin of the remote name (write-only ones).
    pub headers_stay: bool,
    /// Headers that may carry a key do not leave it either (default true).
    pub strip_on_redirect: bool,
    /// Method of the job's own.
    pub method: Option<String>,
    /// Statuses 201 to 203 are as good as 200, and 204 without a body is an empty file (default false).
    pub any_success: bool,
    /// What redirects mean (default: followed silently).
    pub redirects: RedirectPolicy,
    /// Reserve the file's space when its size is known (default true).
    pub preallocate: bool,
    /// Free bytes that must remain on the volume (default 500 MiB; 0 = no check).
    pub min_free_bytes: u64,
    /// PEM file with extra certificate authorities.
    pub extra_ca: Option<String>,
    /// The limits of Delivery Optimization hold, too ([`super::Rates::delivery`]; default false).
    pub delivery_optimization: bool,
    /// How servers are checked, and who we are to them.
    pub tls: TlsOptions,
    /// Offer HTTP/2 in the TLS handshake (default true).
    pub http2: bool,
    /// HTTPS may redirect to plain HTTP (default false).
    pub allow_https_to_http: bool,
    /// Most bytes that the files of the order may have together (default: no limit).
    pub max_bytes: Option<u64>,
    /// Nothing of a file is reported durable before all of it is there (default false): HIGH_PERFORMANCE, DYNAMIC_CONTENT.
    pub volatile: bool,
    /// Code of a file of another size than is expected (default `BG_E_VALIDATION_FAILED`).
    pub wrong_size: HResult,
    /// A temporary file that is gone ends the attempt (default false: the file begins again).
    pub loss_is_fatal: bool,
    /// Report the ranges that are written, not only their number (default false).
    pub tell_ranges: bool,
}

impl Default for TransferOptions {
    fn default() -> Self {
        Self {
            proxy: Proxy::None,
            desktop_proxy: false,
            credentials: Vec::new(),
            stored_proxy_credentials: false,
            anonymous: false,
            plaintext_basic: false,
            bind: None,
            checkpoint_bytes: 4 << 20,
            checkpoint_ms: 2_000,
            connect_timeout_ms: 60_000,
            idle_timeout_ms: 120_000,
            least_bytes_per_s: 0,
            max_redirects: 10,
            user_agent: concat!("openbits/", env!("CARGO_PKG_VERSION")).to_owned(),
            headers: Vec::new(),
            challenge_headers: Vec::new(),
            headers_stay: false,
            strip_on_redirect: true,
            delivery_optimization: false,
            method: None,
            any_success: false,
            redirects: RedirectPolicy::Silent,
            preallocate: true,
            min_free_bytes: 500 << 20,
            extra_ca: None,
            tls: TlsOptions::default(),
            http2: true,
            allow_https_to_http: false,
            max_bytes: None,
            volatile: false,
            wrong_size: BG_E_VALIDATION_FAILED,
            loss_is_fatal: false,
            tell_ranges: false,
        }
    }
}

/// One header of the job's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Name.
    pub name: String,
    /// Value; it may be a key.
    #[serde(with = "openbits_core::secret::clear")]
    pub value: Secret,
}

/// TLS of a job's connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct TlsOptions {
    /// The certificate bits of the job's security flags ([`openbits_core::job::http::security`]).
    pub flags: u32,
    /// TLS 1.3 only; otherwise 1.2 too.
    pub only_13: bool,
    /// Client certificate.
    pub certificate: Option<CertificateQuery>,
    /// The owner's program has to accept each server certificate.
    pub validate: bool,
    /// A server that merely accepts client certificates is refused if the job has none, as the original does.
    pub strict: bool,
}

/// A user name and password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The name.
    #[serde(with = "openbits_core::secret::clear")]
    pub user: Secret,
    /// The password.
    #[serde(with = "openbits_core::secret::clear")]
    pub password: Secret,
}

impl Pair {
    /// From the `user[:password]` of a URL, percent-encoded.
    pub fn of_userinfo(text: &str) -> Self {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        let decode = |text: &str| Secret::new(percent_decode_str(text).decode_utf8_lossy());
        Self { user: decode(user), password: decode(password) }
    }
}

/// One credential of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Who asks for it.
    pub target: AuthTarget,
    /// The scheme that it serves.
    pub scheme: AuthScheme,
    /// Name and password; `None`: the owner's own (NTLM and Negotiate).
    pub pair: Option<Pair>,
}

/// Proxy of a job. Its texts may name users and passwords.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proxy {
    /// Direct.
    #[default]
    None,
    /// The values of `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`.
    Environment {
        /// For http URLs.
        http: Option<String>,
        /// For https URLs.
        https: Option<String>,
        /// For both.
        all: Option<String>,
        /// Hosts that are reached directly.
        no: Option<String>,
    },
    /// A BITS proxy list and bypass list (spec/bits-core.md 5.2, grammar).
    List {
        /// Space-separated `[protocol=][protocol://]server[:port]`.
        list: String,
        /// Space-separated host names; `*` left-most, `<local>`.
        bypass: Option<String>,
    },
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Environment { .. } => "Environment(…)",
            Self::List { .. } => "List(…)",
        })
    }
}
