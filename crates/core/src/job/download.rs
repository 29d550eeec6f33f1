//! A download of IDOManager: one file, its properties before and after the first Start, and the ranges of the present Start
//! (spec/delivery-optimization-com.md 4).
//!
//! It is an ordinary job with one file. What is peculiar to it is this record; its state is computed from the job's
//! ([`crate::delivery::download`]).

use super::property::Property;
use super::{Change, Dialect, File, IntegrityCheck, Job, NewFile, Notice, Setting};
use crate::delivery::codes;
use crate::delivery::cost::CostPolicy;
use crate::delivery::download::{State, status};
use crate::delivery::integrity::IntegrityInfo;
use crate::delivery::security;
use crate::enums::{JobState, Priority};
use crate::hresult::{self as h, HResult};
use crate::integrity::Expect;
use crate::layout::{self, FileRange, LENGTH_TO_EOF};
use crate::names;
use crate::range_set::RangeSet;
use crate::secret::Sealed;
use crate::time::Now;
use serde::{Deserialize, Serialize};

/// Least value of NoProgressTimeoutSeconds (4.4).
pub const NO_PROGRESS_MIN_S: u32 = 60;
/// No-progress timeout of foreground downloads that set none, in seconds.
pub const NO_PROGRESS_FOREGROUND_S: u32 = 3_600;
/// No-progress timeout of all others, in seconds.
pub const NO_PROGRESS_BACKGROUND_S: u32 = 86_400;
/// Seconds between two tries; the reference has no property for it.
pub const RETRY_DELAY_S: u32 = 30;
/// Longest ContentId and CorrelationVector, in UTF-16 units.
pub const TEXT_MAX: usize = 2_200;
/// Name of the job of a download without a DisplayName.
pub const NAME: &str = "Delivery Optimization";

/// The no-progress timeout of a level (5.2, ambiguity 10).
pub const fn default_no_progress_s(priority: Priority) -> u32 {
    match priority {
        Priority::Foreground => NO_PROGRESS_FOREGROUND_S,
        _ => NO_PROGRESS_BACKGROUND_S,
    }
}

/// The CostPolicy that a level has by itself (4.4).
const fn usual_cost(priority: Priority) -> CostPolicy {
    match priority {
        Priority::Foreground => CostPolicy::Always,
        _ => CostPolicy::Standard,
    }
}

/// The job's `cost_flags` of a download of this level that has no CostPolicy.
pub const fn usual_cost_flags(priority: Priority) -> u32 {
    usual_cost(priority).to_job().0
}

