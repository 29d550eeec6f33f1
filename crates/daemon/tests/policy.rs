//! The policy through the service's door: rows of spec/policy.md D that need a service, but no transfer.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod common;

use common::{Service, wait};
use openbits_api::{CheckPolicy, PolicyView, SetProperties};
use openbits_client::{Action, Error};
use openbits_core::hresult::{self as h, HResult};
use openbits_core::{JobId, JobState, Priority};
use std::time::{Duration, Instant};

fn refusal(result: Result<impl std::fmt::Debug, Error>) -> (HResult, String) {
    match result.unwrap_err() {
        Error::Problem(problem) => (problem.code(), problem.detail.clone()),
        other => panic!("{other}"),
    }
}

fn value(policy: &PolicyView, key: &str) -> String {
    policy.keys.iter().find(|k| k.key == key).unwrap().text.clone()
}

const HELD: &str = "[bandwidth.simple]\nenabled = true\nrate = 0\nhours = \"00-00\"\n";

#[test]
fn policy_01_an_empty_policy_shows_every_default() {
    let service = Service::start("");
    let policy = service.client.policy().unwrap();
    assert_eq!(policy.keys.len(), openbits_core::policy::KEYS.len());
    assert!(policy.keys.iter().all(|key| key.origin == "default" && key.file.is_none()));
    assert_eq!((policy.findings.len(), policy.bandwidth.len(), policy.files.len()), (0, 4, 1));
    assert_eq!(value(&policy, "timeouts.job_inactivity"), "90d");
    let unused = policy.keys.iter().find(|k| k.key == "peer.enabled").unwrap();
    assert_eq!((unused.used, unused.note.as_deref()), (false, Some("not used by this version")));
}

#[test]
fn policy_02_the_limit_per_user_is_the_machines() {
    let service = Service::start("[limits]\njobs_per_user = 100\njobs_per_machine = 50\n");
    let policy = service.client.policy().unwrap();
    assert_eq!(value(&policy, "limits.jobs_per_user"), "50");
    assert_eq!(policy.findings.iter().map(|f| f.event).collect::<Vec<_>>(), [Some(16_397)]);
}

#[test]
fn policy_03_a_rate_of_zero_holds_background_jobs_until_the_window_ends() {
    let service = Service::start(HELD);
    let (normal, foreground) = (service.create(Priority::Normal), service.create(Priority::Foreground));
    assert_eq!(
        (service.job(normal).state, service.code(normal)),
        (JobState::TransientError, Some(h::BG_E_BLOCKED_BY_POLICY))
    );
    assert_eq!(service.client.why(normal).unwrap().reason, "blocked-by-policy");
    let code = wait("the foreground job was tried", || service.code(foreground));
    assert_ne!(code, h::BG_E_BLOCKED_BY_POLICY);
    let rules = service.client.explain_policy(normal).unwrap().rules;
    assert_eq!((rules[0].key.as_str(), rules[0].holds), ("bandwidth.simple.rate", true));
    // The window ends by a change of the policy here; by the clock in the next test.
    assert!(service.reload(""));
    wait("the normal job was tried", || service.code(normal).filter(|c| *c != h::BG_E_BLOCKED_BY_POLICY));
}

/// A window that ends at the next full minute: nobody does anything, and the job goes on.
#[test]
fn policy_03_the_end_of_a_window_comes_by_itself() {
    let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    if now_s % 60 < 35 && std::env::var_os("CI").is_none() {
        eprintln!("SKIPPED: it would take {} s", 60 - now_s % 60);
        return;
    }
    let minute = |at: u64| format!("{:02}:{:02}", at / 3_600 % 24, at / 60 % 60);
    let (from, to) = (minute(now_s - 600), minute(now_s / 60 * 60 + 60));
    let service = Service::start(&format!(
        "[bandwidth]\ntimezone = \"UTC\"\n[bandwidth.simple]\nenabled = true\nrate = 0\nhours = \"{from}-{to}\"\n"
    ));
    let job = service.create(Priority::Normal);
    if service.code(job) != Some(h::BG_E_BLOCKED_BY_POLICY) {
        assert_eq!(service.client.policy().unwrap().bandwidth[2].bits_per_s, None, "the minute is over");
        return;
    }
    let until_ms = service.client.why(job).unwrap().until_ms.unwrap();
    let end_ms = i64::try_from(now_s / 60 * 60 + 60).unwrap() * 1000;
    assert!((until_ms - end_ms).abs() <= 5, "{until_ms} {end_ms}");
    let end = Instant::now() + Duration::from_secs(90);
    while service.code(job) == Some(h::BG_E_BLOCKED_BY_POLICY) {
        assert!(Instant::now() < end, "held beyond the end of the window");
        std::thread::sleep(Duration::from_millis(50));
    }
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    // A clock that is looked at once a minute would be later by more than that, as a rule.
    assert!(now_ms.abs_diff(end_ms.try_into().unwrap()) < 10_000, "with the window's end");
}

