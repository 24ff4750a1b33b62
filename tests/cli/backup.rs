//! `backup` and `restore`: what was there is there again, and nothing that is damaged or in use is taken.

use std::path::{Path, PathBuf};

use stormbell::domain::audit::Entry;
use stormbell::domain::commit::Commit;
use stormbell::domain::post::Post;
use stormbell::domain::time::Timestamp;
use stormbell::store::{AuditVerdict, Reader, Store};

use super::support::Desk;

fn posts(texts: &[&str]) -> Commit {
    let post = |text: &&str| {
        Post::plain((*text).into(), "sky".into(), "ann".into(), (*text).to_owned(), Timestamp::from_seconds(1))
    };
    Commit { posts: texts.iter().map(post).collect(), ..Commit::default() }
}

fn desk() -> Desk {
    let desk = Desk::new();
    desk.file(
        "stormbell.toml",
        "schema = 1\n[organization]\nname = \"St. Brigid's Hospital\"\n[store]\npath = \"state/stormbell.db\"\n",
    );
    desk
}

fn kept(desk: &Desk) -> u64 {
    Reader::open(&desk.path().join("state/stormbell.db")).unwrap().kept_bytes().unwrap()
}

#[test]
fn a_backup_of_a_database_in_use_brings_it_back() {
    let desk = desk();
    let mut store = Store::open(&desk.path().join("state/stormbell.db")).unwrap();
    store.commit(&[posts(&["first", "second"])]).unwrap();
    let made = desk.run(&["backup", "copy.db"]);
    assert_eq!(made.code, 0, "{}", made.err);
    assert!(made.err.contains("copy.db holds 0 incidents and 2 posts"), "{}", made.err);
    assert!(made.err.contains("read through, all is sound"), "{}", made.err);
    let before = kept(&desk);
    store.commit(&[posts(&["third"])]).unwrap();

    // Not under a running daemon.
    let refused = desk.run(&["restore", "copy.db"]);
    assert_eq!(refused.code, 75, "{}", refused.err);
    assert!(refused.err.contains("stop it first"), "{}", refused.err);
    assert!(kept(&desk) > before, "and nothing was touched");
    store.close().unwrap();

    let restored = desk.run(&["restore", "copy.db"]);
    assert_eq!(restored.code, 0, "{}", restored.err);
    assert!(restored.err.contains("holds added since are gone: order both anew"), "{}", restored.err);
    assert_eq!(kept(&desk), before);
    let reader = Reader::open(&desk.path().join("state/stormbell.db")).unwrap();
    assert!(matches!(reader.verify_audit(None).unwrap(), AuditVerdict::Sound { entries: 1, .. }));
    let Entry { what, by, .. } = reader.audit(None, 1).unwrap().remove(0).entry;
    assert_eq!((what.as_str(), by.as_str()), ("store.restored", "administrator"));

    // What was there is kept, with what was not in the backup.
    let aside = std::fs::read_dir(desk.path().join("state")).unwrap().map(|file| file.unwrap().path());
    let aside = aside.into_iter().find(|path| path.to_string_lossy().contains(".before-")).expect("kept");
    assert!(Reader::open(&aside).unwrap().kept_bytes().unwrap() > before);
}

