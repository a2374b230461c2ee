//! Heads of the audit trail outside the database: the number and the hash of the last entry, with a keyed hash.
//!
//! The chain of hashes in the database reveals an entry that was edited or removed. It does not reveal an end that was
//! cut off, a chain that was recomputed, or an older database that replaced the newer one. Heads do: they stand in
//! `session.log` and in the log of the process, and each entry of a head must still be there.
//!
//! The key is a file of its own in the data folder, `audit.key`. It is not derived from the folder's token: a leaked
//! token is replaced, and the heads of earlier years must still be verifiable.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
    sync::{Mutex, PoisonError},
};

use kapelle_core::Timestamp;
use kapelle_gateway::mac::hmac;
use kapelle_store::{AuditHead, Reader, StoreError};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{folder_key, session};

/// The file with the key, in the data folder.
pub const KEY_FILE: &str = "audit.key";
/// The event of a head in the session log.
const EVENT: &str = "audit_head";
/// Entries read at a time.
const PAGE: u32 = 1_000;
/// Interval of heads while the trail is unchanged, in milliseconds.
const UNCHANGED_MS: u64 = 3_600_000;

/// The key that heads are signed with.
pub struct TrailKey([u8; 32]);

impl TrailKey {
    /// Reads the key of a folder. Returns `None` when the folder has no key.
    ///
    /// # Errors
    /// When the file cannot be read or holds no key.
    pub fn read(folder: &Path) -> io::Result<Option<TrailKey>> {
        Ok(folder_key::read(folder, KEY_FILE)?.map(TrailKey))
    }

    /// Reads the key of a folder, or makes one.
    ///
    /// # Errors
    /// When the file cannot be read or written, or the system has no random numbers.
    pub fn of(folder: &Path) -> io::Result<TrailKey> {
        folder_key::of(folder, KEY_FILE).map(TrailKey)
    }

    /// Returns a name for the key that does not reveal it.
    #[must_use]
    pub fn name(&self) -> String {
        let digest = Sha256::new().chain_update(b"kapelle audit key\n").chain_update(self.0).finalize();
        hex(&digest[..4])
    }

    fn mac(&self, at: i64, head: &str) -> String {
        hex(&hmac(&self.0, format!("kapelle audit head 1\n{at}\n{head}\n").as_bytes()))
    }

    /// Says whether the keyed hash of a head was made with this key.
    pub(crate) fn signs(&self, noted: &Noted, mac: &str) -> bool {
        let head = format!("{}:{}", noted.seq, noted.hash);
        noted.at.is_some_and(|at| self.mac(at, &head) == mac)
    }

    /// Returns the head as an event of the session log.
    #[must_use]
    pub fn event(&self, at: Timestamp, head: AuditHead) -> Value {
        let head = written(head);
        json!({ "event": EVENT, "head": head, "at": at.0, "key": self.name(), "mac": self.mac(at.0, &head) })
    }
}

/// Formats a head for people: `13:HASH`.
#[must_use]
pub fn written((seq, hash): AuditHead) -> String {
    format!("{seq}:{}", hex(&hash))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes heads while a folder is open.
pub(crate) struct Keeper {
    key: TrailKey,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    head: Option<AuditHead>,
    /// Time of the last written head, on the monotonic clock.
    told_ms: Option<u64>,
}

impl Keeper {
    pub(crate) fn of(folder: &Path) -> io::Result<Keeper> {
        Ok(Keeper { key: TrailKey::of(folder)?, last: Mutex::default() })
    }

    /// Returns the event to be written now: when entries were added, an hour has passed, or `always`; `None` otherwise,
    /// and for a trail without entries.
    pub(crate) fn due(
        &self,
        reader: &dyn Reader,
        (now, steady_ms): (Timestamp, u64),
        always: bool,
    ) -> Result<Option<Value>, StoreError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = false;
        loop {
            let page = reader.audit_from(last.head.map_or(0, |(seq, _)| seq), PAGE)?;
            let Some(row) = page.last() else { break };
            last.head = Some(row.head());
            changed = true;
        }
        let Some(head) = last.head else { return Ok(None) };
        let old = last.told_ms.is_none_or(|told| steady_ms >= told.saturating_add(UNCHANGED_MS));
        if !(changed || old || always) {
            return Ok(None);
        }
        last.told_ms = Some(steady_ms);
        let event = self.key.event(now, head);
        tracing::info!(
            head = event["head"].as_str(),
            at = now.0,
            key = event["key"].as_str(),
            mac = event["mac"].as_str(),
            "audit head"
        );
        Ok(Some(event))
    }
}

