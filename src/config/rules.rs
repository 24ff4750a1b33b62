//! Rule files: found, read and checked against each other, their queries still text.
//!
//! The order of files, and with it that of rules and findings, follows the
//! configuration and then the names of files, never the file system's own order.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::{TEXT_LIMIT, read_text};
use super::model::{RuleEntry, RuleOrigin};
use super::table::{quoted, suggestion};
use crate::domain::diagnostic::{Diagnostic, Place, SourceText};
use crate::domain::rule::raw::RawFile;

mod asked;
mod edit;
mod format;
mod joins;
mod lists;
mod overrides;
mod read;

pub use edit::{Edit, edited};
pub use format::{FormatError, format};
pub use joins::check_joins;

/// A group of rule files in the binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Builtin {
    /// What follows `builtin:`.
    pub name: &'static str,
    /// Names and texts of its files.
    pub files: &'static [(&'static str, &'static str)],
}

/// Reads all rule files the entries name, in their order; a file named twice is read
/// once. Files and rules that cannot be used are left out and noted. The ids of the
/// rules returned are unique over all files, and sites' overrides are in the lists.
pub fn load_rules(entries: &[RuleEntry], builtins: &[Builtin]) -> (Vec<RawFile>, Vec<Diagnostic>) {
    let mut loader = Loader::default();
    for entry in entries {
        match &entry.origin {
            RuleOrigin::Builtin(name) => loader.builtin(name, builtins, entry.place.as_ref()),
            RuleOrigin::Path(path) => loader.path(path, entry.place.as_ref()),
        }
    }
    let Loader { mut files, mut findings, .. } = loader;
    drop_repeated_ids(&mut files, &mut findings);
    overrides::apply(&mut files, &mut findings);
    (files, findings)
}

/// Reads one rule file from its text; `None` when not even its pack can be told.
pub fn parse_rules(source: &Arc<SourceText>) -> (Option<RawFile>, Vec<Diagnostic>) {
    read::file(source)
}

/// The rule files that a path names: itself, or those in the folder it is, in the order of
/// their names.
///
/// # Errors
/// What cannot be looked at, and why.
pub fn rule_files(path: &Path) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let mut found = Vec::new();
    Loader::default().collect(path, &mut found)?;
    Ok(found)
}

#[derive(Default)]
struct Loader {
    /// Files and folders met, by their canonical paths; also ends loops of links.
    seen: BTreeSet<PathBuf>,
    files: Vec<RawFile>,
    findings: Vec<Diagnostic>,
}

impl Loader {
    fn builtin(&mut self, name: &str, builtins: &[Builtin], place: Option<&Place>) {
        let Some(builtin) = builtins.iter().find(|builtin| builtin.name == name) else {
            let names: Vec<&str> = builtins.iter().map(|builtin| builtin.name).collect();
            let finding = Diagnostic::error("SB0206", format!("there is no built-in pack {}", quoted(name)));
            self.note(finding.help(suggestion(name, &names, "built-in packs")), place);
            return;
        };
        if !self.seen.insert(PathBuf::from(format!("builtin:{name}"))) {
            return;
        }
        for (file, text) in builtin.files {
            self.text(format!("builtin:{name}/{file}"), (*text).to_owned());
        }
    }

    fn path(&mut self, path: &Path, place: Option<&Place>) {
        let mut found = Vec::new();
        if let Err((path, error)) = self.collect(path, &mut found) {
            let finding = Diagnostic::error("SB0008", format!("{} cannot be read: {error}", path.display()));
            self.note(finding.help("name a rule file, or a folder of *.toml"), place);
        } else if found.is_empty() && path.is_dir() {
            let finding = Diagnostic::warning("SB0260", format!("{} has no *.toml", path.display()));
            self.note(finding.help("put a rule file there, or take the folder out of `rules`"), place);
        }
        for file in found {
            match read_text(&file, TEXT_LIMIT) {
                Ok(text) => self.text(file.display().to_string(), text),
                Err(error) => {
                    let finding = Diagnostic::error("SB0008", format!("{} {error}", file.display()));
                    self.note(finding.help("a rule file is UTF-8 text and readable by the daemon"), place);
                }
            }
        }
    }

    /// The files under `path` in the order of their names.
    fn collect(&mut self, path: &Path, found: &mut Vec<PathBuf>) -> Result<(), (PathBuf, io::Error)> {
        let failed = |error| (path.to_owned(), error);
        if !self.seen.insert(path.canonicalize().map_err(failed)?) {
            return Ok(());
        }
        if !path.is_dir() {
            found.push(path.to_owned());
            return Ok(());
        }
        let entries = fs::read_dir(path).map_err(failed)?;
        let mut entries = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>().map_err(failed)?;
        entries.sort();
        for entry in entries.iter().filter(|entry| !is_hidden(entry)) {
            if entry.is_dir() || entry.extension().is_some_and(|extension| extension == "toml") {
                self.collect(entry, found)?;
            }
        }
        Ok(())
    }

    fn text(&mut self, name: String, text: String) {
        let (file, findings) = parse_rules(&Arc::new(SourceText { name, text }));
        self.files.extend(file);
        self.findings.extend(findings);
    }

    fn note(&mut self, finding: Diagnostic, place: Option<&Place>) {
        self.findings.push(Diagnostic { place: place.cloned(), ..finding });
    }
}

/// Editors and mounted volumes keep copies under such names.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn drop_repeated_ids(files: &mut [RawFile], findings: &mut Vec<Diagnostic>) {
    let mut taken: HashMap<String, String> = HashMap::new();
    for file in files {
        let source = &file.source;
        file.rules.retain(|rule| {
            let id = &rule.id;
            let Some(other) = taken.get(&id.value) else {
                taken.insert(id.value.clone(), source.name.clone());
                return true;
            };
            let message = format!("the rule id `{}` is taken", id.value);
            let finding = Diagnostic::error("SB0201", message).at(source, id.span.clone(), "used before");
            findings.push(finding.help(format!("another rule has it in {other}; give each rule its own id")));
            false
        });
    }
}
