//! What strangers wrote, and who they are, cannot be read from the files; and with its day's key it is gone from all copies.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use stormbell::domain::audit::Entry;
use stormbell::domain::commit::{Commit, Erasure};
use stormbell::domain::condition::Seen;
use stormbell::domain::erasure::Hold;
use stormbell::domain::incident::{Alert, Incident, IncidentState, Sighting, TimelineEntry};
use stormbell::domain::key::Key;
use stormbell::domain::lane::Sight;
use stormbell::domain::post::Post;
use stormbell::domain::route::Glob;
use stormbell::domain::seek::Seek;
use stormbell::domain::story::{Story, Telling};
use stormbell::domain::terms::Notable;
use stormbell::domain::time::{Clock, Timestamp};
use stormbell::store::{self, AuditVerdict, PutBack, Reader, Retention, Store, StoreError, With};
use stormbell::telemetry::metrics::Metrics;

use crate::support::*;

const DAY: i64 = 86_400;

/// Nothing of this may be read in a file.
const PLANTED: [&str; 12] = [
    "plantedword",
    "planted.handle",
    "Planted Name",
    "planted-picture",
    "plantedtag",
    "planted.link",
    "at://planted",
    "did:plc:planted",
    "planted-term",
    "planted-key",
    "planted-note",
    "planted-notable",
];

fn dated(id: &str, day: i64, text: &str) -> Post {
    let at = at(day * DAY + 3600);
    Post { event_time: at, ..post(id, &format!("did:{id}"), text) }
}

fn of_rule(rule: &str, post: &Post, incident: Option<&str>) -> Sighting {
    let seen = Seen::new(post.event_time, post.id.clone(), post.author.id.clone(), Story::begun_by(&post.id));
    Sighting { rule: rule.into(), seen, source: "bluesky".into(), incident: incident.map(Into::into), copy_of: None }
}

/// A post with everything that strangers can write, and all that is made of it.
fn planted() -> Commit {
    let mut post = post("at://planted/1", "did:plc:planted", "plantedword in the lobby");
    post.url = Some("https://planted.link/1".to_owned());
    post.author.handle = Some("planted.handle".to_owned());
    post.author.name = Some("Planted Name".to_owned());
    post.media_text = vec!["planted-picture".to_owned()];
    post.tags = vec!["plantedtag".to_owned()];
    post.links = vec!["https://planted.link/2".to_owned()];
    post.reply_to = Some("at://planted/0".into());
    let why = "new: ‘planted-term’".to_owned();
    let notable = vec![Notable { author: Key::of("a"), what: "planted-notable".to_owned() }];
    let about = Incident { why: why.clone(), notable, ..incident("i", IncidentState::Open, &["at://planted/1"]) };
    let told = Telling {
        post: post.id.clone(),
        author: post.author.id.clone(),
        at: post.event_time,
        story: Story::begun_by(&post.id),
        original: Some("at://planted/0".into()),
        words: Some([1, 2, 3].into()),
    };
    let key = Some("planted-key".to_owned());
    Commit {
        sightings: vec![of_rule("r", &post, Some("i"))],
        tellings: vec![told],
        alerts: vec![Alert { key, why, ..alert(Some("at://planted/1"), "i") }],
        timeline: vec![TimelineEntry { text: "planted-note".to_owned(), ..note("i", 100) }],
        outbox: vec![delivery("d", "pager", about.clone(), 1)],
        incidents: vec![about],
        posts: vec![post],
        ..Commit::default()
    }
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        at(1000)
    }
}

fn noted() -> Entry {
    let (by, what, about, text) = ["ann", "store.restored", "database", "from a backup"].map(str::to_owned).into();
    Entry { at: at(5 * DAY), by, what, about, text }
}

fn keys_of(folder: &Folder) -> PathBuf {
    let mut name = folder.db().into_os_string();
    name.push(".keys");
    name.into()
}

fn days(keys: &Path) -> usize {
    fs::read_to_string(keys).unwrap().lines().filter(|line| line.starts_with("day ")).count()
}

fn texts(reader: &Reader) -> Vec<String> {
    reader.kept_posts(None, 100).unwrap().iter().map(|kept| kept.post().unwrap().text).collect()
}

