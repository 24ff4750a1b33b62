//! The keys under which the database holds what strangers wrote and who they are, and the file they lie in.
//!
//! Each day has a key of its own, and the duty-of-care lane another: what is dated that day is sealed with it (AES-256-GCM),
//! and when retention has taken the last of it the key is destroyed. With it goes the text in every copy of the database
//! that was ever made, which no deletion reaches. Keys lie in a file of their own, for the same reason: a backup holds
//! sealed text only, and the newest file of keys opens all backups as far as they should still be opened.
//!
//! Names of posts and authors are sealed with one key that stays, so that equal names are equal: rows are counted, joined
//! and found by them, after a restart as before. Whoever has only the database learns that two posts are of one author,
//! and not of whom. Rejected: a keyed hash, which does the same until the engine has to know an author again after a
//! restart, and then needs a table of names beside it; a reader with the key can undo either, by trying what names there are.
//!
//! The number used once is made of what is sealed and where it stands (as in SIV, RFC 5297), not of chance: the same
//! text in the same place is sealed to the same, so what is written again after a crash is known again, and no number is
//! ever used for two texts.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::StoreError;
use super::files::{beside, folder_of, put_aside_as};
use super::ring::{DAY, DayKey, Lane, Ring, Secret};
use crate::domain::time::Timestamp;

/// Beside the database.
pub(super) const SUFFIX: &str = ".keys";
/// A key's number stands in front of what it sealed, in hexadecimal.
const NUMBER: usize = 16;
/// In SQL, how long the text of a post is that is sealed: without the number, base64 and 28 bytes.
pub(super) const LENGTH: &str = "((octet_length(json) - 16) * 3 / 4 - 28)";
/// Where a sealed text stands; elsewhere it does not open.
#[derive(Clone, Copy, Debug)]
pub(super) struct About<'a> {
    pub(super) table: &'static str,
    /// What the row is known by.
    pub(super) row: &'a str,
}

impl<'a> About<'a> {
    pub(super) const fn new(table: &'static str, row: &'a str) -> Self {
        Self { table, row }
    }

    fn bytes(&self) -> Vec<u8> {
        [self.table.as_bytes(), &[0], self.row.as_bytes()].concat()
    }

    fn unreadable(&self) -> StoreError {
        StoreError::Unreadable { table: self.table, id: self.row.to_owned() }
    }
}

/// A database's keys, for whoever has it open.
pub(super) struct Keys {
    /// None: of a database from before there were keys, which is in clear.
    place: Option<Place>,
    ring: Mutex<Option<Box<Ring>>>,
}

#[derive(Clone)]
struct Place {
    database: PathBuf,
    /// Of the ring that opens it.
    ring: String,
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    /// Of a database from before there were keys.
    pub(super) fn none() -> Self {
        Self { place: None, ring: Mutex::default() }
    }

    /// New ones, or those that lie beside the database already: a start was broken off, or a database removed.
    pub(super) fn begin(database: &Path) -> Result<Self, StoreError> {
        let path = beside(database, SUFFIX);
        let ring = if path.symlink_metadata().is_ok() { Ring::read(&path)? } else { Ring::new()? };
        Ok(Self::of(database, ring))
    }

    /// New ones, whatever lies beside the database.
    pub(super) fn anew(database: &Path) -> Result<Self, StoreError> {
        Ok(Self::of(database, Ring::new()?))
    }

    /// Those of a file, which must be of the database's ring.
    pub(super) fn of_file(file: &Path, database: &Path, ring: &str) -> Result<Self, StoreError> {
        match Ring::read(file) {
            Ok(found) if found.id == ring => Ok(Self::of(database, found)),
            Ok(_) => Err(StoreError::OtherKeys { path: file.to_owned(), database: database.to_owned() }),
            Err(StoreError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Err(StoreError::NoKeys { path: file.to_owned(), database: database.to_owned() })
            }
            Err(error) => Err(error),
        }
    }

    /// Those that lie beside a database, for its one writer.
    pub(super) fn beside(database: &Path, ring: &str) -> Result<Self, StoreError> {
        Self::of_file(&beside(database, SUFFIX), database, ring)
    }

    /// Those of a database that is only read, or of a copy; they are looked for when they are needed.
    pub(super) fn wanted(database: &Path, ring: String) -> Self {
        Self { place: Some(Place { database: database.to_owned(), ring }), ring: Mutex::default() }
    }

