//! What properties of a download do to its transfer, where reading them back does not show it (spec/delivery-optimization-com.md 4.4).

use super::delivery::{
    LONG, S_OK, boolean, bstr, do_manager, get, get_text, go, ready, ready_from, set, set_bytes, status, wait_for,
};
use super::*;
use crate::session::{run, run_with_policy};
use openbits_core::delivery::codes;
use openbits_core::hresult as h;
use openbits_e2e::{FOR_CLIENTS, asking, assert_is, names, served, skip};
use openbits_testkit::authority::{Authority, Issued, Leaf};
use openbits_testkit::{Behaviour, Content, OriginFile, wait_until};
use std::path::Path;

/// 50 kB/s for what runs in the background, at all hours.
const SLOW_BACKGROUND: &str =
    "[bandwidth.simple]\nenabled = true\nhours = \"00-00\"\nrate = 400\noff_rate = 400\n";

fn finalize(download: &api::IDODownload) {
    // SAFETY: a call as a program makes it.
    assert_eq!(unsafe { download.Finalize() }, S_OK);
}

/// Row 8 of the checklist: the same file, from an origin whose rate both share. What the policy leaves to the background is far below that
/// rate, so that the one in the foreground is ahead by bytes, however slow the machine is. Without a limit the one in the background leaves the
/// link to others, which takes a link: bench/politeness/foreground.py.
#[test]
fn do_property_foreground_priority_is_ahead_of_the_same_file_in_the_background() {
    const SIZE: u64 = 4 << 20;
    run_with_policy(here!(), SLOW_BACKGROUND, |session| {
        let content = Content::new(8, SIZE);
        session.origin().put("large", content.clone());
        session.origin().throttle_all(Some(SIZE));
        let manager = do_manager(session);
        let [background, foreground] =
            ["background", "foreground"].map(|to| ready(session, &manager, "large", to));
        let in_foreground = api::DODownloadProperty_ForegroundPriority;
        set(&foreground, in_foreground, &boolean(true)).unwrap();
        let is_foreground = |download| get(download, in_foreground).unwrap().value[0] & 0xFFFF == 0xFFFF;
        assert!(is_foreground(&foreground) && !is_foreground(&background));
        // The other one begins first.
        go(&background).unwrap();
        assert!(wait_until(LONG, || status(&background).BytesTransferred > 0));
        go(&foreground).unwrap();
        let done = wait_for(&foreground, api::DODownloadState_Transferred);
        let behind = status(&background);
        assert_eq!(done.BytesTransferred, SIZE);
        assert_eq!((behind.State, behind.Error), (api::DODownloadState_Transferring, 0));
        assert!(behind.BytesTransferred < SIZE / 2, "{} of {SIZE} bytes", behind.BytesTransferred);
        // It may be called to the front while it moves.
        set(&background, in_foreground, &boolean(true)).unwrap();
        wait_for(&background, api::DODownloadState_Transferred);
        for (download, to) in [(&foreground, "foreground"), (&background, "background")] {
            finalize(download);
            assert_is(Path::new(&session.path(to)), &content);
        }
    });
}

/// They are of no use to a server that asks for nothing, and it does not get them.
#[test]
fn do_property_http_custom_auth_headers_wait_for_a_challenge() {
    run(here!(), |session| {
        let content = Content::new(9, 10_000);
        session.origin().put("open", content.clone());
        session.origin().put("asks", OriginFile::new(content.clone()).behaviour(Behaviour::WantsBasic));
        let manager = do_manager(session);
        for name in ["open", "asks"] {
            let download = ready(session, &manager, name, name);
            let headers = bstr("Authorization: Bearer 7\nName=value\nX-Key: 8\n");
            set(&download, api::DODownloadProperty_HttpCustomAuthHeaders, &headers).unwrap();
            go(&download).unwrap();
            wait_for(&download, api::DODownloadState_Transferred);
            finalize(&download);
            assert_is(Path::new(&session.path(name)), &content);
        }
        let sent = |name| -> Vec<_> {
            let requests = session.origin().requests(name).into_iter();
            let texts = |request: openbits_testkit::Exchange| {
                let [login, key] = ["authorization", "x-key"].map(|name| request.header(name).map(str::to_owned));
                (request.status, login, key)
            };
            requests.map(texts).collect()
        };
        assert_eq!(sent("open"), [(Some(206), None, None)]);
        let (login, key) = (Some("Bearer 7".to_owned()), Some("8".to_owned()));
        assert_eq!(sent("asks"), [(Some(401), None, None), (Some(206), login, key)]);
    });
}

fn is_listed(manager: &api::IDOManager, id: &str) -> bool {
    let text = w(id);
    let category =
        api::DO_DOWNLOAD_ENUM_CATEGORY { Property: api::DODownloadProperty_Id, Value: text.as_ptr() };
    // SAFETY: a call as a program makes it.
    match object::<api::IEnumUnknown>(|place| unsafe { manager.EnumDownloads(&category, place) }) {
        Ok(_) => true,
        Err(code) => {
            assert_eq!(code, codes::DO_E_NO_DOWNLOADS);
            false
        }
    }
}

