//! The configuration that worked last, for a start at which the one on disk does not (invariant 7).
//!
//! A reload that is refused changes nothing. A start has nothing to fall back on: a slip in a file would keep the daemon
//! down after the next crash, upgrade or loss of power, when nobody is there to mend it. So the whole folder is copied
//! when it works, and a start for which it does not uses the copy and says so.
//!
//! Only where a service manager names a folder for nothing but this (`ConfigurationDirectory=` and `StateDirectory=`
//! of systemd.exec(5)): elsewhere the file may lie among anything.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::rulebook::Rulebook;
use crate::config::environment::{Environment, Folders};
use crate::config::load::{SecretPolicy, load};
use crate::config::model::StoreConfig;
use crate::domain::diagnostic::has_errors;
use crate::telemetry::events;

/// Rules, lists and templates of a hospital are some hundred kilobytes.
const MOST_BYTES: u64 = 64 << 20;
const MOST_FILES: usize = 4096;
/// A link that leads back is followed so far.
const DEEPEST: usize = 8;

/// Why a configuration could not be kept.
#[derive(Debug, thiserror::Error)]
enum NotKept {
    /// The disk, or who may read what.
    #[error("{path}: {cause}", path = .0.display(), cause = .1)]
    Io(PathBuf, #[source] io::Error),
    /// It cannot be configuration alone.
    #[error("the folder holds more than {MOST_FILES} files or {MOST_BYTES} bytes")]
    TooMuch,
    /// It names something the copy lacks, or was changed meanwhile.
    #[error(
        "a copy of the folder does not work as the folder does: let `[store] path` be absolute, and relative paths \
         lead to what is in the folder"
    )]
    Differs,
}

/// Where it is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The folder of the configuration.
    from: PathBuf,
    /// The configuration's file in it.
    file: PathBuf,
    /// What kept configurations are beside.
    state: PathBuf,
    environment: Environment,
    /// Whether a kept one is in force now, for whoever tells people.
    stands_in: Arc<AtomicBool>,
    /// One copy at a time.
    copying: Arc<Mutex<()>>,
}

impl Kept {
    /// For the configuration at `path`; nothing where no service manager gave it a folder of its own.
    pub fn of(path: &Path, environment: &Environment) -> Option<Self> {
        let Folders { configuration, state } = environment.folders()?;
        let file = path.strip_prefix(&configuration).ok()?.to_owned();
        Some(Self {
            from: configuration,
            file,
            state,
            environment: environment.clone(),
            stands_in: Arc::default(),
            copying: Arc::default(),
        })
    }

    /// The file that was kept last, if any was.
    pub fn file(&self) -> Option<PathBuf> {
        // The second is there alone only if the process died between two renames.
        let there = |folder: &str| Some(self.state.join(folder).join(&self.file)).filter(|path| path.is_file());
        there(CURRENT).or_else(|| there(FORMER))
    }

    /// A kept configuration is in force.
    pub fn stands_in(&self) {
        self.stands_in.store(true, Ordering::Relaxed);
    }

    /// Whether one is.
    pub(super) fn is_in_force(&self) -> bool {
        self.stands_in.load(Ordering::Relaxed)
    }

    /// Keeps what has just proven to work. That it cannot is told in the log: nothing else depends on it.
    pub(super) fn keep(&self, store: &StoreConfig) {
        self.stands_in.store(false, Ordering::Relaxed);
        let _one = self.copying.lock().unwrap_or_else(PoisonError::into_inner);
        match self.copy(store) {
            Ok(()) => events::config_kept(),
            Err(error) => events::config_not_kept(&error),
        }
    }

    fn copy(&self, store: &StoreConfig) -> Result<(), NotKept> {
        let [new, current, former] = [NEW, CURRENT, FORMER].map(|name| self.state.join(name));
        remove(&new)?;
        let mut room = Room { files: MOST_FILES, bytes: MOST_BYTES };
        copy_folder(&self.from, &new, DEEPEST, &mut room)?;
        // Files may have changed since they were read, and may name others by a path that leads elsewhere from here.
        let loaded = load(&new.join(&self.file), &self.environment, SecretPolicy::Required);
        let works = loaded.config.is_some_and(|config| {
            let rulebook = Rulebook::load(&config.rules, &config.organization);
            config.store.path == store.path && !has_errors(&rulebook.findings)
        });
        if !works {
            remove(&new)?;
            return Err(NotKept::Differs);
        }
        if current.is_dir() {
            remove(&former)?;
            at(&current, fs::rename(&current, &former))?;
        }
        at(&new, fs::rename(&new, &current))?;
        at(&self.state, File::open(&self.state).and_then(|folder| folder.sync_all()))
    }
}

/// The configuration that is kept.
const CURRENT: &str = "configuration";
/// The one before it.
const FORMER: &str = "configuration.old";
/// One that is being copied.
const NEW: &str = "configuration.new";

/// What may still be copied.
struct Room {
    files: usize,
    bytes: u64,
}

/// Copies what this process may read; what it may not read, it does not run by.
fn copy_folder(from: &Path, to: &Path, depth: usize, room: &mut Room) -> Result<(), NotKept> {
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
        entries => at(from, entries)?,
    };
    at(to, DirBuilder::new().mode(0o700).create(to))?;
    for entry in entries {
        let path = at(from, entry)?.path();
        let Some(name) = path.file_name() else { continue };
        // A link that leads nowhere is no configuration.
        let Ok(about) = fs::metadata(&path) else { continue };
        if about.is_dir() && depth > 0 {
            copy_folder(&path, &to.join(name), depth - 1, room)?;
        } else if about.is_file() {
            copy_file(&path, &to.join(name), room)?;
        }
    }
    at(to, File::open(to).and_then(|folder| folder.sync_all()))
}

fn copy_file(from: &Path, to: &Path, room: &mut Room) -> Result<(), NotKept> {
    let file = match File::open(from) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
        file => at(from, file)?,
    };
    room.files = room.files.checked_sub(1).ok_or(NotKept::TooMuch)?;
    let mut bytes = Vec::new();
    let length = at(from, file.take(room.bytes.saturating_add(1)).read_to_end(&mut bytes))?;
    room.bytes = room.bytes.checked_sub(length as u64).ok_or(NotKept::TooMuch)?;
    let mut copy = at(to, OpenOptions::new().write(true).create_new(true).mode(0o600).open(to))?;
    at(to, copy.write_all(&bytes).and_then(|()| copy.sync_all()))
}

fn remove(folder: &Path) -> Result<(), NotKept> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => at(folder, removed),
    }
}

fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, NotKept> {
    result.map_err(|cause| NotKept::Io(path.to_owned(), cause))
}
