//! Origin of an answer.

/// Origin of an answer, as its caller reads it in `x-kapelle-source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A provider was called for it.
    Provider,
    /// An earlier attempt of the task had it.
    Replay,
    /// The step had it in the run that the task's run repeats.
    Recorded,
    /// It was cached for equal calls.
    Cache,
    /// An equal call in flight paid for it.
    Shared,
}

impl Source {
    const ALL: [Source; 5] = [Source::Provider, Source::Replay, Source::Recorded, Source::Cache, Source::Shared];

    /// Returns the origin in one word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Source::Provider => "provider",
            Source::Replay => "replay",
            Source::Recorded => "recorded",
            Source::Cache => "cache",
            Source::Shared => "shared",
        }
    }

    /// Reads the word of an origin. Returns `None` for any other word.
    pub(crate) fn from_word(word: &str) -> Option<Source> {
        Source::ALL.into_iter().find(|source| source.as_str() == word)
    }
}
