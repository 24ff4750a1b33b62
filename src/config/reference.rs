//! Secrets: the configuration says where they are, never what they are.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::file;
use super::secret::Secret;
use super::table::{Checked, Noted, Table, Value, quoted};
use crate::domain::diagnostic::Level;

const PLACES: [&str; 3] = ["credential", "file", "env"];
const HOW: &str = "write { credential = \"name\" }, { file = \"path\" } or { env = \"NAME\" }";

/// No secret is longer, in bytes.
const LIMIT: u64 = 64 << 10;

/// The code of a secret that is not there.
pub const ABSENT: &str = "SB0409";
/// The code of a file with a secret that every user of the machine can read.
pub const OPEN_TO_ALL: &str = "SB0410";

/// What it means when a secret (or another file on this machine alone) is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretPolicy {
    /// The daemon is about to run: an error.
    Required,
    /// Somebody checks a configuration, perhaps on another machine: a warning. An
    /// empty secret then stands in for the absent one.
    MayBeAbsent,
}

impl SecretPolicy {
    /// The level of a finding about something absent from this machine.
    pub(super) fn level(self) -> Level {
        match self {
            Self::Required => Level::Error,
            Self::MayBeAbsent => Level::Warning,
        }
    }
}

/// What a configuration is read with.
pub(super) struct Surroundings<'a> {
    pub(super) environment: &'a Environment,
    /// Where relative paths begin.
    pub(super) folder: &'a Path,
    pub(super) secrets: SecretPolicy,
}

/// The secret a value refers to.
pub(super) fn secret(value: &Value<'_>, around: &Surroundings<'_>) -> Checked<Secret> {
    let key = value.key();
    if !value.is_table() {
        value.hide();
        let help = format!("{HOW}; and change the secret, a file like this gets around");
        return value.error("SB0407", format!("`{key}` holds the secret itself"), &help);
    }
    let table = value.table(format!("`{key}`"))?;
    hide_strays(&table);
    table.allow_only(&PLACES);
    let mut given = PLACES.iter().filter_map(|place| table.get(place));
    let (Some(place), None) = (given.next(), given.next()) else {
        return value.error("SB0408", format!("`{key}` must name one place of the secret"), HOW);
    };
    find(&place, around)?.or_else(|missing| {
        value.note(around.secrets.level(), ABSENT, format!("`{key}`: {}", missing.message), &missing.help);
        match around.secrets {
            SecretPolicy::Required => Err(Noted),
            SecretPolicy::MayBeAbsent => Ok(Secret::new(String::new())),
        }
    })
}

/// The file a secret is in, for what reads it again when it changes: so not a variable. None where the place cannot be
/// known and need not be there.
pub(super) fn secret_file(value: &Value<'_>, around: &Surroundings<'_>) -> Checked<Option<PathBuf>> {
    const HOW: &str = "write { file = \"path\" } or { credential = \"name\" }";
    let key = value.key();
    if !value.is_table() {
        value.hide();
        return value.error("SB0407", format!("`{key}` must say where the secret is"), HOW);
    }
    let table = value.table(format!("`{key}`"))?;
    hide_strays(&table);
    table.allow_only(&["credential", "file"]);
    match (table.get("file"), table.get("credential")) {
        (Some(file), None) => {
            let path = around.folder.join(file.filled()?);
            warn_if_open_to_all(&file, &path);
            Ok(Some(path))
        }
        (None, Some(place)) => {
            let name = credential_name(&place)?;
            let folder = around.environment.path("CREDENTIALS_DIRECTORY").ok_or_else(|| no_credentials(name));
            folder.map(|folder| Some(folder.join(name))).or_else(|missing| {
                value.note(around.secrets.level(), ABSENT, format!("`{key}`: {}", missing.message), &missing.help);
                if around.secrets == SecretPolicy::Required { Err(Noted) } else { Ok(None) }
            })
        }
        _ => value.error("SB0408", format!("`{key}` must name one place of the secret"), HOW),
    }
}

/// A misspelt key may have been given the secret itself.
fn hide_strays(table: &Table<'_>) {
    for (key, _, value) in table.in_order() {
        if !PLACES.contains(&key) {
            value.hide();
        }
    }
}

/// Why there is no secret.
struct Missing {
    message: String,
    help: String,
}

fn find(place: &Value<'_>, around: &Surroundings<'_>) -> Checked<Result<Secret, Missing>> {
    let name = place.filled()?;
    match place.key() {
        "credential" => Ok(credential(credential_name(place)?, around)),
        "file" => {
            let path = around.folder.join(name);
            warn_if_open_to_all(place, &path);
            Ok(from_file(&path, "create it, readable by the user the daemon runs as alone"))
        }
        _ => Ok(from_environment(name, around)),
    }
}

fn credential_name<'d>(place: &Value<'d>) -> Checked<&'d str> {
    let name = place.filled()?;
    if name.contains('/') || name == "." || name == ".." {
        let help = "a credential has a name without `/`; for a path, write { file = \"path\" }";
        return place.error("SB0408", format!("{} is not the name of a credential", quoted(name)), help);
    }
    Ok(name)
}

fn credential_help(name: &str) -> String {
    format!("have the service manager provide it: LoadCredential={name}:/path/to/it in the unit")
}

fn no_credentials(name: &str) -> Missing {
    let message = format!("no credential `{name}`: $CREDENTIALS_DIRECTORY is not set");
    Missing { message, help: credential_help(name) }
}

fn credential(name: &str, around: &Surroundings<'_>) -> Result<Secret, Missing> {
    let folder = around.environment.path("CREDENTIALS_DIRECTORY").ok_or_else(|| no_credentials(name))?;
    from_file(&folder.join(name), &credential_help(name))
}

fn from_file(path: &Path, help: &str) -> Result<Secret, Missing> {
    let missing = |message: String| Missing { message, help: help.to_owned() };
    let text = file::read_text(path, LIMIT).map_err(|error| missing(format!("{} {error}", path.display())))?;
    filled(&text).ok_or_else(|| missing(format!("{} is empty", path.display())))
}

fn from_environment(name: &str, around: &Surroundings<'_>) -> Result<Secret, Missing> {
    let missing = |is: &str| Missing {
        message: format!("the variable {} {is}", quoted(name)),
        help: "set it where the daemon is started".to_owned(),
    };
    let value = around.environment.get(name).ok_or_else(|| missing("is not set"))?;
    let value = value.to_str().ok_or_else(|| missing("is not UTF-8 text"))?;
    filled(value).ok_or_else(|| missing("is empty"))
}

/// Editors end files with a newline; no secret ends with one.
fn filled(text: &str) -> Option<Secret> {
    let text = text.trim_end_matches(['\n', '\r']);
    (!text.is_empty()).then(|| Secret::new(text.to_owned()))
}

fn warn_if_open_to_all(place: &Value<'_>, path: &Path) {
    const OTHERS: u32 = 0o007;
    let Ok(metadata) = path.metadata() else { return }; // reading it will say why
    if metadata.is_file() && metadata.permissions().mode() & OTHERS != 0 {
        let message = format!("every user of this machine can get at {}", path.display());
        place.note(Level::Warning, OPEN_TO_ALL, message, &format!("run: chmod 600 {}", path.display()));
    }
}
