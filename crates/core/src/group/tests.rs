//! Groups as tables: status words, progress, properties (spec/qmgr-legacy.md 5, 6, 8; constants/qmgr.json).

use super::*;
use crate::enums::{ErrorContext, JobType, notify};
use crate::group::property::{id as prop, vt};
use crate::id::Uid;
use crate::job::{ErrorRecord, Extras, NewFile};
use crate::range_set::RangeSet;
use crate::time::{FileTime, Mono, Now};

const NOW: Now = Now { mono: Mono(1000), wall: FileTime(133_000_000_000_000_000) };
const INNER: &str = "11111111-2222-3333-4444-555555555555";

fn constants() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../../spec/constants/qmgr.json")).unwrap()
}

/// A new group, as CreateGroup makes it.
fn group() -> Job {
    let mut job = Job::new(JobId::from_bytes([7; 16]), Uid(1000), JobType::Download, "", NOW);
    let data = GroupData { seed: Some(JobId::from_bytes([9; 16])), ..GroupData::default() };
    let group = Some(Box::new(data));
    job.extras = Some(Box::new(Extras { dialect: Dialect::Group, group, ..Extras::NONE }));
    job.notify_flags = notify::JOB_ERROR;
    job
}

fn inner() -> JobId {
    INNER.parse().unwrap()
}

/// With its job, and with files of this size (`None`: unknown) of which so much is there.
fn filled(files: &[(Option<u64>, u64)]) -> Job {
    let mut job = group();
    let _ = job.create_group_job(inner(), NOW).unwrap();
    for (n, (size, done)) in files.iter().enumerate() {
        let new = NewFile { remote: format!("http://h/{n}"), local: format!("/d/{n}"), ..NewFile::default() };
        let mut file = File::new(new);
        file.size = *size;
        file.done = RangeSet::prefix(*done);
        file.transferred = *size == Some(*done);
        job.files.push(file);
    }
    job
}

fn of(job: &Job) -> Group<'_> {
    Group::of(job).unwrap()
}

fn bits(names: &serde_json::Value) -> u32 {
    let json = constants();
    let values = json["constants"]["QM_STATUS"]["values"].as_array().unwrap();
    let bit = |name: &serde_json::Value| {
        let row = values.iter().find(|row| row["name"] == *name).unwrap_or_else(|| panic!("{name}"));
        u32::try_from(row["value"].as_u64().unwrap()).unwrap()
    };
    names.as_array().unwrap().iter().map(bit).fold(0, |sum, bit| sum | bit)
}

/// Every row of `state_map`.
#[test]
fn state_map() {
    let json = constants();
    let rows = json["state_map"].as_array().unwrap();
    assert_eq!(rows.len(), 7);
    for row in rows {
        let words = row["modern"].as_str().unwrap();
        let mut job = filled(&[(Some(10), 10)]);
        job.state = words.split(' ').next().unwrap().parse().unwrap();
        assert_eq!(of(&job).status(), bits(&row["group"]), "{words}");
        assert_eq!(of(&job).job_status(), bits(&row["job"]), "{words}");
        job.priority = Priority::Foreground;
        assert_eq!(of(&job).status(), bits(&row["group"]) | 0x400, "{words}, in the foreground");
        assert_eq!(of(&job).job_status(), bits(&row["job"]), "a job never has its bit");
    }
    for state in [JobState::Acknowledged, JobState::Cancelled] {
        let job = Job { state, ..group() };
        assert_eq!(Group::of(&job).err(), Some(h::QM_E_INVALID_STATE), "gone");
    }
}

