//! The whole way of an external, without a network: see the suite tests/externals.rs for the rest.
