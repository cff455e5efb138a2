//! The block `grant` of a component: what its steps may do through the host.

use super::decode::Decoder;
use super::types::WrittenGrants;
use crate::syntax::Node;

pub(super) fn read(node: &Node, decoder: &mut Decoder<'_>) -> WrittenGrants {
    let _ = (node, decoder);
    WrittenGrants::default()
}
