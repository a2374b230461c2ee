//! A stack for the signal that a full stack raises.

/// Room for the report of the fuzzer.
const SIZE: usize = 256 << 10;

/// Lets the fuzzer save the input that overflowed the stack. Without it there is no stack left to run its handler on.
pub fn report_overflow() {
    let memory = Vec::leak(vec![0_u8; SIZE]);
    let alternate = libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: SIZE };
    // SAFETY: the memory is never freed and nothing else uses it; the old setting is not asked for.
    let outcome = unsafe { libc::sigaltstack(&alternate, std::ptr::null_mut()) };
    assert_eq!(outcome, 0, "the system refuses a stack for signals");
}