#[test]
fn constants_are_those_of_the_header() {
    let json = constants();
    let value = |set: &str, name: &str| {
        let values = json["constants"][set]["values"].as_array().unwrap();
        let row = values.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name}"));
        u32::try_from(row["value"].as_u64().unwrap()).unwrap()
    };
    for (name, bit) in [
        ("QM_NOTIFY_FILE_DONE", qm_notify::FILE_DONE),
        ("QM_NOTIFY_JOB_DONE", qm_notify::JOB_DONE),
        ("QM_NOTIFY_GROUP_DONE", qm_notify::GROUP_DONE),
        ("QM_NOTIFY_DISABLE_NOTIFY", qm_notify::DISABLE_NOTIFY),
        ("QM_NOTIFY_USE_PROGRESSEX", qm_notify::USE_PROGRESSEX),
    ] {
        assert_eq!(value("QM_NOTIFY", name), bit, "{name}");
    }
    for (name, kind) in [
        ("QM_PROGRESS_PERCENT_DONE", qm_progress::PERCENT_DONE),
        ("QM_PROGRESS_TIME_DONE", qm_progress::TIME_DONE),
        ("QM_PROGRESS_SIZE_DONE", qm_progress::SIZE_DONE),
    ] {
        assert_eq!(value("QM_PROGRESS", name), kind, "{name}");
    }
    assert_eq!(i64::from(value("QM_PROTOCOL", "QM_PROTOCOL_HTTP")), PROTOCOL_HTTP);
    let properties = json["enums"][0]["values"].as_array().unwrap();
    let supported: Vec<u64> = properties
        .iter()
        .filter(|row| row["support"] == "supported")
        .map(|row| row["value"].as_u64().unwrap())
        .collect();
    assert_eq!(supported, prop::SUPPORTED.map(u64::from));
    for code in [
        h::QM_E_INVALID_STATE,
        h::QM_E_SERVICE_UNAVAILABLE,
        h::QM_E_DOWNLOADER_UNAVAILABLE,
        h::QM_E_ITEM_NOT_FOUND,
    ] {
        let rows = json["hresults"].as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == code.name().unwrap()).unwrap();
        assert_eq!(row["signed"].as_i64().unwrap(), i64::from(code.signed()));
    }
}

#[test]
fn progress_is_floored_saturated_and_full_only_when_complete() {
    use qm_progress::{PERCENT_DONE, SIZE_DONE, TIME_DONE};
    let big = 6_000_000_000;
    for (files, size, percent, done) in [
        (vec![], 0, 0, 0),
        (vec![(None, 5)], 0, 0, 5),
        (vec![(Some(10), 10), (None, 0)], 0, 0, 10),
        (vec![(Some(3), 2)], 3, 66, 2),
        (vec![(Some(1000), 999)], 1000, 99, 999),
        (vec![(Some(4), 4)], 4, 99, 4),
        (vec![(Some(0), 0)], 0, 0, 0),
        (vec![(Some(big), big / 2)], u32::MAX, 50, 3_000_000_000),
        (vec![(Some(big), 5_000_000_000)], u32::MAX, 83, u32::MAX),
    ] {
        let mut job = filled(&files);
        job.state = JobState::Transferring;
        let group = of(&job);
        assert_eq!(group.size(), size, "{files:?}");
        assert_eq!(group.progress(PERCENT_DONE), Ok(percent), "{files:?}");
        assert_eq!(group.progress(SIZE_DONE), Ok(done), "{files:?}");
        assert_eq!(group.progress(TIME_DONE), Err(h::E_NOTIMPL));
        for other in [0, 4, u32::MAX] {
            assert_eq!(group.progress(other), Err(h::E_INVALIDARG), "{other}");
        }
    }
    let job = Job { state: JobState::Transferred, ..filled(&[(Some(0), 0)]) };
    assert_eq!(of(&job).progress(PERCENT_DONE), Ok(100));
}

/// Section 9: how a modern code is split.
#[test]
fn errors_are_split_and_told_only_in_error() {
    for (code, win32, transport) in [
        (h::BG_E_HTTP_ERROR_404, 0, 404),
        (h::BG_E_HTTP_ERROR_503, 0, 503),
        (h::E_ACCESSDENIED, 5, 0),
        (h::ERROR_DISK_FULL, 112, 0),
        (h::BG_E_MISSING_FILE_SIZE, h::BG_E_MISSING_FILE_SIZE.bits(), 0),
    ] {
        let mut job = filled(&[(Some(10), 4)]);
        job.error = Some(Box::new(ErrorRecord::new(code, ErrorContext::RemoteFile, NOW.wall)));
        job.error_count = 3;
        job.state = JobState::Error;
        assert_eq!(of(&job).error(), GroupError { win32, transport, retries: 3 }, "{code:?}");
        job.state = JobState::TransientError;
        assert_eq!(of(&job).error(), GroupError::default(), "the service retries: no error yet");
    }
}

