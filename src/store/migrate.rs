//! The schema and how an older one becomes the present one.
//!
//! SQLite's `user_version` counts the scripts that ran; each runs in a transaction
//! together with its number, so a crash between two leaves a valid older schema.
//! Scripts are never changed after a release, only added.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::error::StoreError;
use super::write::integer;

/// The scripts; the first makes schema 1.
const SCRIPTS: [&str; 17] = [
    include_str!("schema/0001.sql"),
    include_str!("schema/0002-volume.sql"),
    include_str!("schema/0003-stories.sql"),
    include_str!("schema/0004-keys.sql"),
    include_str!("schema/0005-silences.sql"),
    include_str!("schema/0006-people.sql"),
    include_str!("schema/0010-turns.sql"),
    include_str!("schema/0011-quotas.sql"),
    include_str!("schema/0014-receipts.sql"),
    include_str!("schema/0015-bookmarks.sql"),
    include_str!("schema/0016-access.sql"),
    include_str!("schema/0017-playbooks.sql"),
    include_str!("schema/0018-search.sql"),
    include_str!("schema/0019-tokens.sql"),
    include_str!("schema/0020-identities.sql"),
    include_str!("schema/0021-holds.sql"),
    include_str!("schema/0022-copies.sql"),
];

/// Marks the file as ours (`file(1)` shows it): "strm".
const APPLICATION_ID: i64 = 0x7374_726d;

/// Makes an empty file ours; refuses others before anything is changed in them.
pub(super) fn claim(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    if is_empty(conn)? {
        conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    check(conn, path).map(|_| ())
}

/// Brings a database of ours to the present schema.
pub(super) fn migrate(conn: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let mut version = check(conn, path)?;
    while let Some(script) = usize::try_from(version).ok().and_then(|version| SCRIPTS.get(version)) {
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(script)?;
        version += 1;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

/// The schema of a database that is ours and not newer than the program.
pub(super) fn check(conn: &Connection, path: &Path) -> Result<i64, StoreError> {
    let pragma = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    if pragma("application_id")? != APPLICATION_ID {
        return Err(StoreError::NotOurs { path: path.to_owned() });
    }
    let (found, known) = (pragma("user_version")?, integer(SCRIPTS.len() as u64));
    if found > known { Err(StoreError::TooNew { found, known }) } else { Ok(found) }
}

/// Whether nothing was ever written.
fn is_empty(conn: &Connection) -> Result<bool, StoreError> {
    Ok(conn.query_row("SELECT count(*) = 0 FROM sqlite_schema", (), |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_gets_the_present_schema_once() {
        let mut conn = Connection::open_in_memory().unwrap();
        claim(&conn, Path::new("a.db")).unwrap();
        migrate(&mut conn, Path::new("a.db")).unwrap();
        migrate(&mut conn, Path::new("a.db")).unwrap();
        assert_eq!(check(&conn, Path::new("a.db")).unwrap(), integer(SCRIPTS.len() as u64));
    }

    #[test]
    fn an_older_database_gets_the_schema_of_a_new_one() {
        let schema = |conn: &Connection| -> Vec<(String, String)> {
            let mut select = conn.prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name").unwrap();
            let rows = select.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            rows.map(Result::unwrap).collect()
        };
        let older = |scripts: usize| {
            let mut conn = Connection::open_in_memory().unwrap();
            claim(&conn, Path::new("a.db")).unwrap();
            SCRIPTS.iter().take(scripts).for_each(|script| conn.execute_batch(script).unwrap());
            conn.pragma_update(None, "user_version", integer(scripts as u64)).unwrap();
            migrate(&mut conn, Path::new("a.db")).unwrap();
            schema(&conn)
        };
        assert!(older(0).iter().any(|(name, _)| name == "telling"));
        (1..=SCRIPTS.len()).for_each(|scripts| assert_eq!(older(scripts), older(0), "from schema {scripts}"));
    }

    #[test]
    fn a_newer_database_is_refused_and_left_alone() {
        let mut conn = Connection::open_in_memory().unwrap();
        claim(&conn, Path::new("a.db")).unwrap();
        migrate(&mut conn, Path::new("a.db")).unwrap();
        conn.pragma_update(None, "user_version", 99).unwrap();
        let refused = claim(&conn, Path::new("a.db"));
        assert!(matches!(refused, Err(StoreError::TooNew { found: 99, .. })), "{refused:?}");
    }

    #[test]
    fn a_foreign_database_is_refused_and_left_alone() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE photos (id)").unwrap();
        assert!(matches!(claim(&conn, Path::new("a.db")), Err(StoreError::NotOurs { .. })));
    }
}
