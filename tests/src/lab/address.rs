//! Where the processes of a lab listen. Each lab has a block 127.X.0.0/16 of its own, so that several run side by side, each with the
//! ports that everybody knows.
//!
//! | address | what |
//! |---|---|
//! | 127.X.0.9:2377 | held while a lab comes up: two that look for a block at once do not find the same one |
//! | 127.X.0.10:2379, :2380 | etcd |
//! | 127.X.0.(10+N):6443, :10257 | API server and controllers of cluster N, counted from 1 |
//! | 127.X.0.5:5300 | DNS server |
//! | 127.X.N.101 … 250 | load balancers of cluster N |

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};

use super::error::LabError;

/// Clusters are counted in one part of an address, beside those of the other processes.
pub const CLUSTERS_MAX: usize = 100;

/// The addresses of one lab.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Block(u8);

/// A block that no other lab takes as long as this value lives.
#[derive(Debug)]
pub struct Claim {
    pub block: Block,
    _held: TcpListener,
}

impl Block {
    /// The block that an address is in.
    pub fn of(address: Ipv4Addr) -> Block {
        Block(address.octets()[1])
    }

    /// Finds a block in which nothing listens yet where this lab would.
    pub fn claim(clusters: usize) -> Result<Claim, LabError> {
        let mut last = None;
        // 127.0 belongs to the machine. Low numbers look best.
        for block in (10..=254).chain(1..10).map(Block) {
            match block.hold(clusters) {
                Ok(held) => return Ok(Claim { block, _held: held }),
                Err(failed) => last = Some(failed),
            }
        }
        let (last, source) = last.expect("there are blocks to try");
        Err(LabError::NoAddresses { last: last.to_string(), source })
    }

    fn hold(self, clusters: usize) -> Result<TcpListener, (SocketAddrV4, io::Error)> {
        let at = self.at(9, 2377);
        let held = TcpListener::bind(at).map_err(|error| (at, error))?;
        let mut needed = vec![self.etcd(), self.etcd_peer(), self.dns()];
        for index in 0..clusters {
            needed.extend([self.apiserver(index), self.controllers(index)]);
        }
        for at in needed {
            TcpListener::bind(at).map_err(|error| (at, error))?;
        }
        UdpSocket::bind(self.dns()).map_err(|error| (self.dns(), error))?;
        Ok(held)
    }

    pub fn etcd(self) -> SocketAddrV4 {
        self.at(10, 2379)
    }

    pub fn etcd_peer(self) -> SocketAddrV4 {
        self.at(10, 2380)
    }

    pub fn dns(self) -> SocketAddrV4 {
        self.at(5, 5300)
    }

    pub fn apiserver(self, index: usize) -> SocketAddrV4 {
        self.at(11 + number(index), 6443)
    }

    pub fn controllers(self, index: usize) -> SocketAddrV4 {
        self.at(11 + number(index), 10257)
    }

    /// The first three parts of load balancer addresses.
    pub fn load_balancers(self, index: usize) -> String {
        format!("127.{}.{}", self.0, 1 + number(index))
    }

    fn at(self, last: u8, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(127, self.0, 0, last), port)
    }
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
