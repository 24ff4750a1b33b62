//! What can go wrong with the store, told apart by what to do about it.

use std::path::PathBuf;
use std::sync::Arc;

/// Why the store could not do what was asked. Cheap to clone, because one failed
/// transaction is the answer to everybody who waited for it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another daemon has the database. Temporary (exit 75).
    #[error("{path} is used by another stormbell; stop it first, or give this one a store.path of its own", path = path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A newer program wrote the database; this one must not touch it.
    #[error(
        "the database has schema {found}, this program knows {known}: \
         run the newer stormbell that wrote it, or restore a backup from before the upgrade"
    )]
    TooNew {
        /// The schema found.
        found: i64,
        /// The newest schema this program knows.
        known: i64,
    },
    /// The file is somebody else's.
    #[error("{path} is not a database of stormbell; point store.path at a file of its own", path = path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// Another program holds the database for long; worth another try.
    #[error("the database is busy: another program holds it")]
    Busy,
    /// No room on the disk; worth another try once somebody made room.
    #[error("the disk of the database is full; nothing is lost yet, make room")]
    Full,
    /// The disk fails, or may only be read; worth another try.
    #[error("the disk of the database cannot be written; nothing is lost yet, look at the disk and at its mount")]
    Unwritable(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The file is damaged.
    #[error("the database is damaged; stop, keep the files for inspection, and restore a backup")]
    Corrupt(#[source] Arc<rusqlite::Error>),
    /// A backup is not as it was written.
    #[error("{path} is damaged, and was not used: {what}; take another backup", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        what: String,
    },
    /// The keys are not where they should be.
    #[error(
        "{path} is missing: without these keys nobody can read what {database} holds of posts. Put the newest copy back \
         (`stormbell restore --keys FILE`; `backup` left it beside the backups), or go on without what was kept \
         (`stormbell restore --without-keys`): incidents, messages and what rules have learnt stay",
        path = path.display(), database = database.display()
    )]
    NoKeys {
        /// Where they should be.
        path: PathBuf,
        /// What they open.
        database: PathBuf,
    },
    /// The keys are those of another database.
    #[error(
        "{path} has the keys of another database, and does not open {database}: give the file that was made with it \
         (`stormbell restore --keys FILE`)",
        path = path.display(), database = database.display()
    )]
    OtherKeys {
        /// The file.
        path: PathBuf,
        /// What they should open.
        database: PathBuf,
    },
    /// What is sealed was to be given up, and need not be.
    #[error(
        "the keys are there, and open the database: nothing has to be given up. Leave --without-keys out; or, if what is \
         kept is to go, move the file of keys away first"
    )]
    KeysThere,
    /// The file of keys is not as it was written.
    #[error(
        "{path} is damaged: put the newest copy of these keys back (`stormbell restore --keys FILE`), or go on without what \
         was kept (`stormbell restore --without-keys`)",
        path = path.display()
    )]
    DamagedKeys {
        /// The file.
        path: PathBuf,
    },
    /// Nothing could be sealed.
    #[error("the system has no randomness, or the cryptographic library refused; nothing was written")]
    Cipher,
    /// A row cannot be read back.
    #[error("a row of {table} cannot be read: {id}")]
    Unreadable {
        /// The table.
        table: &'static str,
        /// Which row.
        id: String,
    },
    /// A file or folder beside the database.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Arc<std::io::Error>,
    },
    /// The writer has ended; the process is on its way out.
    #[error("the store is closed")]
    Closed,
    /// Anything else SQLite says.
    #[error("the database refused")]
    Other(#[source] Arc<rusqlite::Error>),
}

impl StoreError {
    /// Whether the very same request may work later, without anybody changing it.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Busy | Self::Full | Self::Unwritable(_))
    }

    /// Of the file of keys, which goes to the same disk as the database: what passes there passes here.
    pub(super) fn keys(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        use std::io::ErrorKind as Kind;
        match source.kind() {
            Kind::StorageFull | Kind::QuotaExceeded => Self::Full,
            Kind::NotFound | Kind::PermissionDenied => Self::file(path, source),
            _ => Self::Unwritable(Arc::new(source)),
        }
    }

    /// What cannot be read is as if it were not there: one damaged row must stop neither a page nor a start.
    pub(super) fn or_absent<T>(result: Result<T, Self>) -> Result<Option<T>, Self> {
        match result {
            Ok(read) => Ok(Some(read)),
            Err(Self::Unreadable { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn file(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::File { path: path.into(), source: Arc::new(source) }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        match error.sqlite_error_code() {
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => Self::Busy,
            Some(Code::DiskFull) => Self::Full,
            Some(Code::SystemIoFailure | Code::ReadOnly | Code::CannotOpen) => Self::Unwritable(Arc::new(error)),
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => Self::Corrupt(Arc::new(error)),
            _ => Self::Other(Arc::new(error)),
        }
    }
}
