//! `stormbell audit`: whether the log of what everybody did is as it was written.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::{Exit, say};
use crate::domain::audit::Link;
use crate::store::{AuditVerdict, Reader};

/// Look whether the audit log was changed.
#[derive(Debug, Args)]
pub(super) struct Audit {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Follow the chain of entries, and name the first that is not as it was written
    #[command(after_help = "\
Examples:
  stormbell audit verify /var/lib/stormbell/stormbell.db
  journalctl -u stormbell STORMBELL_EVENT=audit.head -o cat --output-fields=STORMBELL_HEAD
  stormbell audit verify stormbell.db --head 5f2c…     that head must be in it: nothing was cut off
Exits 0 when every entry fits, and 1 when one does not.")]
    Verify {
        /// The database
        database: PathBuf,
        /// A head of the log that the journal has
        #[arg(long, value_name = "HASH", value_parser = read_link)]
        head: Option<Link>,
    },
}

impl Audit {
    pub(super) fn main(self) -> anyhow::Result<Exit> {
        let Command::Verify { database, head } = self.command;
        let reader = Reader::open(&database).with_context(|| database.display().to_string())?;
        match reader.verify_audit(head)? {
            AuditVerdict::Sound { entries, head } => {
                writeln!(std::io::stdout(), "{entries} entries, all as they were written; head {}", head.text())?;
                Ok(Exit::Fine)
            }
            AuditVerdict::Broken { number, at, why } => {
                let at = if at.micros() == 0 { String::new() } else { format!(" of {at}") };
                say(&format!(
                    "error: entry {number}{at}: {why}\n  Trust none from there on. Keep a copy of the database, and compare it with a backup \
                     and with the heads in the journal."
                ));
                Ok(Exit::Failed)
            }
        }
    }
}

fn read_link(text: &str) -> Result<Link, String> {
    let digits = text.trim().as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    });
    let bytes: Option<Vec<u8>> = digits.collect();
    let link = bytes.and_then(|bytes| bytes.try_into().ok()).map(Link);
    link.ok_or_else(|| "a head has 64 hexadecimal digits, as the journal shows it".to_owned())
}
