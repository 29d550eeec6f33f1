//! Freeze rules, values, conflicts, ownership: the tables of spec/bits-extended.md 3 and 6.

use super::*;
use crate::enums::{JobState, Priority};
use crate::hresult::S_OK;
use crate::id::{JobId, Uid};
use crate::job::property::Property;
use crate::job::{ErrorRecord, NewFile};
use crate::time::{FileTime, Mono, Now};

const NOW: Now = Now { mono: Mono(1000), wall: FileTime(133_000_000_000_000_000) };

fn job(kind: JobType) -> Job {
    Job::new(JobId::from_bytes([1; 16]), Uid(1000), kind, "j", NOW)
}

fn add_file(job: &mut Job) {
    let file = NewFile { remote: "http://h/".into(), local: "/d/a".into(), ..NewFile::default() };
    let _ = job.add_files(vec![file], None, NOW).unwrap();
}

fn set(job: &mut Job, setting: Setting) -> Result<HResult, HResult> {
    let before = job.options().clone();
    let result = job.set(vec![Property::Option(setting)], NOW);
    if result.is_err() {
        assert_eq!(*job.options(), before, "a refused setting changes nothing");
    }
    result.map(|change| change.code)
}

const CLASS: &str = "6d18ad12-bde3-4393-b311-099c346e6df9";

fn every_setting() -> [Setting; 13] {
    [
        Setting::FileAclFlags(7),
        Setting::PeerCachingFlags(4),
        Setting::MaximumDownloadTime(60),
        Setting::HelperTokenFlags(3),
        Setting::CostFlags(0x21),
        Setting::DisallowCellular(true),
        Setting::NotificationClass(CLASS.parse().unwrap()),
        Setting::DynamicContent(true),
        Setting::HighPerformance(true),
        Setting::MaxDownloadSize(1),
        Setting::UseStoredCredentials(2),
        Setting::MinimumNotificationInterval(0),
        Setting::OnDemandMode(true),
    ]
}

#[test]
fn job5_set_property_freezes_after_resume_and_after_the_first_file() {
    for setting in every_setting() {
        let (after_file, after_resume) = match setting {
            Setting::HighPerformance(_) => {
                let frozen = Err(h::BG_E_READ_ONLY_PROPERTY_AFTER_ADDFILE);
                (frozen, frozen)
            }
            Setting::DynamicContent(_) | Setting::MaxDownloadSize(_) | Setting::OnDemandMode(_) => {
                (Ok(S_OK), Err(h::BG_E_READ_ONLY_PROPERTY_AFTER_RESUME))
            }
            _ => (Ok(S_OK), Ok(S_OK)),
        };
        let mut job = job(JobType::Download);
        assert_eq!(set(&mut job, setting), Ok(S_OK), "{setting:?}");
        job.options = None;
        add_file(&mut job);
        assert_eq!(set(&mut job, setting), after_file, "{setting:?}");
        job.options = None;
        let _ = job.resume(NOW).unwrap();
        assert_eq!(set(&mut job, setting), after_resume, "{setting:?}");
        // Suspending thaws nothing: it is the first Resume of the job's life that counts.
        let _ = job.suspend(NOW).unwrap();
        job.options = None;
        assert_eq!(set(&mut job, setting), after_resume, "{setting:?}");
        job.fail_completion(ErrorRecord::new(h::E_FAIL, crate::ErrorContext::Unknown, NOW.wall), NOW);
        job.options = None;
        assert_eq!(set(&mut job, setting), after_resume, "{setting:?}");
        job.state = JobState::Cancelled;
        assert_eq!(set(&mut job, setting), Err(h::BG_E_INVALID_STATE), "{setting:?}");
    }
}

#[test]
fn job5_set_property_of_uploads() {
    for kind in [JobType::Upload, JobType::UploadReply] {
        for setting in every_setting() {
            let expected = match setting {
                Setting::DynamicContent(_)
                | Setting::HighPerformance(_)
                | Setting::MaxDownloadSize(_)
                | Setting::OnDemandMode(_) => Err(h::BG_E_PROPERTY_SUPPORTED_FOR_DOWNLOAD_JOBS_ONLY),
                _ => Ok(S_OK),
            };
            assert_eq!(set(&mut job(kind), setting), expected, "{setting:?}");
        }
        let job = job(kind);
        let limits = Limits::default();
        assert_eq!(job.property(PropertyId::OnDemandMode, &limits), PropertyValue::Enable(false));
        assert_eq!(job.property(PropertyId::MaxDownloadSize, &limits), PropertyValue::Uint64(u64::MAX));
    }
}

