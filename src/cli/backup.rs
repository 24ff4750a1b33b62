//! `stormbell backup` and `stormbell restore`: a copy of the database while the daemon runs, and the way back.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::{ConfigArgs, Exit, say};
use crate::app::clock::SystemClock;
use crate::config::environment::Environment;
use crate::domain::audit::Entry;
use crate::domain::message::counted;
use crate::domain::time::Clock as _;
use crate::store::{Contents, Reader, Store, StoreError, With};

/// Copy the database while the daemon runs.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stormbell backup /backup/stormbell-$(date +%F-%H%M).db
  stormbell backup --config /etc/stormbell/stormbell.toml /backup/stormbell-$(date +%F-%H%M).db
The copy is read through before it gets its name; only its owner may read it. What people wrote is
sealed in it. The keys go into a file of their own in the same folder (stormbell-….keys), in the
place of those of the last backup: it opens the older copies, too, but for days of which nothing is
kept any more. Keep one copy of it, elsewhere than the backups, and the newest: whoever keeps old
ones keeps what should be gone. The configuration is not part of it.")]
pub(super) struct Backup {
    #[command(flatten)]
    config: ConfigArgs,
    /// Where to write; a file that is there already is never touched
    file: PathBuf,
}

impl Backup {
    pub(super) fn main(&self) -> anyhow::Result<Exit> {
        let database = database(&self.config)?;
        let reader = Reader::open(&database).with_context(|| database.display().to_string())?;
        let made = reader.back_up(&self.file);
        drop(reader);
        give_back(&database);
        let (contents, keys) = made.map_err(|error| match error {
            StoreError::File { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists => anyhow::anyhow!(
                "{} is there already, and was left as it is; give the copy another name",
                self.file.display()
            ),
            error => error.into(),
        })?;
        say(&format!("{} holds {}; read through, all is sound", self.file.display(), in_words(&contents)));
        if let Some(keys) = keys {
            say(&format!("{} has the keys to it and to older ones, in the place of those before", keys.display()));
        }
        Ok(Exit::Fine)
    }
}

/// Put a backup in the place of the database.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  systemctl stop stormbell
  stormbell restore /backup/stormbell-2026-11-30-0230.db
  systemctl start stormbell

  stormbell restore --keys /safe/stormbell-3f2a9c01.keys /backup/stormbell-2026-11-30-0230.db
  stormbell restore --keys /safe/stormbell-3f2a9c01.keys
  stormbell restore --without-keys
The keys are those beside the database, if they fit, or those beside the backup, or those of --keys.
Without a backup the database stays, and gets its keys back; with --without-keys it goes on with new
ones when nobody has the old: kept posts, alerts and the history's words are gone then, while
incidents, messages and what rules have learnt stay. The database that was there is kept beside it.
Sources go on where the backup left them, as far as they still have it, and messages that waited to
be sent when it was made are sent (again), under the names they had: receivers that tell repetitions
by them, do. Posts that their authors took back since are in it again until retention takes them;
posts of days whose keys are destroyed are not. What `stormbell erase` erased since is there again,
too, and holds that were added since are gone: order both anew.")]
pub(super) struct Restore {
    #[command(flatten)]
    config: ConfigArgs,
    /// The backup; without one the database stays, and gets its keys
    #[arg(required_unless_present_any = ["keys", "without_keys"])]
    file: Option<PathBuf>,
    /// The file of keys, if it lies neither beside the database nor beside the backup
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Give up what is sealed, and go on with new keys
    #[arg(long, conflicts_with = "keys")]
    without_keys: bool,
}

impl Restore {
    pub(super) fn main(&self) -> anyhow::Result<Exit> {
        let database = database(&self.config)?;
        let from = self.file.as_deref().unwrap_or(&database);
        let contents = Contents::of(from).with_context(|| from.display().to_string())?;
        let with = match &self.keys {
            Some(keys) => With::Keys(keys.clone()),
            None if self.without_keys => With::Nothing,
            None => With::Found,
        };
        let noted = Entry {
            at: SystemClock.now(),
            by: "administrator".to_owned(),
            what: "store.restored".to_owned(),
            about: "database".to_owned(),
            text: match (&self.file, self.without_keys) {
                (_, true) => format!("with new keys, without what was sealed: {}", in_words(&contents)),
                (Some(_), false) => format!("from a backup with {}", in_words(&contents)),
                (None, false) => "its keys".to_owned(),
            },
        };
        let done = match Store::put_back(self.file.as_deref(), &database, &with, &noted) {
            Err(error @ StoreError::Locked { .. }) => {
                say(&format!("error: {error}"));
                return Ok(Exit::Temporary);
            }
            done => done?,
        };
        let is = if self.file.is_some() { "is now the backup" } else { "has its keys" };
        say(&format!("{} {is}, with {}", database.display(), in_words(&contents)));
        if done.unreadable > 0 {
            let posts = counted(u64::try_from(done.unreadable).unwrap_or(u64::MAX), "post");
            say(&format!("{posts} cannot be read by anybody: the keys of their days are gone; the text was taken out"));
        }
        for aside in [done.aside, done.keys_aside].into_iter().flatten() {
            say(&format!("what was there is kept as {}; remove it once all is well", aside.display()));
        }
        if self.file.is_some() {
            say(SINCE);
        }
        if contents.waiting > 0 {
            say(&format!("{} will be sent at the start, some perhaps again", counted(contents.waiting, "message")));
        }
        Ok(Exit::Fine)
    }
}

/// What only people know who were there since the backup was made.
const SINCE: &str = "what was erased since the backup is there again, and holds added since are gone: order both \
                     anew, in their order. The start removes what is older than `retention`: where a hold is to keep such \
                     posts, raise that first";

/// Where the daemon of this configuration has its database.
fn database(config: &ConfigArgs) -> anyhow::Result<PathBuf> {
    let environment = Environment::of_process();
    match config.load(&environment) {
        Some(found) => Ok(found.sound()?.store.path),
        None => environment.store_path().context("there is no configuration file; name it with --config"),
    }
}

/// To read the database of a daemon that does not run makes files beside it: they are to be the daemon's.
fn give_back(database: &std::path::Path) {
    let Ok(owner) = fs::metadata(database) else { return };
    for suffix in ["-wal", "-shm"] {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        // Whoever may not give them away owns them, or did not make them.
        std::os::unix::fs::chown(name, Some(owner.uid()), Some(owner.gid())).unwrap_or_default();
    }
}

#[expect(clippy::cast_precision_loss, reason = "a size for people")]
fn in_words(contents: &Contents) -> String {
    let last = contents.last.map_or_else(|| "nothing on record yet".to_owned(), |last| format!("last entry {last}"));
    let (posts, incidents) = (counted(contents.posts, "post"), counted(contents.incidents, "incident"));
    format!("{incidents} and {posts} in {:.1} MB, {last}", contents.bytes as f64 / 1e6)
}