/// The service is killed while two downloads move and two were not started: of each pair the one that asked for it stays, and moves on.
#[test]
fn do_property_non_volatile_outlives_the_service() {
    const SIZE: u64 = 400_000;
    run(here!(), |session| {
        let manager = do_manager(session);
        let new = |name: &str, seed, keep| {
            session.origin().put(name, Content::new(seed, SIZE));
            session.origin().hold(name, SIZE / 2);
            let download = ready(session, &manager, name, name);
            set(&download, api::DODownloadProperty_NonVolatile, &boolean(keep)).unwrap();
            set(&download, api::DODownloadProperty_DisplayName, &bstr(name)).unwrap();
            let id = get_text(&download, api::DODownloadProperty_Id);
            (download, id)
        };
        let (moving, waiting) = (new("moving", 1, true), new("waiting", 2, true));
        let (lost, forgotten) = (new("lost", 3, false), new("forgotten", 4, false));
        for (download, name) in [(&moving.0, "moving"), (&lost.0, "lost")] {
            go(download).unwrap();
            assert!(session.origin().wait_held(name, LONG));
        }
        session.kill_service();
        let mut service = session.restart_service();
        for (download, id) in [&lost, &forgotten] {
            assert!(!is_listed(&manager, id));
            assert_eq!(status(download).State, api::DODownloadState_Aborted);
            assert_eq!(go(download), Err(codes::DO_E_INVALID_STATE));
        }
        for ((download, id), name) in [(&moving, "moving"), (&waiting, "waiting")] {
            assert!(is_listed(&manager, id));
            assert_eq!(get_text(download, api::DODownloadProperty_DisplayName), name);
            assert_eq!(get_text(download, api::DODownloadProperty_Uri), session.origin().url(name));
            assert_eq!(get_text(download, api::DODownloadProperty_LocalPath), session.path(name));
            let keeps = get(download, api::DODownloadProperty_NonVolatile).unwrap();
            assert_eq!((keeps.vt, keeps.value[0] & 0xFFFF), (11, 0xFFFF));
        }
        assert_eq!(status(&waiting.0).State, api::DODownloadState_Created);
        // Nobody has to start it again.
        assert!(wait_until(LONG, || session.origin().held("moving") > 0));
        for name in ["moving", "waiting"] {
            assert!(session.origin().release(name));
        }
        go(&waiting.0).unwrap();
        for ((download, _), name, seed) in [(&moving, "moving", 1), (&waiting, "waiting", 2)] {
            wait_for(download, api::DODownloadState_Transferred);
            finalize(download);
            assert_is(Path::new(&session.path(name)), &Content::new(seed, SIZE));
        }
        let left = || names(Path::new(&session.path("")));
        assert!(wait_until(LONG, || left() == ["moving", "waiting"]), "{:?}", left());
        service.kill().unwrap();
        service.wait().unwrap();
    });
}

/// A context as CertSerializeCertificateStoreElement writes it: the element CERT_KEY_IDENTIFIER_PROP_ID, then the certificate.
fn serialized(certificate: &Issued) -> Vec<u8> {
    let element = |id: u32, content: &[u8]| {
        let length = u32::try_from(content.len()).unwrap();
        [&id.to_le_bytes()[..], &1_u32.to_le_bytes(), &length.to_le_bytes(), content].concat()
    };
    [element(20, &[7; 20]), element(32, &certificate.chain[0])].concat()
}

/// The context says which certificate of the user's own store answers the server; only the store has its key.
#[test]
fn do_property_security_context_answers_a_server_that_asks() {
    run(here!(), |session| {
        let (known, clients) = (Authority::root("known"), Authority::root("clients"));
        let Some(server) = asking(&known, &clients) else {
            return skip("SecurityContext", "nginx is not installed");
        };
        let alice = clients.issue(&Leaf::client("example", "build", "alice"));
        let bob = clients.issue(&Leaf::client("example", "build", "bob"));
        let (roots, store) =
            (session.configuration().join("roots.pem"), session.configuration().join("certificates/my"));
        std::fs::create_dir_all(&store).unwrap();
        std::fs::write(store.join("alice.pem"), format!("{}{}", alice.chain_pem, alice.key_pem)).unwrap();
        std::fs::write(&roots, known.pem()).unwrap();
        session.kill_service();
        let policy = format!("[tls]\nextra_ca = {:?}\n", roots.to_str().unwrap());
        std::fs::write(session.configuration().join("policy.toml"), policy).unwrap();
        let mut service = session.restart_service();

        let (manager, id) = (do_manager(session), api::DODownloadProperty_SecurityContext);
        let url = format!("https://127.0.0.1:{}/f", server.port(0));
        let download = ready_from(session, &manager, &url, "f");
        go(&download).unwrap();
        let asked = wait_for(&download, api::DODownloadState_Paused);
        assert_eq!(HResult::from_signed(asked.Error), h::ERROR_WINHTTP_CLIENT_AUTH_CERT_NEEDED);
        // Bob's key is nowhere here.
        assert_eq!(set_bytes(&download, id, &serialized(&bob)), Err(h::CRYPT_E_NOT_FOUND));
        set_bytes(&download, id, &serialized(&alice)).unwrap();
        assert_eq!(get(&download, id).err(), Some(codes::DO_E_WRITE_ONLY_PROPERTY));
        go(&download).unwrap();
        wait_for(&download, api::DODownloadState_Transferred);
        finalize(&download);
        assert_eq!(std::fs::read(session.path("f")).unwrap(), FOR_CLIENTS);
        // The bare certificate names it as well.
        let second = ready_from(session, &manager, &url, "g");
        set_bytes(&second, id, &alice.chain[0]).unwrap();
        go(&second).unwrap();
        wait_for(&second, api::DODownloadState_Transferred);
        finalize(&second);
        assert_eq!(served(&server), ["CN=alice,OU=build,O=example"; 2]);
        service.kill().unwrap();
        service.wait().unwrap();
    });
}
