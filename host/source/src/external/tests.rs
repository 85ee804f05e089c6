//! Externals without a network: archives good and bad. The clients are tested against real servers by the suite
//! tests/externals.rs.

mod archives;
