//! Planted bugs, to test the tests: with the feature `mutants` one of them can be chosen at run time, and the suite
//! must catch it. Without the feature nothing is planted and the checks compile to nothing.

/// The bugs that can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each name says what goes wrong; where it is planted says the rest")]
#[repr(u8)]
pub enum Mutant {
    NoFence = 1,
    RetryOnceMore,
    VoidCountsCrash,
    NeedCountedTwice,
    StartBeforeNeeds,
    StopIgnored,
    SkipStartsAnyway,
    LostWake,
    AckBeforeCommit,
    ForgottenRow,
    IdempotencyIgnored,
    WindowKeepsClaimed,
    ConflictIgnored,
    JournalSkipsSeq,
    CancelLeavesTasks,
}

impl Mutant {
    /// Every planted bug.
    pub const ALL: [Mutant; 15] = [
        Mutant::NoFence,
        Mutant::RetryOnceMore,
        Mutant::VoidCountsCrash,
        Mutant::NeedCountedTwice,
        Mutant::StartBeforeNeeds,
        Mutant::StopIgnored,
        Mutant::SkipStartsAnyway,
        Mutant::LostWake,
        Mutant::AckBeforeCommit,
        Mutant::ForgottenRow,
        Mutant::IdempotencyIgnored,
        Mutant::WindowKeepsClaimed,
        Mutant::ConflictIgnored,
        Mutant::JournalSkipsSeq,
        Mutant::CancelLeavesTasks,
    ];
}

#[cfg(feature = "mutants")]
static CHOSEN: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Plants one bug for the whole process, or none.
#[cfg(feature = "mutants")]
pub fn plant(mutant: Option<Mutant>) {
    CHOSEN.store(mutant.map_or(0, |mutant| mutant as u8), std::sync::atomic::Ordering::Relaxed);
}

/// Whether that bug is planted.
#[cfg(feature = "mutants")]
#[must_use]
pub fn planted(mutant: Mutant) -> bool {
    CHOSEN.load(std::sync::atomic::Ordering::Relaxed) == mutant as u8
}

/// Whether that bug is planted: never, in this build.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
#[must_use]
pub const fn planted(_mutant: Mutant) -> bool {
    false
}
