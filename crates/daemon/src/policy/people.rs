//! Who may create jobs, and who is exempt from the limits (spec/policy.md C4, `limits.*`).

use openbits_core::Policy;
use openbits_core::policy::{About, Finding, Severity};
use std::collections::BTreeSet;

/// First uid of ordinary accounts.
const ORDINARY_UID: u32 = 1000;

/// The people of the policy, as numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct People {
    /// Only these create jobs; `None`: everybody.
    allowed: Option<BTreeSet<u32>>,
    denied: BTreeSet<u32>,
    exempt_groups: BTreeSet<u32>,
    exempt_system_accounts: bool,
}

impl People {
    /// Looks the names up; those that nobody has are findings.
    pub fn of(policy: &mut Policy) -> Self {
        let user = |name: &str| nix::unistd::User::from_name(name).ok().flatten().map(|u| u.uid.as_raw());
        let group = |name: &str| nix::unistd::Group::from_name(name).ok().flatten().map(|g| g.gid.as_raw());
        let allow = policy.list("limits.allow_users").to_vec();
        let allowed = numbers(policy, "limits.allow_users", user);
        Self {
            // A list whose names nobody has still shuts everybody out.
            allowed: (!allow.is_empty()).then_some(allowed),
            denied: numbers(policy, "limits.deny_users", user),
            exempt_groups: numbers(policy, "limits.exempt_groups", group),
            exempt_system_accounts: policy.flag("limits.exempt_system_accounts"),
        }
    }

    /// Key that forbids a user to create jobs; root always may.
    pub fn forbids(&self, uid: u32) -> Option<&'static str> {
        if uid == 0 {
            None
        } else if self.denied.contains(&uid) {
            Some("limits.deny_users")
        } else if self.allowed.as_ref().is_some_and(|allowed| !allowed.contains(&uid)) {
            Some("limits.allow_users")
        } else {
            None
        }
    }

    /// Exempt without a look at the groups.
    pub fn exempts(&self, uid: u32, gid: u32) -> bool {
        uid == 0 || (self.exempt_system_accounts && uid < ORDINARY_UID) || self.exempt_groups.contains(&gid)
    }

    /// Exempt by one of the other groups. Reads the system's databases, which may take a while.
    pub fn exempts_by_group(&self, uid: u32) -> bool {
        if self.exempt_groups.is_empty() {
            return false;
        }
        let Ok(Some(user)) = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)) else {
            return false;
        };
        let Ok(name) = std::ffi::CString::new(user.name) else { return false };
        let groups = nix::unistd::getgrouplist(&name, user.gid).unwrap_or_default();
        groups.iter().any(|gid| self.exempt_groups.contains(&gid.as_raw()))
    }
}

fn numbers(policy: &mut Policy, key: &str, look_up: impl Fn(&str) -> Option<u32>) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    for name in policy.list(key).to_vec() {
        match name.parse().ok().or_else(|| look_up(&name)) {
            Some(number) => drop(found.insert(number)),
            None => policy.notice(Finding {
                severity: Severity::Warning,
                about: About::BadValue,
                key: Some(key.to_owned()),
                file: None,
                text: format!("nobody is called {name:?}"),
            }),
        }
    }
    found
}
