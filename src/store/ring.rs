//! All keys of an installation, and the file they lie in.
//!
//! The file is text, a key a line, with a sum at its end. It is only ever replaced as a whole; of what it is to forget, the
//! file that was replaced is overwritten.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::zeroize::Zeroizing;
use sha2::{Digest as _, Sha256};

use super::error::StoreError;
use super::files::{beside, sync_folder};
use crate::domain::id::hex;
use crate::domain::time::Timestamp;

/// How the file begins.
const TITLE: &str = "stormbell keys 1";
/// More than any installation has; what is beyond is no file of ours.
const LONGEST: u64 = 16 * 1024 * 1024;
/// Microseconds of a day.
pub(super) const DAY: i64 = 86_400_000_000;

/// What not everybody may read has keys of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    /// Everything else.
    General,
    /// The duty-of-care lane.
    Restricted,
}

impl Lane {
    /// The lane of what is restricted, or is not.
    pub(super) const fn of(restricted: bool) -> Self {
        if restricted { Self::Restricted } else { Self::General }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::Restricted => "restricted",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::General, Self::Restricted].into_iter().find(|lane| lane.as_str() == text)
    }
}

/// A key's 32 bytes, and what is made of them once they are needed.
pub(super) struct Secret {
    bytes: Zeroizing<[u8; 32]>,
    made: OnceLock<Box<Sealing>>,
}

struct Sealing {
    cipher: LessSafeKey,
    nonces: hmac::Key,
}

impl Secret {
    fn new() -> Result<Self, StoreError> {
        let mut bytes = Zeroizing::new([0; 32]);
        rand::fill(&mut *bytes).or(Err(StoreError::Cipher))?;
        Ok(Self { bytes, made: OnceLock::new() })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        unhex(text, &mut *bytes)?;
        Some(Self { bytes, made: OnceLock::new() })
    }

    fn made(&self) -> Result<&Sealing, StoreError> {
        if let Some(made) = self.made.get() {
            return Ok(made);
        }
        // Two uses, two keys.
        let derive = |what: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &*self.bytes), what.as_bytes());
        let cipher = UnboundKey::new(&AES_256_GCM, derive("stormbell seal").as_ref()).or(Err(StoreError::Cipher))?;
        let nonces = hmac::Key::new(hmac::HMAC_SHA256, derive("stormbell nonce").as_ref());
        Ok(self.made.get_or_init(|| Box::new(Sealing { cipher: LessSafeKey::new(cipher), nonces })))
    }

    pub(super) fn seal(&self, about: &[u8], text: &[u8]) -> Result<String, StoreError> {
        let Sealing { cipher, nonces } = self.made()?;
        let mut sign = hmac::Context::with_key(nonces);
        sign.update(&(about.len() as u64).to_le_bytes());
        sign.update(about);
        sign.update(text);
        let mut nonce = [0; NONCE_LEN];
        nonce.iter_mut().zip(sign.sign().as_ref()).for_each(|(to, from)| *to = *from);
        let mut sealed = Vec::with_capacity(NONCE_LEN + text.len() + AES_256_GCM.tag_len());
        sealed.extend(text);
        let nonced = Nonce::assume_unique_for_key(nonce);
        cipher.seal_in_place_append_tag(nonced, Aad::from(about), &mut sealed).or(Err(StoreError::Cipher))?;
        let mut whole = nonce.to_vec();
        whole.append(&mut sealed);
        Ok(URL_SAFE_NO_PAD.encode(whole))
    }

    /// None: it was not sealed here with this key.
    pub(super) fn open(&self, about: &[u8], sealed: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let Sealing { cipher, .. } = self.made()?;
        let Ok(mut whole) = URL_SAFE_NO_PAD.decode(sealed) else { return Ok(None) };
        let Some((nonce, sealed)) = whole.split_first_chunk_mut::<NONCE_LEN>() else { return Ok(None) };
        let opened = cipher.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(about), sealed);
        Ok(opened.ok().map(|text| text.to_vec()))
    }
}

/// The key of a day.
pub(super) struct DayKey {
    pub(super) lane: Lane,
    pub(super) day: i64,
    pub(super) secret: Secret,
}

/// All keys of an installation.
pub(super) struct Ring {
    /// By which a database knows its keys.
    pub(super) id: String,
    pub(super) names: Secret,
    /// By their numbers, which are never used again.
    pub(super) days: BTreeMap<u64, DayKey>,
    newest: BTreeMap<(i64, Lane), u64>,
    /// There is more here than in the file, or less.
    pub(super) unsaved: bool,
    /// A key of the file is to be gone.
    pub(super) shredding: bool,
    /// The file, as it was read.
    read: Option<(PathBuf, Stamp)>,
}

/// By which a file that was replaced is told from what it was.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp(u64, i64, i64, u64);

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self(file.ino(), file.mtime(), file.mtime_nsec(), file.len())
    }
}

