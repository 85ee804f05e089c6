//! Keys that others can read sign nothing; what was signed cannot be changed.