#[tokio::test]
async fn no_file_says_what_was_written_or_by_whom() {
    let folder = Folder::new();
    let (handle, requests) = store::channel(std::sync::Arc::new(Still), std::sync::Arc::new(Metrics::default()));
    let database = folder.open();
    drop(tokio::task::spawn_blocking(move || store::run(database, requests)));
    handle.commit(planted()).await.unwrap();
    let (approved_by, reason, by) = ("Dr. Roe".to_owned(), "suit".to_owned(), "dora".to_owned());
    handle.hold(Hold { incident: "i".into(), approved_by, reason, by, at: at(500) }).await.unwrap();
    let edited = Post { text: "plantedword, edited".to_owned(), ..planted().posts.remove(0) };
    let erased = Commit { erased: vec![Erasure::Post(edited.id.clone())], posts: vec![edited], ..Commit::default() };
    handle.commit(erased).await.unwrap();
    handle
        .commit(Commit { posts: vec![post("at://planted/2", "did:plc:planted", "plantedword")], ..planted() })
        .await
        .unwrap();
    let reader = folder.reader();
    let (copy, keys) = (folder.db().with_file_name("copies").join("copy.db"), keys_of(&folder));
    fs::create_dir(copy.parent().unwrap()).unwrap();
    let (_, copied) = reader.back_up(&copy).unwrap();
    let none = |place: &Path| {
        for file in fs::read_dir(place).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file()) {
            let bytes = fs::read(&file).unwrap();
            for planted in PLANTED {
                let found = bytes.windows(planted.len()).any(|window| window == planted.as_bytes());
                assert!(!found, "{planted} is in {}", file.display());
            }
        }
    };
    none(folder.db().parent().unwrap());
    none(copy.parent().unwrap());

    // All of it is there for whoever has the keys.
    let held = handle.look_at_held("i".into(), "roe".to_owned(), Sight::Whole, at(700)).await.unwrap().unwrap();
    assert_eq!(held.len(), 2);
    assert!(matches!(reader.verify_audit(None).unwrap(), AuditVerdict::Sound { .. }));
    for reader in [&reader, &Reader::open(&copy).unwrap()] {
        let record = reader.incident(&"i".into(), Sight::Whole).unwrap().unwrap();
        assert_eq!(
            (record.incident.why.as_str(), record.timeline[0].text.as_str()),
            ("new: ‘planted-term’", "planted-note")
        );
        assert_eq!((record.alerts[0].key.as_deref(), record.incident.sample.len()), (Some("planted-key"), 1));
        assert_eq!(texts(reader), ["plantedword"]);
        let seek = Seek { words: "planted*".to_owned(), ..Seek::default() };
        assert_eq!(reader.search(&seek, Sight::Whole, &[], None, 9).unwrap()[0].post.id.as_str(), "at://planted/2");
    }
    handle.close().await.unwrap();
    none(folder.db().parent().unwrap());
    let restored = folder.open().restore(at(0)).unwrap();
    assert_eq!((restored.sightings, restored.tellings.len()), (planted().sightings, 1));
    assert_ne!(copied, Some(keys));
}

#[test]
fn with_the_key_of_a_day_its_text_is_gone_from_old_copies() {
    let folder = Folder::new();
    let mut store = folder.open();
    let posts = vec![dated("old", 1, "first"), dated("young", 3, "second")];
    let over = Incident { opened_at: at(DAY), last_post_at: at(DAY), ..incident("over", IncidentState::Resolved, &[]) };
    let alerts = vec![Alert { at: at(DAY), ..alert(Some("old"), "over") }];
    store.commit(&[Commit { posts, alerts, incidents: vec![over], ..Commit::default() }]).unwrap();
    let copies = folder.db().with_file_name("copies");
    fs::create_dir(&copies).unwrap();
    let (before, after) = (copies.join("before.db"), copies.join("after.db"));
    let keys = folder.reader().back_up(&before).unwrap().1.unwrap();
    assert_eq!(
        (texts(&Reader::open(&before).unwrap()), days(&keys)),
        (vec!["first".to_owned(), "second".to_owned()], 2)
    );
    let lines: Vec<String> = fs::read_to_string(&keys).unwrap().lines().map(str::to_owned).collect();
    let destroyed = lines.iter().find(|line| line.starts_with("day 1 ")).unwrap().clone();

    store.forget(at(2 * DAY - 1)).unwrap();
    assert_eq!(days(&keys_of(&folder)), 2, "the day is not over");
    store.forget(at(2 * DAY)).unwrap();
    assert_eq!(days(&keys_of(&folder)), 1);
    assert_eq!(folder.reader().back_up(&after).unwrap().1.as_deref(), Some(&*keys));
    assert_eq!((days(&keys), folder.contains(&destroyed)), (1, false));

    // The old copy with the newest keys.
    let reader = Reader::open(&before).unwrap();
    assert_eq!(texts(&reader), ["second"]);
    let record = reader.incident(&"over".into(), Sight::Whole).unwrap().unwrap();
    assert_eq!((record.incident.why.as_str(), record.alerts[0].why.as_str()), ("no longer kept", "no longer kept"));
    drop(reader);
    store.close().unwrap();
    let done = Store::put_back(Some(&before), &folder.db(), &With::Found, &noted()).unwrap();
    assert_eq!((done.unreadable, done.keys_aside), (1, None));
    assert_eq!(texts(&folder.reader()), ["second"]);
    let kept = folder.open().restore(at(0)).unwrap().kept;
    assert_eq!(kept, [("young".into(), "did:young".into())]);
    // What was put aside is opened by the same keys.
    assert_eq!(texts(&Reader::open(&done.aside.unwrap()).unwrap()), ["second"]);
}

