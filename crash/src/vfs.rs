//! SQLite on the disks of this crate: a file layer (VFS) registered under [`NAME`], which SQLite calls for every file
//! operation. A path names its disk by a number, `/7/comet.db`.
//!
//! This is the only unsafe code of the workspace. The need: SQLite's file layer is a table of C functions with raw
//! pointers, and faults between the shipping store and its files cannot be had above it. The ready-made safe wrapper,
//! `sqlite-plugin`, needs libclang at every build. What each function relies on is SQLite's contract
//! (sqlite.org/c3ref/io_methods.html, c3ref/vfs.html): pointers are valid during the call, a file's functions are called
//! only between its `xOpen` and `xClose`, and never by two threads at once. Each function turns its pointers into safe
//! values first; the rest is in `disk.rs`.
//!
//! It behaves as SQLite's own layer for Unix does: the directory is synced with the first sync of a new journal or log,
//! and whether that failed is ignored. A disk serves one connection at a time, so locks are always granted and the
//! shared memory of the log's index belongs to the open file.

#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::slice;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rusqlite::ffi;

use crate::disk::{Disk, Error, Inode};

/// What the store gives SQLite to reach these disks.
pub(crate) const NAME: &str = "comet-crash";

/// The disks by number.
static DISKS: Mutex<BTreeMap<u64, Arc<Disk>>> = Mutex::new(BTreeMap::new());

/// Makes a disk reachable for SQLite until it is removed.
pub(crate) fn mount(number: u64, disk: Arc<Disk>) {
    register();
    DISKS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(number, disk);
}

/// Forgets a disk; open files keep theirs.
pub(crate) fn unmount(number: u64) {
    DISKS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(&number);
}

/// The disk of a path, and the name of the file on it.
fn located(path: &str) -> Option<(Arc<Disk>, &str)> {
    let (number, name) = path.strip_prefix('/')?.split_once('/')?;
    let disks = DISKS.lock().unwrap_or_else(PoisonError::into_inner);
    let disk = disks.get(&number.parse().ok()?)?;
    Some((Arc::clone(disk), name))
}

/// What an open file is to us; SQLite owns the memory that begins with `base`.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    /// A `Box<Handle>`, given up in `close`.
    handle: *mut Handle,
}

struct Handle {
    disk: Arc<Disk>,
    inode: Inode,
    /// A new journal or log, whose name is not safe yet.
    is_new: bool,
    /// Removed when closed.
    temporary: Option<String>,
    /// The index of the log, in pieces whose addresses stay. SQLite wants them aligned for 32-bit numbers.
    shared: Vec<Box<[u64]>>,
}

fn register() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let name = CString::new(NAME).unwrap_or_default().into_raw();
        let vfs = Box::new(ffi::sqlite3_vfs {
            iVersion: 1,
            szOsFile: size_of::<File>() as c_int,
            mxPathname: 512,
            pNext: ptr::null_mut(),
            zName: name,
            pAppData: ptr::null_mut(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_path_name),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: None,
            xCurrentTimeInt64: None,
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        });
        // SAFETY: name and table are given to SQLite for the rest of the process.
        let outcome = unsafe { ffi::sqlite3_vfs_register(Box::into_raw(vfs), 0) };
        assert_eq!(outcome, ffi::SQLITE_OK, "SQLite takes the file layer");
    });
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(lock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// SQLite's number for an outcome; `io` is what EIO is called for this operation.
fn code(outcome: Result<(), Error>, io: c_int) -> c_int {
    match outcome {
        Ok(()) => ffi::SQLITE_OK,
        Err(Error::Io | Error::Missing) => io,
        Err(Error::Full) => ffi::SQLITE_FULL,
    }
}

/// A C string as text.
///
/// # Safety
/// Null, or a string that ends with NUL and lives during the call.
unsafe fn text<'a>(pointer: *const c_char) -> Option<&'a str> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: as promised by the caller.
    unsafe { CStr::from_ptr(pointer) }.to_str().ok()
}

