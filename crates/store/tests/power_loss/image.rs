//! Possible disk contents after a power cut, and the database that is opened from them.

use std::{collections::BTreeMap, fs, path::Path};

use rusqlite::Connection;

use crate::{
    shim::{FileKind, Op},
    workload::{Random, Rows, Work},
};

const SECTOR: usize = 512;

/// A change that was not synced.
#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
    Delete,
}

#[derive(Debug, Default)]
struct DiskFile {
    /// Bytes that are certain to be there. `None` when the file does not exist.
    durable: Option<Vec<u8>>,
    pending: Vec<Change>,
}

/// Files of a database, with certain and uncertain changes.
#[derive(Debug, Default)]
pub struct Disk {
    files: BTreeMap<FileKind, DiskFile>,
}

impl Disk {
    /// Applies the next recorded call.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::Write(file, offset, bytes) => self.pend(*file, Change::Write(*offset, bytes.clone())),
            Op::Truncate(file, size) => self.pend(*file, Change::Truncate(*size)),
            Op::Delete(file) => self.pend(*file, Change::Delete),
            Op::Sync(file) => {
                let file = self.files.entry(*file).or_default();
                file.durable.get_or_insert_default();
                for change in std::mem::take(&mut file.pending) {
                    make(&mut file.durable, &change);
                }
            }
            Op::Acknowledged(_) => {}
        }
    }

    fn pend(&mut self, file: FileKind, change: Change) {
        self.files.entry(file).or_default().pending.push(change);
    }

    /// Writes one of the images that a cut at this moment may leave.
    pub fn image(&self, random: &mut Random, folder: &Path) {
        for file in FileKind::ALL {
            let path = folder.join(file.file_name());
            let bytes = self.files.get(&file).and_then(|file| file.survive(random));
            match bytes {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => drop(fs::remove_file(&path)),
            }
        }
        let _ = fs::remove_file(folder.join("kapelle.db-shm"));
    }
}

impl DiskFile {
    fn survive(&self, random: &mut Random) -> Option<Vec<u8>> {
        let mut bytes = self.durable.clone();
        // Disks differ: some lose everything, some nothing, most a part.
        let mood = random.below(6);
        for change in &self.pending {
            match (mood, random.below(3)) {
                (0, _) | (2.., 0) => {}
                (1, _) | (2.., 1) => make(&mut bytes, change),
                _ => tear(&mut bytes, change, random),
            }
        }
        bytes
    }
}

fn make(bytes: &mut Option<Vec<u8>>, change: &Change) {
    match change {
        Change::Delete => *bytes = None,
        Change::Truncate(size) => bytes.get_or_insert_default().resize(*size, 0),
        Change::Write(offset, new) => {
            let bytes = bytes.get_or_insert_default();
            let end = offset + new.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*offset..end].copy_from_slice(new);
        }
    }
}

/// Keeps any of the sectors of a write.
fn tear(bytes: &mut Option<Vec<u8>>, change: &Change, random: &mut Random) {
    let Change::Write(offset, new) = change else { return };
    let mut at = *offset;
    while at < offset + new.len() {
        let end = ((at / SECTOR + 1) * SECTOR).min(offset + new.len());
        if random.below(2) == 0 {
            make(bytes, &Change::Write(at, new[at - offset..end - offset].to_vec()));
        }
        at = end;
    }
}

#[derive(Debug)]
pub enum Verdict {
    Fine,
    /// An acknowledged turn is missing.
    Lost,
    /// The database is damaged, or holds half a turn.
    Corrupt(String),
}

/// Opens the image through the ordinary file layer and compares it with the acknowledged turns.
pub fn judge(folder: &Path, work: &Work, acknowledged: usize) -> Verdict {
    match read(&folder.join("kapelle.db")) {
        Err(error) => Verdict::Corrupt(error.to_string()),
        Ok((check, _)) if check != "ok" => Verdict::Corrupt(check),
        Ok((_, rows)) => {
            let turns = rows.get(&1).map_or(0, |revision| *revision as usize);
            if turns < acknowledged {
                Verdict::Lost
            } else if work.rows(turns) == Some(&rows) {
                Verdict::Fine
            } else {
                Verdict::Corrupt(format!("the rows are those of no turn: {rows:?}"))
            }
        }
    }
}

fn read(path: &Path) -> rusqlite::Result<(String, Rows)> {
    let conn = Connection::open(path)?;
    conn.pragma_update(None, "synchronous", "OFF")?;
    let check = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    let made: bool =
        conn.query_row("SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'task'", [], |row| row.get(0))?;
    if !made {
        return Ok((check, Rows::new()));
    }
    let mut query = conn.prepare("SELECT id, revision FROM task")?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<Rows>>()?;
    Ok((check, rows))
}
