//! The socket on which desks of this machine find the daemon.
//!
//! Who may connect is decided by the file's group: that of the folder it lies in, which is the unit's
//! `Group=` under systemd. The kernel says who did.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::hub::MOST_DESKS;
use super::line::Line;
use super::session::{Office, Sessions, Who};

/// Connections at a time: those of desks, and as many that have not said yet what they are.
const CONNECTIONS: usize = 2 * MOST_DESKS;
/// After a failure to accept (no more files, say).
const PAUSE: Duration = Duration::from_millis(500);

/// A socket that listens; its file goes with it.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Listens at `path`. A socket that a dead daemon left there is replaced; whoever holds the
    /// database is the only one.
    ///
    /// # Errors
    /// When something else lies there, or the folder cannot be written.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let listener = listen(path)?;
        let socket = Self { listener, path: path.to_owned() };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let group = fs::metadata(folder)?.gid();
        if fs::metadata(path)?.gid() != group {
            // Not every daemon is in its folder's group; those in its own may then connect.
            match chown(path, None, Some(group)) {
                Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
                _ => {}
            }
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
        Ok(socket)
    }

    /// Serves desks until `cancel`.
    pub async fn serve<O: Office>(self, sessions: Sessions<O>, cancel: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                Some(_) = connections.join_next() => {} // how it ended is in the log
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                    Ok((stream, _)) => {
                        let (sessions, cancel) = (sessions.clone(), cancel.clone());
                        connections.spawn(async move {
                            if let Some(who) = who(&stream).await {
                                sessions.serve(Line::over(stream), who, cancel).await;
                            }
                        });
                    }
                    Err(_) => tokio::time::sleep(PAUSE).await,
                },
            }
        }
        while connections.join_next().await.is_some() {}
    }
}

/// Listens at `path`, in the place of a socket that a dead daemon left there.
///
/// # Errors
/// When something else lies there, or the folder cannot be written.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something that is no socket lies there")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    UnixListener::bind(path)
}

/// The number of a user of this machine; none for one that `/etc/passwd` does not have.
pub fn number_of(name: &str) -> Option<u32> {
    numbered(name, &fs::read("/etc/passwd").ok()?)
}

fn numbered(name: &str, users: &[u8]) -> Option<u32> {
    let users = String::from_utf8_lossy(users);
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Whoever dials a file without a listener is refused; it is replaced by the next start.
        fs::remove_file(&self.path).unwrap_or_default();
    }
}

/// What the kernel says for users who have no number in our namespace (`user_namespaces(7)`): `nobody`, who is no person.
const OVERFLOW_UID: u32 = 65534;

async fn who(stream: &UnixStream) -> Option<Who> {
    let uid = stream.peer_cred().ok()?.uid();
    if uid == OVERFLOW_UID {
        return Some(Who::Untold);
    }
    let users = tokio::task::spawn_blocking(|| fs::read("/etc/passwd").unwrap_or_default()).await.ok()?;
    Some(match name_of(uid, &users) {
        Some(name) => Who::Named(name),
        None => Who::Numbered(uid),
    })
}

/// The name in a file of the form of `/etc/passwd`.
fn name_of(uid: u32, users: &[u8]) -> Option<String> {
    let users = String::from_utf8_lossy(users);
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid) && !name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_number() {
        let users =
            b"root:x:0:0:root:/root:/bin/sh\nbroken\nann:x:1000:1000:Ann:/home/ann:/bin/sh\n:x:7::\n\xff:x:8:8::\n";
        assert_eq!(name_of(1000, users).as_deref(), Some("ann"));
        assert_eq!(name_of(0, users).as_deref(), Some("root"));
        assert_eq!(name_of(7, users), None);
        assert_eq!(name_of(1001, users), None);
        assert_eq!((numbered("ann", users), numbered("root", users)), (Some(1000), Some(0)));
        assert_eq!((numbered("an", users), numbered("broken", users)), (None, None));
    }

    #[tokio::test]
    async fn only_a_dead_socket_is_replaced_and_the_folders_group_may_connect() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("desk.sock");
        let socket = Socket::bind(&path).unwrap();
        let found = fs::metadata(&path).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, 0o660);
        assert_eq!(found.gid(), fs::metadata(folder.path()).unwrap().gid());
        drop(socket);
        assert!(!path.try_exists().unwrap());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        drop(Socket::bind(&path).unwrap());
        fs::write(&path, "precious").unwrap();
        assert!(Socket::bind(&path).unwrap_err().to_string().contains("no socket"));
    }
}
