//! Authentication at real servers and proxies: Apache, Squid, a Kerberos realm.

#![allow(clippy::unwrap_used, reason = "a test")]

use openbits_api::ErrorView;
use openbits_core::JobState::{Error, Transferred};
use openbits_e2e::{Door, Job, NewJob, User, assert_is, program, skip};
use openbits_testkit::apache::{Apache, PASSWORD, USER};
use openbits_testkit::kdc::{Kdc, REALM};
use openbits_testkit::squid::{Asks, Squid};
use openbits_testkit::{Certificate, Content, Origin, OriginOptions};
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

fn bits() -> PathBuf {
    program(env!("CARGO_BIN_EXE_bits-under-test"))
}

fn set(job: &Job, target: &str, scheme: &str, pair: Option<(&str, &str)>) {
    let mut body = json!({ "target": target, "scheme": scheme });
    if let Some((user, password)) = pair {
        body["user"] = json!(user);
        body["password"] = json!(password);
    }
    let reply = job.door.ask("PUT", &job.path("/credentials"), Some(&body)).unwrap();
    assert!(reply.is_success(), "{reply}");
}

fn error(job: &Job) -> ErrorView {
    job.door.get(&job.path("/error"))
}

/// The right pair.
const ALICE: Option<(&str, &str)> = Some((USER, PASSWORD));

#[test]
fn apache_digest_for_several_files_of_a_job() {
    let Some(apache) = Apache::start(None) else { return skip("auth_peers", "apache2 is not installed") };
    let user = User::new(bits());
    let door = user.wake();
    let mut new = NewJob::new("digest");
    for n in 0..5 {
        apache.put(&format!("digest/{n}"), &vec![n; 300_000]);
        new = new.file(&apache.url(&format!("digest/{n}")), &user.path(&n.to_string()));
    }
    let job = new.create(&door);
    set(&job, "SERVER", "BASIC", Some(("nobody", "wrong")));
    set(&job, "SERVER", "DIGEST", ALICE);
    job.must("resume");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
    let accesses = apache.accesses();
    let of = |status: &str| accesses.iter().filter(|line| line.starts_with(status)).count();
    assert_eq!(
        (of("206"), of("200 "), of("401")),
        (5 - of("200 "), of("200 "), 1),
        "asked once: {accesses:#?}"
    );
    assert!(user.log().contains("event=203"), "{}", user.log());
}

#[test]
fn apache_refuses_and_new_credentials_go_on() {
    let Some(apache) = Apache::start(None) else { return skip("auth_peers", "apache2 is not installed") };
    let user = User::new(bits());
    let door = user.wake();
    apache.put("digest/f", b"content");
    let job = NewJob::new("x").file(&apache.url("digest/f"), &user.path("f")).started().create(&door);
    assert_eq!(job.wait(&[Transferred, Error], LONG), Error);
    let none = error(&job);
    assert_eq!((none.name.as_str(), none.context_text.is_empty()), ("BG_E_HTTP_ERROR_401", false));
    assert_eq!(none.context, openbits_core::ErrorContext::RemoteFile);
    assert!(
        none.detail.contains("accepts Digest") && none.detail.contains("no credentials"),
        "{}",
        none.detail
    );
    set(&job, "SERVER", "DIGEST", Some((USER, "a wrong one")));
    job.must("resume");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Error);
    assert!(error(&job).detail.contains("DIGEST was refused"), "{}", error(&job).detail);
    assert!(user.log().contains("event=204") && !user.log().contains("a wrong one"), "{}", user.log());
    set(&job, "SERVER", "DIGEST", ALICE);
    job.must("resume");
    assert_eq!(job.wait(&[Transferred, Error], LONG), Transferred);
}

#[test]
fn apache_basic_over_http_only_if_the_policy_says_so() {
    let Some(apache) = Apache::start(None) else { return skip("auth_peers", "apache2 is not installed") };
    apache.put("basic/f", b"content");
    for allowed in [false, true] {
        let user = User::new(bits());
        user.policy(&format!("[auth]\nallow_plaintext_basic = {allowed}\n"));
        let door = user.wake();
        let job = NewJob::new("x").file(&apache.url("basic/f"), &user.path("f")).create(&door);
        set(&job, "SERVER", "BASIC", ALICE);
        job.must("resume");
        let end = job.wait(&[Transferred, Error], LONG);
        assert_eq!(end, if allowed { Transferred } else { Error });
        if !allowed {
            assert!(error(&job).detail.contains("over https only"), "{}", error(&job).detail);
            assert!(apache.accesses().iter().all(|line| !line.contains(USER)), "{:?}", apache.accesses());
        }
    }
}

/// A user whose service knows the realm; with a ticket, he is logged on.
fn in_realm(kdc: &Kdc, ticket: bool, policy: &str) -> (User, Door) {
    let user = User::new(bits());
    if !policy.is_empty() {
        user.policy(policy);
    }
    let cache = if ticket { kdc.log_on() } else { user.folder().join("no-cache") };
    let mut command = user.command(&["list"]);
    let output = command.env("KRB5_CONFIG", kdc.config()).env("KRB5CCNAME", cache).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let door = user.door();
    (user, door)
}