/// The handle of an open file.
///
/// # Safety
/// `file` was opened by `open`, is not closed yet, and no other reference to its handle lives.
unsafe fn handle<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Handle {
    // SAFETY: as promised by the caller; `open` put a `Box<Handle>` there.
    unsafe { &mut *(*file.cast::<File>()).handle }
}

unsafe extern "C" fn open(
    _vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: `name` is null or a C string, `file` has room for `szOsFile` bytes, `out_flags` is null or writable.
    unsafe {
        (*file).pMethods = ptr::null();
        let name = text(name);
        let Some(handle) = opened(name, flags) else {
            return ffi::SQLITE_CANTOPEN;
        };
        if !out_flags.is_null() {
            *out_flags = flags;
        }
        (*file.cast::<File>()).handle = Box::into_raw(Box::new(handle));
        (*file).pMethods = &raw const METHODS;
    }
    ffi::SQLITE_OK
}

fn opened(name: Option<&str>, flags: c_int) -> Option<Handle> {
    const JOURNALS: c_int = ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL;
    let create = flags & ffi::SQLITE_OPEN_CREATE != 0;
    // Files without a name are temporary ones; the store makes none that would not fit into memory.
    let (disk, name) = located(name?)?;
    let inode = disk.open(name, create).ok()?;
    Some(Handle {
        disk,
        inode,
        is_new: create && flags & JOURNALS != 0,
        temporary: (flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0).then(|| name.to_owned()),
        shared: Vec::new(),
    })
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: the file is open, and its functions are not called any more.
    let handle = unsafe {
        (*file).pMethods = ptr::null();
        Box::from_raw((*file.cast::<File>()).handle)
    };
    if let Some(name) = &handle.temporary {
        // Nobody asks for a temporary file again.
        let _ = handle.disk.delete(name);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, to: *mut c_void, count: c_int, at: i64) -> c_int {
    // SAFETY: the file is open; `to` has room for `count` bytes.
    let (handle, to) = unsafe {
        (
            handle(file),
            slice::from_raw_parts_mut(to.cast::<u8>(), count as usize),
        )
    };
    match handle.disk.read(handle.inode, at as usize, to) {
        Ok(found) if found == to.len() => ffi::SQLITE_OK,
        Ok(found) => {
            to[found..].fill(0);
            ffi::SQLITE_IOERR_SHORT_READ
        }
        Err(_) => ffi::SQLITE_IOERR_READ,
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    count: c_int,
    at: i64,
) -> c_int {
    // SAFETY: the file is open; `from` has `count` bytes.
    let (handle, from) = unsafe {
        (
            handle(file),
            slice::from_raw_parts(from.cast::<u8>(), count as usize),
        )
    };
    code(
        handle.disk.write(handle.inode, at as usize, from),
        ffi::SQLITE_IOERR_WRITE,
    )
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, len: i64) -> c_int {
    // SAFETY: the file is open.
    let handle = unsafe { handle(file) };
    code(
        handle.disk.truncate(handle.inode, len as usize),
        ffi::SQLITE_IOERR_TRUNCATE,
    )
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: the file is open.
    let handle = unsafe { handle(file) };
    let outcome = handle.disk.sync(handle.inode);
    if outcome.is_ok() && std::mem::take(&mut handle.is_new) {
        // As SQLite's layer for Unix, which does not tell either.
        let _ = handle.disk.sync_dir();
    }
    code(outcome, ffi::SQLITE_IOERR_FSYNC)
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, len: *mut i64) -> c_int {
    // SAFETY: the file is open, `len` is writable.
    let (handle, len) = unsafe { (handle(file), &mut *len) };
    let found = handle.disk.len(handle.inode);
    *len = found.map_or(0, |found| found as i64);
    code(found.map(|_| ()), ffi::SQLITE_IOERR_FSTAT)
}

/// Also unlocks.
unsafe extern "C" fn lock(_file: *mut ffi::sqlite3_file, _level: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(_file: *mut ffi::sqlite3_file, held: *mut c_int) -> c_int {
    // SAFETY: `held` is writable.
    unsafe { *held = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_file: *mut ffi::sqlite3_file, _what: c_int, _with: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_file: *mut ffi::sqlite3_file) -> c_int {
    4096
}

/// What SQLite's layer for Unix says.
unsafe extern "C" fn device_characteristics(_file: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    piece: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: the file is open, `out` is writable; the pieces live until the file is closed, longer than SQLite uses them.
    unsafe {
        let handle = handle(file);
        while extend != 0 && handle.shared.len() <= piece as usize {
            handle
                .shared
                .push(vec![0; (size as usize).div_ceil(8)].into_boxed_slice());
        }
        let found = handle.shared.get_mut(piece as usize);
        *out = found.map_or(ptr::null_mut(), |piece| piece.as_mut_ptr().cast());
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn shm_lock(
    _file: *mut ffi::sqlite3_file,
    _first: c_int,
    _count: c_int,
    _flags: c_int,
) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn shm_barrier(_file: *mut ffi::sqlite3_file) {}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, _delete: c_int) -> c_int {
    // SAFETY: the file is open, and SQLite does not use the pieces any more.
    unsafe { handle(file) }.shared.clear();
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(_vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync_dir: c_int) -> c_int {
    // SAFETY: `name` is a C string.
    let Some((disk, name)) = (unsafe { text(name) }).and_then(located) else {
        return ffi::SQLITE_IOERR_DELETE;
    };
    match disk.delete(name) {
        Ok(()) if sync_dir != 0 => code(disk.sync_dir(), ffi::SQLITE_IOERR_DIR_FSYNC),
        Ok(()) => ffi::SQLITE_OK,
        Err(Error::Missing) => ffi::SQLITE_IOERR_DELETE_NOENT,
        Err(Error::Io | Error::Full) => ffi::SQLITE_IOERR_DELETE,
    }
}

unsafe extern "C" fn access(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: `name` is a C string, `out` is writable.
    let (name, out) = unsafe { (text(name), &mut *out) };
    let Some((disk, name)) = name.and_then(located) else {
        return ffi::SQLITE_IOERR_ACCESS;
    };
    match disk.find(name) {
        // As on Unix, an empty file does not exist where SQLite looks for a journal to play back.
        Ok(Some(inode)) => {
            let asks_for_content = flags == ffi::SQLITE_ACCESS_EXISTS;
            *out = c_int::from(!asks_for_content || disk.len(inode).is_ok_and(|len| len > 0));
            ffi::SQLITE_OK
        }
        Ok(None) => {
            *out = 0;
            ffi::SQLITE_OK
        }
        Err(_) => ffi::SQLITE_IOERR_ACCESS,
    }
}

unsafe extern "C" fn full_path_name(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: `name` is a C string, `out` has `room` bytes; what is copied ends with NUL.
    unsafe {
        let name = CStr::from_ptr(name).to_bytes_with_nul();
        if name.len() > room as usize {
            return ffi::SQLITE_CANTOPEN;
        }
        ptr::copy_nonoverlapping(name.as_ptr().cast(), out, name.len());
    }
    ffi::SQLITE_OK
}

/// Not asked: SQLite takes its chance from its default file layer.
unsafe extern "C" fn randomness(_vfs: *mut ffi::sqlite3_vfs, _count: c_int, _out: *mut c_char) -> c_int {
    0
}

/// Time does not pass here.
unsafe extern "C" fn sleep(_vfs: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    microseconds
}

unsafe extern "C" fn current_time(_vfs: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: `out` is writable.
    unsafe { *out = 2_460_000.5 };
    ffi::SQLITE_OK
}
