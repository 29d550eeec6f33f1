//! IBitsTokenOptions through the door (spec/bits-extended.md 10).

use crate::common::{Service, code, refusal};
use openbits_api::SetProperties;
use openbits_client::Action;
use openbits_core::JobState;
use openbits_core::hresult::{self as h, S_OK};
use openbits_testkit::{Content, Origin};

#[test]
fn token_options_set_helper_token_through_the_door() {
    let (mut service, origin) = (Service::start(), Origin::start());
    origin.put("a", Content::new(1, 1000));
    let id = service.create(vec![service.file(&origin.url("a"), "a")]);
    let flags = |n| SetProperties { helper_token_flags: Some(n), ..SetProperties::default() };
    assert_eq!(service.set(id, flags(4)), Err(h::E_INVALIDARG));
    assert_eq!(service.set(id, flags(1)), Ok(S_OK));
    service.act(id, Action::Resume).unwrap();
    let job = service.reaches(id, JobState::Error);
    assert_eq!(job.error.unwrap().name, "BG_E_TOKEN_REQUIRED");
    let bad = service.client.set_helper_token(id, Some("zz")).map_err(refusal).unwrap_err();
    assert_eq!(bad, h::E_INVALIDARG);
    let ticket = service.client.helper_ticket(id).unwrap().ticket;
    assert_eq!(ticket.len(), 32);
    let set = service.client.set_helper_token(id, Some(&ticket)).unwrap();
    assert_eq!(service.job(id).helper_token_sid, Some(set.sid));
    service.transfer(id);
    service.restart();
    let job = service.job(id);
    assert_eq!((job.helper_token_sid, job.helper_token_flags), (None, 1), "only the flags are kept");
    assert_eq!(service.act(id, Action::Complete), Err(h::BG_E_TOKEN_REQUIRED));
    service.client.set_helper_token(id, None).unwrap();
    assert_eq!(service.act(id, Action::Complete), Ok(S_OK));
    assert!(service.path("a").exists());
}

#[test]
fn token_options_clear_helper_token_through_the_door() {
    let service = Service::start();
    let id = service.create(vec![]);
    assert_eq!(code(service.client.clear_helper_token(id)), Ok(S_OK));
    service.client.set_helper_token(id, None).unwrap();
    assert!(service.job(id).helper_token_sid.is_some());
    assert_eq!(code(service.client.clear_helper_token(id)), Ok(S_OK));
    assert_eq!(service.job(id).helper_token_sid, None);
}
