//! What whoever looks on is shown of an incident: how it grew, what is said in it, what the audit log has.

use std::time::Duration;

use stormbell::domain::commit::Commit;
use stormbell::domain::condition::Seen;
use stormbell::domain::incident::{Incident, IncidentState, Sighting, TimelineEntry};
use stormbell::domain::lane::Sight;
use stormbell::domain::seek::Seek;
use stormbell::domain::story::{Story, Telling};
use stormbell::store::{AuditVerdict, StoryRow};

use super::support::{Folder, at, incident, note, post, sighting};

fn seen(id: &str, author: &str, seconds: i64, incident: &str) -> Sighting {
    let seen = Seen::new(at(seconds), id.into(), author.into(), Story::begun_by(&id.into()));
    Sighting { seen, ..sighting(id, seconds, Some(incident)) }
}

fn told(id: &str, story: u64, seconds: i64) -> Telling {
    let (author, story) = ("a".into(), Story(story));
    Telling { post: id.into(), author, at: at(seconds), story, original: None, words: None }
}

#[test]
fn an_incident_grows_in_stretches_of_its_length() {
    let folder = Folder::new();
    let mut store = folder.open();
    let of = |id: &str| incident(id, IncidentState::Open, &[]);
    let merged = incident("both", IncidentState::Open, &[]);
    let merged = Incident { merged: ["one".into()].into(), ..merged };
    let sightings = vec![
        seen("p1", "ann", 1000, "one"),
        seen("p2", "ann", 1004, "one"),
        // Another rule takes the same post: it is one post.
        Sighting { rule: "other".into(), ..seen("p2", "ann", 1004, "one") },
        seen("p3", "bob", 1065, "one"),
        // The same on another network.
        Sighting { copy_of: Some("p3".into()), ..seen("copy", "bob", 1066, "one") },
        seen("p4", "bob", 9000, "both"),
    ];
    store
        .commit(&[Commit { incidents: vec![of("one"), merged, of("empty")], sightings, ..Commit::default() }])
        .unwrap();
    let reader = folder.reader();
    let one = reader.growth(&"one".into()).unwrap();
    assert_eq!((one.every, one.moments.len()), (Duration::from_secs(10), 12), "with nothing before it");
    assert_eq!(one.from, at(950));
    let came: Vec<(usize, (u64, u64))> =
        one.moments.iter().copied().enumerate().filter(|(_, moment)| *moment != (0, 0)).collect();
    assert_eq!(came, [(5, (2, 1)), (11, (1, 1))]);
    let both = reader.growth(&"both".into()).unwrap();
    assert_eq!(both.every, Duration::from_mins(5), "two hours and more");
    assert_eq!(both.moments.iter().map(|(posts, _)| posts).sum::<u64>(), 4, "what was merged into it counts");
    assert!(reader.growth(&"empty".into()).unwrap().moments.is_empty());
    assert!(reader.growth(&"unknown".into()).unwrap().moments.is_empty());
}

#[test]
fn an_incident_of_years_still_fits_into_a_picture() {
    let folder = Folder::new();
    let year = 365 * 86_400;
    let sightings = vec![seen("p1", "ann", 0, "one"), seen("p2", "bob", 3 * year, "one")];
    let incidents = vec![incident("one", IncidentState::Open, &[])];
    folder.open().commit(&[Commit { incidents, sightings, ..Commit::default() }]).unwrap();
    let growth = folder.reader().growth(&"one".into()).unwrap();
    assert!(growth.moments.len() <= 61, "{}", growth.moments.len());
    assert_eq!(growth.moments.iter().map(|(posts, _)| posts).sum::<u64>(), 2);
}

#[test]
fn what_most_say_comes_first_with_words_that_still_exist() {
    let folder = Folder::new();
    let mut store = folder.open();
    let sightings = vec![
        seen("a1", "ann", 100, "i"),
        seen("b1", "bob", 101, "i"),
        seen("b2", "carl", 102, "i"),
        seen("b3", "carl", 103, "i"),
        seen("c1", "dora", 99, "i"),
    ];
    let tellings = vec![told("a1", 1, 100), told("b1", 2, 101), told("b2", 2, 102), told("b3", 2, 103)];
    // The first of the second story was taken back; the last post was never kept.
    let posts = vec![post("a1", "ann", "a fire"), post("b2", "carl", "smoke"), post("b3", "carl", "smoke!")];
    let incidents = vec![incident("i", IncidentState::Open, &[])];
    store.commit(&[Commit { posts: posts.clone(), tellings, sightings, incidents, ..Commit::default() }]).unwrap();
    let stories = folder.reader().stories(&"i".into(), Sight::Whole).unwrap();
    let row =
        |post: Option<&_>, posts, authors, first| StoryRow { post: post.cloned(), posts, authors, first: at(first) };
    assert_eq!(stories, [row(posts.get(1), 3, 2, 101), row(None, 1, 1, 99), row(posts.first(), 1, 1, 100)]);
}

#[test]
fn whatever_happens_to_an_incident_is_in_the_audit_log_too() {
    let folder = Folder::new();
    let mut store = folder.open();
    let timeline = vec![note("i", 5), note("j", 6)];
    store.commit(&[Commit { timeline, ..Commit::default() }]).unwrap();
    drop(store);
    let mut store = folder.open();
    store.commit(&[Commit { timeline: vec![note("i", 7)], ..Commit::default() }]).unwrap();
    let reader = folder.reader();
    let kept = reader.audit(None, 9).unwrap();
    let about: Vec<&str> = kept.iter().map(|one| one.entry.about.as_str()).collect();
    assert_eq!(about, ["i", "j", "i"]);
    assert!(kept.iter().all(|one| one.entry.what == "incident.note" && one.entry.by == "ann"));
    assert!(matches!(reader.verify_audit(None).unwrap(), AuditVerdict::Sound { entries: 3, .. }));
}

#[test]
fn incidents_are_found_by_what_people_wrote_about_them() {
    let folder = Folder::new();
    let mut store = folder.open();
    let of = |id: &str, topic: &str| {
        let open = incident(id, IncidentState::Open, &[]);
        Incident { topic: topic.into(), rules: [].into(), ..open }
    };
    let wrote = |id: &str, what: &'static str, text: &str| TimelineEntry {
        incident: id.into(),
        at: at(200),
        what,
        by: "ann".to_owned(),
        text: text.to_owned(),
    };
    let incidents = vec![of("i1", "fire"), of("i2", "fire"), of("i3", "duty-of-care")];
    let timeline = vec![
        wrote("i1", "note", "called the Präfektur"),
        wrote("i1", "note", "they send two engines"),
        wrote("i2", "muted", "by the silence of the Präfektur"),
        wrote("i3", "note", "the Präfektur knows"),
    ];
    store.commit(&[Commit { incidents, timeline, ..Commit::default() }]).unwrap();
    let reader = folder.reader();
    let ids = |words: &str, sight| -> Vec<String> {
        let seek = Seek { words: words.to_owned(), ..Seek::default() };
        let found = reader.search_incidents(&seek, sight, 9).unwrap();
        found.iter().map(|incident| incident.id.to_string()).collect()
    };
    assert_eq!(ids("prafektur engines", Sight::Veiled), ["i1"], "in both notes");
    assert_eq!(ids("prafektur", Sight::Veiled), ["i1"], "what the program writes is no note");
    assert_eq!(ids("prafektur", Sight::Whole), ["i1", "i3"], "of the lane for those who may");
    assert_eq!(ids("", Sight::Veiled), ["i1", "i2"]);
}