    fn of(database: &Path, ring: Ring) -> Self {
        let place = Place { database: database.to_owned(), ring: ring.id.clone() };
        Self { place: Some(place), ring: Mutex::new(Some(Box::new(ring))) }
    }

    /// The ring by which a database knows its keys.
    pub(super) fn id(&self) -> Option<&str> {
        self.place.as_ref().map(|place| place.ring.as_str())
    }

    /// What a post or an author is called in the database.
    pub(super) fn name(&self, id: &str) -> Result<String, StoreError> {
        let Some(place) = &self.place else { return Ok(id.to_owned()) };
        self.with(place, |ring| ring.names.seal(b"name", id.as_bytes()))
    }

    /// Several of them, as an array of JSON.
    pub(super) fn names<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> Result<String, StoreError> {
        let names = ids.into_iter().map(|id| self.name(id)).collect::<Result<Vec<_>, _>>()?;
        Ok(serde_json::json!(names).to_string())
    }

    /// The post or author of a name.
    pub(super) fn named(&self, name: &str) -> Result<String, StoreError> {
        let Some(place) = &self.place else { return Ok(name.to_owned()) };
        let id = self.with(place, |ring| ring.names.open(b"name", name))?;
        id.and_then(|id| String::from_utf8(id).ok()).ok_or_else(|| About::new("names", name).unreadable())
    }

    /// Seals what is dated then.
    pub(super) fn seal(
        &self,
        lane: Lane,
        at: Timestamp,
        about: About<'_>,
        text: impl AsRef<[u8]>,
    ) -> Result<String, StoreError> {
        let text = text.as_ref();
        let Some(place) = &self.place else { return Ok(String::from_utf8_lossy(text).into_owned()) };
        self.with(place, |ring| {
            let (number, secret) = ring.of_day(at, lane)?;
            Ok(format!("{number:016x}{}", secret.seal(&about.bytes(), text)?))
        })
    }

    /// Seals with the key of something that is sealed already; none when that is gone.
    pub(super) fn reseal(&self, was: &str, about: About<'_>, text: &str) -> Result<Option<String>, StoreError> {
        let Some(place) = &self.place else { return Ok(Some(text.to_owned())) };
        let (number, _) = split(was).ok_or_else(|| about.unreadable())?;
        self.with_key(place, number, |secret| {
            Ok(format!("{number:016x}{}", secret.seal(&about.bytes(), text.as_bytes())?))
        })
    }

    /// What was sealed; none when its key is destroyed.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] when it was changed, or sealed for another place.
    pub(super) fn open(&self, about: About<'_>, sealed: &str) -> Result<Option<String>, StoreError> {
        let text = self.open_bytes(about, sealed)?.map(String::from_utf8).transpose();
        text.or(Err(about.unreadable()))
    }

    /// The same of what is no text.
    pub(super) fn open_bytes(&self, about: About<'_>, sealed: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(place) = &self.place else { return Ok(Some(sealed.as_bytes().to_vec())) };
        let (number, sealed) = split(sealed).ok_or_else(|| about.unreadable())?;
        let opened = self.with_key(place, number, |secret| secret.open(&about.bytes(), sealed))?;
        opened.map(|text| text.ok_or_else(|| about.unreadable())).transpose()
    }

    /// Whether something sealed has its key, and the key's lane.
    pub(super) fn lane_of(&self, sealed: &str) -> Result<Option<Lane>, StoreError> {
        let (Some(place), Some((number, _))) = (&self.place, split(sealed)) else { return Ok(None) };
        self.with(place, |ring| Ok(ring.days.get(&number).map(|key| key.lane)))
    }

    /// The keys of days that are over: their number, day and lane.
    pub(super) fn older(&self, horizon: impl Fn(Lane) -> Timestamp) -> Result<Vec<(String, i64)>, StoreError> {
        let Some(place) = &self.place else { return Ok(Vec::new()) };
        self.with(place, |ring| {
            let over = |key: &DayKey| (key.day + 1).saturating_mul(DAY) <= horizon(key.lane).micros();
            let over = ring.days.iter().filter(|(_, key)| over(key));
            Ok(over.map(|(number, key)| (format!("{number:016x}"), key.day)).collect())
        })
    }

    /// Saves what was made since, before the first thing that it sealed is on disk.
    pub(super) fn save(&self) -> Result<(), StoreError> {
        let (Some(place), Some(ring)) = (&self.place, &mut *self.lock()) else { return Ok(()) };
        if !ring.unsaved {
            return Ok(());
        }
        ring.save(&beside(&place.database, SUFFIX), owner(&place.database))
    }