/// Of a download of IDOManager. A property of `None` was never set.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Download {
    /// Start was called.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub started: bool,
    /// How often a Start said what is wanted: the first one, and each with ranges.
    #[serde(skip_serializing_if = "is_zero")]
    pub starts: u32,
    /// Uri, without user and password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// User and password of the URL, sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<Sealed>,
    /// ContentId
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_id: Option<String>,
    /// DisplayName
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// LocalPath, or the file of a stream's client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The sink is a stream of the client, which reads the data out of the file: `path` is not the client's choice.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stream: bool,
    /// CostPolicy: DODownloadCostPolicy
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_policy: Option<u32>,
    /// SecurityFlags: WinHTTP bits
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_flags: Option<u32>,
    /// HttpAllowSecureToNonSecureRedirect
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_downgrade: Option<bool>,
    /// CallbackFreqPercent
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback_percent: Option<u32>,
    /// CallbackFreqSeconds
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback_seconds: Option<u32>,
    /// NoProgressTimeoutSeconds
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_progress_s: Option<u32>,
    /// BlockingMode
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocking: Option<bool>,
    /// CorrelationVector
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_vector: Option<String>,
    /// IntegrityCheckInfo, a JSON text that was checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integrity: Option<String>,
    /// IntegrityCheckMandatory
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integrity_mandatory: Option<bool>,
    /// TotalSizeBytes that the client expects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_size: Option<u64>,
    /// DisallowOnCellular
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disallow_cellular: Option<bool>,
    /// NonVolatile
    #[serde(skip_serializing_if = "Option::is_none")]
    pub non_volatile: Option<bool>,
    /// Ranges of the present Start; empty: the whole file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<FileRange>,
    /// The no-progress period ended it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_progress: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// Properties to set; all or none. An empty text takes a property back.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DownloadChange {
    /// The URL without its login, and that.
    pub uri: Option<(String, Option<Sealed>)>,
    /// ContentId
    pub content_id: Option<String>,
    /// DisplayName
    pub display_name: Option<String>,
    /// LocalPath
    pub path: Option<String>,
    /// The path is the file of a stream's client.
    pub stream: Option<bool>,
    /// CostPolicy
    pub cost_policy: Option<u32>,
    /// SecurityFlags
    pub security_flags: Option<u32>,
    /// HttpAllowSecureToNonSecureRedirect
    pub allow_downgrade: Option<bool>,
    /// CallbackFreqPercent
    pub callback_percent: Option<u32>,
    /// CallbackFreqSeconds
    pub callback_seconds: Option<u32>,
    /// NoProgressTimeoutSeconds
    pub no_progress_s: Option<u32>,
    /// ForegroundPriority
    pub foreground: Option<bool>,
    /// BlockingMode
    pub blocking: Option<bool>,
    /// CorrelationVector
    pub correlation_vector: Option<String>,
    /// IntegrityCheckInfo
    pub integrity: Option<String>,
    /// IntegrityCheckMandatory
    pub integrity_mandatory: Option<bool>,
    /// TotalSizeBytes
    pub total_size: Option<u64>,
    /// DisallowOnCellular
    pub disallow_cellular: Option<bool>,
    /// NonVolatile
    pub non_volatile: Option<bool>,
    /// What goes with it that every job has.
    pub properties: Vec<Property>,
}

/// Properties of a file of Delivery Optimization to set; all or none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FileChange {
    /// DownloadSinkFilePath
    pub path: Option<String>,
    /// TotalSizeBytes
    pub size: Option<u64>,
    /// IntegrityCheckInfo; an empty text takes it back.
    pub info: Option<String>,
    /// IntegrityCheckMandatory
    pub mandatory: Option<bool>,
}

/// What only a download of IDOManager can be asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DownloadCall {
    /// SetProperty
    Set(Box<DownloadChange>),
    /// Start. The file of the first Start, whose path the owner's worker looked at; `None` of ranges is NULL.
    Start(Option<Box<NewFile>>, Option<Vec<FileRange>>),
    /// Abort
    Abort,
    /// Finalize
    Finalize,
}

impl DownloadChange {
    /// Values, before rights and state matter.
    ///
    /// # Errors
    /// `E_INVALIDARG`
    pub fn check(&self) -> Result<(), HResult> {
        // Whether the path is one is looked at when the file is made.
        let texts = [
            (&self.content_id, TEXT_MAX),
            (&self.correlation_vector, TEXT_MAX),
            (&self.display_name, names::DISPLAY_NAME_MAX),
            (&self.path, names::LOCAL_NAME_MAX),
        ];
        for (text, max) in texts {
            text.as_deref()
                .map_or(Ok(()), |text| names::check_text(text, max))
                .map_err(|_| h::E_INVALIDARG)?;
        }
        let web = |uri: &str| names::check_remote_name(uri).is_ok_and(names::RemoteScheme::has_ranges);
        if self.uri.as_ref().is_some_and(|(uri, _)| !uri.is_empty() && !web(uri)) {
            return Err(h::E_INVALIDARG);
        }
        if let Some(info) = self.integrity.as_deref().filter(|info| !info.is_empty()) {
            IntegrityInfo::parse(info)?;
        }
        let unless = |bad: bool| if bad { Err(h::E_INVALIDARG) } else { Ok(()) };
        unless(self.no_progress_s.is_some_and(|seconds| seconds < NO_PROGRESS_MIN_S))?;
        unless(self.callback_percent.is_some_and(|percent| percent > 100))?;
        unless(self.cost_policy.is_some_and(|policy| policy > 5))?;
        for property in &self.properties {
            property.check(crate::enums::JobType::Download)?;
        }
        Ok(())
    }

