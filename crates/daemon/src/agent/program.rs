//! The service under the agent's own name (spec/delivery-optimization-linux-agent.md 10): the SDK asks a program of this name for its
//! version, and units and scripts start it without options.

use std::ffi::OsString;
use std::path::Path;

/// Name of the agent's program.
pub const NAME: &str = "deliveryoptimization-agent";

/// `<builder>;<component>/v<major.minor.patch>`: the SDK takes `deliveryoptimization-` out of it and puts it behind its own.
pub(super) const VERSION: &str = concat!("openbits;deliveryoptimization-agent/v", env!("CARGO_PKG_VERSION"));
/// What it was built from: whoever builds it may say so.
const REVISION: &str = match option_env!("OPENBITS_REVISION") {
    Some(revision) => revision,
    None => concat!("openbits-", env!("CARGO_PKG_VERSION")),
};

/// What a call of the service's program means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Called {
    /// A question for the version; the answer, without the end of its line.
    Version(String),
    /// The service, with these arguments.
    Service(Vec<OsString>),
}

/// By the agent's name, `--version`, `-v` and `--version-extra` ask for the version; everything else runs the service with the agent's
/// door open: root's for all users, as the agent does, anybody else's as a service of his own.
pub(crate) fn called(mut arguments: Vec<OsString>, root: bool) -> Called {
    let name = arguments.first().and_then(|name| Path::new(name).file_name());
    if name.is_none_or(|name| name != NAME) {
        return Called::Service(arguments);
    }
    let has = |words: &[&str]| arguments[1..].iter().any(|word| words.iter().any(|known| word == known));
    if has(&["--version-extra"]) {
        return Called::Version(format!("{VERSION} ({REVISION})"));
    }
    if has(&["--version", "-v"]) {
        return Called::Version(VERSION.to_owned());
    }
    let (open, mode) = (!has(&["--do-agent"]), root && !has(&["--system", "--user"]));
    let more = [(open, "--do-agent"), (mode, "--system")].into_iter().filter(|(wanted, _)| *wanted);
    arguments.splice(1..1, more.map(|(_, word)| word.into()));
    Called::Service(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(line: &str, root: bool) -> Called {
        called(line.split(' ').map(OsString::from).collect(), root)
    }

    fn service(line: &str) -> Called {
        Called::Service(line.split(' ').map(OsString::from).collect())
    }

    #[test]
    fn the_service_under_the_agents_name() {
        let version = Called::Version(VERSION.to_owned());
        assert_eq!(call("/usr/bin/deliveryoptimization-agent --version", true), version);
        assert_eq!(call("deliveryoptimization-agent -v", false), version);
        assert_eq!(
            call("deliveryoptimization-agent --version-extra", false),
            Called::Version(format!("{VERSION} ({REVISION})"))
        );
        let a = "/usr/local/bin/deliveryoptimization-agent";
        assert_eq!(call(a, true), service(&format!("{a} --do-agent --system")));
        assert_eq!(call(a, false), service(&format!("{a} --do-agent")));
        assert_eq!(
            call(&format!("{a} --user --do-agent-run /x"), true),
            service(&format!("{a} --do-agent --user --do-agent-run /x"))
        );
        assert_eq!(
            call(&format!("{a} --do-agent --system"), true),
            service(&format!("{a} --do-agent --system"))
        );
        for other in
            ["bitsd --version", "bitsd -v", "/opt/deliveryoptimization-agent/bitsd", "bitsd --system"]
        {
            assert_eq!(call(other, true), service(other), "another name is not looked at");
        }
        assert_eq!(called(Vec::new(), true), Called::Service(Vec::new()));
    }

    /// `<builder>;<component>/v<major.minor.patch>`
    #[test]
    fn the_version_line_is_of_the_contracts_form() {
        let (builder, rest) = VERSION.split_once(';').unwrap();
        assert!(!builder.is_empty() && builder.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let number = rest.strip_prefix("deliveryoptimization-agent/v").unwrap();
        let parts: Vec<&str> = number.split('.').collect();
        assert_eq!(parts.len(), 3);
        assert!(parts.iter().all(|part| part.parse::<u32>().is_ok()), "{number}");
    }
}
