//! References, types, absence, secrets, circles.
