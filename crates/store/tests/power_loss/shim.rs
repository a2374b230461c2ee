//! A file layer for SQLite. It passes every call on to the ordinary one, records changes of files, and fails planned
//! calls.
#![expect(unsafe_code, reason = "SQLite's file layers are C structures of functions")]

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    ptr,
    sync::{Mutex, MutexGuard, Once, PoisonError},
};

use rusqlite::ffi::{
    self, SQLITE_IOERR_FSYNC, SQLITE_IOERR_WRITE, SQLITE_OK, sqlite3_file, sqlite3_int64, sqlite3_io_methods,
    sqlite3_vfs,
};

/// Name under which databases are opened.
pub const NAME: &str = "power";

/// The files of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    Database,
    Log,
    Journal,
}

impl FileKind {
    pub const ALL: [FileKind; 3] = [FileKind::Database, FileKind::Log, FileKind::Journal];

    pub fn file_name(self) -> &'static str {
        match self {
            FileKind::Database => "kapelle.db",
            FileKind::Log => "kapelle.db-wal",
            FileKind::Journal => "kapelle.db-journal",
        }
    }

    fn of(name: *const c_char) -> Option<FileKind> {
        if name.is_null() {
            return None;
        }
        // SAFETY: SQLite gives a string that ends in zero.
        let name = unsafe { CStr::from_ptr(name) }.to_str().ok()?;
        FileKind::ALL.into_iter().find(|file| name.ends_with(file.file_name()))
    }
}

/// A change of the disk, or an answer to the caller.
#[derive(Debug, Clone)]
pub enum Op {
    Write(FileKind, usize, Vec<u8>),
    Truncate(FileKind, usize),
    Sync(FileKind),
    Delete(FileKind),
    Acknowledged(usize),
}

/// Calls that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Write,
    Sync,
}

impl Call {
    pub fn error(self) -> c_int {
        match self {
            Call::Write => SQLITE_IOERR_WRITE,
            Call::Sync => SQLITE_IOERR_FSYNC,
        }
    }
}

/// The `at`-th of these calls fails, and `times - 1` after it.
#[derive(Debug, Clone, Copy)]
pub struct Failure {
    pub call: Call,
    pub at: u64,
    pub times: u64,
    pub code: c_int,
}

#[derive(Debug)]
struct Record {
    log: Vec<Op>,
    failure: Option<Failure>,
    writes: u64,
    syncs: u64,
    met: bool,
}

static RECORD: Mutex<Record> = Mutex::new(Record { log: Vec::new(), failure: None, writes: 0, syncs: 0, met: false });

fn record() -> MutexGuard<'static, Record> {
    RECORD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins a new record, with a planned failure or none.
pub fn start(failure: Option<Failure>) {
    *record() = Record { log: Vec::new(), failure, writes: 0, syncs: 0, met: false };
}

/// Ends the record and returns it.
pub fn stop() -> Vec<Op> {
    std::mem::take(&mut record().log)
}

/// Notes that a turn was acknowledged.
pub fn acknowledge(turn: usize) {
    record().log.push(Op::Acknowledged(turn));
}

/// Returns the numbers of writes and syncs so far.
pub fn calls() -> (u64, u64) {
    let record = record();
    (record.writes, record.syncs)
}

/// Tells whether the planned failure has happened.
pub fn met() -> bool {
    record().met
}

impl Record {
    /// Counts a call. Returns the error code if it is planned to fail.
    fn count(&mut self, call: Call) -> Option<c_int> {
        let counter = match call {
            Call::Write => &mut self.writes,
            Call::Sync => &mut self.syncs,
        };
        let number = *counter;
        *counter += 1;
        let failure = self.failure.filter(|failure| failure.call == call && number >= failure.at)?;
        if number - failure.at >= failure.times {
            return None;
        }
        self.met = true;
        Some(failure.code)
    }
}

/// An open file: ours first, the ordinary one right behind it in the memory that SQLite gave.
#[repr(C)]
struct File {
    base: sqlite3_file,
    kind: Option<FileKind>,
}

/// The ordinary layer, found once.
struct Below(*mut sqlite3_vfs);
// SAFETY: SQLite's layers are never changed once registered and may be called from any thread.
unsafe impl Send for Below {}
// SAFETY: as above.
unsafe impl Sync for Below {}

static BELOW: std::sync::OnceLock<Below> = std::sync::OnceLock::new();

fn below() -> *mut sqlite3_vfs {
    BELOW.get().unwrap().0
}

