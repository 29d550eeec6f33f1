//! Programs in C and C++ over `libopenbits.so` against the running service: the examples, the rules of the specification, load.

#![allow(clippy::unwrap_used, reason = "a test")]

mod delivery;
mod rules;

use openbits_e2e::{
    Backend, Prefix, System, UploadServer, User, accounts, is_root, kill, knob, program, repository, skip,
};
use openbits_testkit::{Content, Origin, wait_until};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

fn user() -> User {
    User::new(program(env!("CARGO_BIN_EXE_bits-under-test")))
}

fn upload_server(backend: &Backend) -> UploadServer {
    UploadServer::start(env!("CARGO_BIN_EXE_bits-server-under-test"), &backend.settings())
}

/// True, and said, if a tool is missing.
fn misses(tool: &str) -> bool {
    let missing = !Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success());
    if missing {
        skip("programs in C++", &format!("{tool} is not installed"));
    }
    missing
}

fn no_compiler() -> bool {
    misses("g++") || misses("pkg-config")
}

fn said(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\n{out}{err}", output.status)
}

/// The lines of the README that build the examples, run as they stand there.
fn build_examples(prefix: &Prefix) -> PathBuf {
    let source = repository().join("examples/cpp");
    let folder = prefix.path().join("examples");
    std::fs::create_dir_all(&folder).unwrap();
    for entry in source.read_dir().unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    let readme = std::fs::read_to_string(source.join("README.md")).unwrap();
    let lines: Vec<_> = readme
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("c++ ") || line.starts_with("cc "))
        .collect();
    assert_eq!(lines.len(), 6, "{lines:?}");
    for line in lines {
        prefix.shell(line, &folder);
    }
    folder
}

