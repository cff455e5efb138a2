//! Where the processes of a lab listen, with the ports that everybody knows.
//!
//! On loopback each lab has a block 127.X.0.0/16 of its own, so that several run side by side:
//!
//! | address | what |
//! |---|---|
//! | 127.X.0.9:2377 | held while a lab comes up: two that look for a block at once do not find the same one |
//! | 127.X.0.10:2379, :2380 | etcd |
//! | 127.X.0.(10+N):6443, :10257 | API server and controllers of cluster N, counted from 1 |
//! | 127.X.0.5:5300 | DNS server |
//! | 127.X.N.101 … 250 | load balancers of cluster N |
//!
//! In a network of its own ([`super::network`]) a lab has all of 10.0.0.0/8, and each cluster is a region:
//!
//! | address | what |
//! |---|---|
//! | 10.0.0.1 | what is outside of all regions: who uses the clusters, and the way between them |
//! | 10.0.0.53:53 | DNS server |
//! | 10.N.0.1 | what region N speaks from |
//! | 10.N.0.9:2379, :2380 | etcd of cluster N |
//! | 10.N.0.10:6443, :10257 | API server and controllers |
//! | 10.N.0.53:53 | what tells names to Pods |
//! | 10.N.1.101 … 250 | load balancers |
//! | 10.N.2.2 … 254 | Pods |
//! | 10.N.128.0/17 | Services, which cannot be reached from outside of the region |

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};

use super::error::LabError;

/// Clusters are counted in one part of an address, beside those of the other processes.
pub const CLUSTERS_MAX: usize = 100;

/// The addresses of one lab.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Block {
    Loopback(u8),
    Network,
}

/// Addresses that no other lab takes as long as this value lives.
#[derive(Debug)]
pub struct Claim {
    pub block: Block,
    _held: Option<TcpListener>,
}

impl Block {
    /// The block that an address is in.
    pub fn of(address: Ipv4Addr) -> Block {
        if address.is_loopback() { Block::Loopback(address.octets()[1]) } else { Block::Network }
    }

    /// Finds a block in which nothing listens yet where this lab would.
    pub fn claim(clusters: usize) -> Result<Claim, LabError> {
        let mut last = None;
        // 127.0 belongs to the machine. Low numbers look best.
        for block in (10..=254).chain(1..10).map(Block::Loopback) {
            match block.hold(clusters) {
                Ok(held) => return Ok(Claim { block, _held: Some(held) }),
                Err(failed) => last = Some(failed),
            }
        }
        let (last, source) = last.expect("there are blocks to try");
        Err(LabError::NoAddresses { last: last.to_string(), source })
    }

    /// The addresses of a network that nobody shares.
    pub fn network() -> Claim {
        Claim { block: Block::Network, _held: None }
    }

    fn hold(self, clusters: usize) -> Result<TcpListener, (SocketAddrV4, io::Error)> {
        let at = self.outside(9, 2377);
        let held = TcpListener::bind(at).map_err(|error| (at, error))?;
        let mut needed = vec![self.dns()];
        for index in 0..clusters {
            needed.extend([self.apiserver(index), self.controllers(index)]);
        }
        for index in 0..self.etcds(clusters) {
            needed.extend([self.etcd(index), self.etcd_peer(index)]);
        }
        for at in needed {
            TcpListener::bind(at).map_err(|error| (at, error))?;
        }
        UdpSocket::bind(self.dns()).map_err(|error| (self.dns(), error))?;
        Ok(held)
    }

    /// How many etcds there are: one that all clusters share, or, where a region can be cut off, one in each.
    pub fn etcds(self, clusters: usize) -> usize {
        match self {
            Block::Loopback(_) => 1,
            Block::Network => clusters,
        }
    }

    pub fn etcd(self, index: usize) -> SocketAddrV4 {
        self.etcd_at(index, 2379)
    }

    pub fn etcd_peer(self, index: usize) -> SocketAddrV4 {
        self.etcd_at(index, 2380)
    }

    fn etcd_at(self, index: usize, port: u16) -> SocketAddrV4 {
        match self {
            Block::Loopback(_) => self.outside(10, port),
            Block::Network => region(index, 9, port),
        }
    }

    pub fn dns(self) -> SocketAddrV4 {
        match self {
            Block::Loopback(_) => self.outside(5, 5300),
            Block::Network => self.outside(53, 53),
        }
    }

    pub fn apiserver(self, index: usize) -> SocketAddrV4 {
        self.control_plane(index, 6443)
    }

    pub fn controllers(self, index: usize) -> SocketAddrV4 {
        self.control_plane(index, 10257)
    }

    fn control_plane(self, index: usize, port: u16) -> SocketAddrV4 {
        match self {
            Block::Loopback(_) => self.outside(11 + number(index), port),
            Block::Network => region(index, 10, port),
        }
    }

    /// The first three parts of load balancer addresses.
    pub fn load_balancers(self, index: usize) -> String {
        match self {
            Block::Loopback(block) => format!("127.{block}.{}", 1 + number(index)),
            Block::Network => format!("10.{}.1", 1 + number(index)),
        }
    }

    /// The first three parts of Pod addresses. Never loopback, or they could not be endpoints.
    pub fn pods(self, index: usize) -> String {
        match self {
            Block::Loopback(_) => format!("10.{}.0", 200 + index),
            Block::Network => format!("10.{}.2", 1 + number(index)),
        }
    }

    /// The network of Service addresses; no two clusters share one.
    pub fn services(self, index: usize) -> String {
        match self {
            Block::Loopback(_) => format!("10.{}.0.0/16", 96 + index),
            Block::Network => format!("10.{}.128.0/17", 1 + number(index)),
        }
    }

    fn outside(self, last: u8, port: u16) -> SocketAddrV4 {
        let address = match self {
            Block::Loopback(block) => Ipv4Addr::new(127, block, 0, last),
            Block::Network => Ipv4Addr::new(10, 0, 0, last),
        };
        SocketAddrV4::new(address, port)
    }
}

/// What region `index` speaks from.
pub fn speaks_from(index: usize) -> Ipv4Addr {
    *region(index, 1, 0).ip()
}

/// What tells names to the Pods of a region.
pub fn resolver(index: usize) -> Ipv4Addr {
    *region(index, 53, 0).ip()
}

fn region(index: usize, last: u8, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 1 + number(index), 0, last), port)
}

fn number(index: usize) -> u8 {
    assert!(index < CLUSTERS_MAX, "no lab is that large");
    index as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_labs_that_look_at_once_find_different_blocks() {
        let first = Block::claim(3).unwrap();
        let second = Block::claim(3).unwrap();
        assert_ne!(first.block, second.block);
    }

    #[test]
    fn a_block_in_which_something_listens_is_passed_over() {
        let block = Block::claim(3).unwrap().block;
        let _there = TcpListener::bind(block.apiserver(2)).unwrap();
        assert_ne!(Block::claim(3).unwrap().block, block);
    }
}
