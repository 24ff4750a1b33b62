//! `stormbell init`: a configuration to begin from.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use jiff::tz::TimeZone;

use super::{Exit, organization_name, say};

const CONFIGURATION: &str = include_str!("init/stormbell.toml");
const RULES: &str = include_str!("init/rules.toml");

/// What stands in the file until somebody writes their own name.
const PLACEHOLDER: &str = "St. Brigid's Hospital";

/// Write a configuration to begin from.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stormbell init --org \"St. Brigid's Hospital\"
  stormbell init --org \"St. Brigid's Hospital\" --timezone America/New_York /etc/stormbell
Writes stormbell.toml and rules/own.toml. A file that is there already is never touched.")]
pub(super) struct Init {
    /// Where to write
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// Name of the hospital
    #[arg(long, value_name = "NAME", value_parser = organization_name)]
    org: Option<String>,
    /// Whose clocks people go by (an IANA name) [default: this machine's]
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    timezone: Option<String>,
}

impl Init {
    pub(super) fn main(self) -> anyhow::Result<Exit> {
        let name = self.org.as_deref().unwrap_or(PLACEHOLDER);
        let here = || TimeZone::system().iana_name().map_or_else(|| "UTC".to_owned(), str::to_owned);
        let timezone = self.timezone.unwrap_or_else(here);
        let note = if self.org.is_some() { "" } else { "   # a placeholder: write your own name" };
        let configuration = CONFIGURATION
            .replace("{name}", &quoted(name))
            .replace("{placeholder}", note)
            .replace("{timezone}", &quoted(&timezone));
        let files = [("stormbell.toml", configuration.as_str()), ("rules/own.toml", RULES)];
        // All or none: half of a configuration is worse than none.
        let path = |file: &str| self.folder.join(file);
        let there = files.iter().map(|(file, _)| path(file)).find(|path| path.symlink_metadata().is_ok());
        if let Some(there) = there {
            say(&format!(
                "error: {} is there already, and nothing was written\n  Name an empty folder, or change that file; `stormbell \
                 check` says what is wrong with it",
                there.display()
            ));
            return Ok(Exit::Failed);
        }
        for (file, text) in files {
            write_new(&path(file), text)?;
            say(&format!("wrote {}", path(file).display()));
        }
        let config = path("stormbell.toml");
        if self.org.is_none() {
            say(&format!("Write the name of your hospital into {}; it says {PLACEHOLDER} now.", config.display()));
        }
        let named =
            if self.folder == Path::new(".") { String::new() } else { format!(" --config {}", config.display()) };
        say(&format!("Then: stormbell check{named}\n      stormbell run{named}"));
        Ok(Exit::Fine)
    }
}

/// Never over a file that came in the meantime; not for everybody's eyes: people and their telephones will be in it.
fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    let write = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(path)?;
        file.write_all(text.as_bytes())
    };
    write()
        .map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => anyhow::anyhow!("you may not write there"),
            _ => error.into(),
        })
        .with_context(|| path.display().to_string())
}

/// As TOML writes a text.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn zone(name: &str) -> Result<String, String> {
    TimeZone::get(name).map(|_| name.to_owned()).or(Err("no such time zone; for instance Europe/Berlin".to_owned()))
}