#[test]
fn a_day_that_begins_anew_gets_another_key() {
    let folder = Folder::new();
    let mut store = folder.open();
    store.commit(&[Commit { posts: vec![dated("old", 1, "first")], ..Commit::default() }]).unwrap();
    let before = fs::read_to_string(keys_of(&folder)).unwrap();
    store.forget(at(9 * DAY)).unwrap();
    store.commit(&[Commit { posts: vec![dated("late", 1, "first")], ..Commit::default() }]).unwrap();
    let after = fs::read_to_string(keys_of(&folder)).unwrap();
    let day = |text: &str| text.lines().find(|line| line.starts_with("day 1 ")).unwrap().to_owned();
    assert_ne!(day(&before), day(&after));
    assert_eq!(texts(&folder.reader()), ["first"]);
}

#[test]
fn the_lane_has_keys_of_its_own_that_go_when_its_time_is_over() {
    let folder = Folder::new();
    let mut store = folder.open();
    let posts = ["care", "later", "usual"].map(|id| dated(id, 1, id));
    let sightings =
        vec![of_rule("duty-of-care.x", &posts[0], None), of_rule("r", &posts[1], None), of_rule("r", &posts[2], None)];
    store.commit(&[Commit { posts: posts.to_vec(), sightings, ..Commit::default() }]).unwrap();
    // An incident of the lane takes a post that was kept before.
    let lane = Incident { topic: "restricted.vip".into(), ..incident("i", IncidentState::Resolved, &["later"]) };
    let taken = vec![of_rule("r", &posts[1], Some("i"))];
    store.commit(&[Commit { incidents: vec![lane], sightings: taken, ..Commit::default() }]).unwrap();
    let sql = rusqlite::Connection::open(folder.db()).unwrap();
    let number = |place: i64| -> String {
        let query = "SELECT substr(json, 1, 16) FROM post ORDER BY rowid LIMIT 1 OFFSET ?1";
        sql.query_row(query, [place], |row| row.get(0)).unwrap()
    };
    let numbers = [number(0), number(1), number(2)];
    assert!(numbers[0] == numbers[1] && numbers[0] != numbers[2], "{numbers:?}");
    let keys = fs::read_to_string(keys_of(&folder)).unwrap();
    let lane = keys.lines().find(|line| line.contains(&numbers[0])).unwrap();
    assert!(lane.starts_with("day 1 restricted "), "{lane}");

    let copy = folder.db().with_file_name("copy.db");
    folder.reader().back_up(&copy).unwrap();
    let short = |glob: &str| (Glob(glob.to_owned()), at(2 * DAY));
    let rules = [("duty-of-care.x".into(), "duty-of-care".into()), ("r".into(), "t".into())].into();
    let retention = Retention { usual: at(0), by_topic: vec![short("duty-of-care*"), short("restricted*")], rules };
    store.forget(retention.clone()).unwrap();
    assert_eq!(texts(&folder.reader()), ["later", "usual"], "one rule of two keeps it");
    assert!(fs::read_to_string(keys_of(&folder)).unwrap().contains(&numbers[0]));
    store.commit(&[Commit { erased: vec![Erasure::Post("later".into())], ..Commit::default() }]).unwrap();
    store.forget(retention).unwrap();
    let keys = fs::read_to_string(keys_of(&folder)).unwrap();
    assert!(!keys.contains(&numbers[0]) && keys.contains(&numbers[2]));
    assert_eq!(texts(&Reader::open(&copy).unwrap()), ["usual"]);
}

