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
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        keep_on_it(signal);
    }
}

/// The fuzzer sets its handlers after this and moves to the other stack only where that was asked for before.
fn keep_on_it(signal: libc::c_int) {
    // SAFETY: all zero is a valid action, the one the system takes by itself; the old one is not asked for.
    let outcome = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = libc::SIG_DFL;
        action.sa_flags = libc::SA_ONSTACK;
        libc::sigaction(signal, &action, std::ptr::null_mut())
    };
    assert_eq!(outcome, 0, "the system refuses to handle signal {signal}");
}