#[test]
fn job5_set_property_values_at_and_beyond_their_limits() {
    let unsupported = h::BG_E_USE_STORED_CREDENTIALS_NOT_SUPPORTED;
    let rows = [
        (Setting::CostFlags(0xC000_00FF), Ok(S_OK)),
        (Setting::CostFlags(0), Ok(S_OK)),
        (Setting::CostFlags(0x100), Err(h::E_INVALIDARG)),
        (Setting::CostFlags(0x2000_0000), Err(h::E_INVALIDARG)),
        (Setting::MaxDownloadSize(0), Err(h::BG_E_MAX_DOWNLOAD_SIZE_INVALID_VALUE)),
        (Setting::MaxDownloadSize(u64::MAX), Ok(S_OK)),
        (Setting::UseStoredCredentials(0), Ok(S_OK)),
        (Setting::UseStoredCredentials(1), Err(unsupported)),
        (Setting::UseStoredCredentials(2), Ok(S_OK)),
        (Setting::UseStoredCredentials(3), Err(unsupported)),
        (Setting::MinimumNotificationInterval(u32::MAX), Ok(S_OK)),
        (Setting::FileAclFlags(0xF), Ok(S_OK)),
        (Setting::FileAclFlags(0x10), Err(h::E_INVALIDARG)),
        (Setting::PeerCachingFlags(7), Ok(S_OK)),
        (Setting::PeerCachingFlags(8), Err(h::E_NOTIMPL)),
        (Setting::HelperTokenFlags(3), Ok(S_OK)),
        (Setting::HelperTokenFlags(4), Err(h::E_INVALIDARG)),
        (Setting::MaximumDownloadTime(0), Err(h::E_INVALIDARG)),
        (Setting::MaximumDownloadTime(u32::MAX), Ok(S_OK)),
    ];
    for (setting, expected) in rows {
        assert_eq!(set(&mut job(JobType::Download), setting), expected, "{setting:?}");
    }
}

#[test]
fn job5_set_property_dynamic_and_on_demand_exclude_each_other() {
    let both = [Setting::DynamicContent(true), Setting::OnDemandMode(true)];
    for (first, second) in [(0, 1), (1, 0)] {
        let mut one = job(JobType::Download);
        assert_eq!(set(&mut one, both[first]), Ok(S_OK));
        assert_eq!(set(&mut one, both[second]), Err(h::BG_E_UNSUPPORTED_JOB_CONFIGURATION));
        let mut at_once = job(JobType::Download);
        let list = vec![Property::Option(both[first]), Property::Option(both[second])];
        assert_eq!(at_once.set(list, NOW), Err(h::BG_E_UNSUPPORTED_JOB_CONFIGURATION));
        assert_eq!(at_once, job(JobType::Download));
    }
    let mut one = job(JobType::Download);
    for setting in [Setting::HighPerformance(true), Setting::OnDemandMode(true)] {
        assert_eq!(set(&mut one, setting), Ok(S_OK), "these go together");
    }
    assert_eq!(set(&mut one, Setting::OnDemandMode(false)), Ok(S_OK));
    assert_eq!(set(&mut one, Setting::DynamicContent(true)), Ok(S_OK));
}