#[test]
fn modern_codes_become_those_of_this_generation() {
    for (modern, legacy) in [
        (h::BG_E_NOT_FOUND, h::QM_E_ITEM_NOT_FOUND),
        (h::BG_E_FILE_NOT_FOUND, h::QM_E_ITEM_NOT_FOUND),
        (h::BG_E_INVALID_STATE, h::QM_E_INVALID_STATE),
        (h::BG_E_EMPTY, h::QM_E_INVALID_STATE),
        (h::BG_E_STRING_TOO_LONG, h::E_INVALIDARG),
        (h::ERROR_PATH_NOT_FOUND, h::E_INVALIDARG),
        (h::E_ACCESSDENIED, h::E_ACCESSDENIED),
        (h::BG_E_TOO_MANY_JOBS_PER_USER, h::BG_E_TOO_MANY_JOBS_PER_USER),
    ] {
        assert_eq!(code(modern), legacy, "{modern:?}");
    }
}

#[test]
fn a_job_of_another_generation_is_no_group() {
    let job = Job::new(JobId::from_bytes([7; 16]), Uid(1000), JobType::Download, "", NOW);
    assert_eq!(Group::of(&job).err(), Some(h::QM_E_ITEM_NOT_FOUND));
}

/// CreateJob: running first, then a second job.
#[test]
fn create_job_in_every_state() {
    for (state, first, second) in [
        (JobState::Suspended, Ok(()), Err(h::E_NOTIMPL)),
        (JobState::Error, Ok(()), Err(h::E_NOTIMPL)),
        (JobState::Transferred, Ok(()), Err(h::E_NOTIMPL)),
        (JobState::Queued, Err(h::QM_E_INVALID_STATE), Err(h::QM_E_INVALID_STATE)),
        (JobState::Connecting, Err(h::QM_E_INVALID_STATE), Err(h::QM_E_INVALID_STATE)),
        (JobState::Transferring, Err(h::QM_E_INVALID_STATE), Err(h::QM_E_INVALID_STATE)),
        (JobState::TransientError, Err(h::QM_E_INVALID_STATE), Err(h::QM_E_INVALID_STATE)),
    ] {
        let empty = Job { state, ..group() };
        let full = Job { state, ..filled(&[]) };
        assert_eq!(of(&empty).may_create_job(), first, "{state}");
        assert_eq!(of(&full).may_create_job(), second, "{state}");
    }
}

#[test]
fn resume_needs_a_job_and_files() {
    assert_eq!(of(&group()).may_resume(), Err(h::QM_E_INVALID_STATE), "no job");
    assert_eq!(of(&filled(&[])).may_resume(), Err(h::QM_E_INVALID_STATE), "no files");
    assert_eq!(of(&filled(&[(None, 0)])).may_resume(), Ok(()));
}

#[test]
fn lists_of_files_are_checked_by_the_older_rules() {
    let longest = format!("/{}", "a/".repeat(129)) + "x";
    assert_eq!(longest.len(), 260);
    assert_eq!(check_files([longest.as_str()]), Ok(()));
    let beyond = format!("{longest}x");
    for bad in [beyond.as_str(), "/d/*", "/d/?", "d/x", ""] {
        assert_eq!(check_files(["/d/good", bad]), Err(h::E_INVALIDARG), "{bad}");
    }
    assert_eq!(check_files([]), Err(h::E_INVALIDARG), "count 0");
    assert_eq!((check_flags(0), check_flags(1)), (Ok(()), Err(h::E_NOTIMPL)));
}

#[test]
fn temporary_names_are_not_made_of_the_callers_id() {
    let job = filled(&[(None, 0)]);
    assert_eq!(job.temporary_name(0), "BIT090909090909090909090.tmp");
}

/// What is stored is what was there.
#[test]
fn a_group_survives_its_json() {
    let mut job = filled(&[]);
    let _ = job.set_group_property(prop::NOTIFYFLAGS, &Variant::number(0x87), NOW).unwrap();
    let text = serde_json::to_string(&job).unwrap();
    let read: Job = serde_json::from_str(&text).unwrap();
    assert_eq!(read.extras, job.extras);
    assert_eq!(of(&read).property(prop::NOTIFYFLAGS), Ok(Variant::number(0x87)));
}

// ---- properties, one test each ----

/// Every VARTYPE that there is.
fn types() -> impl Iterator<Item = u16> {
    (0..=23).flat_map(|vt| [vt, vt | 0x4000, vt | 0x2000])
}

fn number(vt: u16, value: i64) -> Variant {
    Variant { vt, value: VariantValue::Number(value) }
}