/// Registers the layer with SQLite.
pub fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the structures live for ever; the ordinary layer is copied, and what is replaced has the same type.
        unsafe {
            let real = ffi::sqlite3_vfs_find(ptr::null());
            assert!(!real.is_null());
            assert!(BELOW.set(Below(real)).is_ok());
            let mut vfs = *real;
            vfs.iVersion = 1;
            vfs.szOsFile = (*real).szOsFile + size_of::<File>() as c_int;
            vfs.pNext = ptr::null_mut();
            vfs.zName = c"power".as_ptr();
            vfs.xOpen = Some(open);
            vfs.xDelete = Some(delete);
            assert_eq!(ffi::sqlite3_vfs_register(Box::leak(Box::new(vfs)), 0), SQLITE_OK);
        }
    });
}

/// Returns the ordinary file behind ours.
fn real(file: *mut sqlite3_file) -> *mut sqlite3_file {
    file.cast::<u8>().wrapping_add(size_of::<File>()).cast()
}

fn kind(file: *mut sqlite3_file) -> Option<FileKind> {
    // SAFETY: every file that comes back here was filled by `open`.
    unsafe { (*file.cast::<File>()).kind }
}

unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gave `szOsFile` bytes at `file`, room for both.
    unsafe {
        let code = (*below()).xOpen.unwrap()(below(), name, real(file), flags, out);
        let opened = !(*real(file)).pMethods.is_null();
        let methods = if opened { &raw const METHODS } else { ptr::null() };
        file.cast::<File>().write(File { base: sqlite3_file { pMethods: methods }, kind: FileKind::of(name) });
        code
    }
}

unsafe extern "C" fn delete(_: *mut sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    if let Some(kind) = FileKind::of(name) {
        let mut record = record();
        record.log.push(Op::Delete(kind));
        if sync != 0 {
            record.log.push(Op::Sync(kind));
        }
    }
    // SAFETY: passed on as it came.
    unsafe { (*below()).xDelete.unwrap()(below(), name, sync) }
}

unsafe extern "C" fn write(file: *mut sqlite3_file, data: *const c_void, len: c_int, at: sqlite3_int64) -> c_int {
    if let Some(kind) = kind(file) {
        let mut record = record();
        if let Some(code) = record.count(Call::Write) {
            return code;
        }
        // SAFETY: SQLite gives `len` bytes at `data`.
        let bytes = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), len as usize) };
        record.log.push(Op::Write(kind, at as usize, bytes.to_vec()));
    }
    // SAFETY: passed on as it came.
    unsafe { (*(*real(file)).pMethods).xWrite.unwrap()(real(file), data, len, at) }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    if let Some(kind) = kind(file) {
        record().log.push(Op::Truncate(kind, size as usize));
    }
    // SAFETY: passed on as it came.
    unsafe { (*(*real(file)).pMethods).xTruncate.unwrap()(real(file), size) }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    if let Some(kind) = kind(file) {
        let mut record = record();
        if let Some(code) = record.count(Call::Sync) {
            return code;
        }
        record.log.push(Op::Sync(kind));
    }
    // The files are in memory or thrown away: the record stands for what a real sync promises.
    let _ = flags;
    SQLITE_OK
}

/// Methods that change nothing on the disk are passed on as they come.
macro_rules! pass {
    ($($name:ident => $method:ident($($arg:ident: $kind:ty),*) -> $answer:ty;)*) => {
        $(unsafe extern "C" fn $name(file: *mut sqlite3_file $(, $arg: $kind)*) -> $answer {
            // SAFETY: passed on as it came, to the file that was opened behind ours.
            unsafe { (*(*real(file)).pMethods).$method.unwrap()(real(file) $(, $arg)*) }
        })*
    };
}

pass! {
    close => xClose() -> c_int;
    read => xRead(data: *mut c_void, len: c_int, at: sqlite3_int64) -> c_int;
    file_size => xFileSize(size: *mut sqlite3_int64) -> c_int;
    lock => xLock(level: c_int) -> c_int;
    unlock => xUnlock(level: c_int) -> c_int;
    check_lock => xCheckReservedLock(out: *mut c_int) -> c_int;
    control => xFileControl(op: c_int, arg: *mut c_void) -> c_int;
    sector => xSectorSize() -> c_int;
    traits => xDeviceCharacteristics() -> c_int;
    shm_map => xShmMap(page: c_int, size: c_int, extend: c_int, out: *mut *mut c_void) -> c_int;
    shm_lock => xShmLock(offset: c_int, n: c_int, flags: c_int) -> c_int;
    shm_barrier => xShmBarrier() -> ();
    shm_unmap => xShmUnmap(delete: c_int) -> c_int;
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_lock),
    xFileControl: Some(control),
    xSectorSize: Some(sector),
    xDeviceCharacteristics: Some(traits),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};
