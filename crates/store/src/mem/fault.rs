//! Planned faults.

/// Fault of one commit of a handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// No fault.
    #[default]
    None,
    /// Not written; everything in the batch is reported as changed meanwhile.
    Conflict,
    /// Written, and an error is returned: the answer was lost.
    ExecuteAndFail,
    /// Not written, and an error is returned.
    Fail,
    /// Not written, because the disk is full.
    Full,
}

/// Plan of faults: chooses the fault of each commit of a handle by its number from 0 on.
pub(super) type Plan = Box<dyn FnMut(u64) -> Fault + Send>;
