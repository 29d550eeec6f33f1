use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

struct Place {
    root: tempfile::TempDir,
    env: Environment,
}

fn place() -> Place {
    let root = tempfile::tempdir().unwrap();
    let uid = rustix::process::geteuid().as_raw();
    let sub = |name: &str| {
        let path = root.path().join(name);
        fs::create_dir(&path).unwrap();
        path
    };
    let env = Environment {
        socket: None,
        runtime_dir: None,
        state_home: None,
        home: Some(sub("home")),
        uid,
        system_socket: sub("system").join(SOCKET_NAME),
        system_uid: uid,
        run_user: sub("run-user"),
        tmp: sub("tmp"),
    };
    Place { root, env }
}

fn unsafe_reason(result: Result<Endpoint, SocketError>) -> String {
    match result {
        Err(SocketError::Unsafe { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_order_is_variable_then_system_then_runtime_dir_then_run_user_then_tmp() {
    let Place { root, mut env } = place();
    let tmp = env.tmp.join(format!("openbits-{}", env.uid)).join(SOCKET_NAME);
    assert_eq!(env.find(&Choice::Any).unwrap().path, tmp);

    let usual = env.run_user.join(env.uid.to_string());
    fs::create_dir(&usual).unwrap();
    assert_eq!(env.find(&Choice::Any).unwrap().path, usual.join("openbits").join(SOCKET_NAME));

    let runtime = root.path().join("xdg");
    fs::create_dir(&runtime).unwrap();
    env.runtime_dir = Some(runtime.clone().into());
    let user = env.find(&Choice::Any).unwrap();
    assert_eq!(user.path, runtime.join("openbits").join(SOCKET_NAME));
    assert_eq!((user.kind, user.owner), (Kind::User, Some(env.uid)));

    let listener = UnixListener::bind(&env.system_socket).unwrap();
    assert_eq!(env.find(&Choice::Any).unwrap().kind, Kind::System);
    assert_eq!(env.find(&Choice::User).unwrap().kind, Kind::User);
    drop(listener); // The file stays, nobody listens.
    assert_eq!(env.find(&Choice::Any).unwrap().kind, Kind::User);
    assert_eq!(env.find(&Choice::System).unwrap().kind, Kind::System);

    env.socket = Some("/x/y.sock".into());
    assert_eq!(env.find(&Choice::Any).unwrap().path, Path::new("/x/y.sock"));
    let path = Choice::Path("/z.sock".into());
    assert_eq!(env.find(&path).unwrap(), Endpoint { path: "/z.sock".into(), kind: Kind::Given, owner: None });
}

/// A variable that survived `su` may name somebody else's socket: what is sent there must not reach him.
#[test]
fn a_socket_from_the_environment_must_be_ours_or_roots() {
    let Place { root, mut env } = place();
    let path = root.path().join("named.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    env.socket = Some(path.clone().into());
    env.system_uid = env.uid + 7;
    assert_eq!(env.find(&Choice::Any).unwrap().owner, Some(env.uid), "our own");
    env.uid += 1;
    assert_eq!(
        env.find(&Choice::Any).unwrap().owner,
        Some(env.system_uid),
        "somebody else's: only root's is believed"
    );
    // Who names the socket himself knows whose it is.
    assert_eq!(env.find(&Choice::Path(path)).unwrap().owner, None);
}

#[test]
fn a_system_socket_of_somebody_else_is_passed_over() {
    let Place { root: _root, mut env } = place();
    let _listener = UnixListener::bind(&env.system_socket).unwrap();
    env.system_uid = env.uid + 1;
    assert_eq!(env.find(&Choice::Any).unwrap().kind, Kind::User);
}

#[test]
fn a_runtime_dir_that_is_relative_missing_or_a_file_is_passed_over() {
    let Place { root, mut env } = place();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    for bad in ["relative".into(), root.path().join("missing"), file] {
        env.runtime_dir = Some(bad.into());
        assert!(env.user_directory().starts_with(&env.tmp));
    }
}

#[test]
fn hostile_socket_directories_are_refused() {
    let Place { root, mut env } = place();
    let directory = env.user_directory();

    fs::write(&directory, "").unwrap();
    assert!(unsafe_reason(env.find(&Choice::User)).contains("not a directory"));
    assert!(env.ensure_user_directory().is_err());
    fs::remove_file(&directory).unwrap();

    let elsewhere = root.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o700)).unwrap();
    symlink(&elsewhere, &directory).unwrap();
    assert!(unsafe_reason(env.find(&Choice::User)).contains("symbolic link"));
    assert!(env.ensure_user_directory().is_err());
    fs::remove_file(&directory).unwrap();
    symlink(root.path().join("dangling"), &directory).unwrap();
    assert!(unsafe_reason(env.find(&Choice::User)).contains("symbolic link"));
    fs::remove_file(&directory).unwrap();

    fs::create_dir(&directory).unwrap();
    for mode in [0o755, 0o770, 0o701] {
        fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).unwrap();
        assert!(unsafe_reason(env.find(&Choice::User)).contains("mode"), "{mode:o}");
        assert!(env.ensure_user_directory().is_err());
    }
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(env.find(&Choice::User).is_ok());

    // Seen by another user, the same directory is somebody else's.
    let theirs = check_directory(&directory, env.uid + 1).unwrap_err();
    assert!(theirs.to_string().contains("belongs to user"), "{theirs}");
    env.tmp = root.path().join("missing");
    assert!(matches!(env.ensure_user_directory(), Err(SocketError::Directory { .. })));
}

#[test]
fn the_directory_is_made_closed_to_others() {
    let Place { root: _root, env } = place();
    let directory = env.ensure_user_directory().unwrap();
    assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(env.ensure_user_directory().unwrap(), directory);
}

#[test]
fn a_path_that_the_kernel_cannot_take_is_refused_with_words() {
    let Place { root: _root, env } = place();
    let fits = format!("/{}", "a".repeat(PATH_BYTES_MAX - 1));
    assert!(env.find(&Choice::Path(fits.clone().into())).is_ok());
    let long = env.find(&Choice::Path(format!("{fits}a").into())).unwrap_err();
    assert!(long.to_string().contains("107"), "{long}");
}

#[test]
fn the_log_goes_to_the_state_directory() {
    let Place { root, mut env } = place();
    assert_eq!(env.state_directory(), root.path().join("home/.local/state/openbits"));
    env.state_home = Some("/s".into());
    assert_eq!(env.state_directory(), Path::new("/s/openbits"));
    env.state_home = Some("relative".into());
    env.home = None;
    assert_eq!(env.state_directory(), env.user_directory());
}
