//! Runs the compiler on a stack that is large enough for the deepest text that is let through.

const SMALL: usize = 512 * 1_024;
const LARGE: usize = 8 << 20;

/// Runs `work` with at least as much stack as compiling that many tokens can need.
pub(super) fn with_room<T>(tokens: usize, work: impl FnOnce() -> T) -> T {
    let needed = if tokens <= 40 { SMALL } else { LARGE };
    stacker::maybe_grow(needed, 2 * LARGE, work)
}