/// A server that says nothing: the job is CONNECTING, and its time runs.
#[test]
fn policy_08_the_jobs_own_download_time_goes_before_the_policys() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", silent.local_addr().unwrap());
    let service = Service::start("[timeouts]\nmax_download = 2\n");
    let mut request = service.request_of(Priority::Foreground, &url, "own");
    request.properties.maximum_download_time_s = Some(3_600);
    let own: JobId = service.client.create_job(&request).unwrap().job.id.parse().unwrap();
    let policys = service.fetch(Priority::Foreground, &url, "policys");
    wait("the policy's time is over", || {
        (service.code(policys) == Some(h::BG_E_MAXDOWNLOAD_TIMEOUT)).then_some(())
    });
    assert_eq!((service.job(policys).state, service.job(own).state), (JobState::Error, JobState::Connecting));
    assert_eq!(service.job(own).maximum_download_time_s, 3_600);
}

#[test]
fn policy_12_a_faulty_profile_is_told_with_its_event() {
    let service =
        Service::start("[bandwidth]\nschedule_enabled = true\n[bandwidth.work]\nlow = \"banana\"\n");
    let events: Vec<_> = service.client.policy().unwrap().findings.iter().filter_map(|f| f.event).collect();
    assert_eq!(events, [83, 16_405]);
}

/// The call of the original is a preference here: recorded, told, and not used.
#[test]
fn policy_13_a_preference_for_a_locked_group_is_recorded_and_not_used() {
    let service = Service::start("[meta]\nlocked = [\"peer\"]\n");
    std::fs::create_dir_all(service.path("config/openbits")).unwrap();
    std::fs::write(service.path("config/openbits/preferences.toml"), "[peer]\nenabled = true\n").unwrap();
    let outcome = service.client.reload_policy().unwrap();
    assert!(outcome.usable);
    assert_eq!(outcome.findings[0].hresult.as_deref(), Some("0x00200055"));
    let policy = service.client.policy().unwrap();
    let key = policy.keys.iter().find(|key| key.key == "peer.enabled").unwrap();
    assert_eq!(
        (key.text.as_str(), key.unused_preference.as_deref(), key.locked),
        ("false", Some("true"), true)
    );
}

/// Quotas of root: the system's service, which only root can start.
#[test]
fn policy_14_root_is_exempt() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: needs root");
        return;
    }
    let service = Service::start_as("--system", "[limits]\njobs_per_user = 2\njobs_per_machine = 2\n");
    let mut request = service.request(Priority::Normal);
    (request.files, request.resume) = (vec![], false);
    for n in 0..5 {
        assert!(service.client.create_job(&request).is_ok(), "{n}");
    }
}

#[test]
fn policy_15_preferences_set_no_limits() {
    let service = Service::start("");
    std::fs::create_dir_all(service.path("config/openbits")).unwrap();
    let text = "[limits]\njobs_per_user = 1000\n[peer]\nenabled = true\n";
    std::fs::write(service.path("config/openbits/preferences.toml"), text).unwrap();
    let outcome = service.client.reload_policy().unwrap();
    assert!(outcome.usable);
    assert_eq!(outcome.findings[0].hresult.as_deref(), Some("0x00200055"));
    let policy = service.client.policy().unwrap();
    assert_eq!(
        (value(&policy, "limits.jobs_per_user").as_str(), value(&policy, "peer.enabled").as_str()),
        ("60", "true")
    );
}

#[test]
fn policy_16_a_broken_file_leaves_the_policy_as_it_is() {
    let service = Service::start("[limits]\nfiles_per_job = 7\n");
    assert!(!service.reload("[limits\nfiles_per_job = 8"));
    let policy = service.client.policy().unwrap();
    assert_eq!((value(&policy, "limits.files_per_job").as_str(), policy.refused.len()), ("7", 1));
    assert!(service.reload("[limits]\nfiles_per_job = 9\n"));
    let policy = service.client.policy().unwrap();
    assert_eq!((value(&policy, "limits.files_per_job").as_str(), policy.refused.len()), ("9", 0));
}

#[test]
fn a_changed_file_and_a_new_drop_in_are_noticed() {
    let service = Service::start("");
    let files = || value(&service.client.policy().unwrap(), "limits.files_per_job");
    service.write("[limits]\nfiles_per_job = 1\n");
    wait("the file is read", || (files() == "1").then_some(()));
    std::fs::create_dir(service.path("policy.d")).unwrap();
    std::fs::write(service.path("policy.d/a.toml"), "[limits]\nfiles_per_job = 2\n").unwrap();
    wait("the drop-in is read", || (files() == "2").then_some(()));
    std::fs::write(service.path("policy.d/b.toml"), "[limits]\nfiles_per_job = 3\n").unwrap();
    wait("a drop-in in a folder that is there is read", || (files() == "3").then_some(()));
    std::fs::remove_dir_all(service.path("policy.d")).unwrap();
    wait("gone drop-ins count no more", || (files() == "1").then_some(()));
}