    /// Destroys keys. What nothing uses any more is gone from memory at once, and from the file now or with the next change.
    pub(super) fn destroy(&self, numbers: &[String]) {
        if let Some(ring) = &mut *self.lock() {
            for number in numbers.iter().filter_map(|number| u64::from_str_radix(number, 16).ok()) {
                ring.destroy(number);
            }
        }
        self.save().unwrap_or_default();
    }

    /// Copies the keys as they are now to where backups lie, in the place of those that were copied there before; nothing
    /// where the database's own lie. Where they are.
    pub(super) fn copy_to(&self, folder: &Path) -> Result<Option<PathBuf>, StoreError> {
        let Some(place) = &self.place else { return Ok(None) };
        let mut ring = Ring::read(&locate(place)?)?;
        if folder_of(&place.database).canonicalize().ok() == folder.canonicalize().ok() {
            return Ok(None);
        }
        let name = format!("stormbell-{}{SUFFIX}", ring.id.get(..8).unwrap_or_default());
        let to = folder.join(name);
        ring.shredding = true;
        ring.save(&to, None)?;
        Ok(Some(to))
    }

    /// Whether they are found.
    pub(super) fn are_there(&self) -> bool {
        self.place.as_ref().is_none_or(|place| self.with(place, |_| Ok(())).is_ok())
    }

    /// The file in which they are found.
    pub(super) fn file(&self) -> Result<PathBuf, StoreError> {
        self.place.as_ref().map_or(Err(StoreError::Cipher), locate)
    }

    /// Puts these keys beside their database, whatever lies there; others that do are kept under the name that is returned.
    pub(super) fn take_place(&self, at: Timestamp) -> Result<Option<PathBuf>, StoreError> {
        let Some(place) = &self.place else { return Ok(None) };
        let path = beside(&place.database, SUFFIX);
        let mut aside = None;
        if path.symlink_metadata().is_ok() && !Ring::read(&path).is_ok_and(|ring| ring.id == place.ring) {
            let old = put_aside_as(&place.database, SUFFIX, at);
            fs::rename(&path, &old).map_err(|error| StoreError::file(&path, error))?;
            aside = Some(old);
        }
        if let Some(ring) = &mut *self.lock() {
            ring.unsaved = true;
        }
        self.save()?;
        Ok(aside)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<Ring>>> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, place: &Place, work: impl FnOnce(&mut Ring) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let ring = &mut *self.lock();
        let ring = match ring {
            Some(ring) => ring,
            None => ring.insert(Box::new(Ring::read(&locate(place)?)?)),
        };
        work(ring)
    }

    /// With a key that may have been made since the file was read; none when it is destroyed.
    fn with_key<T>(
        &self,
        place: &Place,
        number: u64,
        work: impl FnOnce(&Secret) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        self.with(place, |ring| {
            if !ring.days.contains_key(&number) && ring.is_replaced() {
                *ring = Ring::read(&locate(place)?)?;
            }
            ring.days.get(&number).map(|key| work(&key.secret)).transpose()
        })
    }
}

/// The file of a ring: it has the database's name, or lies in the same folder as copies do.
fn locate(place: &Place) -> Result<PathBuf, StoreError> {
    let own = beside(&place.database, SUFFIX);
    let fits = |path: &Path| path.is_file() && Ring::read(path).is_ok_and(|ring| ring.id == place.ring);
    if fits(&own) {
        return Ok(own);
    }
    let folder = folder_of(&place.database);
    let files = fs::read_dir(folder).map_err(|error| StoreError::file(folder, error))?;
    let mut others = files.filter_map(|file| file.ok().map(|file| file.path()));
    let other = others.find(|path| path.extension().is_some_and(|extension| extension == "keys") && fits(path));
    match other {
        Some(other) => Ok(other),
        // It says what is wrong with the one that should do.
        None => Keys::of_file(&own, &place.database, &place.ring).map(|_| own),
    }
}

/// Number and rest.
fn split(sealed: &str) -> Option<(u64, &str)> {
    let (number, rest) = sealed.split_at_checked(NUMBER)?;
    Some((u64::from_str_radix(number, 16).ok()?, rest))
}

/// Whose a database is: an administrator who works on it is another one.
fn owner(database: &Path) -> Option<(u32, u32)> {
    fs::metadata(database).ok().map(|file| (file.uid(), file.gid()))
}
