//! Faults that are planned.

/// What happens to one commit of a handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing: it goes as it goes.
    #[default]
    None,
    /// Nothing is written, and everything in the batch is told to have changed meanwhile.
    Conflict,
    /// It is written, and an error is returned: the answer was lost on the way.
    ExecuteAndFail,
    /// Nothing is written, and an error is returned.
    Fail,
    /// Nothing is written, because the disk is full.
    Full,
}

/// Says what happens to each commit of a handle, by its number from 0 on.
pub(super) type Plan = Box<dyn FnMut(u64) -> Fault + Send>;
