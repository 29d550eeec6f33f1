//! Proxy lists, bypass lists and the proxy variables of an environment.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use openbits_transfer::fuzzing;
use openbits_transfer::protocol::Proxy;
use url::Url;

#[derive(Arbitrary, Debug)]
enum Setting {
    List { list: String, bypass: Option<String> },
    Environment { http: Option<String>, https: Option<String>, all: Option<String>, no: Option<String> },
}

#[derive(Arbitrary, Debug)]
struct Input {
    url: u8,
    setting: Setting,
}

const URLS: [&str; 5] = [
    "http://h/",
    "https://a.example.org:8443/x",
    "http://[::1]/",
    "https://127.0.0.1/",
    "http://xn--bcher-kva/",
];

fuzz_target!(|input: Input| {
    let url = Url::parse(URLS[usize::from(input.url) % URLS.len()]).expect("one of ours");
    let list = match &input.setting {
        Setting::List { list, .. } => Some(list.clone()),
        Setting::Environment { .. } => None,
    };
    let proxy = match input.setting {
        Setting::List { list, bypass } => Proxy::List { list, bypass },
        Setting::Environment { http, https, all, no } => Proxy::Environment { http, https, all, no },
    };
    let Ok(routes) = fuzzing::proxy_routes(&proxy, &url) else { return };
    assert!(!routes.is_empty() && routes.len() <= 64);
    for (host, _) in routes.iter().flatten() {
        assert!(!host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic()), "{host:?}");
        assert!(!host.contains(['/', '@', '#', '?', '\\']), "{host:?}");
    }
    if let Some(list) = list.filter(|_| routes.iter().all(Option::is_some)) {
        // A list that is used in part was not understood.
        let broken = |entry: &str| {
            let server = entry.rsplit('@').next().unwrap_or_default();
            server.contains(['#', '?', '\\', '\n', '\r', '\0'])
        };
        let entries = list.split([' ', ';', '\t']);
        assert!(entries.clone().count() > 64 || !entries.clone().any(broken), "{list:?}");
    }
});