#[test]
fn a_sealed_text_opens_in_its_own_row_alone() {
    let folder = Folder::new();
    let mut store = folder.open();
    store
        .commit(&[Commit { posts: vec![post("p1", "a", "one"), post("p2", "a", "two")], ..Commit::default() }])
        .unwrap();
    let sql = rusqlite::Connection::open(folder.db()).unwrap();
    for (tamper, which) in [
        ("UPDATE post SET json = (SELECT json FROM post ORDER BY rowid DESC LIMIT 1)", "another row's"),
        ("UPDATE post SET json = substr(json, 1, 40) || 'AAAA' || substr(json, 45)", "changed"),
        ("UPDATE post SET json = substr(json, 1, 10)", "cut off"),
        ("UPDATE post SET json = '{}'", "in clear"),
    ] {
        let good: Vec<(i64, String)> = {
            let mut select = sql.prepare("SELECT rowid, json FROM post").unwrap();
            select.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
        };
        sql.execute_batch(tamper).unwrap();
        let read = folder.reader().kept_posts(None, 9);
        assert!(matches!(read, Err(StoreError::Unreadable { table: "post", .. })), "{which}: {read:?}");
        for (row, json) in good {
            sql.execute("UPDATE post SET json = ?2 WHERE rowid = ?1", rusqlite::params![row, json]).unwrap();
        }
    }
    assert_eq!(texts(&folder.reader()), ["one", "two"]);
    // A page goes out without what cannot be read, and a start goes on.
    let about = incident("i", IncidentState::Open, &["p1", "p2"]);
    let outbox = vec![delivery("d", "pager", about.clone(), 1)];
    let sightings = vec![sighting("p1", 100, Some("i"))];
    store.commit(&[Commit { incidents: vec![about], outbox, sightings, ..Commit::default() }]).unwrap();
    sql.execute_batch("UPDATE post SET json = '{}' WHERE rowid = 1; UPDATE sighting SET author = 'AAAA'").unwrap();
    assert_eq!(lease(&mut store, "pager", 5)[0].sample.len(), 1);
    assert_eq!(store.restore(at(0)).unwrap().sightings, []);
    // What nobody can read can still be erased.
    sql.execute_batch("UPDATE post SET json = '{}'").unwrap();
    store.commit(&[Commit { erased: vec![Erasure::Author("a".into())], ..Commit::default() }]).unwrap();
    assert!(texts(&folder.reader()).is_empty());
}

#[test]
fn without_its_keys_a_database_is_not_used_and_there_is_a_way_back_and_a_way_on() {
    let folder = Folder::new();
    let mut store = folder.open();
    store.commit(&[planted()]).unwrap();
    store.close().unwrap();
    let (keys, safe, other) = (keys_of(&folder), folder.db().with_file_name("safe"), Folder::new());
    other.open().close().unwrap();
    fs::rename(&keys, &safe).unwrap();
    let before = fs::read(folder.db()).unwrap();

    let missing = Store::open(&folder.db()).unwrap_err();
    assert!(matches!(missing, StoreError::NoKeys { .. }), "{missing:?}");
    assert!(
        missing.to_string().contains("stormbell restore --keys FILE") && missing.to_string().contains("--without-keys")
    );
    assert!(matches!(folder.reader().kept_posts(None, 9), Err(StoreError::NoKeys { .. })));
    fs::copy(keys_of(&other), &keys).unwrap();
    assert!(matches!(Store::open(&folder.db()), Err(StoreError::OtherKeys { .. })));
    let half = fs::read(&safe).unwrap();
    fs::write(&keys, &half[..half.len() / 2]).unwrap();
    assert!(matches!(Store::open(&folder.db()), Err(StoreError::DamagedKeys { .. })));
    let wrong = Store::put_back(None, &folder.db(), &With::Keys(keys_of(&other)), &noted());
    assert!(matches!(wrong, Err(StoreError::OtherKeys { .. })));
    assert_eq!(fs::read(folder.db()).unwrap(), before, "and nothing was touched");

    let done = Store::put_back(None, &folder.db(), &With::Keys(safe.clone()), &noted()).unwrap();
    assert_eq!((done.unreadable, done.aside, done.keys_aside.is_some()), (0, None, true));
    assert_eq!(texts(&folder.reader()), ["plantedword in the lobby"]);

    fs::remove_file(&keys).unwrap();
    let done = Store::put_back(None, &folder.db(), &With::Nothing, &noted()).unwrap();
    let aside = done.aside.clone().expect("what the keys would open is kept");
    assert_eq!(done, PutBack { unreadable: 1, aside: Some(aside.clone()), keys_aside: None });
    let mut store = folder.open();
    let restored = store.restore(at(0)).unwrap();
    assert_eq!((restored.kept.len(), restored.sightings.len(), restored.incidents.len()), (0, 0, 1));
    assert_eq!((restored.incidents[0].why.as_str(), restored.incidents[0].sample.len()), ("no longer kept", 0));
    // The page goes out all the same.
    assert_eq!(ids(&lease(&mut store, "pager", 5)), ["d"]);
    assert!(matches!(folder.reader().verify_audit(None).unwrap(), AuditVerdict::Sound { .. }));
    store.commit(&[planted()]).unwrap();
    assert_eq!(texts(&folder.reader()), ["plantedword in the lobby"]);
    store.close().unwrap();

    // Somebody finds them after all.
    let done = Store::put_back(Some(&aside), &folder.db(), &With::Keys(safe), &noted()).unwrap();
    assert_eq!((done.unreadable, done.keys_aside.is_some()), (0, true));
    assert_eq!(texts(&folder.reader()), ["plantedword in the lobby"]);
}