#[test]
fn examples_build_by_the_lines_of_their_readme_and_run() {
    if no_compiler() {
        return;
    }
    let prefix = Prefix::install();
    let examples = build_examples(&prefix);
    let (origin, user) = (Origin::start(), user());
    let content = Content::new(7, 3 << 20);
    origin.put("f", content.clone());

    // The service is not running yet: the library starts it.
    let output = prefix.run(&examples.join("create_job"), &user, &[]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("It may take 7776000 s."), "{}", said(&output));

    let output = prefix.run(&examples.join("download"), &user, &[&origin.url("f"), "f"]);
    assert!(output.status.success(), "{}", said(&output));
    openbits_e2e::assert_is(&user.path("f"), &content);
    let output = prefix.run(&examples.join("download"), &user, &[&origin.url("nothing"), "g"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("0x80190194"), "{}", said(&output));

    let backend = Backend::start(b"well received");
    let server = upload_server(&backend);
    let output = prefix.run(&examples.join("upload_reply"), &user, &["f", &server.url("/in/g"), "reply"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(output.stdout, b"well received");
    assert_eq!(std::fs::read(user.path("reply")).unwrap(), b"well received");
    assert_eq!(backend.told(), 1);

    let output = prefix.run(&examples.join("create_job"), &user, &["--keep"]);
    let id = said(&output).lines().find(|line| line.starts_with('{')).unwrap().to_owned();
    let output = prefix.run(&examples.join("list_jobs"), &user, &[]);
    assert_eq!(said(&output).lines().nth(2).unwrap(), format!("{id} SUSPENDED MyJobName"));
    assert!(said(&output).contains("\n1 jobs\n"), "{}", said(&output));
    let output = prefix.run(&examples.join("job_state"), &user, &[&id]);
    assert_eq!(output.stdout, b"3\n", "{}", said(&output));
    let output = prefix.run(&examples.join("job_state"), &user, &["{00000000-0000-0000-0000-000000000001}"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
}

/// The API lines of the reference page, as they stand there.
#[test]
fn the_samples_of_the_reference_are_unchanged() {
    let text = std::fs::read_to_string(repository().join("examples/cpp/create_job.cpp")).unwrap();
    for line in [
        "HRESULT hr;\nGUID JobId;\nIBackgroundCopyJob* pJob = NULL;\n",
        "\nhr = g_pbcm->CreateJob(L\"MyJobName\", BG_JOB_TYPE_DOWNLOAD, &JobId, &pJob);\nif (SUCCEEDED(hr))\n{\n",
        "\n  hr = pJob->QueryInterface(__uuidof(IBackgroundCopyJob4), (void**)&pJob4);\n  pJob->Release();\n  if (FAILED(hr))\n",
        "\n    wprintf(L\"pJob->QueryInterface failed with 0x%x.\\n\", hr);\n    goto cleanup;\n",
    ] {
        assert!(text.contains(line), "{line}");
    }
}

#[test]
fn cmake_finds_the_package() {
    if no_compiler() || misses("cmake") {
        return;
    }
    let prefix = Prefix::install();
    let folder = prefix.path().join("project");
    std::fs::create_dir_all(&folder).unwrap();
    let examples = repository().join("examples/cpp");
    let project = format!(
        "cmake_minimum_required(VERSION 3.13)\nproject(x CXX)\nset(CMAKE_CXX_STANDARD 11)\nfind_package(openbits 0.1 REQUIRED)\n\
         add_executable(list_jobs {0}/list_jobs.cpp)\ntarget_link_libraries(list_jobs PRIVATE openbits::openbits)\n\
         add_executable(create_job {0}/create_job.cpp)\ntarget_link_libraries(create_job PRIVATE openbits::windows)\n",
        examples.display()
    );
    std::fs::write(folder.join("CMakeLists.txt"), project).unwrap();
    let line = format!("cmake -S . -B b -DCMAKE_PREFIX_PATH={} && cmake --build b", prefix.path().display());
    prefix.shell(&line, &folder);
    let output = prefix.run(&folder.join("b/list_jobs"), &user(), &[]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn users_are_kept_apart() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;
    if no_compiler() {
        return;
    }
    let Some([one, two]) = is_root().then(accounts).flatten() else {
        return skip("users_are_kept_apart", "this needs root, who can make accounts");
    };
    let prefix = Prefix::install();
    std::fs::set_permissions(prefix.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let access = prefix.compile("access", &["access.cpp"], &[]);
    let system =
        System::start(&program(env!("CARGO_BIN_EXE_bits-under-test")), &openbits_e2e::Options::default());
    let home = system.folder().join("nobody");
    let ask = |ids: Option<(u32, u32)>, arguments: &[&str]| {
        let mut command = Command::new(&access);
        command.env_clear().env("OPENBITS_SOCKET", system.door().socket).env("HOME", &home).current_dir("/");
        command.env("LD_LIBRARY_PATH", prefix.path().join("lib")).args(arguments);
        if let Some((uid, gid)) = ids {
            command.uid(uid).gid(gid);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?} as {ids:?}: {}", said(&output));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let (one, two) = ((one.uid, one.gid), (two.uid, two.gid));
    let job = ask(Some(one), &["create"]);
    let _ = ask(Some(one), &["owner", &job]);
    let _ = ask(Some(two), &["other", &job]);
    let _ = ask(None, &["root", &job]);
    let _ = ask(Some(one), &["after", &job]);
}

/// Row 58 of bits-core.md section 10: the callback dies with its process, the job goes on.
#[test]
fn a_program_that_dies_leaves_its_job() {
    if no_compiler() {
        return;
    }
    let (prefix, origin, user) = (Prefix::install(), Origin::start(), user());
    let examples = build_examples(&prefix);
    let content = Content::new(3, 3 << 20);
    origin.put("f", content.clone());
    origin.hold("f", 1 << 20);
    let mut child = prefix.start(&examples.join("download"), &user, &[&origin.url("f"), "f"]);
    assert!(origin.wait_held("f", Duration::from_secs(30)));
    child.kill().unwrap();
    let _ = child.wait();
    assert!(origin.release("f"));
    let listed = || said(&prefix.run(&examples.join("list_jobs"), &user, &[]));
    assert!(
        wait_until(Duration::from_secs(30), || listed().contains(" TRANSFERRED download")),
        "{}",
        listed()
    );
}

/// The variables of a sanitizer: the first finding ends the program.
const SANITIZER: (&str, &str) = ("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=99");

fn stress(prefix: &Prefix, user: &User, program: &std::path::Path, arguments: &[&str]) -> String {
    let mut command = prefix.command(program, user);
    let output = command.args(arguments).env(SANITIZER.0, SANITIZER.1).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    said(&output)
}

#[test]
fn nothing_leaks_in_cycles_of_create_and_cancel() {
    if no_compiler() {
        return;
    }
    let (prefix, user) = (Prefix::install(), user());
    let program = prefix.compile("stress", &["stress.cpp"], &["-fsanitize=address"]);
    let cycles = knob("OPENBITS_CYCLES", 300).to_string();
    let _ = stress(&prefix, &user, &program, &["cycles", &cycles]);
}

#[test]
fn callbacks_race_release() {
    if no_compiler() {
        return;
    }
    let (prefix, user, origin) = (Prefix::install(), user(), Origin::start());
    let program = prefix.compile("stress", &["stress.cpp"], &["-fsanitize=address"]);
    origin.put("f", Content::new(1, 1000));
    let seconds = knob("OPENBITS_RACE_S", 5).to_string();
    let folder = user.folder();
    let text =
        stress(&prefix, &user, &program, &["race", &origin.url("f"), folder.to_str().unwrap(), &seconds]);
    println!("{text}");
}

#[test]
fn downloads_race_their_end() {
    if no_compiler() {
        return;
    }
    let (prefix, user, origin) = (Prefix::install(), user(), Origin::start());
    let program = prefix.compile("stress_downloads", &["stress_downloads.cpp"], &["-fsanitize=address"]);
    origin.put("f", Content::new(1, 100_000));
    let seconds = knob("OPENBITS_RACE_S", 5).to_string();
    let (url, folder) = (origin.url("f"), user.folder());
    let arguments = [&*url, folder.to_str().unwrap(), &seconds];
    println!("{}", stress(&prefix, &user, &program, &arguments));
}

#[test]
fn valgrind_finds_nothing() {
    if no_compiler() || misses("valgrind") {
        return;
    }
    let (prefix, user) = (Prefix::install(), user());
    let program = prefix.compile("stress", &["stress.cpp"], &[]);
    let cycles = knob("OPENBITS_VALGRIND_CYCLES", 20).to_string();
    let mut command = prefix.command(std::path::Path::new("/usr/bin/valgrind"), &user);
    let _ = user.wake();
    command.args(["--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite", "-q"]);
    let output = command.arg(&program).args(["cycles", &cycles]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

/// Calls while the service dies again and again: clear codes, no hang, and the same objects work in the end.
#[test]
fn a_killed_service_is_a_clear_code() {
    if no_compiler() {
        return;
    }
    let (prefix, user) = (Prefix::install(), user());
    let program = prefix.compile("stress", &["stress.cpp"], &["-fsanitize=address"]);
    let seconds = knob("OPENBITS_KILL_S", 6);
    let _ = user.wake();
    let mut command = prefix.command(&program, &user);
    command.args(["kill", &seconds.to_string()]).env(SANITIZER.0, SANITIZER.1);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut kills = 0;
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(700));
        if user.door().connect().is_ok() {
            kill(user.service_pid());
            kills += 1;
        }
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "after {kills} kills: {}", said(&output));
    assert!(kills > 1);
    println!("{kills} kills; {}", said(&output));
}
