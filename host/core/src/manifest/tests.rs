//! The fixture pairs of tests/fixtures/manifest.