impl Ring {
    pub(super) fn new() -> Result<Self, StoreError> {
        let mut id = [0; 16];
        rand::fill(&mut id).or(Err(StoreError::Cipher))?;
        let (id, names) = (hex(&id, 16), Secret::new()?);
        let (days, newest) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { id, names, days, newest, unsaved: true, shredding: false, read: None })
    }

    fn parse(text: &str) -> Option<Self> {
        let (body, sum) = text.trim_end().rsplit_once('\n')?;
        if sum.strip_prefix("sum ")? != hex(&Sha256::digest(body), 32) {
            return None;
        }
        let mut lines = body.lines();
        let title = lines.next()? == TITLE;
        let id = lines.next()?.strip_prefix("ring ")?.to_owned();
        let names = Secret::parse(lines.next()?.strip_prefix("names ")?)?;
        let (mut days, mut newest) = (BTreeMap::new(), BTreeMap::new());
        for line in lines {
            let mut words = line.strip_prefix("day ")?.split(' ');
            let (day, lane) = (words.next()?.parse().ok()?, Lane::parse(words.next()?)?);
            let number = u64::from_str_radix(words.next()?, 16).ok()?;
            newest.insert((day, lane), number);
            days.insert(number, DayKey { lane, day, secret: Secret::parse(words.next()?)? });
        }
        title.then_some(Self { id, names, days, newest, unsaved: false, shredding: false, read: None })
    }

    fn to_text(&self) -> Zeroizing<String> {
        let mut body = format!("{TITLE}\nring {}\nnames {}", self.id, &*hexed(&self.names));
        for (number, DayKey { lane, day, secret }) in &self.days {
            body.extend([
                "\nday ",
                &day.to_string(),
                " ",
                lane.as_str(),
                &format!(" {number:016x} "),
                &**hexed(secret),
            ]);
        }
        let sum = hex(&Sha256::digest(&body), 32);
        Zeroizing::new(format!("{body}\nsum {sum}\n"))
    }

    /// Reads a file of keys.
    pub(super) fn read(path: &Path) -> Result<Self, StoreError> {
        let failed = |error| StoreError::file(path, error);
        // The daemon may be overwriting a file whose place it has just given to another.
        for _ in 0..3 {
            let file = File::open(path).map_err(failed)?;
            let stamp = Stamp::of(&file.metadata().map_err(failed)?);
            let mut text = Zeroizing::new(String::new());
            let read = file.take(LONGEST).read_to_string(&mut text);
            if let Some(ring) = read.ok().and_then(|_| Self::parse(&text)) {
                return Ok(Self { read: Some((path.to_owned(), stamp)), ..ring });
            }
        }
        Err(StoreError::DamagedKeys { path: path.to_owned() })
    }

    /// Whether the file is another one than was read, and may have other keys.
    pub(super) fn is_replaced(&self) -> bool {
        let Some((path, stamp)) = self.read.as_ref().filter(|_| !self.unsaved) else { return false };
        fs::metadata(path).ok().map(|file| Stamp::of(&file)).as_ref() != Some(stamp)
    }

    /// Puts the keys in the place of a file, whole or not at all; what was shredded is overwritten where it was.
    pub(super) fn save(&mut self, path: &Path, owner: Option<(u32, u32)>) -> Result<(), StoreError> {
        let old = if self.shredding { self.open_old(path) } else { None };
        write_whole(path, self.to_text().as_bytes(), owner).map_err(|error| StoreError::keys(path, error))?;
        (self.unsaved, self.shredding) = (false, false);
        // Nothing names it any more, so it may be cut off here; then its blocks are as free as those of any deleted file.
        if let Some(mut old) = old {
            let length = old.metadata().map_or(0, |file| file.len()).min(LONGEST);
            let blank = vec![0; usize::try_from(length).unwrap_or_default()];
            old.rewind().and_then(|()| old.write_all(&blank)).and_then(|()| old.sync_all()).unwrap_or_default();
        }
        Ok(())
    }

    /// The file that is about to lose its name, if it has keys of this ring: where backups lie, others may write, and what
    /// a link of theirs leads to is not overwritten.
    fn open_old(&self, path: &Path) -> Option<File> {
        path.symlink_metadata().ok().filter(Metadata::is_file)?;
        let file = OpenOptions::new().read(true).write(true).open(path).ok()?;
        let mut text = Zeroizing::new(String::new());
        (&file).take(LONGEST).read_to_string(&mut text).ok()?;
        Self::parse(&text).filter(|ring| ring.id == self.id).map(|_| file)
    }

    /// Forgets a key; nothing that it sealed can be read any more.
    pub(super) fn destroy(&mut self, number: u64) {
        if let Some(DayKey { day, lane, .. }) = self.days.remove(&number) {
            self.newest.remove(&(day, lane));
            (self.unsaved, self.shredding) = (true, true);
        }
    }

    /// The key of a day, which is made now if there is none; it is to be saved before anything that it sealed.
    pub(super) fn of_day(&mut self, at: Timestamp, lane: Lane) -> Result<(u64, &Secret), StoreError> {
        let day = at.micros().div_euclid(DAY);
        let number = if let Some(number) = self.newest.get(&(day, lane)) {
            *number
        } else {
            let mut number = [0; 8];
            rand::fill(&mut number).or(Err(StoreError::Cipher))?;
            let number = u64::from_le_bytes(number);
            self.days.insert(number, DayKey { lane, day, secret: Secret::new()? });
            self.newest.insert((day, lane), number);
            self.unsaved = true;
            number
        };
        self.days.get(&number).map(|key| (number, &key.secret)).ok_or(StoreError::Cipher)
    }
}

