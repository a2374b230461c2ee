//! A stack that is large enough to compile the deepest accepted text.

const SMALL: usize = 512 * 1_024;
const LARGE: usize = 8 << 20;

/// Runs `work` with a stack that is large enough to compile that many tokens.
pub(super) fn with_room<T>(tokens: usize, work: impl FnOnce() -> T) -> T {
    let needed = if tokens <= 40 { SMALL } else { LARGE };
    stacker::maybe_grow(needed, 2 * LARGE, work)
}
