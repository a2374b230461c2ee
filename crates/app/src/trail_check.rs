//! The check of the audit trail: the chain of hashes, and the heads that were recorded elsewhere.

use std::collections::BTreeMap;

use kapelle_store::{AuditHead, AuditRow, StoreError};

use crate::trail::{Noted, TrailKey, written};

/// Faults that are reported.
const FAULTS: usize = 10;

/// The result of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Checked {
    /// The number of entries.
    pub entries: u64,
    pub head: Option<AuditHead>,
    /// Heads that agree with the trail.
    pub agree: usize,
    /// The newest entry that a head confirms; 0 without one.
    pub known: u64,
    /// The faults, at most ten.
    pub faults: Vec<String>,
}

/// Reads the entries after a number, in order; an empty list is the end.
pub type Entries<'a> = &'a mut dyn FnMut(u64) -> Result<Vec<AuditRow>, StoreError>;

/// Checks a trail against its own hashes and against heads. `accepted` names former keys whose heads are
/// compared although their keyed hash cannot be checked any more.
///
/// # Errors
/// When the trail cannot be read.
pub fn check(
    read: Entries<'_>,
    noted: &[Noted],
    key: Option<&TrailKey>,
    accepted: &[String],
) -> Result<Checked, StoreError> {
    let mut checked = Checked::default();
    let mut heads: BTreeMap<u64, Vec<&Noted>> = BTreeMap::new();
    for head in noted {
        match authentic(head, key, accepted) {
            Ok(()) => heads.entry(head.seq).or_default().push(head),
            Err(fault) => checked.faults.push(fault),
        }
    }
    let mut head: Option<AuditHead> = None;
    loop {
        let page = read(head.map_or(0, |(seq, _)| seq))?;
        if page.is_empty() {
            break;
        }
        for row in &page {
            let next = head.map_or(1, |(seq, _)| seq + 1);
            if row.seq > next {
                checked.faults.push(format!("{} missing: entry {} follows", entries(next, row.seq - 1), row.seq));
                // Its hash cannot be computed without the entry before.
            } else if let Err(fault) = row.follows(head) {
                checked.faults.push(fault);
            }
            head = Some(row.head());
            checked.entries += 1;
            checked.compare(row.head(), heads.remove(&row.seq).unwrap_or_default());
        }
    }
    checked.head = head;
    checked.missing(&heads);
    checked.faults.truncate(FAULTS);
    Ok(checked)
}

impl Checked {
    fn compare(&mut self, head: AuditHead, noted: Vec<&Noted>) {
        let now = written(head);
        for noted in noted {
            if format!("{}:{}", noted.seq, noted.hash) == now {
                self.agree += 1;
                self.known = noted.seq;
                continue;
            }
            let since = match self.known {
                0 => "no earlier head agrees".to_owned(),
                known => format!("up to entry {known} a head agrees"),
            };
            self.faults.push(format!(
                "entry {} is not the one that was there{}: the trail was rewritten ({}; {since})",
                noted.seq,
                when(noted),
                noted.place
            ));
        }
    }

    /// Reports heads beyond the end.
    fn missing(&mut self, heads: &BTreeMap<u64, Vec<&Noted>>) {
        let last = self.head.map_or(0, |(seq, _)| seq);
        let Some(noted) = heads.range(last + 1..).next_back().and_then(|(_, noted)| noted.first()) else { return };
        self.faults.push(format!(
            "{} missing, which were there{} ({}): the end was cut off, or an older database was put in place",
            entries(last + 1, noted.seq),
            when(noted),
            noted.place
        ));
    }
}

fn entries(from: u64, to: u64) -> String {
    if from == to { format!("entry {from} is") } else { format!("entries {from} to {to} are") }
}

fn when(noted: &Noted) -> String {
    let at = noted.at.and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    at.map_or_else(String::new, |at| format!(" at {at}"))
}

