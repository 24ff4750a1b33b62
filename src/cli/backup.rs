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
use crate::store::{Contents, Reader, Store, StoreError};

/// Copy the database while the daemon runs.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stormbell backup /backup/stormbell-monday.db
  stormbell backup --config /etc/stormbell/stormbell.toml /backup/stormbell.db
The copy is read through before it gets its name. It holds what people wrote, for as long as the copy exists: only its
owner may read it, and the retention of the database does not reach it. The configuration is not part of it.")]
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
        let contents = made.map_err(|error| match error {
            StoreError::File { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists => anyhow::anyhow!(
                "{} is there already, and was left as it is; give the copy another name",
                self.file.display()
            ),
            error => error.into(),
        })?;
        say(&format!("{} holds {}; read through, all is sound", self.file.display(), in_words(&contents)));
        Ok(Exit::Fine)
    }
}

/// Put a backup in the place of the database.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  systemctl stop stormbell && stormbell restore /backup/stormbell-monday.db && systemctl start stormbell
The database that was there is kept beside it. Sources go on where the backup left them, as far as they still have it,
and messages that waited to be sent when it was made are sent (again), under the names they had: receivers that tell
repetitions by them, do. Posts that their authors took back since are in it again until retention takes them.")]
pub(super) struct Restore {
    #[command(flatten)]
    config: ConfigArgs,
    /// The backup
    file: PathBuf,
}

impl Restore {
    pub(super) fn main(&self) -> anyhow::Result<Exit> {
        let database = database(&self.config)?;
        let contents = Contents::of(&self.file).with_context(|| self.file.display().to_string())?;
        let noted = Entry {
            at: SystemClock.now(),
            by: "administrator".to_owned(),
            what: "store.restored".to_owned(),
            about: "database".to_owned(),
            text: format!("from a backup with {}", in_words(&contents)),
        };
        let aside = match Store::put_back(&self.file, &database, &noted) {
            Err(error @ StoreError::Locked { .. }) => {
                say(&format!("error: {error}"));
                return Ok(Exit::Temporary);
            }
            done => done?,
        };
        say(&format!("{} is now the backup, with {}", database.display(), in_words(&contents)));
        if let Some(aside) = aside {
            say(&format!("what was there is kept as {}; remove it once all is well", aside.display()));
        }
        if contents.waiting > 0 {
            say(&format!("{} will be sent at the start, some perhaps again", counted(contents.waiting, "message")));
        }
        Ok(Exit::Fine)
    }
}

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
