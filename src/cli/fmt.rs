//! `stormbell fmt`: rule files in one layout.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use super::{Exit, counted, say};
use crate::config::rules::{FormatError, format, rule_files};

/// Bring rule files into the usual layout; what they say stays the same.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stormbell fmt rules/            rewrite the files in a folder that need it
  stormbell fmt --check rules/    name them and exit 1, for a commit hook
  stormbell fmt - < rule.toml     from standard input to standard output")]
pub(super) struct Fmt {
    /// Only name the files that would change
    #[arg(long)]
    check: bool,
    /// Rule files and folders; - is standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

impl Fmt {
    pub(super) fn main(&self) -> anyhow::Result<Exit> {
        if self.paths.iter().any(|path| path.as_os_str() == "-") {
            anyhow::ensure!(self.paths.len() == 1, "- stands alone: there is one standard input");
            return self.filter();
        }
        let (mut files, mut exit, mut changed) = (0, Exit::Fine, 0);
        for path in &self.paths {
            for file in rule_files(path)
                .map_err(|(path, error)| anyhow::Error::new(error).context(path.display().to_string()))?
            {
                files += 1;
                match self.one(&file)? {
                    None => {}
                    Some(Ok(())) => changed += 1,
                    Some(Err(error)) => {
                        say(&format!("{}: {error}; `stormbell check` says where; left as it is", file.display()));
                        exit = Exit::Failed;
                    }
                }
            }
        }
        let what = if self.check { "to be changed" } else { "changed" };
        say(&format!("{}, {changed} {what}", counted(files, "file")));
        if self.check && changed > 0 {
            exit = Exit::Failed;
        }
        Ok(exit)
    }

    /// None when the file is as it should be.
    fn one(&self, file: &Path) -> anyhow::Result<Option<Result<(), FormatError>>> {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        match format(&text) {
            Ok(formatted) if formatted == text => Ok(None),
            Ok(formatted) => {
                say(&file.display().to_string());
                if !self.check {
                    replace(file, &formatted).with_context(|| file.display().to_string())?;
                }
                Ok(Some(Ok(())))
            }
            Err(error) => Ok(Some(Err(error))),
        }
    }

    fn filter(&self) -> anyhow::Result<Exit> {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input")?;
        let formatted = format(&text).context("standard input")?;
        if self.check {
            return Ok(if formatted == text { Exit::Fine } else { Exit::Failed });
        }
        std::io::stdout().write_all(formatted.as_bytes())?;
        Ok(Exit::Fine)
    }
}

/// Writes a file so that it is whole at every moment.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let file = file.canonicalize()?;
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = file.with_file_name(format!(".{name}.new"));
    fs::write(&beside, text)?;
    fs::set_permissions(&beside, fs::metadata(&file)?.permissions())?;
    fs::rename(&beside, &file)
}
