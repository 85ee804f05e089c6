//! What the README says is run: its manifest, its commands, its plugin, its exit codes.
