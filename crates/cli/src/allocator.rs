//! The allocator of the process (docs/decisions/0013-allocator.md).

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Number of the option `purge_delay` in mimalloc's `mi_option_t`, equal in its versions 2 and 3. The crate has no
/// name for it. `crates/cli/tests/abuse.rs` notices when it means something else.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Returns freed pages to the system at once. The default waits for later activity of the thread that freed them, which
/// an idle server may never have.
#[expect(unsafe_code, reason = "a C function that sets one number of the allocator; called before other threads start")]
pub fn purge_at_once() {
    // SAFETY: any option may be set at any time; an unknown number is ignored.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, 0) }
}
