//! Erasure and retention: text must be gone from the files.

use std::collections::HashSet;

use stormbell::domain::commit::{Commit, Erasure};
use stormbell::domain::id::PostId;
use stormbell::domain::incident::IncidentState;
use stormbell::domain::key::Key;
use stormbell::domain::lane::Sight;
use stormbell::domain::message::Attempt;
use stormbell::store::OutboxState;

use crate::support::*;

#[test]
fn what_an_author_takes_back_is_gone_from_the_files_and_stays_gone() {
    let folder = Folder::new();
    let mut store = folder.open();
    let long = format!("{} overheard-in-the-long-tail", "x".repeat(20_000)); // lies in overflow pages
    let posts = vec![
        post("p1", "ann", "overheard-at-the-door"),
        post("p2", "bob", &long),
        post("p3", "bob", "overheard-too"),
        post("p4", "eve", "stays"),
        post("p5", "eve", "overheard-before-the-edit"),
    ];
    store
        .commit(&[Commit {
            posts: posts.clone(),
            incidents: vec![incident("i", IncidentState::Open, &["p4", "p1"])],
            outbox: vec![delivery("d", "pager", incident("i", IncidentState::Open, &["p4", "p1"]), 1)],
            ..Commit::default()
        }])
        .unwrap();
    let before = folder.sealed();
    assert!(
        folder.keeps("overheard-at-the-door") && before.iter().all(|sealed| folder.contains(sealed.get(..60).unwrap()))
    );

    let erased = vec![Erasure::Post("p1".into()), Erasure::Author("bob".into()), Erasure::Post("unknown".into())];
    store.commit(&[Commit { erased, posts: vec![post("p5", "eve", "edited")], ..Commit::default() }]).unwrap();
    // After a crash the stream may be read again from before the deletion.
    store.commit(&[Commit { posts: posts[..4].to_vec(), ..Commit::default() }]).unwrap();
    store.scrub().unwrap();
    assert!(!folder.keeps("overheard") && folder.left_of(&before).is_empty());
    assert!(folder.keeps("stays") && folder.keeps("edited"));
    let kept = store.restore(at(0)).unwrap().kept;
    assert_eq!(kept, [("p4".into(), "eve".into()), ("p5".into(), "eve".into())], "of these the engine must know");
    let sample: Vec<_> = lease(&mut store, "pager", 5)[0].sample.iter().map(|post| post.id.clone()).collect();
    assert_eq!(sample, [PostId::from("p4")], "a message shows only what still exists");

    let sql = rusqlite::Connection::open(folder.db()).unwrap();
    let hashes: i64 = sql.query_row("SELECT count(*) FROM post WHERE length(hash) = 32", (), |row| row.get(0)).unwrap();
    assert_eq!(hashes, 3, "evidence keeps a hash");
}

#[test]
fn an_older_version_that_comes_late_replaces_nothing() {
    let folder = Folder::new();
    let mut store = folder.open();
    let version = |text: &str, seconds: i64| {
        let post = stormbell::domain::post::Post { event_time: at(seconds), ..post("p", "ann", text) };
        Commit { posts: vec![post], ..Commit::default() }
    };
    let opened = Commit {
        incidents: vec![incident("i", IncidentState::Open, &["p"])],
        outbox: vec![delivery("d", "pager", incident("i", IncidentState::Open, &["p"]), 1)],
        ..Commit::default()
    };
    store
        .commit(&[version("first words", 100), version("last words", 300), version("words between", 200), opened])
        .unwrap();
    let before = folder.sealed();
    // Of two versions of one moment the one that came last is the newer.
    store.commit(&[version("very last words", 300), version("words between", 200)]).unwrap();
    store.scrub().unwrap();
    let sample: Vec<_> = lease(&mut store, "pager", 5)[0].sample.iter().map(|post| post.text.clone()).collect();
    assert_eq!(sample, ["very last words"]);
    assert_eq!((folder.left_of(&before), folder.sealed() != before), (vec![], true));
}

#[test]
fn after_the_retention_time_texts_are_gone_and_incidents_remain() {
    let folder = Folder::new();
    let mut store = folder.open();
    let author = |n| if n == 7 { "bob" } else { "a" };
    let posts = (0..1200).map(|n| post(&format!("p{n}"), author(n), "an-old-text")).collect();
    let seen = (0..1200).map(|n| sighting(&format!("p{n}"), 100, None));
    let mut young = post("young", "a", "a-young-text");
    young.event_time = at(1000);
    store
        .commit(&[
            Commit { posts, ..Commit::default() },
            Commit {
                posts: vec![young],
                sightings: seen.chain([sighting("young", 1000, None)]).collect(),
                alerts: vec![alert(Some("p1"), "over"), alert(Some("p2"), "open")],
                incidents: vec![
                    incident("over", IncidentState::Resolved, &[]),
                    incident("open", IncidentState::Open, &[]),
                ],
                timeline: vec![note("over", 100), note("open", 100)],
                outbox: ["done", "parked", "told", "waiting"]
                    .map(|id| delivery(id, id, incident("over", IncidentState::Resolved, &[]), 1))
                    .to_vec(),
                gaps: vec![gap(1, Some(2)), gap(3, None)],
                ..Commit::default()
            },
        ])
        .unwrap();
    store.finish(&"done".into(), &Attempt::Delivered, at(100)).unwrap();
    for id in ["parked", "told"] {
        store.finish(&id.into(), &Attempt::Parked { error: "404".to_owned() }, at(100)).unwrap();
    }
    store.commit(&[Commit { told: vec!["told".into()], ..Commit::default() }]).unwrap();

    let before = folder.sealed();
    let mut rounds = vec![store.forget(at(500)).unwrap()];
    while rounds.last().unwrap().more {
        rounds.push(store.forget(at(500)).unwrap());
    }
    // Other rows go by portions, too, once the texts are gone.
    assert_eq!(rounds.iter().map(|round| round.posts).collect::<Vec<_>>(), [500, 500, 200, 0, 0]);
    let gone: HashSet<Key> = rounds.into_iter().flat_map(|round| round.gone).collect();
    let names = (0..1200).map(|n| format!("p{n}")).chain(["bob".to_owned()]);
    assert_eq!(gone, names.map(|name| Key::of(&*name)).collect(), "of one author there is something left");
    store.scrub().unwrap();
    assert!(!folder.keeps("an-old-text") && folder.keeps("a-young-text") && folder.left_of(&before).is_empty());
    assert_eq!(store.restore(at(0)).unwrap().sightings, [sighting("young", 1000, None)]);
    let reader = folder.reader();
    let over = reader.incident(&"over".into(), Sight::Whole).unwrap().unwrap();
    assert_eq!((over.alerts.len(), over.timeline.len()), (0, 0));
    let open = reader.incident(&"open".into(), Sight::Whole).unwrap().unwrap();
    assert_eq!((open.alerts.len(), open.timeline.len()), (1, 1), "what is alive is kept whole");
    let left: Vec<_> = reader.outbox().unwrap().into_iter().map(|row| (row.receiver.to_string(), row.state)).collect();
    assert_eq!(left, [("parked".to_owned(), OutboxState::Parked), ("waiting".to_owned(), OutboxState::Pending)]);
    assert_eq!(reader.sources(at(0)).unwrap()[0].gaps, [gap(3, None)]);
}
