//! What was noticed while a policy was read.

use crate::hresult::HResult;
use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Something does not have the effect that was intended.
    Warning,
    /// The policy (or a file) is not used.
    Error,
}

impl Severity {
    /// `note`, `warning`, `error`
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What it is about. The numbers are those of the original's event log (spec/policy.md A1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum About {
    /// A file could not be read or parsed, or may not be used.
    File,
    /// A key that does not exist.
    UnknownKey,
    /// A value that is not understood or out of range: the default is used.
    BadValue,
    /// A profile with a bad or missing value: it is ignored as a whole.
    FaultyProfile,
    /// The limit per user is above the limit per machine.
    UserAboveMachine,
    /// Two settings that exclude each other.
    Conflict,
    /// A preference that is not used: the key is locked, set by policy, or no preference at all.
    Overridden,
    /// What a value asks for could not be done: it stays as it was.
    NotDone,
}

impl About {
    /// Number of the original's event, where there is one.
    pub const fn event(self) -> Option<u32> {
        match self {
            Self::BadValue => Some(83),
            Self::FaultyProfile => Some(16_405),
            Self::UserAboveMachine => Some(16_397),
            Self::File | Self::UnknownKey | Self::Conflict | Self::Overridden | Self::NotDone => None,
        }
    }

    /// Code that a call would return for it.
    pub const fn code(self) -> Option<HResult> {
        match self {
            Self::Overridden => Some(crate::hresult::BG_S_OVERRIDDEN_BY_POLICY),
            _ => None,
        }
    }
}

/// One thing that was noticed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub about: About,
    /// The key.
    pub key: Option<String>,
    /// The file.
    pub file: Option<String>,
    /// In a sentence.
    pub text: String,
}

impl Finding {
    /// About a file.
    pub fn file(severity: Severity, file: impl Into<String>, text: impl Into<String>) -> Self {
        Self { severity, about: About::File, key: None, file: Some(file.into()), text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.severity.as_str())?;
        if let Some(file) = &self.file {
            write!(f, "{file}: ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.text)
    }
}