#[test]
fn apache_negotiate_by_ticket_and_by_password() {
    let Some(kdc) = Kdc::start() else { return skip("auth_peers", "krb5-kdc is not installed") };
    let Some(apache) = Apache::start(Some(&kdc)) else {
        return skip("auth_peers", "libapache2-mod-auth-gssapi is not installed");
    };
    apache.put("gss/f", b"content");
    let fetch = |ticket: bool, pair: Option<(&str, &str)>, credentials: bool, policy: &str| {
        let (user, door) = in_realm(&kdc, ticket, policy);
        let job = NewJob::new("x").file(&apache.url("gss/f"), &user.path("f")).create(&door);
        if credentials {
            set(&job, "SERVER", "NEGOTIATE", pair);
        }
        job.must("resume");
        match job.wait(&[Transferred, Error], LONG) {
            Transferred => Ok(()),
            _ => Err(error(&job).detail),
        }
    };
    assert_eq!(fetch(true, None, true, ""), Ok(()), "{}", apache.log());
    let principal = format!("{USER}@{REALM}");
    assert_eq!(fetch(false, Some((&principal, PASSWORD)), true, ""), Ok(()), "{}", apache.log());
    let without = fetch(false, None, true, "").unwrap_err();
    assert!(without.contains("NEGOTIATE"), "{without}");
    let wrong = fetch(false, Some((&principal, "wrong")), true, "").unwrap_err();
    assert!(wrong.contains("NEGOTIATE"), "{wrong}");
    let unasked = fetch(true, None, false, "").unwrap_err();
    assert!(unasked.contains("no credentials"), "a ticket alone is no consent: {unasked}");
    let always = "[auth]\nimplicit_credentials = \"always\"\n";
    assert_eq!(fetch(true, None, false, always), Ok(()), "the policy's consent");
}

/// Downloads by a proxy, from http (absolute form) and https (CONNECT).
fn by_proxy(
    squid: &Squid,
    user: &User,
    scheme: &str,
    pair: Option<(&str, &str)>,
) -> Vec<Result<(), ErrorView>> {
    let options = OriginOptions { https: Some(Certificate::Good), ..OriginOptions::default() };
    let origin = Origin::start_with(options).unwrap();
    let authority = user.folder().join("ca.pem");
    std::fs::write(&authority, origin.ca_pem().unwrap()).unwrap();
    let content = Content::new(7, 400_000);
    origin.put("f", content.clone());
    let door = user.door();
    let urls = [origin.url("f"), origin.https_url("f").unwrap()];
    let mut results = Vec::new();
    for (n, url) in urls.iter().enumerate() {
        let path = user.path(&format!("{scheme}{n}"));
        let job = NewJob::new("x")
            .file(url, &path)
            .set("proxy", json!({ "usage": "OVERRIDE", "list": squid.address() }))
            .set("auto_complete", true)
            .create(&door);
        set(&job, "PROXY", scheme, pair);
        job.must("resume");
        let ended = job.wait(&[openbits_core::JobState::Acknowledged, Error], LONG);
        results.push(if ended == Error { Err(error(&job)) } else { Ok(()) });
        if ended != Error {
            assert_is(&path, &content);
        }
    }
    results
}

/// Where the test's authority will be.
fn trusting(user: &User) -> String {
    format!("[tls]\nextra_ca = \"{}\"\n", user.folder().join("ca.pem").display())
}

#[test]
fn squid_basic_and_digest_also_for_tunnels() {
    for (scheme, asks) in [("BASIC", Asks::Basic), ("DIGEST", Asks::Digest)] {
        let Some(squid) = Squid::start(asks) else { return skip("auth_peers", "squid is not installed") };
        let user = User::new(bits());
        user.policy(&trusting(&user));
        let _ = user.wake();
        let results = by_proxy(&squid, &user, scheme, ALICE);
        assert!(results.iter().all(Result::is_ok), "{scheme}: {results:#?}\n{}", squid.log());
        for result in by_proxy(&squid, &user, scheme, Some((USER, "wrong"))) {
            let error = result.unwrap_err();
            assert_eq!(error.name, "BG_E_HTTP_ERROR_407", "{error:?}");
            assert!(error.detail.contains(&format!("{scheme} was refused")), "{error:?}");
            assert_eq!(error.context, openbits_core::ErrorContext::RemoteFile);
        }
    }
}

#[test]
fn squid_negotiate_also_for_tunnels() {
    let Some(kdc) = Kdc::start() else { return skip("auth_peers", "krb5-kdc is not installed") };
    let Some(squid) = Squid::start(Asks::Negotiate(&kdc)) else {
        return skip("auth_peers", "squid is not installed");
    };
    let user = User::new(bits());
    user.policy(&trusting(&user));
    let mut command = user.command(&["list"]);
    let output = command.env("KRB5_CONFIG", kdc.config()).env("KRB5CCNAME", kdc.log_on()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let results = by_proxy(&squid, &user, "NEGOTIATE", None);
    assert!(results.iter().all(Result::is_ok), "{results:#?}\n{}", squid.log());
}
