//! The definition that a run executes, as data.

use std::sync::Arc;

use kapelle_core::definition::Definition;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The definition that a run executes. It is serialised as the text of the version and parsed where the command is made
/// or read, so that the loop never parses.
#[derive(Debug, Clone)]
pub enum VersionRef {
    /// A stored version.
    Stored(i64),
    /// A version to store unless the newest version of the workflow has an equal text.
    Source {
        /// Definition, parsed and checked.
        definition: Arc<Definition>,
        /// Source text.
        source: Arc<[u8]>,
        /// SHA-256 of the text.
        sha256: [u8; 32],
        /// Name of its file.
        file: Arc<str>,
    },
}

/// Serialised form of a version.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Written {
    Stored(i64),
    Source { source: Arc<str>, sha256: [u8; 32], file: Arc<str> },
}

impl Serialize for VersionRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = match self {
            VersionRef::Stored(id) => Written::Stored(*id),
            VersionRef::Source { source, sha256, file, .. } => {
                let text = std::str::from_utf8(source).map_err(serde::ser::Error::custom)?;
                Written::Source { source: Arc::from(text), sha256: *sha256, file: Arc::clone(file) }
            }
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for VersionRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<VersionRef, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Stored(id) => VersionRef::Stored(id),
            Written::Source { source, sha256, file } => {
                let definition = Definition::parse(source.as_bytes(), &file).map_err(D::Error::custom)?;
                let (definition, source) = (Arc::new(definition), Arc::from(source.as_bytes()));
                VersionRef::Source { definition, source, sha256, file }
            }
        })
    }
}
