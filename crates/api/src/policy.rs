//! The policy: values in force, a text that is checked, the rules that hold a job.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /v1/policy`: every key with its value in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PolicyView {
    /// Version of this form.
    pub schema: u32,
    /// When the files were read, milliseconds since 1970 UTC.
    pub read_at_ms: i64,
    /// All keys, in the order of the reference.
    pub keys: Vec<PolicyKeyView>,
    /// The files, weakest first.
    pub files: Vec<PolicyFileView>,
    /// What was noticed when the policy in force was read.
    pub findings: Vec<PolicyFinding>,
    /// Why the files as they are now are not in force; empty if they are.
    pub refused: Vec<PolicyFinding>,
    /// The limits of bandwidth now, one for each priority level.
    pub bandwidth: Vec<BandwidthView>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PolicyKeyView {
    /// Dotted name.
    pub key: String,
    /// Value in force, in the form a file takes; null if there is none.
    pub value: serde_json::Value,
    /// The same as a text.
    pub text: String,
    /// `default`, `vendor`, `administrator`, `drop-in`, `volatile`, `own` or `preference`.
    pub origin: String,
    /// The file that sets it.
    pub file: Option<String>,
    /// Preferences may set it.
    pub preference: bool,
    /// Preferences may not set it, because the policy locks it.
    pub locked: bool,
    /// A preference that is recorded, but not used.
    pub unused_preference: Option<String>,
    /// This version acts on it.
    pub used: bool,
    /// When a change has its effect.
    pub applies: String,
    /// What has to be known about the value.
    pub note: Option<String>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyFileView {
    /// Its path.
    pub path: String,
    /// `vendor`, `administrator`, `drop-in`, `volatile`, `own` or `preference`.
    pub origin: String,
}

/// Something that was noticed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyFinding {
    /// `note`, `warning` or `error`.
    pub severity: String,
    /// The key.
    pub key: Option<String>,
    /// The file.
    pub file: Option<String>,
    /// In a sentence.
    pub text: String,
    /// Number of the original's event.
    pub event: Option<u32>,
    /// Code, where there is one: `0x00200055`.
    pub hresult: Option<String>,
}

/// The limit of a priority level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BandwidthView {
    /// FOREGROUND, HIGH, NORMAL or LOW.
    pub priority: String,
    /// Bits a second; 0: nothing may be transferred; null: no limit.
    pub bits_per_s: Option<u64>,
    /// Key that says so; null: nothing limits.
    pub rule: Option<String>,
    /// When it changes, milliseconds since 1970 UTC.
    pub until_ms: Option<i64>,
}

/// Body of `POST /v1/policy/check`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckPolicy {
    /// Content of a policy file; at most 1 MiB.
    pub text: String,
    /// What to call it in the findings.
    #[serde(default)]
    pub name: Option<String>,
}

/// Answer to a check or a reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyOutcome {
    /// Version of this form.
    pub schema: u32,
    /// The text can be used; or the files are in force now.
    pub usable: bool,
    /// What was noticed.
    pub findings: Vec<PolicyFinding>,
}

/// `GET /v1/jobs/{id}/policy`: the rules that concern a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PolicyExplanation {
    /// Version of this form.
    pub schema: u32,
    /// GUID.
    pub id: String,
    /// The rules; those that hold the job now come first.
    pub rules: Vec<PolicyRule>,
}

/// One rule and what it means for the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyRule {
    /// Key.
    pub key: String,
    /// Its value in force.
    pub value: String,
    /// Where that comes from.
    pub origin: String,
    /// It keeps the job from running now.
    pub holds: bool,
    /// What it means for the job, in a sentence.
    pub text: String,
    /// When that changes, milliseconds since 1970 UTC.
    pub until_ms: Option<i64>,
}