/// What stands behind a link is not watched: a change there is noticed by nobody but who is told.
#[test]
fn a_hang_up_has_the_files_read() {
    let service = Service::start("");
    let files = || value(&service.client.policy().unwrap(), "limits.files_per_job");
    let behind = tempfile::tempdir().unwrap();
    let real = behind.path().join("real.toml");
    std::fs::write(&real, "[limits]\nfiles_per_job = 3\n").unwrap();
    std::os::unix::fs::symlink(&real, service.path("link")).unwrap();
    std::fs::rename(service.path("link"), service.path("policy.toml")).unwrap();
    wait("the link is followed", || (files() == "3").then_some(()));
    std::fs::write(&real, "[limits]\nfiles_per_job = 4\n").unwrap();
    // More than twice what changes of a watched file wait for more of them.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(files(), "3", "not watched");
    let pid = rustix::process::Pid::from_child(&service.child);
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    wait("the hang-up is heard", || (files() == "4").then_some(()));
}

#[test]
fn forbidden_files_are_refused_and_jobs_that_become_forbidden_are_suspended() {
    let service = Service::start(HELD);
    let job = service.create(Priority::Normal);
    let deny = format!("{HELD}[security]\ndenied_hosts = [\"127.*\"]\n");
    assert!(service.reload(&deny));
    assert_eq!(service.job(job).state, JobState::Suspended);
    let why = service.client.why(job).unwrap();
    assert_eq!(why.reason, "forbidden-by-policy");
    assert!(why.detail.unwrap().contains("security.denied_hosts"));
    for refused in [
        refusal(service.client.create_job(&service.request(Priority::Normal))),
        refusal(service.client.act(job, Action::Resume)),
        refusal(service.client.add_files(job, service.request(Priority::Normal).files)),
    ] {
        assert_eq!(refused.0, h::E_ACCESSDENIED);
        assert!(refused.1.contains("security.denied_hosts"), "{}", refused.1);
    }
    assert!(service.reload(HELD));
    assert_eq!(service.job(job).state, JobState::Suspended, "nothing is resumed by itself");
    assert!(service.client.act(job, Action::Resume).is_ok());
    // Destinations and digests.
    assert!(service.reload(&format!("{HELD}[security]\nallowed_destinations = [\"/nowhere/*\"]\n[integrity]\nrequire_digest = \"background\"\n")));
    let refused = refusal(service.client.create_job(&service.request(Priority::Foreground)));
    assert!(refused.1.contains("security.allowed_destinations"), "{}", refused.1);
    assert!(service.reload(&format!("{HELD}[integrity]\nrequire_digest = \"background\"\n")));
    assert!(
        refusal(service.client.create_job(&service.request(Priority::Low)))
            .1
            .contains("integrity.require_digest")
    );
    let foreground = service.create(Priority::Foreground);
    let lower = SetProperties { priority: Some(Priority::Low), ..SetProperties::default() };
    assert!(
        refusal(service.client.set_properties(foreground, &lower)).1.contains("integrity.require_digest")
    );
}

#[test]
fn retry_defaults_are_for_new_jobs_and_the_floor_for_all() {
    let service = Service::start("");
    let old = service.create(Priority::Foreground);
    let tried = |id| wait("tried", || service.job(id).next_retry_time_ms);
    let before = tried(old);
    assert!(service.reload(
        "[retry]\ndefault_delay = \"1h\"\ndefault_no_progress = \"2d\"\nmin_delay_floor = \"20m\"\n"
    ));
    let new = service.create(Priority::Foreground);
    assert_eq!(
        (service.job(new).minimum_retry_delay_s, service.job(new).no_progress_timeout_s),
        (3_600, 172_800)
    );
    assert_eq!(service.job(old).minimum_retry_delay_s, 600);
    assert!((tried(old) - before - 600_000).abs() < 100, "20 minutes instead of 10, from the same error on");
    let rules = service.client.explain_policy(old).unwrap().rules;
    assert_eq!((rules[0].key.as_str(), rules[0].holds), ("retry.min_delay_floor", true));
}

#[test]
fn texts_are_checked_without_being_used() {
    let service = Service::start("");
    let check = |text: &str| {
        service.client.check_policy(&CheckPolicy { text: text.to_owned(), name: Some("x".into()) }).unwrap()
    };
    let good = check("[limits]\nfiles_per_job = 3\n");
    assert!(good.usable && good.findings.is_empty());
    let odd = check("[limits]\nfile_per_job = 3\n");
    assert!(odd.usable && odd.findings[0].text.contains("limits.files_per_job"));
    assert!(!check("[meta]\nstrict = true\n[limits]\nfile_per_job = 3\n").usable);
    let broken = check("a = \n");
    assert!(!broken.usable && broken.findings[0].file.as_deref() == Some("x"));
    assert_eq!(value(&service.client.policy().unwrap(), "limits.files_per_job"), "200");
    let long = service.client.check_policy(&CheckPolicy { text: "#".repeat((1 << 20) + 1), name: None });
    assert_eq!(refusal(long).0, h::BG_E_TOO_LARGE);
}
