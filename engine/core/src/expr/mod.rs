//! Expressions: CEL, parsed, checked and evaluated.
