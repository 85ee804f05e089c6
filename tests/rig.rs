//! The rig's own tests: a rig that lies makes every suite lie.
