//! What marks rely on: whose entry in an object's managed fields moves when, and that a write for another object is refused.
