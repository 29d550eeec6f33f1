//! The caller's proxy variables, which a job takes with it.

use openbits_api::EnvironmentProxyView;

/// The proxy variables of an environment, as curl reads them: lower case first, upper case else, but never `HTTP_PROXY`, which
/// a web server would set from a request's `Proxy:` header.
pub fn environment_proxy(get: impl Fn(&str) -> Option<String>) -> Option<EnvironmentProxyView> {
    let read = |names: &[&str]| names.iter().find_map(|n| get(n).filter(|v| !v.is_empty()));
    let view = EnvironmentProxyView {
        http: read(&["http_proxy"]),
        https: read(&["https_proxy", "HTTPS_PROXY"]),
        all: read(&["all_proxy", "ALL_PROXY"]),
        no: read(&["no_proxy", "NO_PROXY"]),
    };
    (view != EnvironmentProxyView::default()).then_some(view)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxy_variables_are_read_as_curl_reads_them() {
        let read = |vars: &[(&str, &str)]| {
            environment_proxy(|n| vars.iter().find(|v| v.0 == n).map(|v| v.1.to_owned()))
        };
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[("HTTP_PROXY", "http://evil:1")]), None);
        assert_eq!(read(&[("http_proxy", "")]), None);
        let view = read(&[
            ("http_proxy", "a"),
            ("https_proxy", "b"),
            ("HTTPS_PROXY", "c"),
            ("ALL_PROXY", "d"),
            ("NO_PROXY", "e"),
        ])
        .unwrap();
        let texts = [view.http, view.https, view.all, view.no].map(Option::unwrap_or_default);
        assert_eq!(texts, ["a", "b", "d", "e"]);
    }
}
