//! `bits policy` against the service itself, which the same program is.

use crate::bits::{Done, command, finish};
use openbits_api::{PolicyExplanation, PolicyView};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

struct Service {
    child: Child,
    folder: TempDir,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    fn start(policy: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("policy.toml"), policy).unwrap();
        let child = command(folder.path())
            .args(["service", "--user", "--policy", "policy.toml", "--socket"])
            .arg(folder.path().join("s.sock"))
            .arg("--database")
            .arg(folder.path().join("queue.db"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let service = Self { child, folder };
        let end = Instant::now() + Duration::from_secs(60);
        while service.bits(&["service-info"]).code != 0 {
            assert!(Instant::now() < end, "the service does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        service
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn bits(&self, args: &[&str]) -> Done {
        finish(command(self.path()).args(["--socket", "s.sock"]).args(args).spawn().unwrap())
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }
}

#[test]
fn show_lists_values_origins_and_what_is_not_used() {
    let service =
        Service::start("[limits]\njobs_per_user = 7\nfile_per_job = 1\n[meta]\nlocked = [\"peer\"]\n");
    let all = service.bits(&["policy", "show"]).exits(0).out;
    let line =
        |text: &str, key: &str| text.lines().find(|l| l.starts_with(key)).unwrap_or_default().to_owned();
    assert!(line(&all, "limits.jobs_per_user ").ends_with('7'), "{all}");
    assert!(line(&all, "peer.enabled ").contains("# not used by this version"));
    assert!(all.contains("did you mean limits.files_per_job?"), "{all}");
    assert!(all.contains("bandwidth now, NORMAL: no limit"));
    let origin = service.bits(&["policy", "show", "--origin", "limits", "peer.enabled"]).exits(0).out;
    assert!(line(&origin, "limits.jobs_per_user ").contains("administrator /"), "{origin}");
    assert!(line(&origin, "limits.jobs_per_machine ").contains("default"));
    assert!(line(&origin, "peer.enabled ").contains("(locked)"));
    assert!(!origin.contains("scheduler."));
    let json: PolicyView =
        serde_json::from_str(&service.bits(&["policy", "show", "--json"]).exits(0).out).unwrap();
    assert_eq!(json.keys.len(), openbits_core::policy::KEYS.len());
    service.bits(&["policy", "show", "nonsense"]).exits(1);
}

#[test]
fn check_says_what_is_wrong_and_reload_brings_it_into_force() {
    let service = Service::start("");
    service.write("good.toml", "[limits]\nfiles_per_job = 3\n");
    service.write("odd.toml", "[bandwidth.work]\nlow = \"banana\"\n");
    service.write("bad.toml", "[limits\n");
    assert_eq!(service.bits(&["policy", "check", "good.toml"]).exits(0).out, "usable\n");
    let odd = service.bits(&["policy", "check", "odd.toml"]).exits(0).out;
    assert!(odd.contains("odd.toml: bandwidth.work.low: ") && odd.contains("(event 16405)"), "{odd}");
    let bad = service.bits(&["policy", "check", "bad.toml"]).exits(1).out;
    assert!(bad.contains("error: bad.toml: not TOML") && bad.ends_with("not usable\n"), "{bad}");
    service.bits(&["policy", "check", "missing.toml"]).exits(1);

    service.write("policy.toml", "[limits]\nfiles_per_job = 3\n");
    assert!(service.bits(&["policy", "reload"]).exits(0).out.ends_with("in force\n"));
    let files = || service.bits(&["policy", "show", "limits.files_per_job"]).exits(0).out;
    assert!(files().trim_end().ends_with('3'));
    service.write("policy.toml", "[limits\n");
    assert!(service.bits(&["policy", "reload"]).exits(1).out.contains("the policy before it stays"));
    assert!(files().trim_end().ends_with('3'));
    let shown = service.bits(&["policy", "show"]).exits(0).out;
    assert!(shown.contains("the files as they are now are not in force:"), "{shown}");
}

#[test]
fn explain_names_the_rule_that_holds_a_job() {
    let service = Service::start("[bandwidth.simple]\nenabled = true\nrate = 0\nhours = \"00-00\"\n");
    let id = service.bits(&["get", "-b", "http://127.0.0.1:1/x", "x"]).exits(0).out;
    let id = id.trim();
    let text = service.bits(&["policy", "explain", id]).exits(0).out;
    assert!(text.starts_with("bandwidth.simple.rate = 0 ["), "{text}");
    assert!(text.contains("holds it: NORMAL jobs may transfer nothing now"), "{text}");
    let json: PolicyExplanation =
        serde_json::from_str(&service.bits(&["policy", "explain", id, "--json"]).exits(0).out).unwrap();
    assert!(json.rules[0].holds && json.rules.iter().any(|r| r.key == "timeouts.job_inactivity"));
    let why = service.bits(&["why", id]).exits(0).out;
    assert!(why.contains("blocked-by-policy") && why.contains("bits policy explain"), "{why}");
    service.bits(&["policy", "explain", "nobody"]).exits(2);
}
