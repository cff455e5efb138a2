//! The second stage: a tree becomes a typed workflow.