fn set(job: &mut Job, number: u32, value: &Variant) -> Result<HResult, HResult> {
    let before = job.clone();
    let result = job.set_group_property(number, value, NOW).map(|change| change.code);
    if result.is_err() {
        assert_eq!(*job, before, "a refused property changes nothing");
    }
    result
}

/// The property takes the six integer types and no other, in any state in which the group is there.
fn takes_integers(property: u32, good: i64) {
    for vt in types() {
        let expected = if vt::INTEGERS.contains(&vt) { Ok(h::S_OK) } else { Err(h::E_INVALIDARG) };
        assert_eq!(set(&mut group(), property, &number(vt, good)), expected, "type {vt}");
        let other = Variant { vt, value: VariantValue::Other };
        assert_eq!(set(&mut group(), property, &other), Err(h::E_INVALIDARG), "type {vt} without a number");
    }
    assert_eq!(set(&mut group(), property, &Variant::text("1")), Err(h::E_INVALIDARG));
    while_there(property, &Variant::number(good));
}

fn while_there(property: u32, good: &Variant) {
    for state in JobState::ALL {
        let mut job = Job { state: *state, ..filled(&[(Some(1), 0)]) };
        let expected = if state.is_final() { Err(h::QM_E_INVALID_STATE) } else { Ok(h::S_OK) };
        assert_eq!(set(&mut job, property, good), expected, "{state}");
    }
}

/// The property takes BSTRs and nothing else; too long is E_INVALIDARG.
fn takes_texts(property: u32, max: usize) {
    for vt in types().filter(|vt| *vt != vt::BSTR) {
        let value = Variant { vt, value: VariantValue::Text("x".to_owned()) };
        assert_eq!(set(&mut group(), property, &value), Err(h::E_INVALIDARG), "type {vt}");
    }
    assert_eq!(set(&mut group(), property, &number(vt::BSTR, 1)), Err(h::E_INVALIDARG));
    let mut job = group();
    assert_eq!(of(&job).property(property), Ok(Variant::text("")), "the default");
    for good in ["a".repeat(max), "\u{1F600}".repeat(max / 2), String::new()] {
        let value = Variant::text(good);
        assert_eq!(set(&mut job, property, &value), Ok(h::S_OK));
        assert_eq!(of(&job).property(property), Ok(value));
    }
    for bad in ["a".repeat(max + 1), "\u{1F600}".repeat(max / 2) + "a", "a\0b".to_owned()] {
        assert_eq!(set(&mut job, property, &Variant::text(bad)), Err(h::E_INVALIDARG));
    }
    while_there(property, &Variant::text("name"));
}

/// Not supported: said before the type is looked at.
fn is_not_supported(property: u32) {
    assert_eq!(of(&group()).property(property), Err(h::E_NOTIMPL));
    for vt in types() {
        assert_eq!(set(&mut group(), property, &number(vt, 1)), Err(h::E_NOTIMPL));
    }
    assert_eq!(set(&mut group(), property, &Variant::text("x")), Err(h::E_NOTIMPL));
}

#[test]
fn group_prop_priority() {
    takes_integers(prop::PRIORITY, 1);
    for bad in [0, 2, -1] {
        assert_eq!(set(&mut group(), prop::PRIORITY, &Variant::number(bad)), Err(h::E_INVALIDARG), "{bad}");
    }
    let job = Job { priority: Priority::Foreground, ..group() };
    for job in [group(), job] {
        assert_eq!(of(&job).property(prop::PRIORITY), Ok(Variant::number(1)), "whatever the modern one is");
    }
}

#[test]
fn group_prop_remoteuserid() {
    is_not_supported(1);
}

#[test]
fn group_prop_remoteuserpwd() {
    is_not_supported(2);
}

#[test]
fn group_prop_localuserid() {
    is_not_supported(3);
}

#[test]
fn group_prop_localuserpwd() {
    is_not_supported(4);
}

#[test]
fn group_prop_protocolflags() {
    takes_integers(prop::PROTOCOLFLAGS, 1);
    for bad in [0, 2, 3, 4, 5] {
        let value = Variant::number(bad);
        assert_eq!(set(&mut group(), prop::PROTOCOLFLAGS, &value), Err(h::E_INVALIDARG), "{bad}");
    }
    assert_eq!(of(&group()).property(prop::PROTOCOLFLAGS), Ok(Variant::number(1)));
}

