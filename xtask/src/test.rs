//! `cargo xtask test`: the gate. The README and `.ci/run` call this and nothing else.

use crate::generate;
use crate::run::{cargo, has, is_root, step};
use anyhow::Result;
use std::process::Command;

/// Programs that some tests start as real peers: Debian package, and what it brings.
const PEERS: &[(&str, &str, &str)] = &[
    ("nginx-light", "/usr/sbin/nginx", "-v"),
    ("squid", "/usr/sbin/squid", "-v"),
    ("strace", "strace", "--version"),
    ("python3-prometheus-client", "python3", "-cimport prometheus_client"),
    ("dbus-daemon", "dbus-daemon", "--version"),
    ("iproute2", "ip", "-V"),
    ("samba", "/usr/sbin/smbd", "--version"),
    ("apache2", "/usr/sbin/apache2", "-v"),
    ("libapache2-mod-auth-gssapi", "ls", "/usr/lib/apache2/modules/mod_auth_gssapi.so"),
    ("krb5-kdc", "ls", "/usr/sbin/krb5kdc"),
    ("krb5-admin-server", "ls", "/usr/sbin/kadmin.local"),
    ("krb5-user", "ls", "/usr/bin/kinit"),
    ("gss-ntlmssp", "ls", "/etc/gss/mech.d/mech.ntlmssp.conf"),
    ("samba-common-bin", "ls", "/usr/bin/smbpasswd"),
    ("curl", "curl", "--version"),
    ("radosgw", "/usr/bin/radosgw", "--version"),
    ("ceph-mon", "/usr/bin/ceph-mon", "--version"),
    ("ceph-osd", "/usr/bin/ceph-osd", "--version"),
    ("haproxy", "/usr/sbin/haproxy", "-v"),
    ("python3-venv", "python3", "-cimport ensurepip"),
    ("g++", "g++", "--version"),
    ("clang", "clang++", "--version"),
    ("pkg-config", "pkg-config", "--version"),
    ("cmake", "cmake", "--version"),
    ("valgrind", "valgrind", "--version"),
    ("tzdata", "ls", "/usr/share/zoneinfo/Europe/Berlin"),
];

/// Several upload servers over one bucket: off by default, since it adds some twenty crates to the build, and tested always.
const OBJECT_STORAGE: &str = "openbits-server/object-storage,openbits-e2e/object-storage";

pub(crate) fn run() -> Result<()> {
    peers();
    step(cargo(&["fmt", "--all", "--check"]))?;
    generate::run(generate::Mode::Check)?;
    crate::headers::prove()?;
    step(cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--features",
        OBJECT_STORAGE,
        "--",
        "-D",
        "warnings",
    ]))?;
    crate::fuzz::check()?;
    tests()?;
    step(cargo(&["test", "--workspace", "--doc", "--quiet"]))?;
    crate::long::apifuzz("20")?;
    if std::env::var_os("CI").is_some() {
        deny()?;
    }
    Ok(())
}

/// Unit, property and process tests; with cargo-nextest where it is there, else with cargo's own runner.
fn tests() -> Result<()> {
    // The binary that the process tests start.
    step(cargo(&["build", "--package", "openbits-cli"]))?;
    if has("cargo-nextest", "--version") {
        step(cargo(&["nextest", "run", "--workspace", "--features", OBJECT_STORAGE]))
    } else {
        eprintln!("cargo-nextest is not installed; using cargo test");
        let what = ["--workspace", "--features", OBJECT_STORAGE, "--lib", "--bins", "--tests", "--quiet"];
        step(cargo(&[&["test"], &what[..]].concat()))
    }
}

/// Installs the peers where that is allowed; tests that miss one say so loudly and count as skipped.
fn peers() {
    let missing: Vec<_> = PEERS.iter().filter(|(_, program, argument)| !has(program, argument)).collect();
    if missing.is_empty() {
        return;
    }
    let packages: Vec<&str> = missing.iter().map(|peer| peer.0).collect();
    if !is_root() || !has("apt-get", "--version") {
        eprintln!(
            "SKIPPED: {packages:?} are missing and cannot be installed here; tests against them will be skipped"
        );
        return;
    }
    let mut update = Command::new("apt-get");
    update.args(["update", "-q"]);
    let mut install = Command::new("apt-get");
    install
        .args(["install", "-y", "-q", "--no-install-recommends"])
        .args(&packages)
        .env("DEBIAN_FRONTEND", "noninteractive");
    if let Err(error) = step(update).and_then(|()| step(install)) {
        eprintln!(
            "SKIPPED: {packages:?} could not be installed ({error}); tests against them will be skipped"
        );
    }
}

/// Licences, bans and sources. The advisory database is not asked: it is not reachable from everywhere.
pub(crate) fn deny() -> Result<()> {
    if !has("cargo-deny", "--version") {
        step(cargo(&["install", "cargo-deny", "--locked", "--quiet"]))?;
    }
    step(cargo(&["deny", "--all-features", "check", "bans", "licenses", "sources"]))
}