fn hexed(secret: &Secret) -> Zeroizing<String> {
    Zeroizing::new(hex(&*secret.bytes, 32))
}

/// Bytes written in hexadecimal; none when they are not as many.
pub(super) fn unhex(text: &str, to: &mut [u8]) -> Option<()> {
    (text.len() == 2 * to.len()).then_some(())?;
    for (byte, two) in to.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(str::from_utf8(two).ok()?, 16).ok()?;
    }
    Some(())
}

/// Puts a file in the place of another, which only its owner may read; on disk when it returns.
fn write_whole(path: &Path, bytes: &[u8], owner: Option<(u32, u32)>) -> io::Result<()> {
    let new = beside(path, ".new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    let made = file.metadata()?;
    if let Some((uid, gid)) = owner.filter(|owner| *owner != (made.uid(), made.gid())) {
        // Whoever may not give it away has it for themselves.
        chown(&new, Some(uid), Some(gid)).unwrap_or_default();
    }
    fs::rename(&new, path)?;
    sync_folder(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_micros(day * DAY + 1)
    }

    #[test]
    fn a_ring_is_read_as_it_was_saved_and_not_when_anything_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.keys");
        let mut ring = Ring::new().unwrap();
        let (number, secret) = ring.of_day(at(-3), Lane::Restricted).unwrap();
        let sealed = secret.seal(b"here", b"text").unwrap();
        ring.of_day(at(20_000), Lane::General).unwrap();
        ring.save(&path, None).unwrap();
        let mut read = Ring::read(&path).unwrap();
        assert_eq!((read.id.as_str(), read.to_text()), (ring.id.as_str(), ring.to_text()));
        let (same, secret) = read.of_day(at(-3), Lane::Restricted).unwrap();
        assert_eq!((same, secret.open(b"here", &sealed).unwrap().as_deref()), (number, Some(&b"text"[..])));
        assert!(!read.unsaved);
        let good = fs::read(&path).unwrap();
        for place in 0..good.len() - 1 {
            let mut bad = good.clone();
            *bad.get_mut(place).unwrap() ^= 1;
            fs::write(&path, &bad).unwrap();
            assert!(matches!(Ring::read(&path), Err(StoreError::DamagedKeys { .. })), "byte {place}");
        }
    }

    #[test]
    fn a_text_is_sealed_to_the_same_in_the_same_place_alone_and_opens_there_alone() {
        let (one, other) = (Secret::new().unwrap(), Secret::new().unwrap());
        let sealed = one.seal(b"here", b"text").unwrap();
        assert_eq!(sealed, one.seal(b"here", b"text").unwrap());
        let others = [one.seal(b"there", b"text"), one.seal(b"here", b"texts"), other.seal(b"here", b"text")];
        assert!(others.into_iter().all(|other| other.unwrap() != sealed));
        assert_eq!(one.open(b"there", &sealed).unwrap(), None);
        assert_eq!(other.open(b"here", &sealed).unwrap(), None);
        for broken in ["", "A", "!", sealed.get(..20).unwrap(), &format!("{sealed}AAAA")] {
            assert_eq!(one.open(b"here", broken).unwrap(), None, "{broken}");
        }
    }

    #[test]
    fn what_is_destroyed_is_overwritten_where_it_was_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let [path, same, victim] = ["a.keys", "same", "victim"].map(|name| folder.path().join(name));
        let mut ring = Ring::new().unwrap();
        let (number, _) = ring.of_day(at(1), Lane::General).unwrap();
        ring.save(&path, None).unwrap();
        fs::hard_link(&path, &same).unwrap();
        ring.of_day(at(2), Lane::General).unwrap();
        ring.save(&path, None).unwrap();
        assert!(Ring::read(&same).is_ok(), "nothing is to be gone");
        fs::remove_file(&same).unwrap();
        fs::hard_link(&path, &same).unwrap();
        ring.destroy(number);
        ring.save(&path, None).unwrap();
        assert!(fs::read(&same).unwrap().iter().all(|byte| *byte == 0));
        assert_eq!(Ring::read(&path).unwrap().days.len(), 1);

        // Where others write, a link of theirs stands in the way.
        fs::write(&victim, "mine").unwrap();
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        ring.shredding = true;
        ring.save(&path, None).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
        assert!(path.symlink_metadata().unwrap().is_file() && Ring::read(&path).is_ok());
    }
}
