//! Systems that have neither Landlock nor seccomp: limits are all that there is.

use std::io;

use crate::{Calls, Rights};

/// What a process of ours is started with is closed on these systems by the flag that each file has.
pub(crate) fn close_inherited() -> io::Result<()> {
    Ok(())
}

pub(crate) fn give_up(_: &Rights) -> io::Result<(Option<u32>, bool)> {
    Ok((None, false))
}

pub(crate) fn filter(_: Calls, _: bool) -> io::Result<bool> {
    Ok(false)
}
