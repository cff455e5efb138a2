//! The only two ways to the outside: data to stdout, everything else to stderr.

use std::io::{self, Write};

/// Data that somebody asked for. A reader that has gone away, as `head` does, is no error.
pub fn data(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Words for the person who waits. There is nobody to tell when stderr is closed.
pub fn tell(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}
