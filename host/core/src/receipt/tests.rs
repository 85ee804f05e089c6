//! Receipts read back just as they were written, and nothing else is one.