/// A recorded head: an entry that must be in the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// The number of the entry.
    pub seq: u64,
    /// Its hash, as it was written.
    pub hash: String,
    /// The time at which it was the last entry, in milliseconds since 1970.
    pub at: Option<i64>,
    /// The name of the key, and the keyed hash.
    pub mac: Option<(String, String)>,
    /// The file and place that recorded it.
    pub place: String,
    /// Whether it counts only with a keyed hash, because it stands beside the database that it checks.
    pub needs_mac: bool,
}

impl Noted {
    /// Parses `13:HASH`; `None` for another text.
    #[must_use]
    pub fn parse(text: &str, place: &str) -> Option<Noted> {
        let (seq, hash) = text.split_once(':')?;
        let plain = !hash.is_empty() && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let seq = seq.parse().ok().filter(|seq| *seq > 0 && plain)?;
        let hash = hash.to_ascii_lowercase();
        Some(Noted { seq, hash, at: None, mac: None, place: place.to_owned(), needs_mac: false })
    }

    /// Finds a head in a line of a log: of `session.log`, of the process, or a copied one; `None` for a line without
    /// one.
    #[must_use]
    pub fn in_line(line: &str, place: &str) -> Option<Noted> {
        if let Ok(value) = serde_json::from_str::<Value>(line)
            && value.is_object()
        {
            if value["event"] != EVENT {
                return None;
            }
            let mut noted = Noted::parse(value["head"].as_str()?, place)?;
            noted.at = value["at"].as_i64();
            noted.mac =
                value["mac"].as_str().map(|mac| (value["key"].as_str().unwrap_or_default().to_owned(), mac.to_owned()));
            return Some(noted);
        }
        let words = || line.split(|c: char| c.is_whitespace() || matches!(c, '"' | ',' | '=' | '\u{1b}'));
        let after =
            |name: &str| words().skip_while(|word| *word != name).find(|word| !word.is_empty() && *word != name);
        let is_whole = |noted: &Noted| noted.hash.len() == 64;
        let mut noted = words().find_map(|word| Noted::parse(word, place).filter(is_whole))?;
        noted.at = after("at").and_then(|at| at.parse().ok());
        noted.mac = after("key").zip(after("mac")).map(|(key, mac)| (key.to_owned(), mac.to_owned()));
        Some(noted)
    }

    /// Reads the heads of a file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn in_file(path: &Path, needs_mac: bool) -> io::Result<Vec<Noted>> {
        let name =
            path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
        let mut found = Vec::new();
        for (at, line) in BufReader::new(File::open(path)?).split(b'\n').enumerate() {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            if needs_mac && !line.contains(EVENT) {
                continue;
            }
            let place = format!("{name} line {}", at + 1);
            found.extend(Noted::in_line(&line, &place).map(|noted| Noted { needs_mac, ..noted }));
        }
        Ok(found)
    }

    /// Reads the heads of the session log of a folder, including rotated files.
    ///
    /// # Errors
    /// When an existing file cannot be read.
    pub fn of_session(folder: &Path) -> io::Result<Vec<Noted>> {
        let mut found = Vec::new();
        for path in session::files(folder) {
            match Noted::in_file(&path, true) {
                Ok(more) => found.extend(more),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
}
