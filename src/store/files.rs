//! The files of the database: private to their owner, and locked while in use.
//!
//! The lock is a file of its own, because SQLite's locks come and go with each
//! transaction: two daemons on one database would both page.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::StoreError;
use crate::domain::time::Timestamp;

/// Held for as long as the database is open; the system lets go of it even after `kill -9`.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Drop for Lock {
    /// To close the file would not do: a process that this one is just starting holds a copy of it
    /// until it runs its own program, and with it the lock.
    fn drop(&mut self) {
        self.file.unlock().unwrap_or_default();
    }
}

/// Makes the folder (0700) and the database file (0600) if they are missing, and takes the lock.
///
/// SQLite gives its `-wal` and `-shm` files the mode of the database file.
pub(super) fn prepare(path: &Path) -> Result<Lock, StoreError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| StoreError::file(folder, error))?;
    }
    let lock_path = beside(path, ".lock");
    let lock = private(&lock_path).map_err(|error| StoreError::file(&lock_path, error))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(StoreError::Locked { path: lock_path }),
        Err(TryLockError::Error(error)) => return Err(StoreError::file(lock_path, error)),
    }
    private(path).map_err(|error| StoreError::file(path, error))?;
    Ok(Lock { file: lock })
}

/// The path with something added to its last part.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A name beside a file under which nothing is, for what was there until an instant.
pub(super) fn put_aside_as(path: &Path, suffix: &str, at: Timestamp) -> PathBuf {
    let seconds = at.micros() / 1_000_000;
    let named = |n: u32| match n {
        1 => beside(path, &format!(".before-{seconds}{suffix}")),
        n => beside(path, &format!(".before-{seconds}-{n}{suffix}")),
    };
    // As many as there are: each is somebody's only copy.
    (1..u32::MAX).map(named).find(|name| name.symlink_metadata().is_err()).unwrap_or_else(|| named(u32::MAX))
}

/// That a name stands for a file is on disk only once its folder is.
pub(super) fn sync_folder(file: &Path) -> io::Result<()> {
    File::open(folder_of(file))?.sync_all()
}

/// The folder of a file.
pub(super) fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Why a file cannot be read, where the system knows more than SQLite said. To be asked only once SQLite has failed: whoever
/// closes a file that a connection of this process has open ends the locks of that connection
/// (<https://sqlite.org/howtocorrupt.html>, §2.2).
pub(super) fn unreadable(path: &Path) -> Option<StoreError> {
    let cause = match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Some(io::ErrorKind::IsADirectory.into()),
        Ok(_) => File::open(path).err(),
        Err(error) => Some(error),
    };
    cause.map(|cause| StoreError::file(path, cause))
}

/// Opens or creates a file that only its owner may read, whatever the umask or its past.
pub(super) fn private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(PermissionsExt::from_mode(0o600))?;
    }
    Ok(file)
}
