use super::*;
use openbits_core::{HResult, JobId, JobState};
use std::time::Instant;

fn program(path: &str, arguments: &[&str]) -> Program {
    Program {
        call: CallId(1),
        job: JobId::from_bytes([7; 16]),
        uid: Uid(nix::unistd::getuid().as_raw()),
        program: path.to_owned(),
        arguments: arguments.iter().map(|a| (*a).to_owned()).collect(),
        state: JobState::Error,
        error: Some(openbits_core::hresult::BG_E_HTTP_ERROR_404),
        display_name: "a $name".to_owned(),
        timeout_s: 60,
    }
}

fn settings() -> Settings {
    Settings { system: false, socket: "/run/x.sock".into() }
}

async fn shell(script: &str, more: &[&str]) -> ProgramEnd {
    let mut arguments = vec!["sh", "-c", script];
    arguments.extend(more);
    run(&program("/bin/sh", &arguments), &settings()).await
}

#[tokio::test]
async fn exit_codes_signals_and_what_cannot_be_started() {
    assert_eq!(shell("exit 0", &[]).await, ProgramEnd::Exit(0));
    assert_eq!(shell("exit 3", &[]).await, ProgramEnd::Exit(3));
    assert_eq!(shell("kill -9 $$", &[]).await, ProgramEnd::Signal(9));
    let missing = run(&program("/nowhere/x", &["x"]), &settings()).await;
    assert!(matches!(missing, ProgramEnd::NotStarted(_)), "{missing:?}");
}

#[tokio::test]
async fn arguments_reach_the_program_untouched_by_any_shell() {
    let end = shell(
        r#"test "$1" = '$HOME `id` *;"' && test "$2" = '' && test $# = 2"#,
        &["sh", "$HOME `id` *;\"", ""],
    )
    .await;
    assert_eq!(end, ProgramEnd::Exit(0));
}

#[tokio::test]
async fn the_environment_is_the_documented_one() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("env");
    assert_eq!(
        shell(
            "env | cut -d= -f1 | sort > \"$0\"; env | grep ^JOB_ | sort >> \"$0\"",
            &[out.to_str().unwrap()]
        )
        .await,
        ProgramEnd::Exit(0)
    );
    let text = std::fs::read_to_string(out).unwrap();
    let known = [
        &[
            "HOME",
            "USER",
            "LOGNAME",
            "PATH",
            "JOB_ID",
            "JOB_STATE",
            "JOB_ERROR",
            "JOB_NAME",
            "OPENBITS_SOCKET",
            "PWD",
            "SHLVL",
            "_",
            "OLDPWD",
        ][..],
        SESSION_VARIABLES,
    ]
    .concat();
    let (facts, names): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.contains('='));
    assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
    let error = HResult::to_string(&openbits_core::hresult::BG_E_HTTP_ERROR_404);
    assert_eq!(
        facts,
        [
            format!("JOB_ERROR={error}").as_str(),
            "JOB_ID=07070707-0707-0707-0707-070707070707",
            "JOB_NAME=a $name",
            "JOB_STATE=ERROR"
        ]
    );
}

#[tokio::test]
async fn the_fences() {
    // No terminal, no input, a session of its own, no new privileges, no core dumps, few descriptors, none of the service's.
    let leaked = std::fs::File::open("/etc/passwd").unwrap();
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).unwrap();
    let script = "set -e; test $(ulimit -c) = 0; test $(ulimit -n) -le 1024; grep -q 'NoNewPrivs:.1' /proc/self/status; \
        test $(cut -d' ' -f6 /proc/$$/stat) = $$; test $(cut -d' ' -f5 /proc/$$/stat) = $$; test \"$(readlink /proc/$$/fd/0)\" = /dev/null; \
        for fd in /proc/$$/fd/*; do case $(readlink $fd) in /etc/passwd) exit 9;; esac; done";
    assert_eq!(shell(script, &[]).await, ProgramEnd::Exit(0));
}

#[tokio::test]
async fn too_long_is_killed_with_all_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let mut slow = program(
        "/bin/sh",
        &["sh", "-c", "sleep 600 & echo $! > \"$0\"; trap '' TERM; wait", file.to_str().unwrap()],
    );
    slow.timeout_s = 1;
    let begun = Instant::now();
    assert_eq!(run(&slow, &settings()).await, ProgramEnd::TimedOut);
    assert!(begun.elapsed() < Duration::from_secs(20));
    let pid = std::fs::read_to_string(file).unwrap();
    let gone = || {
        std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
            .map_or(true, |stat| stat.contains(") Z "))
    };
    for _ in 0..100 {
        if gone() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("its child {} lives", pid.trim());
}

#[tokio::test]
async fn output_is_bounded_and_escaped() {
    let cat = |text: Vec<u8>| async move { read(Some(io::Cursor::new(text))).await };
    assert_eq!(cat(b"a\nb\x1b[2J\n".to_vec()).await, "a\\nb\\u{1b}[2J");
    assert_eq!(cat(vec![b'x'; 1 << 20]).await.len(), OUTPUT_MAX);
    // Much output does not block the program.
    assert_eq!(shell("head -c 3000000 /dev/zero; exit 0", &[]).await, ProgramEnd::Exit(0));
}
