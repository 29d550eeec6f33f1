//! IBackgroundCopyFile (spec/bits-core.md 5.4).

use crate::common::Service;
use openbits_client::Action;
use openbits_testkit::{Content, Origin};

#[test]
fn file_get_remote_name() {
    let service = Service::start();
    let url = "HTTP://127.0.0.1:1/%7Ex?q=1#f";
    let with_login = "HTTP://user:pw@127.0.0.1:1/%7Ex?q=1#f";
    let id = service.create(vec![service.file(url, "a"), service.file(with_login, "b")]);
    assert_eq!(service.files(id)[0].remote_name, url, "byte for byte as it was given");
    assert_eq!(service.files(id)[1].remote_name, url, "but a password is shown to nobody");
}

#[test]
fn file_get_local_name() {
    let service = Service::start();
    let id = service.create(vec![service.file("http://127.0.0.1:1/", "ü b")]);
    assert_eq!(service.files(id)[0].local_name, service.path("ü b").display().to_string());
}

#[test]
fn file_get_progress() {
    let (service, origin) = (Service::start(), Origin::start());
    origin.put("a", Content::new(1, 1000));
    let id = service.create(vec![service.file(&origin.url("a"), "a")]);
    let progress = || {
        let file = service.files(id).remove(0);
        (file.bytes_total, file.bytes_transferred, file.completed)
    };
    assert_eq!(progress(), (None, 0, false));
    service.transfer(id);
    assert_eq!(progress(), (Some(1000), 1000, false), "completed means: in its place");
    service.act(id, Action::Complete).unwrap();
    assert_eq!(progress(), (Some(1000), 1000, true));
}
