//! Groups of several users in the system's service: who sees them, and who owns them afterwards (spec/qmgr-legacy.md 4). Needs root and
//! accounts; says so when it has to skip.

#![allow(clippy::unwrap_used, reason = "a test")]

use openbits_e2e::{Door, Options, System, accounts, is_root, program, skip};
use openbits_testkit::{Content, Origin, wait_until};
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

const GROUP: &str = "00000000-0000-0000-0000-0000000000a1";
const EMPTY: &str = "00000000-0000-0000-0000-0000000000a2";
const JOB: &str = "00000000-0000-0000-0000-0000000000b1";

fn ask(door: &Door, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let reply = door.ask(method, path, body.as_ref()).unwrap();
    (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
}

fn code(answer: &(u16, Value)) -> &str {
    answer.1["name"].as_str().unwrap_or_default()
}

#[test]
fn q_mgr_get_group_by_an_administrator_moves_it() {
    let test = "groups of several users";
    let Some([one, two]) = is_root().then(accounts).flatten() else {
        return skip(test, "this needs root, who can make accounts");
    };
    let system = System::start(&program(env!("CARGO_BIN_EXE_bits-under-test")), &Options::default());
    let origin = Origin::start();
    origin.put("f", Content::new(1, 5000));
    let folder = one.folder(system.folder(), "one");
    let (root, one_door, two_door) = (system.door(), system.door().of(one.uid), system.door().of(two.uid));
    let group = format!("/v1/groups/{GROUP}");
    for id in [GROUP, EMPTY] {
        assert_eq!(ask(&one_door, "POST", "/v1/groups", Some(json!({ "id": id }))).0, 201);
    }
    let taken = ask(&two_door, "POST", "/v1/groups", Some(json!({ "id": GROUP })));
    assert_eq!(code(&taken), "E_INVALIDARG", "whoever owns it");
    // Enumerating takes nothing from anybody.
    let ids = |door: &Door| ask(door, "GET", "/v1/groups", None).1["ids"].clone();
    assert_eq!((ids(&one_door), ids(&two_door)), (json!([GROUP, EMPTY]), json!([])));
    assert_eq!(ids(&root), json!([GROUP, EMPTY]), "all groups for an administrator");
    assert_eq!(code(&ask(&two_door, "POST", &format!("{group}/get"), None)), "E_ACCESSDENIED");
    assert_eq!(ask(&one_door, "POST", &format!("{group}/get"), None).1["owner_uid"], json!(one.uid));
    // An administrator who gets a group owns it.
    let empty = format!("/v1/groups/{EMPTY}");
    assert_eq!(ask(&root, "GET", &empty, None).1["owner_uid"], json!(one.uid), "looking moves nothing");
    assert_eq!(ask(&root, "POST", &format!("{empty}/get"), None).1["owner_uid"], json!(0));
    assert_eq!(code(&ask(&one_door, "GET", &empty, None)), "E_ACCESSDENIED");
    // Files in folders that others can change are not taken over with root's rights.
    assert_eq!(ask(&one_door, "POST", &format!("{group}/jobs"), Some(json!({ "id": JOB }))).0, 201);
    let file = json!({ "remote_name": origin.url("f"), "local_name": folder.join("f") });
    let added =
        ask(&one_door, "POST", &format!("{group}/jobs/{JOB}/files"), Some(json!({ "files": [file] })));
    assert_eq!(code(&added), "S_OK");
    let refused = ask(&root, "POST", &format!("{group}/get"), None);
    assert_eq!(code(&refused), "BG_E_NEW_OWNER_NO_FILE_ACCESS", "{refused:?}");
    // His worker fetches it, and the file is his.
    assert_eq!(code(&ask(&one_door, "POST", &format!("{group}/resume"), None)), "S_OK");
    let complete = || ask(&one_door, "GET", &group, None).1["status"] == json!(0x140);
    assert!(wait_until(Duration::from_secs(30), complete));
    assert_eq!(code(&ask(&one_door, "POST", &format!("{group}/cancel"), None)), "S_OK");
    let delivered = std::fs::metadata(folder.join("f")).unwrap();
    assert_eq!((delivered.len(), delivered.uid()), (5000, one.uid));
}
