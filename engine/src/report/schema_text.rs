//! A schema in words.