#[test]
fn group_prop_notifyflags() {
    takes_integers(prop::NOTIFYFLAGS, 4);
    let mut job = group();
    assert_eq!(of(&job).property(prop::NOTIFYFLAGS), Ok(Variant::number(0)), "the default");
    let error = notify::JOB_ERROR;
    for (bits, modern) in [
        (0x00, error),
        (0x04, error | notify::JOB_TRANSFERRED),
        (0x40, error | notify::DISABLE),
        (0x44, error | notify::JOB_TRANSFERRED | notify::DISABLE),
        (0x83, error),
        (0xC7, error | notify::JOB_TRANSFERRED | notify::DISABLE),
    ] {
        assert_eq!(set(&mut job, prop::NOTIFYFLAGS, &Variant::number(bits)), Ok(h::S_OK));
        assert_eq!(job.notify_flags, modern, "{bits:#x}");
        assert_eq!(of(&job).property(prop::NOTIFYFLAGS), Ok(Variant::number(bits)));
    }
    for bad in [0x08, 0x10, 0x20, 0x100, -1, 1 << 32] {
        let value = Variant::number(bad);
        assert_eq!(set(&mut job, prop::NOTIFYFLAGS, &value), Err(h::E_INVALIDARG), "{bad:#x}");
    }
    // The modern door's bits are shown, and those that this generation has not are left alone.
    job.notify_flags = notify::JOB_TRANSFERRED | notify::FILE_TRANSFERRED;
    assert_eq!(of(&job).property(prop::NOTIFYFLAGS), Ok(Variant::number(0xC7 & !0x40)));
    assert_eq!(set(&mut job, prop::NOTIFYFLAGS, &Variant::number(0)), Ok(h::S_OK));
    assert_eq!(job.notify_flags, notify::JOB_ERROR | notify::FILE_TRANSFERRED);
}

#[test]
fn group_prop_notifyclsid() {
    let mut job = group();
    assert_eq!(of(&job).property(prop::NOTIFYCLSID), Ok(Variant::text("")), "the default");
    let braced = "{084F6593-3800-4E08-9B59-99FA59ADDF82}";
    for text in [braced, "084f6593-3800-4e08-9b59-99fa59addf82"] {
        assert_eq!(set(&mut job, prop::NOTIFYCLSID, &Variant::text(text)), Ok(h::S_OK), "{text}");
        assert_eq!(of(&job).property(prop::NOTIFYCLSID), Ok(Variant::text(braced)));
    }
    assert!(job.options().notification_class.is_some(), "the modern property of the same meaning");
    for bad in ["{084F6593-3800-4E08-9B59-99FA59ADDF82", "Prog.Id", "{}", " "] {
        assert_eq!(set(&mut job, prop::NOTIFYCLSID, &Variant::text(bad)), Err(h::E_INVALIDARG), "{bad}");
    }
    for vt in types().filter(|vt| *vt != vt::BSTR) {
        let value = Variant { vt, value: VariantValue::Text(braced.to_owned()) };
        assert_eq!(set(&mut job, prop::NOTIFYCLSID, &value), Err(h::E_INVALIDARG), "type {vt}");
    }
    assert_eq!(set(&mut job, prop::NOTIFYCLSID, &Variant::text("")), Ok(h::S_OK), "cleared");
    assert_eq!(of(&job).property(prop::NOTIFYCLSID), Ok(Variant::text("")));
    while_there(prop::NOTIFYCLSID, &Variant::text(braced));
}

#[test]
fn group_prop_progresssize() {
    is_not_supported(8);
}

#[test]
fn group_prop_progresspercent() {
    is_not_supported(9);
}

#[test]
fn group_prop_progresstime() {
    is_not_supported(10);
}

#[test]
fn group_prop_displayname() {
    takes_texts(prop::DISPLAYNAME, 256);
    let mut job = group();
    assert_eq!(set(&mut job, prop::DISPLAYNAME, &Variant::text("seen by both")), Ok(h::S_OK));
    assert_eq!(&*job.display_name, "seen by both");
}

#[test]
fn group_prop_description() {
    takes_texts(prop::DESCRIPTION, 1024);
}

#[test]
fn group_prop_beyond_the_last_one() {
    for number in [13, 99, u32::MAX] {
        is_not_supported(number);
    }
}
