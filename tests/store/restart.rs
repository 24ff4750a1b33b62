//! What survives a restart, and what readers see of it.

use stormbell::domain::cap::Quota;
use stormbell::domain::commit::{Carried, Commit, Erasure, Progress, VolumeState};
use stormbell::domain::condition::Seen;
use stormbell::domain::event::{Cursor, Ledger, Rejected};
use stormbell::domain::incident::{Alert, Gap, Incident, IncidentState, Severity, Sighting, Signature};
use stormbell::domain::lane::Sight;
use stormbell::domain::post::{Original, Post};
use stormbell::domain::story::Story;

use crate::support::*;

#[test]
fn after_a_restart_the_engine_finds_what_it_had() {
    let folder = Folder::new();
    let mut ledger = Ledger { frames: 3, posts: 1, other: 1, ..Ledger::default() };
    ledger.reject(Rejected::NotJson);
    let progress =
        |cursor| [("bluesky".into(), Progress { cursor, bookmark: Some("s72594_4483".into()), ledger })].into();
    let quota = |sent: u32| {
        let mut quota = Quota { sent, ..Quota::new(if sent == 3 { "sms" } else { "chat" }.into(), at(7)) };
        quota.hold("chat".into(), &"open".into(), true);
        quota
    };
    let open = incident("open", IncidentState::Open, &["p1"]);
    let resolved = Some(Signature { by: "ann".to_owned(), at: at(30) });
    let over = Incident { resolved, ..incident("over", IncidentState::Resolved, &[]) };
    let mut store = folder.open();
    store
        .commit(&[
            Commit {
                tellings: vec![telling("p2", Some(&[3, 5])), telling("p1", None), telling("p3", Some(&[7]))],
                sightings: vec![sighting("p2", 100, None), sighting("p1", 99, None), sighting("old", 10, None)],
                posts: vec![post("p3", "a", "text")],
                incidents: vec![incident("open", IncidentState::Open, &[]), open.clone(), over.clone()],
                gaps: vec![gap(10, None), gap(50, None)],
                progress: progress(Some(Cursor(70))),
                ..Commit::default()
            },
            Commit {
                tellings: vec![telling("p2", None)],
                erased: vec![Erasure::Post("p3".into())],
                sightings: vec![sighting("p1", 99, Some("open"))],
                gaps: vec![gap(10, Some(20))],
                progress: progress(Some(Cursor(60))),
                ..Commit::default()
            },
            Commit { progress: progress(None), quotas: [("chat".into(), quota(1))].into(), ..Commit::default() },
            Commit { quotas: [("chat".into(), quota(2)), ("sms".into(), quota(3))].into(), ..Commit::default() },
        ])
        .unwrap();
    store.close().unwrap();

    let restored = folder.open().restore(at(50)).unwrap();
    let of_a_story = |sighting: Sighting| {
        let (post, author) = (sighting.seen.post.clone(), sighting.seen.author.clone());
        Sighting { seen: Seen::new(sighting.seen.at, post, author, Story(u64::MAX)), ..sighting }
    };
    let sightings = [sighting("p2", 100, None), sighting("p1", 99, Some("open"))].map(of_a_story);
    assert_eq!(restored.sightings, sightings);
    let tellings = [telling("p2", Some(&[3, 5])), telling("p1", None), telling("p3", Some(&[]))];
    assert_eq!(restored.tellings, tellings, "once each, in their order, without the words of what was taken back");
    assert!(restored.kept.is_empty(), "its author took the only text back");
    assert_eq!(restored.incidents, [open]);
    let mut sms = quota(3);
    sms.held = [("sms".into(), sms.held.into_values().next().unwrap())].into();
    assert_eq!(restored.quotas, [quota(2), sms]);
    assert_eq!(restored.open_gaps, [gap(50, None)]);
    assert_eq!(restored.cursors, [("bluesky".into(), Cursor(70))].into(), "a cursor never goes back");
    let ended = |seconds| folder.open().ended_since(at(seconds)).unwrap();
    assert_eq!(ended(30), [over]);
    assert_eq!(ended(31), []);
    let sources = folder.reader().sources(at(0)).unwrap();
    assert_eq!(sources.len(), 1);
    assert_eq!(
        sources[0].ledger,
        Ledger { frames: 9, posts: 3, other: 3, rejected: ledger.rejected.map(|n| n * 3), ..ledger }
    );
    assert_eq!(sources[0].gaps, [gap(10, Some(20)), gap(50, None)]);
}

