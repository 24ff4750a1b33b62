//! The API's token in a file that only the daemon's user can read.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::config::secret::Secret;

/// A shorter one could be guessed.
const LEAST_LENGTH: usize = 20;

/// Reads the token, or makes one of 32 random bytes when the file does not exist.
///
/// # Errors
/// When the file cannot be read or made, others can read it, or its token is too short.
pub fn token(path: &Path) -> io::Result<Secret> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return make(path),
        Err(error) => return Err(error),
    };
    let refuse = |problem: String| Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        return refuse(format!("others can read {0}; run chmod 600 {0}", path.display()));
    }
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text)?;
    if text.trim().len() < LEAST_LENGTH {
        return refuse(format!("the token in {} is too short; delete the file, a new one is made", path.display()));
    }
    Ok(Secret::new(text.trim().to_owned()))
}

/// Under another name first: a crash must not leave half a token.
fn make(path: &Path) -> io::Result<Secret> {
    let token = random()?;
    let draft = path.with_added_extension("new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    writeln!(file, "{token}")?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    Ok(Secret::new(token))
}

/// 32 random bytes as text that fits into addresses and cookies.
pub(super) fn random() -> io::Result<String> {
    let mut bytes = [0; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.token");
        let made = token(&path).unwrap();
        assert_eq!(made.expose().len(), 43);
        assert!(made == token(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(made != token(&folder.path().join("other")).unwrap());

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(token(&path).unwrap_err().to_string().contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "short\n").unwrap();
        assert!(token(&path).unwrap_err().to_string().contains("too short"));
    }
}
