//! What kind of place an address is: whether a stranger's step may be led there, and under which words of its grant.
//!
//! A table of the special-purpose registries of IANA (RFC 6890 and its successors). Forms of IPv6 that carry an IPv4 address are
//! judged by the address that they carry: a packet for them ends there. No names are looked up here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a grant has to say before a connection may go to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Anybody on the internet may be called.
    Public,
    /// `private=#true`.
    Special(&'static str),
    /// `private=#true`, and an origin that names the address itself: no honest name leads there, and what answers gives out the
    /// credentials of the machine.
    ByAddressOnly(&'static str),
    /// No server has such an address.
    Never(&'static str),
}

use Standing::{ByAddressOnly, Never, Public, Special};

/// Judges one address.
pub(super) fn standing(address: IpAddr) -> Standing {
    match address {
        IpAddr::V4(v4) => standing_v4(v4),
        IpAddr::V6(v6) => standing_v6(v6),
    }
}

fn standing_v4(address: Ipv4Addr) -> Standing {
    match address.octets() {
        [0, ..] => Never("the unspecified address"),
        [127, ..] => Special("a loopback address"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Special("a private address"),
        // One provider of virtual machines answers with their credentials in the shared range.
        [100, 100, 100, 200] => ByAddressOnly("a metadata service"),
        [100, 64..=127, ..] => Special("an address of a carrier's own network"),
        [169, 254, ..] => ByAddressOnly("a link-local address"),
        [192, 0, 0, 192] => ByAddressOnly("a metadata service"),
        [192, 0, 0, _] => Special("an address for protocols"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Special("an address for documentation"),
        [192, 88, 99, _] => Special("a relay address"),
        [198, 18..=19, ..] => Special("an address for benchmarks"),
        [224..=239, ..] => Never("a multicast address"),
        [240..=255, ..] => Never("a reserved address"),
        _ => Public,
    }
}

fn standing_v6(address: Ipv6Addr) -> Standing {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let low = v4_of(g, h);
    match [a, b, c, d, e, f, g, h] {
        [0, 0, 0, 0, 0, 0, 0, 0] => Never("the unspecified address"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Special("a loopback address"),
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => standing_v4(low),
        // Obsolete, so even one that carries a public address is special.
        [0, 0, 0, 0, 0 | 0xffff, 0, ..] => stricter(standing_v4(low), Special("an IPv4-compatible address")),
        [0x64, 0xff9b, 1, ..] => Special("an address of a local translator"),
        [0x2002, ..] => standing_v4(v4_of(b, c)),
        // Teredo, benchmarks, ORCHID and the rest of the block for protocols.
        [0x2001, 0..=0x1ff, ..] => Special("an address for protocols"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Special("an address for documentation"),
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] => ByAddressOnly("a metadata service"),
        [0xfc00..=0xfdff, ..] => Special("a unique local address"),
        [0xfe80..=0xfebf, ..] => ByAddressOnly("a link-local address"),
        [0xfec0..=0xfeff, ..] => Special("a site-local address"),
        [0xff00..=0xffff, ..] => Never("a multicast address"),
        // ISATAP: below any prefix, the last 32 bits are an address of the network behind it.
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => standing_v4(low),
        [0x2000..=0x3fff, ..] => Public,
        _ => Special("a reserved address"),
    }
}

fn stricter(one: Standing, other: Standing) -> Standing {
    if one == Public { other } else { one }
}

fn v4_of(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_internet_routes_is_public() {
        for (text, expected) in [
            ("1.1.1.1", Public),
            ("100.63.255.255", Public),
            ("100.128.0.1", Public),
            ("172.15.0.1", Public),
            ("172.32.0.1", Public),
            ("192.0.1.1", Public),
            ("198.20.0.1", Public),
            ("223.255.255.255", Public),
            ("2606:4700::1111", Public),
            ("::ffff:1.1.1.1", Public),
            ("64:ff9b::101:101", Public),
            ("2002:101:101::1", Public),
            ("0.0.0.0", Never("the unspecified address")),
            ("0.1.2.3", Never("the unspecified address")),
            ("::", Never("the unspecified address")),
            ("::ffff:0.0.0.0", Never("the unspecified address")),
            ("224.0.0.1", Never("a multicast address")),
            ("ff02::1", Never("a multicast address")),
            ("255.255.255.255", Never("a reserved address")),
            ("240.0.0.1", Never("a reserved address")),
            ("127.0.0.1", Special("a loopback address")),
            ("127.255.255.254", Special("a loopback address")),
            ("::1", Special("a loopback address")),
            ("::ffff:127.0.0.1", Special("a loopback address")),
            ("::127.0.0.1", Special("a loopback address")),
            ("::ffff:0:127.0.0.1", Special("a loopback address")),
            ("64:ff9b::7f00:1", Special("a loopback address")),
            ("2002:7f00:1::1", Special("a loopback address")),
            ("10.1.2.3", Special("a private address")),
            ("172.16.0.1", Special("a private address")),
            ("172.31.255.255", Special("a private address")),
            ("192.168.1.1", Special("a private address")),
            ("::ffff:10.0.0.1", Special("a private address")),
            ("::192.168.0.1", Special("a private address")),
            ("2002:c0a8:101::", Special("a private address")),
            ("64:ff9b::a00:1", Special("a private address")),
            ("2606:4700::5efe:10.0.0.1", Special("a private address")),
            ("2606:4700::200:5efe:10.0.0.1", Special("a private address")),
            ("::8.8.8.8", Special("an IPv4-compatible address")),
            ("100.64.0.1", Special("an address of a carrier's own network")),
            ("100.100.100.200", ByAddressOnly("a metadata service")),
            ("192.0.0.192", ByAddressOnly("a metadata service")),
            ("fd00:ec2::254", ByAddressOnly("a metadata service")),
            ("169.254.169.254", ByAddressOnly("a link-local address")),
            ("::ffff:169.254.169.254", ByAddressOnly("a link-local address")),
            ("64:ff9b::a9fe:a9fe", ByAddressOnly("a link-local address")),
            ("2002:a9fe:a9fe::", ByAddressOnly("a link-local address")),
            ("fe80::1", ByAddressOnly("a link-local address")),
            ("febf::1", ByAddressOnly("a link-local address")),
            ("fec0::1", Special("a site-local address")),
            ("fc00::1", Special("a unique local address")),
            ("fdff::1", Special("a unique local address")),
            ("192.0.2.1", Special("an address for documentation")),
            ("198.51.100.1", Special("an address for documentation")),
            ("203.0.113.1", Special("an address for documentation")),
            ("2001:db8::1", Special("an address for documentation")),
            ("3fff:fff::1", Special("an address for documentation")),
            ("192.0.0.1", Special("an address for protocols")),
            ("2001::1", Special("an address for protocols")),
            ("2001:2::1", Special("an address for protocols")),
            ("192.88.99.1", Special("a relay address")),
            ("198.18.0.1", Special("an address for benchmarks")),
            ("198.19.255.255", Special("an address for benchmarks")),
            ("64:ff9b:1::a00:1", Special("an address of a local translator")),
            ("100::1", Special("a reserved address")),
            ("5f00::1", Special("a reserved address")),
            ("4000::1", Special("a reserved address")),
        ] {
            assert_eq!(standing(text.parse().unwrap()), expected, "{text}");
        }
    }
}
