//! Lines of a file with marked places.
