//! Opening, locking, refusing.

use std::path::Path;

use stormbell::domain::commit::Commit;
use stormbell::store::{Reader, Store, StoreError};

use crate::support::*;

#[test]
fn two_daemons_cannot_share_a_database() {
    let folder = Folder::new();
    let store = folder.open();
    assert!(matches!(Store::open(&folder.db()), Err(StoreError::Locked { .. })));
    store.close().unwrap();
    folder.open();
}

#[test]
fn the_files_are_private_to_their_owner() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let mut store = folder.open();
    store.commit(&[Commit { posts: vec![post("p", "a", "t")], ..Commit::default() }]).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let state = folder.db().parent().unwrap().to_owned();
    assert_eq!(mode(&state), 0o700);
    let files: Vec<_> = std::fs::read_dir(state).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 6, "database, its keys, log, shared memory, lock, notes of answers: {files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn files_of_others_are_refused_and_left_as_they_are() {
    let folder = Folder::new();
    folder.open().close().unwrap();
    let sql = rusqlite::Connection::open(folder.db()).unwrap();
    sql.pragma_update(None, "user_version", 99).unwrap();
    drop(sql);
    let refused = Store::open(&folder.db()).unwrap_err();
    assert!(matches!(refused, StoreError::TooNew { found: 99, .. }), "{refused:?}");
    assert!(refused.to_string().contains("schema 99"), "{refused}");
    assert!(matches!(Reader::open(&folder.db()), Err(StoreError::TooNew { .. })));

    let garbage = "not a database at all, but somebody's letter".repeat(50);
    std::fs::write(folder.db(), &garbage).unwrap();
    assert!(matches!(Store::open(&folder.db()), Err(StoreError::Corrupt(_))));
    assert_eq!(std::fs::read_to_string(folder.db()).unwrap(), garbage);

    std::fs::remove_file(folder.db()).unwrap();
    let sql = rusqlite::Connection::open(folder.db()).unwrap();
    sql.execute_batch("CREATE TABLE photos (id)").unwrap();
    drop(sql);
    let before = std::fs::read(folder.db()).unwrap();
    assert!(matches!(Store::open(&folder.db()), Err(StoreError::NotOurs { .. })));
    assert_eq!(std::fs::read(folder.db()).unwrap(), before);
}