#[test]
fn an_alert_derived_again_after_a_crash_is_one_alert() {
    let folder = Folder::new();
    let mut store = folder.open();
    let commit = Commit {
        alerts: vec![alert(Some("p1"), "i"), alert(None, "i")],
        incidents: vec![incident("i", IncidentState::Open, &[])],
        ..Commit::default()
    };
    store.commit(&[commit.clone(), commit]).unwrap();
    let record = folder.reader().incident(&"i".into(), Sight::Whole).unwrap().unwrap();
    assert_eq!(record.alerts.len(), 2, "{:?}", record.alerts);
}

#[test]
fn readers_see_an_incident_with_all_that_belongs_to_it() {
    let folder = Folder::new();
    let mut store = folder.open();
    let shown = incident("i", IncidentState::Open, &["p1"]);
    store
        .commit(&[Commit {
            posts: vec![post("p1", "a", "one"), post("p2", "b", "two"), post("p3", "c", "three")],
            sightings: vec![sighting("p1", 90, Some("i")), sighting("p2", 95, Some("i")), sighting("p3", 99, None)],
            alerts: vec![alert(Some("p2"), "i")],
            incidents: vec![shown.clone(), incident("over", IncidentState::Resolved, &[])],
            timeline: vec![note("i", 1), note("i", 2), note("over", 3)],
            ..Commit::default()
        }])
        .unwrap();
    let reader = folder.reader();
    let record = reader.incident(&"i".into(), Sight::Whole).unwrap().unwrap();
    assert_eq!(record.incident, shown);
    assert_eq!(record.posts.iter().map(|post| post.text.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(record.timeline.iter().map(|row| row.at).collect::<Vec<_>>(), [at(1), at(2)]);
    assert_eq!((record.alerts[0].condition.as_str(), record.alerts[0].severity), ("count", Severity::High));
    assert_eq!(reader.incident(&"none".into(), Sight::Whole).unwrap(), None);
    assert_eq!(reader.incidents(Some(IncidentState::Open), None, 10).unwrap(), [shown]);
    assert_eq!(reader.incidents(None, None, 10).unwrap().len(), 2);
    assert_eq!(reader.incidents(None, None, 1).unwrap().len(), 1);
}

#[test]
fn incidents_can_be_read_part_by_part_also_those_that_began_at_one_instant() {
    let folder = Folder::new();
    let mut store = folder.open();
    let state = |number| if number % 3 == 0 { IncidentState::Open } else { IncidentState::Resolved };
    let opened = |number: i32| Incident {
        opened_at: at(i64::from(number / 4)),
        ..incident(&format!("i{number}"), state(number), &[])
    };
    store.commit(&[Commit { incidents: (0..30).map(opened).collect(), ..Commit::default() }]).unwrap();
    let reader = folder.reader();
    for of in [None, Some(IncidentState::Open)] {
        let whole = reader.incidents(of, None, 100).unwrap();
        assert_eq!(whole.len(), if of.is_none() { 30 } else { 10 });
        for limit in 1..8 {
            let mut read = Vec::<Incident>::new();
            loop {
                let before = read.last().map(|last| (last.opened_at, last.id.clone()));
                let part = reader.incidents(of, before, limit).unwrap();
                let ended = part.len() < limit;
                read.extend(part);
                if ended {
                    break;
                }
            }
            assert_eq!(read, whole, "{limit} at a time");
        }
    }
}

#[test]
fn a_post_that_makes_two_keys_fire_leaves_two_alerts_however_often_it_is_read() {
    let folder = Folder::new();
    let mut store = folder.open();
    let of = |key: &str| Alert { key: Some(key.to_owned()), ..alert(Some("p"), "i") };
    let commit = Commit {
        alerts: vec![of("a.example"), of("b.example"), alert(Some("p"), "i")],
        incidents: vec![incident("i", IncidentState::Open, &[])],
        ..Commit::default()
    };
    store.commit(&[commit.clone(), commit]).unwrap();
    let alerts = folder.reader().incident(&"i".into(), Sight::Whole).unwrap().unwrap().alerts;
    let keys: Vec<_> = alerts.iter().map(|alert| alert.key.as_deref()).collect();
    assert_eq!(keys, [Some("a.example"), Some("b.example"), None]);
}

#[test]
fn what_is_usual_and_what_was_lost_are_found_again() {
    let folder = Folder::new();
    let volume =
        |state: &[u8]| VolumeState { rule: "r".into(), meaning: "m".to_owned(), at: at(5), state: state.to_vec() };
    let recovered = Gap { recovered: true, ..gap(30, Some(40)) };
    let mut store = folder.open();
    let commit = |state| Commit {
        volumes: [volume(state)].map(|volume| (volume.rule.clone(), volume)).into(),
        gaps: vec![gap(10, Some(20)), recovered.clone(), gap(50, None)],
        ..Commit::default()
    };
    store.commit(&[commit(b"old"), commit(b"new")]).unwrap();
    store.close().unwrap();
    let restored = folder.open().restore(at(0)).unwrap();
    assert_eq!(restored.volumes, [volume(b"new")]);
    assert_eq!(restored.lost_gaps, [gap(10, Some(20))]);
}

#[test]
fn a_copy_is_of_the_incident_of_what_it_is_a_copy_of_and_is_known_again() {
    let folder = Folder::new();
    let mut store = folder.open();
    let copy = |post: &str, of: &str| Sighting { copy_of: Some(of.into()), ..sighting(post, 101, None) };
    let original = Original { post: "at://1".into(), author: Some("did:1".into()) };
    let carried = Post { copy_of: Some(original.clone()), url: None, ..post("https://b.example/1", "b", "text") };
    let toot = Post { url: Some("https://s.example/@a/1".to_owned()), ..post("https://s.example/1", "a", "text") };
    store
        .commit(&[
            Commit {
                posts: vec![carried, toot, post("at://2", "c", "text")],
                sightings: vec![
                    sighting("https://s.example/1", 99, None),
                    sighting("https://b.example/1", 100, None),
                    copy("at://2", "https://s.example/1"),
                    Sighting { rule: "other".into(), ..copy("at://2", "https://s.example/1") },
                ],
                ..Commit::default()
            },
            Commit { sightings: vec![sighting("https://s.example/1", 99, Some("i"))], ..Commit::default() },
            Commit { sightings: vec![copy("at://3", "https://s.example/1")], ..Commit::default() },
        ])
        .unwrap();
    let restored = store.restore(at(50)).unwrap();
    let incident_of = |post: &str, rule: &str| {
        let found = restored.sightings.iter().find(|one| one.seen.post.as_str() == post && one.rule.as_str() == rule);
        found.unwrap().incident.as_ref().map(ToString::to_string)
    };
    assert_eq!(incident_of("at://2", "r").as_deref(), Some("i"), "it came before the incident");
    assert_eq!(incident_of("at://3", "r").as_deref(), Some("i"), "and after it");
    assert_eq!(incident_of("at://2", "other"), None, "that rule has none");
    let page = Some("https://s.example/@a/1".to_owned());
    assert_eq!(
        restored.carried,
        [
            Carried { post: "https://s.example/1".into(), url: page, copy_of: None },
            Carried { post: "https://b.example/1".into(), url: None, copy_of: Some(original) },
        ]
    );
}
