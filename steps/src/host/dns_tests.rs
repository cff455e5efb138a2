//! Against a zone that is served in this process.
