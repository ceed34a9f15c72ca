//! Public addresses of the internet. Everything else is refused, including ranges not listed
//! anywhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 ranges that are not public, from the special-purpose registry (RFC 6890 and its
/// successors).
const V4: &[([u8; 4], u8)] = &[
    ([0, 0, 0, 0], 8),        // this network
    ([10, 0, 0, 0], 8),       // private
    ([100, 64, 0, 0], 10),    // shared by carriers; Aliyun's metadata
    ([127, 0, 0, 0], 8),      // loopback
    ([168, 63, 129, 16], 32), // a public number that is Azure's inside
    ([169, 254, 0, 0], 16),   // link-local; the metadata of most clouds
    ([172, 16, 0, 0], 12),    // private
    ([192, 0, 0, 0], 24),     // protocol assignments; Oracle's metadata
    ([192, 0, 2, 0], 24),     // documentation
    ([192, 31, 196, 0], 24),  // AS112
    ([192, 52, 193, 0], 24),  // multicast tunnels
    ([192, 88, 99, 0], 24),   // 6to4 relays
    ([192, 168, 0, 0], 16),   // private
    ([192, 175, 48, 0], 24),  // AS112
    ([198, 18, 0, 0], 15),    // benchmarks
    ([198, 51, 100, 0], 24),  // documentation
    ([203, 0, 113, 0], 24),   // documentation
    ([224, 0, 0, 0], 4),      // multicast
    ([240, 0, 0, 0], 4),      // reserved, broadcast
];

/// The IPv6 block assigned for public use: `2000::/3`.
const V6_GLOBAL: ([u16; 8], u8) = ([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// Parts of that block that are not public.
const V6: &[([u16; 8], u8)] = &[
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), // protocol assignments: Teredo, benchmarks, ORCHID
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), // documentation
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), // 6to4: carries any IPv4
    ([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48), // AS112
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), // documentation
];

/// IPv4 addresses as reached from a network without IPv4 (RFC 6052 section 2.1).
const NAT64: ([u16; 8], u8) = ([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);

/// Whether an address is a public unicast address.
///
/// Mapped and compatible IPv4 (`::ffff:127.0.0.1`) is not, because no legitimate name resolves to
/// it. NAT64 addresses are judged by the IPv4 address inside.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) if within(u128::from(address), bits(NAT64)) => {
            let [.., a, b, c, d] = address.octets();
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let address = u32::from(address);
    !V4.iter()
        .any(|(base, length)| (address ^ u32::from_be_bytes(*base)) >> (32 - length) == 0)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let address = u128::from(address);
    within(address, bits(V6_GLOBAL)) && !V6.iter().any(|block| within(address, bits(*block)))
}

fn bits((base, length): ([u16; 8], u8)) -> (u128, u8) {
    (u128::from(Ipv6Addr::from(base)), length)
}

fn within(address: u128, (base, length): (u128, u8)) -> bool {
    (address ^ base) >> (128 - u32::from(length)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn public(text: &str) -> bool {
        is_public(text.parse().unwrap())
    }

    #[test]
    fn ordinary_addresses_are_public() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "93.184.216.34",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "168.63.129.15",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2400:3200::1",
            "2606:4700::1111",
            "2a00:1450::1",
            "64:ff9b::8.8.8.8",
        ] {
            assert!(public(address), "{address}");
        }
    }

    #[test]
    fn every_non_public_address_is_refused() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "192.168.255.255",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            assert!(!public(address), "{address}");
            assert!(
                !public(&format!("::ffff:{address}")) && !public(&format!("::{address}")),
                "mapped and compatible {address}"
            );
            assert!(
                !public(&format!("64:ff9b::{address}")),
                "behind NAT64: {address}"
            );
        }
        for address in [
            "::",
            "::1",
            "::ffff:8.8.8.8",
            "::ffff:0:127.0.0.1",
            "64:ff9b:1::10.0.0.1",
            "100::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "8000::1",
            "fc00::1",
            "fd00:ec2::254",
            "fdff::1",
            "fe80::1",
            "fe80::a9fe:a9fe",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
            "ffff::1",
        ] {
            assert!(!public(address), "{address}");
        }
    }

    proptest! {
        /// Agrees with the tables of the standard library where those are stable.
        #[test]
        fn addresses_special_to_std_are_never_public(bits: u32) {
            let v4 = Ipv4Addr::from(bits);
            let special = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_broadcast() || v4.is_documentation() || v4.is_multicast()
                || v4.is_unspecified();
            prop_assert!(!(special && is_public(v4.into())), "{}", v4);
            prop_assert!(!is_public(v4.to_ipv6_mapped().into()) && !is_public(v4.to_ipv6_compatible().into()), "{}", v4);
        }

        #[test]
        fn no_ipv6_outside_the_assigned_block_is_public(bits: u128) {
            let v6 = Ipv6Addr::from(bits);
            let special = v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || v6.is_unique_local() || v6.is_unicast_link_local();
            prop_assert!(!(special && is_public(v6.into())), "{}", v6);
            let nat64 = bits >> 32 == u128::from("64:ff9b::".parse::<Ipv6Addr>().unwrap()) >> 32;
            prop_assert!(bits >> 125 == 1 || nat64 || !is_public(v6.into()), "{}", v6);
        }

        /// An IPv4 address embedded in IPv6 is never more reachable than the plain address.
        #[test]
        fn embedded_private_address_stays_private(host: u32, shift in 0_u32..=96) {
            for (base, length) in V4 {
                let mask = if *length == 32 { 0 } else { u32::MAX >> length };
                let v4 = u32::from_be_bytes(*base) | (host & mask);
                prop_assert!(!is_public(Ipv4Addr::from(v4).into()));
                let nat64 = Ipv6Addr::from(u128::from("64:ff9b::".parse::<Ipv6Addr>().unwrap()) | u128::from(v4));
                prop_assert!(!is_public(nat64.into()), "{}", nat64);
                let six_to_four = Ipv6Addr::from((0x2002_u128 << 112) | (u128::from(v4) << 80) | u128::from(shift));
                prop_assert!(!is_public(six_to_four.into()), "{}", six_to_four);
            }
        }
    }
}
