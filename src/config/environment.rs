//! The environment variables of the process, as a value.
//!
//! Nothing else reads them, so that a test says what they are and the rest of the
//! program cannot depend on them in secret.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

/// Environment variables. Their values are never printed: some are secrets.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// Those this process was started with.
    pub fn of_process() -> Self {
        std::env::vars_os().collect()
    }

    /// A variable's value; a variable set to nothing counts as absent.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// A variable that holds a path.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    /// Where the database is when `[store] path` is absent: the folder a service manager
    /// gives (`$STATE_DIRECTORY`, the first of several), or the user's state folder.
    pub fn store_path(&self) -> Option<PathBuf> {
        if let Some(given) = self.get("STATE_DIRECTORY") {
            let first = std::env::split_paths(given).next()?;
            return Some(first.join("stormbell.db"));
        }
        Some(self.state_folder()?.join("stormbell.db"))
    }

    /// The folders a service manager gives to this program alone, if it gives both.
    pub fn folders(&self) -> Option<Folders> {
        let first = |name| std::env::split_paths(self.get(name)?).next();
        Some(Folders { configuration: first("CONFIGURATION_DIRECTORY")?, state: first("STATE_DIRECTORY")? })
    }

    /// Where this user's programs keep what they must remember.
    pub fn state_folder(&self) -> Option<PathBuf> {
        let absolute = |path: &PathBuf| path.is_absolute(); // the XDG specification ignores relative ones
        let state = self.path("XDG_STATE_HOME").filter(absolute);
        let state = state.or_else(|| Some(self.path("HOME")?.join(".local/state")))?;
        Some(state.join("stormbell"))
    }

    /// Where desks find the daemon when `[desk] socket` is absent: in the folder a service manager gives
    /// (`$RUNTIME_DIRECTORY`, the first of several).
    pub fn desk_socket(&self) -> Option<PathBuf> {
        let first = std::env::split_paths(self.get("RUNTIME_DIRECTORY")?).next()?;
        Some(first.join("desk.sock"))
    }
}

/// Folders of a service (`ConfigurationDirectory=` and `StateDirectory=` in systemd.exec(5)), the first of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    /// `$CONFIGURATION_DIRECTORY`
    pub configuration: PathBuf,
    /// `$STATE_DIRECTORY`
    pub state: PathBuf,
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_database_goes_where_the_service_manager_or_the_user_keeps_state() {
        let path = |variables: &[(&str, &str)]| variables.iter().copied().collect::<Environment>().store_path();
        let at = |path: &str| Some(Path::new(path).to_owned());
        assert_eq!(path(&[("STATE_DIRECTORY", "/s:/t"), ("HOME", "/h")]), at("/s/stormbell.db"));
        assert_eq!(path(&[("XDG_STATE_HOME", "/x"), ("HOME", "/h")]), at("/x/stormbell/stormbell.db"));
        assert_eq!(path(&[("XDG_STATE_HOME", "x"), ("HOME", "/h")]), at("/h/.local/state/stormbell/stormbell.db"));
        assert_eq!(path(&[("STATE_DIRECTORY", ""), ("HOME", "")]), None);
    }

    #[test]
    fn folders_of_a_service_come_in_pairs() {
        let of = |variables: &[(&str, &str)]| variables.iter().copied().collect::<Environment>().folders();
        let both = of(&[("CONFIGURATION_DIRECTORY", "/c:/d"), ("STATE_DIRECTORY", "/s")]);
        assert_eq!(both, Some(Folders { configuration: "/c".into(), state: "/s".into() }));
        assert_eq!(of(&[("CONFIGURATION_DIRECTORY", "/c")]), None);
        assert_eq!(of(&[("STATE_DIRECTORY", "/s")]), None);
    }

    #[test]
    fn values_are_not_printed() {
        let environment: Environment = [("TOKEN", "hunter2")].into_iter().collect();
        assert_eq!(format!("{environment:?}"), r#"{"TOKEN"}"#);
    }
}
