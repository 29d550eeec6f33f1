//! Proxy settings of a desktop (KDE's file, GNOME's program), and the ways that come of them.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use openbits_transfer::fuzzing;
use openbits_transfer::protocol::Proxy;
use url::Url;

#[derive(Arbitrary, Debug)]
enum Part {
    Kde(u8),
    Gnome(u8),
    Text(String),
}

#[derive(Arbitrary, Debug)]
struct Input {
    gnome: bool,
    parts: Vec<Part>,
}

const KDE: [&str; 11] = [
    "[Proxy Settings]\n",
    "[Other]\n",
    "ProxyType=1\n",
    "ProxyType=2\n",
    "httpProxy=http://p 3128\n",
    "httpProxy=",
    "httpsProxy[$e]=http://u:p@q:1\n",
    "NoProxyFor=localhost,.corp\n",
    "NoProxyFor=",
    "ReversedException=true\n",
    "\n",
];
const GNOME: [&str; 9] = [
    "org.gnome.system.proxy mode 'manual'\n",
    "org.gnome.system.proxy mode 'auto'\n",
    "org.gnome.system.proxy.http host 'p'\n",
    "org.gnome.system.proxy.http host '",
    "org.gnome.system.proxy.http port 8080\n",
    "org.gnome.system.proxy.http port ",
    "org.gnome.system.proxy.https host 'q'\n",
    "org.gnome.system.proxy.https port 1\n",
    "org.gnome.system.proxy ignore-hosts ['localhost', '10.0.0.0/8', ",
];

fuzz_target!(|input: Input| {
    let parts = input.parts.iter().map(|part| match part {
        Part::Kde(at) => KDE[usize::from(*at) % KDE.len()],
        Part::Gnome(at) => GNOME[usize::from(*at) % GNOME.len()],
        Part::Text(text) => text,
    });
    let text: String = parts.collect();
    let found = if input.gnome { fuzzing::gnome_proxy(&text) } else { fuzzing::kde_proxy(&text) };
    let Some(proxy) = found else { return };
    assert!(text.contains(if input.gnome { "'manual'" } else { "ProxyType" }));
    let Proxy::Environment { http, https, all: None, .. } = &proxy else { panic!("{proxy:?}") };
    assert!(http.is_some() || https.is_some());
    for url in ["http://h/", "https://a.corp:8443/x", "http://127.0.0.1/", "https://[::1]/"] {
        let url = Url::parse(url).expect("one of ours");
        let Ok(routes) = fuzzing::proxy_routes(&proxy, &url) else { continue };
        assert!(!routes.is_empty() && routes.len() <= 64);
        for (host, _) in routes.iter().flatten() {
            assert!(!host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic()), "{host:?}");
            assert!(!host.contains(['/', '@', '#', '?', '\\']), "{host:?}");
        }
    }
});
