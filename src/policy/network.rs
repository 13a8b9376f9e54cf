//! IP addresses and ranges of them (RFC 4632, RFC 4291).

use std::net::IpAddr;

/// The addresses whose first bits are these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    /// An address, or an address with `/` and the number of leading bits that
    /// count.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            None => (text, None),
            Some((address, prefix)) => (address, Some(prefix)),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok()?,
            Some(_) => return None,
        };
        (prefix <= bits).then_some(Self { address, prefix })
    }

    /// Whether the address is one of them. An IPv6 address is never in a range of
    /// IPv4 addresses.
    pub fn contains(&self, address: IpAddr) -> bool {
        let difference = match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                u128::from(own.to_bits() ^ other.to_bits()) << 96
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => own.to_bits() ^ other.to_bits(),
            _ => return false,
        };
        difference.leading_zeros() >= self.prefix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lie_in_networks_or_not() {
        for (network, address, expected) in [
            ("203.0.113.5", "203.0.113.5", true),
            ("203.0.113.5", "203.0.113.6", false),
            ("203.0.113.0/24", "203.0.113.255", true),
            ("203.0.113.77/24", "203.0.113.1", true),
            ("203.0.113.0/24", "203.0.114.0", false),
            ("0.0.0.0/0", "198.51.100.1", true),
            ("128.0.0.0/1", "127.255.255.255", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::1", "2001:0DB8:0:0::1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "203.0.113.5", false),
            ("203.0.113.0/24", "::ffff:203.0.113.5", false),
        ] {
            let network = Network::parse(network).unwrap();
            assert_eq!(
                network.contains(address.parse().unwrap()),
                expected,
                "{network:?} {address}"
            );
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "/", "x", "203.0.113", "203.0.113.0/", "203.0.113.0/33", "::/129"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
        for text in ["203.0.113.0/+8", "203.0.113.0/8/8", " 203.0.113.5", "203.0.113.*"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
