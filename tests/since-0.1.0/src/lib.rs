//! Nothing of its own: the plugins are in `examples/`, one for each world of weir:plugin@0.1.0.
