//! Addresses with a prefix: what `cidr()` gives.

use std::fmt;
use std::net::IpAddr;

use super::val::Val;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// `10.0.0.0/8`, `2001:db8::/32`, or an address alone, which is a network of one.
    pub fn parse(text: &str) -> Result<Network, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| format!("`{address}` is no IP address"))?;
        let longest = bits(address);
        let prefix = match prefix {
            None => longest,
            Some(prefix) => prefix
                .parse()
                .ok()
                .filter(|length| *length <= longest && !prefix.starts_with('+'))
                .ok_or_else(|| format!("the length of the prefix is 0 to {longest}, not `{prefix}`"))?,
        };
        Ok(Network { address, prefix })
    }

    pub fn field<'a>(&self, name: &str) -> Option<Val<'a>> {
        match name {
            "address" => Some(Val::text(self.address.to_string())),
            "prefix" => Some(Val::Int(i64::from(self.prefix))),
            "network" => Some(Val::text(self.first().to_string())),
            "family" => Some(Val::Int(if self.address.is_ipv4() { 4 } else { 6 })),
            _ => None,
        }
    }

    /// Whether all addresses of the other lie in this one.
    pub fn contains(&self, other: &Network) -> bool {
        self.address.is_ipv4() == other.address.is_ipv4()
            && other.prefix >= self.prefix
            && masked(other.address, self.prefix) == self.first()
    }

    fn first(&self) -> IpAddr {
        masked(self.address, self.prefix)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address with everything after the prefix set to zero.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::from((v4.to_bits() & mask).to_be_bytes())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::from((v6.to_bits() & mask).to_be_bytes())
        }
    }
}
