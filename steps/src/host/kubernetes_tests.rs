//! Against the scripted API server.
