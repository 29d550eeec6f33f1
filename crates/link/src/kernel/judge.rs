//! Is there a network? The decision, without the kernel.

use crate::facts::Network;
use openbits_core::subnet::Subnets;
use std::net::IpAddr;

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) loopback: bool,
    /// Up, with a carrier.
    pub(crate) carries: bool,
    /// A bridge goes nowhere by itself: those of containers and virtual machines are up without any network.
    pub(crate) bridge: bool,
    /// Its packets leave the machine inside of others, by a program or the kernel: WireGuard, tun and tap, IPsec.
    pub(crate) tunnel: bool,
}

/// An address of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) link: u32,
    pub(crate) address: IpAddr,
    /// Leading bits of the subnet.
    pub(crate) bits: u8,
    /// It is good for more than this link.
    pub(crate) wide: bool,
}

/// `ways`: interfaces that packets to far addresses would take.
///
/// There is a network if a packet has a way out over an interface that carries, or if such an interface (no bridge) has an address that
/// others can answer to: a laboratory without a router is a network as well. The loopback is none.
pub(crate) fn judge(links: &[Link], addresses: &[Address], ways: &[u32]) -> Network {
    let usable = |index: u32| links.iter().find(|link| link.index == index && link.carries && !link.loopback);
    let way = ways.iter().find_map(|index| usable(*index));
    let reachable = |address: &&Address| address.wide && usable(address.link).is_some();
    let neighbours = addresses.iter().filter(reachable);
    let own = neighbours.clone().any(|address| usable(address.link).is_some_and(|link| !link.bridge));
    Network {
        up: way.is_some() || own,
        interface: way.map(|link| link.name.clone()),
        wwan: false,
        tunnel: way.is_some_and(|link| link.tunnel),
        subnets: Subnets::new(neighbours.map(|address| (address.address, address.bits))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str, carries: bool) -> Link {
        let (bridge, tunnel) = (name.starts_with("br"), name.starts_with("wg"));
        Link { index, name: name.to_owned(), loopback: name == "lo", carries, bridge, tunnel }
    }

    fn address(link: u32, text: &str, wide: bool) -> Address {
        let (address, bits) = text.split_once('/').expect("a prefix");
        Address {
            link,
            address: address.parse().expect("an address"),
            bits: bits.parse().expect("bits"),
            wide,
        }
    }

    #[test]
    fn a_tunnel_counts_where_the_way_out_goes_through_it() {
        let links = [link(2, "eth0", true), link(3, "wg0", true)];
        for (ways, tunnel) in [(&[2][..], false), (&[3], true), (&[2, 3], false), (&[], false)] {
            assert_eq!(judge(&links, &[], ways).tunnel, tunnel, "{ways:?}");
        }
    }

    #[test]
    fn a_network_is_a_way_out_or_a_neighbour() {
        let lo = || (link(1, "lo", true), address(1, "127.0.0.1/8", false));
        let judge_with = |links: Vec<Link>, addresses: Vec<Address>, ways: &[u32]| {
            let (lo, own) = lo();
            let links: Vec<_> = std::iter::once(lo).chain(links).collect();
            let addresses: Vec<_> = std::iter::once(own).chain(addresses).collect();
            let network = judge(&links, &addresses, ways);
            (network.up, network.interface, network.subnets.iter().count())
        };
        assert_eq!(judge_with(vec![], vec![], &[]), (false, None, 0), "the loopback alone is none");
        assert_eq!(judge_with(vec![], vec![], &[1]), (false, None, 0), "also as default route");
        let eth = |carries| vec![link(2, "eth0", carries)];
        let wide = || vec![address(2, "10.0.0.5/8", true)];
        assert_eq!(judge_with(eth(true), wide(), &[2]), (true, Some("eth0".to_owned()), 1));
        assert_eq!(judge_with(eth(true), wide(), &[]), (true, None, 1), "a network without a router");
        assert_eq!(
            judge_with(eth(false), wide(), &[2]),
            (false, None, 0),
            "the cable is out, the route still there"
        );
        let link_local = || vec![address(2, "fe80::1/64", false)];
        assert_eq!(judge_with(eth(true), link_local(), &[]), (false, None, 0));
        assert_eq!(judge_with(eth(true), link_local(), &[2]), (true, Some("eth0".to_owned()), 0));
        let bridge = || vec![link(2, "br0", true)];
        assert_eq!(judge_with(bridge(), wide(), &[]), (false, None, 1), "a bridge of containers");
        assert_eq!(
            judge_with(bridge(), wide(), &[2]),
            (true, Some("br0".to_owned()), 1),
            "the way out is a bridge"
        );
    }
}