#[test]
fn what_is_there_is_never_written_over() {
    let desk = desk();
    Store::open(&desk.path().join("state/stormbell.db")).unwrap().close().unwrap();
    desk.file("copy.db", "mine");
    let ran = desk.run(&["backup", "copy.db"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("copy.db is there already"), "{}", ran.err);
    assert_eq!(std::fs::read_to_string(desk.path().join("copy.db")).unwrap(), "mine");
    assert!(!desk.path().join("copy.db.part").try_exists().unwrap());
}

#[test]
fn what_a_link_in_the_way_leads_to_is_left_alone() {
    let desk = desk();
    Store::open(&desk.path().join("state/stormbell.db")).unwrap().close().unwrap();
    desk.file("mine", "mine");
    std::os::unix::fs::symlink(desk.path().join("mine"), desk.path().join("copy.db.part")).unwrap();
    let ran = desk.run(&["backup", "copy.db"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(std::fs::read_to_string(desk.path().join("mine")).unwrap(), "mine");
    let names: Vec<_> = std::fs::read_dir(desk.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name == "copy.db.part"), "{names:?}");
    assert!(Reader::open(&desk.path().join("copy.db")).is_ok());
}

#[test]
fn a_copy_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let desk = desk();
    Store::open(&desk.path().join("state/stormbell.db")).unwrap().close().unwrap();
    assert_eq!(desk.run(&["backup", "copy.db"]).code, 0);
    let mode = std::fs::metadata(desk.path().join("copy.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_is_damaged_newer_or_not_ours_is_refused_and_the_database_left_alone() {
    let desk = desk();
    let mut store = Store::open(&desk.path().join("state/stormbell.db")).unwrap();
    let many: Vec<String> = (0..300).map(|number| format!("post {number} {}", "word ".repeat(40))).collect();
    store.commit(&[posts(&many.iter().map(String::as_str).collect::<Vec<_>>())]).unwrap();
    assert_eq!(desk.run(&["backup", "copy.db"]).code, 0);
    store.close().unwrap();
    let before = kept(&desk);

    let good = std::fs::read(desk.path().join("copy.db")).unwrap();
    let mut damaged = good.clone();
    let middle = damaged.len() / 2;
    damaged.get_mut(middle..middle + 2000).unwrap().fill(0x5a);
    desk.file("damaged.db", damaged).file("half.db", good.get(..good.len() / 2).unwrap()).file("other.db", "a letter");
    std::fs::copy(desk.path().join("copy.db"), desk.path().join("newer.db")).unwrap();
    let sql = rusqlite::Connection::open(desk.path().join("newer.db")).unwrap();
    sql.pragma_update(None, "user_version", 99).unwrap();
    drop(sql);
    for (name, why) in
        [("damaged.db", "damaged"), ("half.db", "damaged"), ("other.db", "damaged"), ("newer.db", "schema 99")]
    {
        let ran = desk.run(&["restore", name]);
        assert_eq!(ran.code, 1, "{name}: {}", ran.err);
        assert!(ran.err.contains(why), "{name}: {}", ran.err);
        assert_eq!(kept(&desk), before);
    }
    let ran = desk.run(&["restore", "absent.db"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
}

#[test]
fn on_a_new_machine_there_is_nothing_to_put_aside() {
    let desk = desk();
    let path = desk.path().join("state/stormbell.db");
    let mut store = Store::open(&path).unwrap();
    store.commit(&[posts(&["first"])]).unwrap();
    store.close().unwrap();
    assert_eq!(desk.run(&["backup", "copy.db"]).code, 0);
    let before = kept(&desk);
    std::fs::remove_dir_all(desk.path().join("state")).unwrap();
    let restored = desk.run(&["restore", "copy.db"]);
    assert_eq!((restored.code, kept(&desk)), (0, before), "{}", restored.err);
    assert!(!restored.err.contains("kept as"), "{}", restored.err);
}

#[test]
fn keys_that_are_lost_are_put_back_or_done_without() {
    let desk = desk();
    let path = desk.path().join("state/stormbell.db");
    let mut store = Store::open(&path).unwrap();
    store.commit(&[posts(&["first"])]).unwrap();
    store.close().unwrap();
    let made = desk.run(&["backup", "copy.db"]);
    assert_eq!(made.code, 0, "{}", made.err);
    let names: Vec<_> = std::fs::read_dir(desk.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    let is_one = |name: &&str| Path::new(name).extension().is_some_and(|extension| extension == "keys");
    let keys = names.iter().find_map(|name| name.to_str().filter(is_one)).expect("keys").to_owned();
    assert!(made.err.contains(&format!("{keys} has the keys to it and to older ones")), "{}", made.err);

    let own = desk.path().join("state/stormbell.db.keys");
    std::fs::remove_file(&own).unwrap();
    let missing = desk.run(&["replay", "state/stormbell.db"]);
    assert!(missing.code != 0 && missing.err.contains("stormbell restore --keys FILE"), "{}", missing.err);
    assert_eq!(desk.run(&["restore"]).code, 64, "a backup, or keys, or none");
    let back = desk.run(&["restore", "--keys", &keys]);
    assert_eq!(back.code, 0, "{}", back.err);
    assert!(back.err.contains("state/stormbell.db has its keys, with 0 incidents and 1 post"), "{}", back.err);
    assert!(!back.err.contains("order both anew"), "nothing is as it was before: {}", back.err);
    assert!(own.is_file() && desk.run(&["replay", "state/stormbell.db"]).code == 0);

    let needless = desk.run(&["restore", "--without-keys"]);
    assert!(needless.code == 1 && needless.err.contains("nothing has to be given up"), "{}", needless.err);

    std::fs::remove_file(&own).unwrap();
    std::fs::rename(desk.path().join(&keys), desk.path().join("lost")).unwrap();
    let refused = desk.run(&["restore", "copy.db"]);
    assert!(refused.code == 1 && refused.err.contains("is missing"), "{}", refused.err);
    let on = desk.run(&["restore", "--without-keys"]);
    assert_eq!(on.code, 0, "{}", on.err);
    assert!(on.err.contains("1 post cannot be read by anybody"), "{}", on.err);
    assert_eq!((kept(&desk), own.is_file()), (0, true));
    let reader = Reader::open(&path).unwrap();
    assert!(matches!(reader.verify_audit(None).unwrap(), AuditVerdict::Sound { entries: 2, .. }));

    // Somebody finds them, and there is something that they open.
    let aside = put_aside(&desk);
    let found = desk.run(&["restore", "--keys", "lost", aside[0].to_str().unwrap()]);
    assert_eq!(found.code, 0, "{}", found.err);
    assert!(kept(&desk) > 0 && desk.run(&["replay", "state/stormbell.db"]).code == 0);
}

/// The databases that were put aside.
fn put_aside(desk: &Desk) -> Vec<PathBuf> {
    let there = std::fs::read_dir(desk.path().join("state")).unwrap().map(|file| file.unwrap().path());
    let is_one = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.contains(".before-") && !name.ends_with(".keys") && !name.ends_with("-wal")
    };
    there.filter(is_one).collect()
}

#[test]
fn what_two_restores_put_aside_is_there_twice() {
    let desk = desk();
    let mut store = Store::open(&desk.path().join("state/stormbell.db")).unwrap();
    store.commit(&[posts(&["first"])]).unwrap();
    assert_eq!(desk.run(&["backup", "copy.db"]).code, 0);
    store.commit(&[posts(&["second"])]).unwrap();
    store.close().unwrap();
    let newest = kept(&desk);
    for _ in 0..3 {
        assert_eq!(desk.run(&["restore", "copy.db"]).code, 0);
    }
    let aside = put_aside(&desk);
    let kept = |path: &PathBuf| Reader::open(path).unwrap().kept_bytes().unwrap();
    assert_eq!((aside.len(), aside.iter().filter(|path| kept(path) == newest).count()), (3, 1));
}

#[test]
fn a_name_that_leads_nowhere_is_no_failing_disk() {
    let desk = desk();
    Store::open(&desk.path().join("state/stormbell.db")).unwrap().close().unwrap();
    desk.file("letter.txt", "Dear all, this is no database.");
    for (file, words) in [
        ("nowhere.db", "nowhere.db: No such file or directory"),
        ("state", "state: is a directory"),
        ("letter.txt", "letter.txt is damaged, and was not used"),
    ] {
        let ran = desk.run(&["restore", file]);
        assert!(ran.code == 1 && ran.err.contains(words), "{}", ran.err);
    }
}