    /// The level that ForegroundPriority asks for.
    pub fn priority(&self) -> Option<Priority> {
        self.foreground.map(|on| if on { Priority::Foreground } else { Priority::Normal })
    }

    /// What is fixed by the first Start (4.4).
    const fn changes_file(&self) -> bool {
        self.path.is_some()
            || self.stream.is_some()
            || self.total_size.is_some()
            || self.integrity.is_some()
            || self.integrity_mandatory.is_some()
    }
}

/// From the first byte to the end is the whole file, also of one that is empty, or of a server without ranges.
pub fn is_whole(ranges: &[FileRange]) -> bool {
    ranges.is_empty() || *ranges == [FileRange::new(0, LENGTH_TO_EOF)]
}

/// An empty text takes the property back.
fn given(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

impl Download {
    /// It ends with the service (NonVolatile).
    pub fn is_volatile(&self) -> bool {
        !self.non_volatile.unwrap_or(false)
    }

    /// Another user's from now on: the old owner's login is not used by the new one, nor is the place that he chose for a file that was
    /// not made yet.
    pub(super) fn change_hands(&mut self, unmade: bool) {
        self.login = None;
        if unmade {
            self.path = None;
        }
    }

    /// The file of the first Start.
    ///
    /// # Errors
    /// `DO_E_DOWNLOAD_NO_URI` (a ContentId alone names nothing here: there is no service that knows it),
    /// `DO_E_FILE_DOWNLOADSINK_UNSPECIFIED`.
    pub fn new_file(&self) -> Result<NewFile, HResult> {
        let remote = self.uri.clone().ok_or(codes::DO_E_DOWNLOAD_NO_URI)?;
        let local = self.path.clone().ok_or(codes::DO_E_FILE_DOWNLOADSINK_UNSPECIFIED)?;
        let check = IntegrityCheck {
            info: self.integrity.clone(),
            mandatory: self.integrity_mandatory,
            settled: true,
        };
        let expect = Expect { size: self.total_size, piece_file: check.piece_file()?, ..Expect::default() };
        Ok(NewFile { remote, login: self.login.clone(), local, expect, ..NewFile::default() })
    }
}

impl Job {
    /// All that is asked of the file is there: the whole of it, or the ranges of a download's Start.
    pub fn is_ready(&self, file: &File) -> bool {
        let asked = self.download.as_deref().map_or(&[][..], |download| &download.ranges);
        // Where a range to the end ends, only the size tells.
        let is_there = |range: &FileRange| {
            file.size.map_or(!range.is_to_end(), |size| range.fits(size))
                && file.done.contains(range.within(file.size))
        };
        let filled = !asked.is_empty() && asked.iter().all(is_there);
        file.transferred || (filled && self.options().on_demand && !file.has_requests())
    }

    /// A download's Start asked for ranges, and not all of them are there.
    pub(crate) fn lacks_ranges(&self) -> bool {
        let asked = self.download.as_deref().is_some_and(|download| !download.ranges.is_empty());
        asked && self.files.first().is_some_and(|file| !self.is_ready(file))
    }

    /// Size and progress of the ranges of a download's Start; `None`: the whole file counts.
    pub(super) fn asked_progress(&self) -> Option<(Option<u64>, u64)> {
        let ranges = &self.download.as_deref().filter(|download| !download.ranges.is_empty())?.ranges;
        let file = self.files.first()?;
        let size = |range: &FileRange| match range.is_to_end() {
            true => file.size.map(|size| size.saturating_sub(range.offset)),
            false => Some(range.length),
        };
        let total = ranges.iter().map(size).try_fold(0_u64, |sum, size| sum.checked_add(size?));
        let filled = if file.transferred { RangeSet::prefix(file.size.unwrap_or(0)) } else { file.filled() };
        let of = |range: &FileRange| {
            filled.parts(range.within(file.size)).map(|part| part.end - part.start).sum::<u64>()
        };
        Some((total, ranges.iter().map(of).sum()))
    }

    /// A download that was never started and that nobody asked to keep.
    pub(crate) fn is_unused(&self) -> bool {
        let unused = |download: &Download| !download.started && download.is_volatile();
        self.download.as_deref().is_some_and(unused)
    }

    /// SetProperty of a download.
    ///
    /// # Errors
    /// `DO_E_INVALID_STATE`; `DO_E_FILE_DOWNLOADSINK_ALREADY_SET`: the path of a stream's file is not to be chosen; what [`Job::set`] refuses.
    pub fn set_download(&mut self, mut change: DownloadChange, now: Now) -> Result<Change, HResult> {
        let state = status(self).ok_or(h::BG_E_INVALID_STATE)?.state;
        if state.is_final() {
            return Err(codes::DO_E_INVALID_STATE);
        }
        let begun = state != State::Created;
        if begun && change.changes_file() || change.uri.is_some() && begun && state != State::Paused {
            return Err(codes::DO_E_INVALID_STATE);
        }
        let streams = self.download.as_deref().is_some_and(|download| download.stream);
        if streams && change.path.is_some() && change.stream.is_none() {
            return Err(codes::DO_E_FILE_DOWNLOADSINK_ALREADY_SET);
        }
        if begun && change.uri.as_ref().is_some_and(|(uri, _)| uri.is_empty()) {
            return Err(h::E_INVALIDARG);
        }
        let mut properties = std::mem::take(&mut change.properties);
        let name = |text: &str| Property::DisplayName(if text.is_empty() { NAME } else { text }.to_owned());
        properties.extend(change.display_name.as_deref().map(name));
        properties.extend(change.priority().map(|level| Property::Priority(level.value().into())));
        properties.extend(change.no_progress_s.map(Property::NoProgressTimeout));
        properties.extend(self.cost_of(&change)?);
        properties.extend(self.security_of(&change)?);
        let set = match properties.is_empty() {
            true => Change::ok(Notice::Modification),
            false => self.set(properties, now)?,
        };
        let Some(download) = self.download.as_deref_mut() else { return Err(h::BG_E_INVALID_STATE) };
        macro_rules! store {
            ($($field:ident),*) => { $( if change.$field.is_some() { download.$field = change.$field; } )* };
        }
        store!(
            cost_policy,
            security_flags,
            allow_downgrade,
            callback_percent,
            callback_seconds,
            no_progress_s,
            blocking,
            integrity_mandatory,
            total_size,
            disallow_cellular,
            non_volatile
        );
        macro_rules! store_text {
            ($($field:ident),*) => { $( if let Some(text) = change.$field { download.$field = given(text); } )* };
        }
        store_text!(content_id, display_name, path, correlation_vector, integrity);
        download.stream = change.stream.unwrap_or(download.stream);
        if let Some((uri, login)) = change.uri {
            let other = download.uri.as_deref() != Some(uri.as_str()) || download.login != login;
            download.uri = given(uri.clone());
            download.login.clone_from(&login);
            if other && begun && !self.files.is_empty() {
                self.no_progress_since = None;
                self.rename(0, uri.into(), login);
            }
        }
        self.touch(now);
        Ok(set)
    }

    /// What the cost policy and the level make of the job: a default for each level (4.4).
    fn cost_of(&self, change: &DownloadChange) -> Result<Vec<Property>, HResult> {
        if change.cost_policy.is_none() && change.foreground.is_none() && change.disallow_cellular.is_none() {
            return Ok(Vec::new());
        }
        let before = self.download.as_deref();
        let usual = usual_cost(change.priority().unwrap_or(self.priority));
        let set = change.cost_policy.or(before.and_then(|download| download.cost_policy));
        let policy = set.map_or(Ok(usual), CostPolicy::from_value)?;
        let (mask, no_cellular) = policy.to_job();
        let asked = change.disallow_cellular.or(before.and_then(|download| download.disallow_cellular));
        Ok(vec![
            Property::Option(Setting::CostFlags(mask)),
            Property::Option(Setting::DisallowCellular(no_cellular || asked.unwrap_or(false))),
        ])
    }

    /// The job's security flags: WinHTTP's bits, and the redirect that is refused unless it is allowed.
    fn security_of(&self, change: &DownloadChange) -> Result<Option<Property>, HResult> {
        if change.security_flags.is_none() && change.allow_downgrade.is_none() {
            return Ok(None);
        }
        let before = self.download.as_deref();
        let bits = change.security_flags.or(before.and_then(|download| download.security_flags));
        let allow = change.allow_downgrade.or(before.and_then(|download| download.allow_downgrade));
        security::flags(bits.unwrap_or(0), allow.unwrap_or(false))
            .map(|flags| Some(Property::SecurityFlags(flags)))
    }

    /// Start (4.1 to 4.3).
    ///
    /// # Errors
    /// `DO_E_INVALID_STATE`, also if the file is not the one that the properties describe by now; `E_UNEXPECTED` if the first Start comes
    /// without a file; `BG_E_INVALID_RANGE`, `BG_E_OVERLAPPING_RANGES`, `BG_E_TOO_MANY_RANGES_IN_FILE`;
    /// `DO_E_INTEGRITYCHECKINFO_UNAVAILABLE` for ranges of a file that has to be checked.
    pub fn start_download(
        &mut self,
        file: Option<NewFile>,
        ranges: Option<Vec<FileRange>>,
        ranges_max: u32,
        now: Now,
    ) -> Result<Change, HResult> {
        let state = status(self).ok_or(codes::DO_E_INVALID_STATE)?.state;
        if let Some(ranges) = &ranges {
            layout::check(ranges, ranges_max)?;
        }
        let ranges = ranges.map(|ranges| if is_whole(&ranges) { Vec::new() } else { ranges });
        match (state, ranges) {
            (State::Finalized | State::Aborted, _) => Err(codes::DO_E_INVALID_STATE),
            (State::Transferring, _) | (State::Transferred, None) => Ok(Change::ok(Notice::None)),
            (State::Created, ranges) => {
                let made = self.files.is_empty();
                if made {
                    let file = file.ok_or(h::E_UNEXPECTED)?;
                    // It was looked at before; a property may have been set meanwhile.
                    let described = self.download.as_deref().map(Download::new_file);
                    if described != Some(Ok(file.clone())) {
                        return Err(codes::DO_E_INVALID_STATE);
                    }
                    self.files.push(File::new(file));
                }
                if let Err(code) = self.ask_for(ranges.unwrap_or_default()) {
                    if made {
                        self.files.clear();
                    }
                    return Err(code);
                }
                self.begin_download(now)
            }
            (State::Paused, None) => {
                // What failed may have been forgotten, or its data lost.
                let pending = self.download.as_deref().map(|download| download.ranges.clone());
                self.ask_for(pending.unwrap_or_default())?;
                self.begin_download(now)
            }
            (State::Paused | State::Transferred, Some(ranges)) => {
                self.ask_for(ranges)?;
                self.begin_download(now)
            }
        }
    }

    fn begin_download(&mut self, now: Now) -> Result<Change, HResult> {
        if let Some(download) = self.download.as_deref_mut() {
            download.started = true;
        }
        // Other ranges of a finished download: back to where Resume begins.
        if self.state == JobState::Transferred {
            self.enter(JobState::Suspended, now);
        }
        self.resume(now)
    }

    /// Only these ranges are wanted from now on; none: the whole file.
    fn ask_for(&mut self, ranges: Vec<FileRange>) -> Result<(), HResult> {
        let (options, custom) = (self.options(), self.has_custom_method());
        if !ranges.is_empty() && (options.dynamic_content || custom) {
            return Err(h::BG_E_UNSUPPORTED_JOB_CONFIGURATION);
        }
        let Some(file) = self.files.first_mut() else { return Err(h::E_UNEXPECTED) };
        // Only the whole of a file can be checked, and nothing is delivered unchecked.
        if !ranges.is_empty() && file.has_digest() {
            return Err(codes::DO_E_INTEGRITYCHECKINFO_UNAVAILABLE);
        }
        if file.size.is_some_and(|size| ranges.iter().any(|range| !range.fits(size))) {
            return Err(h::BG_E_INVALID_RANGE);
        }
        let before = std::mem::take(&mut file.requested);
        if !file.transferred
            && let Err(code) = file.request(&ranges)
        {
            file.requested = before;
            return Err(code);
        }
        self.options.get_or_insert_default().on_demand = !ranges.is_empty();
        if let Some(download) = self.download.as_deref_mut() {
            download.starts = download.starts.wrapping_add(1);
            download.ranges = ranges;
        }
        Ok(())
    }

    /// Data of a download was lost, or what was asked for forgotten: whatever lacks of the ranges of its Start is asked for again.
    pub(crate) fn ask_again(&mut self) {
        let Some(download) = self.download.as_deref().filter(|download| !download.ranges.is_empty()) else {
            return;
        };
        if let Some(file) = self.files.first_mut().filter(|file| !file.transferred) {
            let before = std::mem::take(&mut file.requested);
            // They were few enough when they were asked for; should they be too many now, the download is not ready, and fails.
            if file.request(&download.ranges).is_err() {
                file.requested = before;
            }
        }
    }

    /// SetProperty of a file of Delivery Optimization (5.3).
    ///
    /// # Errors
    /// `BG_E_FILE_NOT_FOUND`; `BG_E_INVALID_STATE` once the file was begun, or while the job is not suspended; `E_NOTIMPL` for other jobs.
    pub fn set_file(&mut self, index: u32, change: FileChange, now: Now) -> Result<Change, HResult> {
        if self.dialect() != Dialect::DeliveryOptimization {
            return Err(h::E_NOTIMPL);
        }
        let suspended = self.state == JobState::Suspended;
        let file = self.files.get_mut(index as usize).ok_or(h::BG_E_FILE_NOT_FOUND)?;
        if file.begun || !suspended {
            return Err(h::BG_E_INVALID_STATE);
        }
        let checks = change.info.is_some() || change.mandatory.is_some();
        let mut check = file.integrity.as_deref().cloned().unwrap_or_default();
        if let Some(info) = change.info {
            check.info = given(info);
        }
        check.mandatory = change.mandatory.or(check.mandatory);
        if let Some(info) = &check.info {
            IntegrityInfo::parse(info)?;
        }
        if checks {
            check.settled = false;
            // What can be fetched by now, the policy is asked for before every Resume; what is missing, Resume tells.
            file.expect.get_or_insert_default().piece_file = check.piece_file().ok().flatten();
            file.integrity = Some(Box::new(check));
        }
        if let Some(path) = change.path {
            file.local = path.into();
        }
        if change.size.is_some() {
            file.expect.get_or_insert_default().size = change.size;
        }
        self.touch(now);
        Ok(Change::ok(Notice::Modification))
    }

    /// Files of Delivery Optimization whose piece hash file was not settled yet.
    pub(crate) fn has_unset_checks(&self) -> bool {
        self.files.iter().any(File::has_unset_check)
    }

    /// Before the first Resume: the piece hash files that the worker fetches.
    ///
    /// # Errors
    /// Those of [`IntegrityCheck::piece_file`]: a check that has to be made and cannot be.
    pub(super) fn set_checks(&mut self) -> Result<(), HResult> {
        let unset = |file: &&File| file.has_unset_check();
        let checks = self.files.iter().filter(unset).filter_map(|file| file.integrity.as_deref());
        let piece_files = checks.map(IntegrityCheck::piece_file).collect::<Result<Vec<_>, _>>()?;
        let files = self.files.iter_mut().filter(|file| file.has_unset_check());
        for (file, piece_file) in files.zip(piece_files) {
            if let Some(check) = &mut file.integrity {
                check.settled = true;
            }
            file.expect.get_or_insert_default().piece_file = piece_file;
        }
        Ok(())
    }
}

impl File {
    fn has_unset_check(&self) -> bool {
        self.integrity.as_deref().is_some_and(|check| !check.settled)
    }
}

#[cfg(test)]
mod tests;