#[test]
fn a_start_or_a_change_of_keys_that_was_broken_off_is_gone_on_with() {
    let folder = Folder::new();
    // Keys were made, and the database was not.
    folder.open().close().unwrap();
    let keys = fs::read_to_string(keys_of(&folder)).unwrap();
    fs::remove_file(folder.db()).unwrap();
    // A file of keys was begun.
    fs::write(folder.db().with_file_name("stormbell.db.keys.new"), "stormbell ke").unwrap();
    let mut store = folder.open();
    assert_eq!(fs::read_to_string(keys_of(&folder)).unwrap(), keys);
    store.commit(&[Commit { posts: vec![dated("p", 1, "first")], ..Commit::default() }]).unwrap();
    store.close().unwrap();
    assert_eq!(texts(&folder.reader()), ["first"]);
    // Text was removed, and its key not yet destroyed.
    let before = fs::read_to_string(keys_of(&folder)).unwrap();
    let mut store = folder.open();
    store.forget(at(9 * DAY)).unwrap();
    store.close().unwrap();
    fs::write(keys_of(&folder), before).unwrap();
    let mut store = folder.open();
    store.forget(at(9 * DAY)).unwrap();
    assert_eq!(days(&keys_of(&folder)), 0);
}

const CHILD: &str = "STORMBELL_TEST_SEALED";

/// Not a test of its own: the process that the next one kills. Each commit is of another day, and makes a key; of each only
/// the last five days are kept, and a key is destroyed.
#[test]
fn child_that_changes_keys_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let mut store = Store::open(Path::new(&path)).unwrap();
    let last = store.restore(at(0)).unwrap().cursors.values().next().map_or(0, |cursor| cursor.0);
    for number in last + 1.. {
        let posts = vec![dated(&format!("p{number}"), number, "text")];
        store.commit(&[Commit { posts, ..numbered(number) }]).unwrap();
        store.forget(at((number - 5) * DAY)).unwrap();
        println!("\ncommitted {number}");
    }
}

#[test]
fn what_is_kept_can_be_read_after_kill_9_at_any_moment() {
    let folder = Folder::new();
    let mut reached = 0;
    for round in 0..20u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["sealed::child_that_changes_keys_until_it_is_killed", "--exact", "--nocapture"])
            .env(CHILD, folder.db())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let committed = lines.map_while(Result::ok).filter(|line| line.starts_with("committed "));
        let wanted = usize::try_from(1 + (round * 7919) % 13).unwrap();
        assert_eq!(committed.take(wanted).count(), wanted, "the child lives until it is killed");
        child.kill().unwrap();
        child.wait().unwrap();

        let store = folder.open();
        let cursor = store.restore(at(0)).unwrap().cursors.values().next().unwrap().0;
        assert!(cursor > reached, "round {round}");
        reached = cursor;
        let kept = folder.reader().kept_posts(None, 100).unwrap();
        let expected = usize::try_from(cursor.min(6)).unwrap();
        assert!(kept.len() >= expected, "round {round}: {} of {expected} can be read", kept.len());
        assert!(days(&keys_of(&folder)) <= kept.len() + 2, "what is gone has no key");
    }
}

#[test]
fn a_reader_that_is_open_for_long_reads_what_comes_under_new_keys() {
    let folder = Folder::new();
    let mut store = folder.open();
    store.commit(&[Commit { posts: vec![dated("a", 1, "first")], ..Commit::default() }]).unwrap();
    let reader = folder.reader();
    assert_eq!(texts(&reader), ["first"]);
    store.commit(&[Commit { posts: vec![dated("b", 2, "second")], ..Commit::default() }]).unwrap();
    assert_eq!(texts(&reader), ["first", "second"]);
    store.forget(at(2 * DAY)).unwrap();
    store.commit(&[Commit { posts: vec![dated("c", 3, "third")], ..Commit::default() }]).unwrap();
    assert_eq!(texts(&reader), ["second", "third"]);
}
