//! The first stage: KDL text becomes a tree with places.
