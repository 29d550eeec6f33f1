//! Addresses that are reached without a router: this machine itself, and its own subnets (spec/policy.md A5, "same subnet").

use std::net::IpAddr;

/// Most subnets that are remembered: a machine with more is a router, and its later ones count as remote.
pub const SUBNETS_MAX: usize = 256;

/// On-link prefixes of the machine: an address in the subnet, and the number of its leading bits.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Subnets(Vec<(IpAddr, u8)>);

impl Subnets {
    /// These prefixes; beyond [`SUBNETS_MAX`] they are left out.
    pub fn new(prefixes: impl IntoIterator<Item = (IpAddr, u8)>) -> Self {
        let mut all: Vec<_> = prefixes.into_iter().take(SUBNETS_MAX).collect();
        all.sort_unstable();
        all.dedup();
        Self(all)
    }

    /// The prefixes, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (IpAddr, u8)> {
        self.0.iter().copied()
    }

    /// True for this machine's own addresses on the loopback, and for neighbours. An IPv4 address in IPv6 form counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_loopback()
            || self.0.iter().any(|(net, bits)| same_prefix(net.to_canonical(), address, *bits))
    }
}

fn same_prefix(a: IpAddr, b: IpAddr, bits: u8) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(bits.min(32))
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(bits.min(128))
        }
        _ => false,
    }
}

/// The address that a URL names without asking anybody: a literal one, or `localhost`.
pub fn literal_address(url: &str) -> Option<IpAddr> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host_and_port = authority.rsplit('@').next()?;
    if let Some(bracketed) = host_and_port.strip_prefix('[') {
        return bracketed.split(']').next()?.parse().ok().map(IpAddr::V6);
    }
    let host = host_and_port.split(':').next()?;
    if host.eq_ignore_ascii_case("localhost") {
        return Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
    }
    host.parse().ok().map(IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_told_from_strangers_by_the_prefix() {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let nets = Subnets::new([
            (address("192.168.7.5"), 22),
            (address("fd00:1::9"), 64),
            (address("10.1.2.3"), 32),
        ]);
        for near in [
            "192.168.4.1",
            "192.168.7.255",
            "fd00:1::1",
            "10.1.2.3",
            "127.8.9.1",
            "::1",
            "::ffff:192.168.6.1",
        ] {
            assert!(nets.contains(address(near)), "{near}");
        }
        for far in ["192.168.8.1", "fd00:1:0:1::1", "10.1.2.4", "8.8.8.8", "2001:db8::1", "::ffff:8.8.8.8"] {
            assert!(!nets.contains(address(far)), "{far}");
        }
        assert!(Subnets::new([(address("0.0.0.0"), 0)]).contains(address("8.8.8.8")));
        assert!(
            Subnets::new([(address("1.2.3.4"), 255)]).contains(address("1.2.3.4")),
            "too many bits are all bits"
        );
        let many = (0..1000_u32).map(|n| (IpAddr::V4((0x0A00_0000 + n).into()), 32));
        assert_eq!(Subnets::new(many).iter().count(), SUBNETS_MAX);
    }

    #[test]
    fn only_literal_addresses_are_known_without_asking() {
        let cases = [
            ("http://127.0.0.1:8080/a", Some("127.0.0.1")),
            ("https://u:p@[::1]:4/x", Some("::1")),
            ("http://LOCALHOST", Some("127.0.0.1")),
            ("http://10.0.0.9?x@127.0.0.1/", Some("10.0.0.9")),
            ("http://127.0.0.1@evil.example/", None),
            ("http://localhost.example/", None),
            ("http://2130706433/", None),
            ("127.0.0.1/x", None),
            ("http://", None),
        ];
        for (url, expected) in cases {
            assert_eq!(literal_address(url), expected.map(|text| text.parse().expect("an address")), "{url}");
        }
    }
}
