//! Planted bugs, which test the tests: with the feature `mutants` one of them can be chosen at run time, and the suite
//! must catch it. Without the feature the checks compile to nothing.

/// Bugs that can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each name says what goes wrong; where it is planted says the rest")]
#[repr(u8)]
pub enum Mutant {
    NoFence = 1,
    RetryOnceMore,
    CrashNotCounted,
    EpochReused,
    PriorityInverted,
    NeedCountedTwice,
    StartBeforeNeeds,
    StopIgnored,
    StaleVerdict,
    SkipStartsAnyway,
    JoinCountedTwice,
    SequenceIgnored,
    LostWake,
    LostReady,
    ForgottenRow,
    IdempotencyIgnored,
    AckBeforeCommit,
    ConflictIgnored,
    CancelLeavesTasks,
    JoinForgotten,
    LeaseNotRenewed,
    StaleRescue,
    ReapForgets,
    RefillForgets,
    HorizonIgnored,
    RecoverySkipsRuns,
    VoidForgotten,
    SlotLeak,
    HandlerForgotten,
    FinallySkipped,
    GapForgotten,
    UntilIgnored,
    BranchSwapped,
    ItemsUnordered,
    SignalLost,
    KeyLimitIgnored,
    KeyNotLifted,
    PauseForgotten,
    WaitTakesTime,
    RateIgnored,
    RateWakeLost,
    RightKept,
    OutputsForgotten,
    EvaluationLost,
    DayOfEachTenant,
    GivenIgnored,
    FirstIgnored,
    LateBegun,
    EndIgnored,
}

impl Mutant {
    /// The planted bugs that the simulation finds; others are found by the tests that plant them.
    pub const ALL: [Mutant; 44] = [
        Mutant::NoFence,
        Mutant::RetryOnceMore,
        Mutant::CrashNotCounted,
        Mutant::EpochReused,
        Mutant::PriorityInverted,
        Mutant::NeedCountedTwice,
        Mutant::StartBeforeNeeds,
        Mutant::StopIgnored,
        Mutant::StaleVerdict,
        Mutant::SkipStartsAnyway,
        Mutant::JoinCountedTwice,
        Mutant::SequenceIgnored,
        Mutant::LostWake,
        Mutant::LostReady,
        Mutant::ForgottenRow,
        Mutant::IdempotencyIgnored,
        Mutant::AckBeforeCommit,
        Mutant::ConflictIgnored,
        Mutant::CancelLeavesTasks,
        Mutant::JoinForgotten,
        Mutant::LeaseNotRenewed,
        Mutant::StaleRescue,
        Mutant::ReapForgets,
        Mutant::RefillForgets,
        Mutant::HorizonIgnored,
        Mutant::RecoverySkipsRuns,
        Mutant::VoidForgotten,
        Mutant::SlotLeak,
        Mutant::HandlerForgotten,
        Mutant::FinallySkipped,
        Mutant::GapForgotten,
        Mutant::UntilIgnored,
        Mutant::BranchSwapped,
        Mutant::ItemsUnordered,
        Mutant::SignalLost,
        Mutant::KeyLimitIgnored,
        Mutant::KeyNotLifted,
        Mutant::PauseForgotten,
        Mutant::WaitTakesTime,
        Mutant::RateIgnored,
        Mutant::RateWakeLost,
        Mutant::RightKept,
        Mutant::OutputsForgotten,
        Mutant::EvaluationLost,
    ];

    /// Planted bugs of the ledger, which a test of its own must catch: the simulation calls no model.
    pub const LEDGER: [Mutant; 2] = [Mutant::DayOfEachTenant, Mutant::GivenIgnored];
}

#[cfg(feature = "mutants")]
static CHOSEN: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Plants one bug for the whole process, or none.
#[cfg(feature = "mutants")]
pub fn plant(mutant: Option<Mutant>) {
    CHOSEN.store(mutant.map_or(0, |mutant| mutant as u8), std::sync::atomic::Ordering::Relaxed);
}

/// Tells whether that bug is planted.
#[cfg(feature = "mutants")]
#[must_use]
pub fn planted(mutant: Mutant) -> bool {
    CHOSEN.load(std::sync::atomic::Ordering::Relaxed) == mutant as u8
}

/// Returns false: this build has no planted bugs.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
#[must_use]
pub const fn planted(_mutant: Mutant) -> bool {
    false
}
