//! Checks of the machine: disk, write-ahead log, clock and port.

use std::{io::ErrorKind, net::TcpListener, path::Path};

use kapelle::{
    core::{TenantId, Timestamp, size},
    engine::{Clock as _, SystemClock},
    store::{Page, Reader as _, SqliteReader, TaskFilter, disk, private},
};
use kapelle_server::ADDRESS_FILE;

use super::{Check, State};
use crate::{app::App, settings::Settings, shown};

/// Free bytes below which the disk is nearly full.
const LOW: u64 = 256 << 20;
/// Length in bytes above which the write-ahead log is too long.
const LONG: u64 = 512 << 20;
/// Milliseconds by which the newest task may be ahead of the clock.
const AHEAD_MS: i64 = 5_000;

/// Checks the disk and the files of the database, and compares the clock with the newest task.
pub fn store(folder: &Path) -> Vec<Check> {
    let there = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let usage = disk::usage(there);
    let disk = match usage.space {
        None => Check::new("disk", State::Ok, "this system does not tell the free space"),
        Some(space) => {
            let found = format!("{} are free, {} % in use", size::in_words(space.free), space.percent_used());
            match space.free < LOW {
                true => Check::new("disk", State::Warn, found)
                    .todo("free some space: a full disk refuses every change until there is room"),
                false => Check::new("disk", State::Ok, found),
            }
        }
    };
    let (database, log) = (size::in_words(usage.database), size::in_words(usage.log));
    let found = format!("{database} in kapelle.db, {log} in its write-ahead log");
    let log = match usage.log {
        log if log > LONG => Check::new("log", State::Warn, found)
            .todo("a process that reads for long keeps the log from being emptied: `fuser -v` on kapelle.db names it"),
        _ => Check::new("log", State::Ok, found),
    };
    [disk, log].into_iter().chain(clock(folder)).collect()
}

/// Compares the clock with the newest task. `None` without tasks.
fn clock(folder: &Path) -> Option<Check> {
    let reader = SqliteReader::open_read_only(folder).ok()?;
    let newest = reader.tasks(TenantId::DEFAULT, &TaskFilter::default(), Page { before: None, most: 1 }).ok()?;
    let (newest, now) = (newest.first()?.created_at, SystemClock::default().now());
    if newest.0 <= now.0.saturating_add(AHEAD_MS) {
        return Some(Check::new("clock", State::Ok, format!("it shows {}", shown::time(Timestamp(now.0)))));
    }
    let found = format!("it shows {}, and the newest task is of {}", shown::time(now), shown::time(newest));
    Some(
        Check::new("clock", State::Warn, found)
            .todo("set the clock: delays, schedules and the budget of the day follow it"),
    )
}

/// Checks whether a server could listen at the configured address, or does already.
pub fn port(app: &App, settings: &Settings) -> Check {
    let listen = &settings.config.listen;
    let address = app.data().ok().and_then(|folder| private::read_small(&folder.join(ADDRESS_FILE), 1_024).ok());
    let own = address.as_deref().and_then(|text| text.lines().next()).map(str::to_owned);
    if let Some(own) = own.filter(|own| own.ends_with(listen.rsplit(':').next().unwrap_or(listen)))
        && kapelle::store::lock_holder(&app.data().unwrap_or_default()).is_some()
    {
        return Check::new("port", State::Ok, format!("the server of this project listens at {own}"));
    }
    match TcpListener::bind(listen.replace("localhost:", "127.0.0.1:")) {
        Ok(_) => Check::new("port", State::Ok, format!("{listen} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            Check::new("port", State::Warn, format!("{listen} is taken by another program"))
                .todo("stop it, or choose another address with `listen:` in kapelle.yaml")
        }
        Err(error) => Check::new("port", State::Warn, format!("{listen}: {error}"))
            .todo("write an address of this machine, such as `listen: 127.0.0.1:7863`"),
    }
}
