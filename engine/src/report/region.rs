//! The lines below the scrollback: lanes, waits, totals.
