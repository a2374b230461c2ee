//! Keys of the maps in a file: tables of keys with the shape of each value.

/// One key of a map.
#[derive(Debug, Clone, Copy)]
pub struct Key<S: 'static = Shape> {
    /// Name of the key.
    pub name: &'static str,
    /// Shape of its value.
    pub shape: S,
    /// Its purpose, in one line.
    pub about: &'static str,
}

/// Keys of one kind of map.
#[derive(Debug)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Table<S: 'static = Shape> {
    /// Name of the map, by which the words of other systems are looked up.
    pub name: &'static str,
    pub about: &'static str,
    /// All keys.
    pub keys: &'static [Key<S>],
    /// Required keys.
    pub required: &'static [&'static str],
}

impl<S> Table<S> {
    /// Returns the key of that name.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static Key<S>> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// Returns the names of all keys.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<S> {
        self.keys.iter().map(|key| key.name)
    }
}

/// Makes a key of a table.
#[must_use]
pub const fn key<S>(name: &'static str, shape: S, about: &'static str) -> Key<S> {
    Key { name, shape, about }
}

/// Shape of a value, in files whose maps can be described by tables alone.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// Text as it is written; a number or a word such as `true` is text, too.
    Text,
    /// A name of a worker, queue or workflow.
    Name,
    /// `true` or `false`.
    Flag,
    /// `30s`.
    Duration,
    /// `30s`, or `0`.
    DurationOrZero,
    /// `$2.50`, or a plain number of dollars.
    Money,
    /// A whole number between two bounds.
    Whole {
        /// Smallest value.
        least: u64,
        /// Largest value.
        most: u64,
    },
    /// Reads a number between two bounds.
    Number {
        /// Smallest value.
        least: f64,
        /// Largest value.
        most: f64,
    },
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Any value, as JSON.
    Json,
    /// A list of such values, or one of them.
    List(&'static Shape),
    /// A map from names to such values.
    Map(&'static Shape),
    /// A map from names to text or to nothing; or a list of names without values.
    Variables,
    /// A map with the keys of a table.
    Object(&'static Table),
    /// A word or number of the first shape, or a map of the second.
    Short(&'static Shape, &'static Shape),
    /// `true`, `false`, or the other shape.
    FlagOr(&'static Shape),
}
