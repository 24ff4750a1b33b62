//! The schema and how an older one becomes the present one.
//!
//! SQLite's `user_version` counts the scripts that ran; each runs in a transaction
//! together with its number, so a crash between two leaves a valid older schema.
//! Scripts are never changed after a release, only added.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::error::StoreError;
use super::keys::Keys;
use super::sealing::seal_all;
use super::write::{integer, passing};

/// The scripts; the first makes schema 1.
const SCRIPTS: [&str; 19] = [
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
    include_str!("schema/0023-sealed.sql"),
    include_str!("schema/0024-lane.sql"),
];

/// From this schema on, what strangers wrote is sealed.
const SEALED: i64 = 18;

/// Marks the file as ours (`file(1)` shows it): "strm".
const APPLICATION_ID: i64 = 0x7374_726d;

/// Makes an empty file ours; refuses others before anything is changed in them.
pub(super) fn claim(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    if is_empty(conn)? {
        conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    check(conn, path).map(|_| ())
}

/// The ring of the keys that open a database; none as long as it is in clear.
pub(super) fn ring(conn: &Connection, version: i64) -> Result<Option<String>, StoreError> {
    let sealed = version >= SEALED;
    Ok(sealed.then(|| conn.query_row("SELECT ring FROM keyring", (), |row| row.get(0))).transpose()?)
}

/// Brings a database of ours to the present schema. Its keys are on disk before anything that they seal.
pub(super) fn migrate(conn: &mut Connection, path: &Path, keys: &Keys) -> Result<(), StoreError> {
    let begun = check(conn, path)?;
    run(&SCRIPTS, conn, begun, keys)?;
    if (1..SEALED).contains(&begun) {
        // What was in clear was overwritten where it stood (`secure_delete`); this gives its room back, and where there is
        // no room to do so, nothing is worse than before.
        conn.execute_batch("VACUUM").map_err(StoreError::from).or_else(passing)?;
    }
    Ok(())
}

/// Runs the scripts that come after a version.
fn run(scripts: &[&str], conn: &mut Connection, mut version: i64, keys: &Keys) -> Result<(), StoreError> {
    while let Some(script) = usize::try_from(version).ok().and_then(|version| scripts.get(version)) {
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(script)?;
        version += 1;
        if version == SEALED {
            transaction.execute("INSERT INTO keyring (ring) VALUES (?1)", [keys.id()])?;
            seal_all(&transaction, keys)?;
            keys.save()?;
        }
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
    use std::time::Duration;

    use rusqlite::params;

    use super::*;
    use crate::domain::audit::{Entry, Link, words};
    use crate::domain::lane::Sight;
    use crate::domain::post::Post;
    use crate::domain::time::Timestamp;
    use crate::store::{AuditVerdict, Reader, Store, stored};

    fn of_schema(path: &Path, scripts: usize) -> Connection {
        older(Connection::open(path).unwrap(), path, scripts, &Keys::begin(path).unwrap())
    }

    fn older(mut conn: Connection, path: &Path, scripts: usize, keys: &Keys) -> Connection {
        claim(&conn, path).unwrap();
        run(SCRIPTS.get(..scripts).unwrap(), &mut conn, 0, keys).unwrap();
        conn
    }

    #[test]
    fn a_new_file_gets_the_present_schema_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let (mut conn, keys) = (of_schema(&path, 0), Keys::begin(&path).unwrap());
        migrate(&mut conn, &path, &keys).unwrap();
        migrate(&mut conn, &path, &keys).unwrap();
        assert_eq!(check(&conn, &path).unwrap(), integer(SCRIPTS.len() as u64));
        assert_eq!(ring(&conn, SEALED).unwrap().as_deref(), keys.id());
    }

    #[test]
    fn an_older_database_gets_the_schema_of_a_new_one() {
        let schema = |conn: &Connection| -> Vec<(String, String)> {
            let mut select = conn.prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name").unwrap();
            let rows = select.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            rows.map(Result::unwrap).collect()
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let keys = Keys::begin(&path).unwrap();
        let migrated = |scripts: usize| {
            let mut conn = older(Connection::open_in_memory().unwrap(), &path, scripts, &keys);
            migrate(&mut conn, &path, &keys).unwrap();
            schema(&conn)
        };
        let new = migrated(0);
        assert!(new.iter().any(|(name, _)| name == "telling"));
        (1..SCRIPTS.len()).for_each(|scripts| assert_eq!(migrated(scripts), new, "from schema {scripts}"));
    }

    /// As the program before this one left it.
    fn in_clear(path: &Path) {
        let conn = of_schema(path, usize::try_from(SEALED).unwrap() - 1);
        let post = |id: &str, text: &str| {
            let post =
                Post::plain(id.into(), "s".into(), "did:planted".into(), text.to_owned(), Timestamp::from_micros(7));
            stored::post_to_json(&post)
        };
        let detail = r#"{"id":"i","topic":"restricted.x","title":"T","severity":"low","state":"open","rules":["r"],
            "opened_at":1,"first_post_at":1,"last_post_at":1,"posts":1,"authors":1,"why":"plantedreason","playbook":null,
            "exercise":false,"late":false,"sample":["at://planted/1"],"acknowledged":null,"resolved":null,"revision":1,
            "notable":[{"author":1,"what":"plantednotable"}],
            "told":{"severity":"low","authors":1,"receivers":[]},"escalations":[]}"#;
        let message = format!(r#"{{"kind":"incident.opened","at":1,"incident":{detail}}}"#);
        let salt = [7_u8; 16];
        let entry = Entry {
            at: Timestamp::from_micros(9),
            by: "ann".to_owned(),
            what: "incident.note".to_owned(),
            about: "i".to_owned(),
            text: "plantednote".to_owned(),
        };
        let said = words(&entry.text, &salt);
        let link = Link::FIRST.then(1, &entry, &said);
        for id in ["at://planted/1", "at://planted/2"] {
            let kept = "INSERT INTO post (id, author, at, json) VALUES (?1, 'did:planted', 7, ?2)";
            conn.execute(kept, [id, &post(id, "plantedtext")]).unwrap();
            let seen = "INSERT INTO sighting (rule, post, source, author, at, incident) VALUES ('r', ?1, 's', 'did:planted', 7, 'i')";
            conn.execute(seen, [id]).unwrap();
            let told = "INSERT INTO telling (post, author, at, story, original, words) VALUES (?1, 'did:planted', 7, 1, ?1, x'0100000002000000')";
            conn.execute(told, [id]).unwrap();
        }
        conn.execute_batch(
            "INSERT INTO post (id, author, at, hash) VALUES ('at://planted/3', 'did:planted', 7, zeroblob(32));
             INSERT INTO alert (at, rule, severity, topic, condition, incident, new_incident, posts, authors, post, why, key)
               VALUES (7, 'r', 'low', 't', 'match', 'i', 1, 1, 1, 'at://planted/1', 'plantedreason', 'plantedkey');
             INSERT INTO timeline (incident, at, what, by, text) VALUES ('i', 9, 'note', 'ann', 'plantednote');
             INSERT INTO hold VALUES ('i', 'roe', 'suit', 'dora', 9);",
        )
        .unwrap();
        let held = "INSERT INTO held (post, hash, json) VALUES ('at://planted/1', x'01', ?1)";
        conn.execute(held, [post("at://planted/1", "plantedbefore")]).unwrap();
        conn.execute("INSERT INTO incident (id, state, opened_at, detail) VALUES ('i', 'open', 1, ?1)", [detail])
            .unwrap();
        let sent =
            "INSERT INTO outbox (id, receiver, incident, message, due, give_up) VALUES ('m', 'pager', 'i', ?1, 1, 2)";
        conn.execute(sent, [message]).unwrap();
        let noted = "INSERT INTO audit (seq, at, by, what, about, text, salt, words, hash)
                     VALUES (1, 9, 'ann', 'incident.note', 'i', 'plantednote', ?1, ?2, ?3)";
        conn.execute(noted, params![salt, said, link.0]).unwrap();
    }

    #[test]
    fn what_an_older_program_left_in_clear_is_sealed_and_is_all_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        in_clear(&path);
        let planted = || -> Vec<String> {
            let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
            let has = |file: &std::path::PathBuf| std::fs::read(file).unwrap().windows(7).any(|one| one == b"planted");
            files.filter(has).map(|file| file.display().to_string()).collect()
        };
        assert_eq!(planted().len(), 1, "the check must be able to fail");
        let store = Store::open(&path).unwrap();
        assert!(planted().is_empty(), "{:?}", planted());
        let restored = store.restore(Timestamp::default()).unwrap();
        assert_eq!(restored.kept.len(), 2);
        let (sighting, telling) = (restored.sightings.first().unwrap(), restored.tellings.first().unwrap());
        assert_eq!((sighting.seen.post.as_str(), sighting.seen.author.as_str()), ("at://planted/1", "did:planted"));
        assert_eq!((telling.original.as_ref(), telling.words.as_deref()), (Some(&telling.post), Some(&[1, 2][..])));
        let incident = restored.incidents.first().unwrap();
        assert_eq!((incident.why.as_str(), incident.sample.len()), ("plantedreason", 1));
        assert_eq!(incident.notable.first().unwrap().what, "plantednotable");

        let reader = Reader::open(&path).unwrap();
        let record = reader.incident(&"i".into(), Sight::Whole).unwrap().unwrap();
        let alert = record.alerts.first().unwrap();
        assert_eq!((alert.why.as_str(), alert.key.as_deref()), ("plantedreason", Some("plantedkey")));
        assert_eq!((record.timeline.first().unwrap().text.as_str(), record.posts.len()), ("plantednote", 2));
        assert_eq!(reader.evidence(&"i".into(), Sight::Whole, None, 10).unwrap().len(), 2);
        assert!(matches!(reader.verify_audit(None).unwrap(), AuditVerdict::Sound { entries: 1, .. }));
        assert_eq!(reader.audit(None, 9).unwrap().first().unwrap().entry.text, "plantednote");
        drop((store, reader));
        let mut store = Store::open(&path).unwrap();
        let leased = store.lease(&"pager".into(), Timestamp::from_micros(1), Duration::from_secs(1), 9).unwrap();
        assert_eq!(leased.first().unwrap().sample.len(), 0, "of the lane nothing leaves");
        let held = store
            .transact(|writing| writing.look_at_held(&"i".into(), "roe", Sight::Whole, Timestamp::default()))
            .unwrap();
        assert_eq!(held.unwrap().first().unwrap().text, "plantedbefore");
    }

    #[test]
    fn a_sealing_that_was_broken_off_begins_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        in_clear(&path);
        // Its keys were saved, and the rest was not written.
        let mut conn = Connection::open(&path).unwrap();
        let keys = Keys::begin(&path).unwrap();
        let transaction = conn.transaction().unwrap();
        transaction.execute_batch(SCRIPTS.get(usize::try_from(SEALED).unwrap() - 1).unwrap()).unwrap();
        seal_all(&transaction, &keys).unwrap();
        keys.save().unwrap();
        transaction.rollback().unwrap();
        drop(conn);
        let store = Store::open(&path).unwrap();
        assert_eq!(store.keys().id(), keys.id());
        assert_eq!(Reader::open(&path).unwrap().kept_posts(None, 9).unwrap().len(), 2);
    }

    #[test]
    fn a_newer_database_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let mut conn = of_schema(&path, 0);
        migrate(&mut conn, &path, &Keys::begin(&path).unwrap()).unwrap();
        conn.pragma_update(None, "user_version", 99).unwrap();
        let refused = claim(&conn, &path);
        assert!(matches!(refused, Err(StoreError::TooNew { found: 99, .. })), "{refused:?}");
    }

    #[test]
    fn a_foreign_database_is_refused_and_left_alone() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE photos (id)").unwrap();
        assert!(matches!(claim(&conn, Path::new("a.db")), Err(StoreError::NotOurs { .. })));
    }
}