#[test]
fn job5_get_property_defaults_and_round_trips() {
    let limits = Limits::default();
    let fresh = job(JobType::Download);
    let defaults = [
        "0x8000006F",
        "00000000-0000-0000-0000-000000000000",
        "FALSE",
        "FALSE",
        "18446744073709551615",
        "NONE",
        "0x000001F4",
        "FALSE",
    ];
    for ((id, name), default) in PropertyId::ALL.into_iter().zip(defaults) {
        let value = fresh.property(id, &limits);
        assert_eq!(value.to_string(), default, "{name}");
        assert_eq!(PropertyValue::parse(id, default), Ok(value), "{name}");
        assert_eq!(PropertyValue::of_bytes(id, value.to_bytes()), value, "{name}");
        assert_eq!(PropertyId::from_value(id as u32), Ok(id));
        assert!(Setting::numbered(id, value).is_ok());
    }
    for unknown in [0, 6, 8, 11, u32::MAX] {
        assert_eq!(PropertyId::from_value(unknown), Err(h::BG_E_UNKNOWN_PROPERTY_ID));
    }
    assert_eq!(Setting::numbered(PropertyId::CostFlags, PropertyValue::Enable(true)), Err(h::E_INVALIDARG));
    for (id, bad) in [(1, "-1"), (1, "0x100000000"), (2, "x"), (3, "2"), (5, ""), (7, "BOTH")] {
        let id = PropertyId::from_value(id).unwrap();
        assert_eq!(PropertyValue::parse(id, bad), Err(h::E_INVALIDARG), "{bad}");
    }
    let class: ClassId = format!("{{{}}}", CLASS.to_uppercase()).parse().unwrap();
    let bytes = PropertyValue::ClsId(class).to_bytes();
    assert_eq!(bytes[..4], [0x12, 0xAD, 0x18, 0x6D], "Microsoft's order");
    assert_eq!(PropertyValue::of_bytes(PropertyId::NotificationClsid, bytes).to_string(), CLASS);
}

#[test]
fn job5_get_property_cost_follows_the_priority_until_it_is_set() {
    let limits = Limits::default();
    let mut one = job(JobType::Download);
    let expected = [0x8000_00FF, 0x8000_006F, 0x8000_006F, 0x8000_0021];
    for (priority, mask) in Priority::ALL.iter().zip(expected) {
        one.priority = *priority;
        assert_eq!(one.cost_flags(&limits), mask, "{priority}");
    }
    assert_eq!(set(&mut one, Setting::CostFlags(0x47)), Ok(S_OK));
    one.priority = Priority::Foreground;
    assert_eq!(one.cost_flags(&limits), 0x47, "an own mask goes before priority and policy");
}

#[test]
fn job3_set_file_acl_flags_before_transferred_only() {
    let mut one = job(JobType::Download);
    add_file(&mut one);
    for state in [JobState::Suspended, JobState::Queued, JobState::Transferring, JobState::Error] {
        one.state = state;
        assert_eq!(set(&mut one, Setting::FileAclFlags(3)), Ok(S_OK), "{state}");
    }
    assert_eq!(set(&mut one, Setting::FileAclFlags(0)), Ok(S_OK));
    assert_eq!(one.options().acl_flags, 0, "each call replaces");
    one.state = JobState::Transferred;
    assert_eq!(set(&mut one, Setting::FileAclFlags(3)), Err(h::BG_E_INVALID_STATE));
}

#[test]
fn job_take_ownership_keeps_all_but_what_would_act_for_the_old_owner() {
    let mut one = job(JobType::Download);
    for setting in every_setting() {
        if setting != Setting::OnDemandMode(true) {
            assert_eq!(set(&mut one, setting), Ok(S_OK));
        }
    }
    let before = one.options().clone();
    let _ = one.take_ownership(Uid::ROOT, NOW).unwrap();
    assert_eq!(*one.options(), Options { notification_class: None, helper_flags: 0, ..before });
}

#[test]
fn nothing_set_takes_no_room_and_everything_set_survives_the_store() {
    let plain = serde_json::to_string(&job(JobType::Download)).unwrap();
    assert!(!plain.contains("options") && !plain.contains("resumed"));
    let mut one = job(JobType::Download);
    for setting in every_setting() {
        if setting != Setting::OnDemandMode(true) {
            assert_eq!(set(&mut one, setting), Ok(S_OK));
        }
    }
    one.resumed = true;
    let read: Job = serde_json::from_str(&serde_json::to_string(&one).unwrap()).unwrap();
    assert_eq!((read.options(), read.resumed), (one.options(), true));
    assert_eq!(set(&mut one, Setting::MinimumNotificationInterval(500)), Ok(S_OK));
    assert_eq!(one.options().notification_interval_ms, None);
}