fn authentic(noted: &Noted, key: Option<&TrailKey>, accepted: &[String]) -> Result<(), String> {
    let place = &noted.place;
    let Some((name, mac)) = &noted.mac else {
        return if noted.needs_mac {
            Err(format!("{place}: the head of entry {} has no keyed hash: it was written by somebody else", noted.seq))
        } else {
            Ok(())
        };
    };
    if accepted.contains(name) {
        return Ok(());
    }
    let Some(key) = key else {
        let what = format!("{place}: the head was made with the key {name}, and the folder has no audit.key");
        return Err(format!("{what}: restore it from a backup, or accept the head with --accept-key {name}"));
    };
    if *name != key.name() {
        let what = format!("{place}: the head was made with the key {name}, and the folder has the key {}", key.name());
        return Err(format!("{what}: restore audit.key from a backup, or accept the head with --accept-key {name}"));
    }
    if key.signs(noted, mac) {
        return Ok(());
    }
    Err(format!("{place}: the keyed hash of the head of entry {} is wrong: the line was changed", noted.seq))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kapelle_core::{TenantId, Timestamp};
    use kapelle_store::Act;
    use proptest::prelude::*;

    use super::*;

    fn act(number: u64) -> Act {
        let text = |text: String| Arc::<str>::from(text);
        let actor = text("token".to_owned());
        Act {
            tenant: TenantId(1),
            actor,
            action: text("key.create".to_owned()),
            resource: text(format!("key_{number}")),
        }
    }

    fn trail(entries: u64) -> Vec<AuditRow> {
        let mut rows: Vec<AuditRow> = Vec::new();
        for number in 1..=entries {
            rows.push(AuditRow::after(rows.last().map(AuditRow::head), Timestamp(1_000 * number as i64), act(number)));
        }
        rows
    }

    /// Recomputes the chain, as an attacker with write access would.
    fn forge(rows: &mut [AuditRow]) {
        let mut head = None;
        for row in rows {
            *row = AuditRow::after(head, row.at, row.act.clone());
            head = Some(row.head());
        }
    }

    fn key() -> (tempfile::TempDir, TrailKey) {
        let folder = tempfile::tempdir().unwrap();
        let key = TrailKey::of(folder.path()).unwrap();
        (folder, key)
    }

    fn noted(key: &TrailKey, row: &AuditRow) -> Noted {
        let line = key.event(row.at, row.head()).to_string();
        Noted { needs_mac: true, ..Noted::in_line(&line, "session.log line 1").unwrap() }
    }

    fn faults(rows: &[AuditRow], noted: &[Noted], key: &TrailKey) -> Vec<String> {
        let mut read = |after: u64| Ok(rows.iter().filter(|row| row.seq > after).take(7).cloned().collect());
        check(&mut read, noted, Some(key), &[]).unwrap().faults
    }

    #[derive(Debug, Clone)]
    enum Edit {
        Actor(usize),
        Time(usize),
        Hash(usize),
        TakeOut(usize),
        Insert(usize),
        CutOff(usize),
        Swap(usize),
    }

    fn edit(rows: &mut Vec<AuditRow>, edit: &Edit) {
        let count = rows.len();
        match edit {
            Edit::Actor(at) => rows[at % count].act.actor = Arc::from("somebody"),
            Edit::Time(at) => rows[at % count].at.0 += 1,
            Edit::Hash(at) => rows[at % count].hash[0] ^= 1,
            Edit::TakeOut(at) => drop(rows.remove(at % count)),
            Edit::Insert(at) => {
                let copy = rows[at % count].clone();
                rows.insert(at % count, AuditRow { act: act(999), ..copy });
                (at % count..rows.len()).for_each(|at| rows[at].seq = at as u64 + 1);
            }
            Edit::CutOff(at) => rows.truncate(at % count),
            Edit::Swap(at) => {
                let (one, two) = (at % count, (at + 1) % count);
                let (first, second) = (rows[one].act.clone(), rows[two].act.clone());
                (rows[one].act, rows[two].act) = (second, first);
            }
        }
    }

    fn edits() -> impl Strategy<Value = Edit> {
        let at = 0..40_usize;
        prop_oneof![
            at.clone().prop_map(Edit::Actor),
            at.clone().prop_map(Edit::Time),
            at.clone().prop_map(Edit::Hash),
            at.clone().prop_map(Edit::TakeOut),
            at.clone().prop_map(Edit::Insert),
            at.clone().prop_map(Edit::CutOff),
            at.prop_map(Edit::Swap),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn every_edit_of_what_a_head_covers_is_noticed(
            count in 2..40_u64,
            made in prop::collection::vec(edits(), 1..4),
            forged in any::<bool>(),
            more in prop::collection::vec(0..40_usize, 0..4),
        ) {
            let (_folder, key) = key();
            let whole = trail(count);
            let mut heads: Vec<Noted> = more.iter().map(|at| noted(&key, &whole[at % whole.len()])).collect();
            heads.push(noted(&key, &whole[whole.len() - 1]));
            prop_assert_eq!(faults(&whole, &heads, &key), Vec::<String>::new());
            let mut rows = whole.clone();
            for made in &made {
                if !rows.is_empty() {
                    edit(&mut rows, made);
                }
            }
            if forged {
                forge(&mut rows);
            }
            prop_assume!(rows != whole);
            // A valid entry after the last head is no edit of what the heads cover: the next act would look alike.
            if forged && rows.starts_with(&whole) {
                prop_assert_eq!(faults(&rows, &heads, &key), Vec::<String>::new());
                return Ok(());
            }
            let found = faults(&rows, &heads, &key);
            prop_assert!(!found.is_empty(), "{made:?} of {count}");
            prop_assert!(found.iter().all(|fault| fault.contains("entry ") || fault.contains("entries ")), "{found:?}");
        }

        #[test]
        fn a_head_that_was_forged_is_noticed(count in 2..20_u64, at in 0..20_usize) {
            let (_folder, key) = key();
            let (_other, wrong) = self::key();
            let whole = trail(count);
            let mut rows = whole.clone();
            edit(&mut rows, &Edit::Actor(at));
            forge(&mut rows);
            let last = &rows[rows.len() - 1];
            // With another key, with the old keyed hash, and without one.
            let old = noted(&key, &whole[whole.len() - 1]);
            let now = Noted::parse(&written(last.head()), "x").unwrap();
            for forged in [
                noted(&wrong, last),
                Noted { mac: old.mac.clone(), at: old.at, needs_mac: true, ..now.clone() },
                Noted { needs_mac: true, ..now },
            ] {
                prop_assert_eq!(faults(&rows, &[forged], &key).len(), 1);
            }
        }
    }

    /// Found by chance: inserting before the last entry and swapping both leaves the whole trail, and one entry more.
    #[test]
    fn edits_that_only_append_are_noticed_by_their_hash_and_not_by_a_head() {
        let (_folder, key) = key();
        let whole = trail(3);
        let heads = [noted(&key, &whole[2])];
        let mut rows = whole.clone();
        for made in [Edit::Insert(11), Edit::Swap(34)] {
            edit(&mut rows, &made);
        }
        assert!(rows.starts_with(&whole) && rows.len() == 4);
        assert_eq!(faults(&rows, &heads, &key), ["entry 4 was changed, or one before it was replaced"]);
        forge(&mut rows);
        assert_eq!(faults(&rows, &heads, &key), Vec::<String>::new());
    }

    #[test]
    fn what_is_wrong_is_told_with_the_entries() {
        let (_folder, key) = key();
        let whole = trail(13);
        let heads = [noted(&key, &whole[4]), noted(&key, &whole[12])];
        let found = faults(&whole[..11], &heads, &key);
        assert!(found.len() == 1 && found[0].starts_with("entries 12 to 13 are missing"), "{found:?}");
        assert!(found[0].contains("1970-01-01T00:00:13Z (session.log line 1)"), "{found:?}");
        let mut rows = whole.clone();
        edit(&mut rows, &Edit::Actor(8));
        forge(&mut rows);
        let found = faults(&rows, &heads, &key);
        assert!(found[0].starts_with("entry 13 is not the one that was there"), "{found:?}");
        assert!(found[0].ends_with("up to entry 5 a head agrees)"), "{found:?}");
        let mut rows = whole.clone();
        rows.drain(2..4);
        assert_eq!(faults(&rows, &[], &key), ["entries 3 to 4 are missing: entry 5 follows"]);
        let mut rows = whole;
        edit(&mut rows, &Edit::Time(2));
        assert_eq!(faults(&rows, &heads, &key), ["entry 3 was changed, or one before it was replaced"]);
    }

    #[test]
    fn a_head_is_found_in_the_logs_it_is_written_to() {
        let (folder, key) = key();
        let row = &trail(3)[2];
        let event = key.event(row.at, row.head());
        let text = format!(
            "2026-11-30T10:00:00Z  INFO kapelle: audit head head={} at={} key={} mac={}",
            event["head"].as_str().unwrap(),
            event["at"],
            event["key"].as_str().unwrap(),
            event["mac"].as_str().unwrap()
        );
        let quoted = text.replace("head=3", "head=\"3").replace(" at=", "\" at=");
        for line in [event.to_string(), text, quoted] {
            let found = Noted::in_line(&line, "x").unwrap();
            assert_eq!((found.seq, found.at), (3, Some(3_000)), "{line}");
            assert!(key.signs(&found, &found.mac.clone().unwrap().1), "{line}");
        }
        assert_eq!(Noted::in_line("12:30 nothing here {\"event\":\"x\"}", "x"), None);
        assert_eq!(TrailKey::read(folder.path()).unwrap().unwrap().name(), key.name());
    }
}
