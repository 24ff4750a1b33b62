//! What is erased by order, held for the law, and kept for as long as its topic says.

use std::sync::Arc;
use std::time::Duration;

use stormbell::domain::commit::{Commit, Erasure};
use stormbell::domain::erasure::{Hold, NotErased, Order};
use stormbell::domain::incident::{Alert, Incident, IncidentState, Sighting, TimelineEntry};
use stormbell::domain::key::Key;
use stormbell::domain::lane::Sight;
use stormbell::domain::message::Attempt;
use stormbell::domain::post::Post;
use stormbell::domain::route::Glob;
use stormbell::domain::terms::Notable;
use stormbell::domain::time::{Clock, Timestamp};
use stormbell::store::{self, AuditVerdict, Receipt, Retention, StoreHandle};
use stormbell::telemetry::metrics::Metrics;

use crate::support::*;

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        at(1000)
    }
}

/// Of ann nothing stands under these.
const NAMES: [&str; 3] = ["ann.example", "ann[.]example", JOURNALIST];

/// Whether anything that is kept and shown says it.
fn says(folder: &Folder, text: &str) -> bool {
    let reader = folder.reader();
    let incidents = reader.incidents(None, None, usize::MAX).unwrap();
    let whole = incidents.iter().map(|incident| reader.incident(&incident.id, Sight::Whole).unwrap());
    let all = format!("{:?} {:?}", whole.collect::<Vec<_>>(), reader.audit(None, 100).unwrap());
    folder.keeps(text) || all.contains(text)
}

fn writer(folder: &Folder) -> StoreHandle {
    let (handle, requests) = store::channel(Arc::new(Still), Arc::new(Metrics::default()));
    let store = folder.open();
    // It ends with its handle; what it has to say, whoever asks hears.
    drop(tokio::task::spawn_blocking(move || store::run(store, requests)));
    handle
}

fn order(what: Erasure) -> Order {
    Order { what, by: "dora".to_owned(), reason: "her request".to_owned(), at: at(900) }
}

fn hold(incident: &str) -> Hold {
    let (approved_by, reason, by) = ("Dr. Roe".to_owned(), "law suit".to_owned(), "dora".to_owned());
    Hold { incident: incident.into(), approved_by, reason, by, at: at(500) }
}

fn known(id: &str, author: &str, text: &str) -> Post {
    let mut post = post(id, author, text);
    post.author.handle = Some(format!("{author}.example"));
    post
}

fn of_rule(rule: &str, post: &str, seconds: i64, incident: Option<&str>) -> Sighting {
    Sighting { rule: rule.into(), ..sighting(post, seconds, incident) }
}

fn sound(folder: &Folder) -> u64 {
    match folder.reader().verify_audit(None).unwrap() {
        AuditVerdict::Sound { entries, .. } => entries,
        broken @ AuditVerdict::Broken { .. } => panic!("{broken:?}"),
    }
}

/// As the engine writes it.
const JOURNALIST: &str = "the journalist @Ann.example";

fn notable(author: &str, what: &str) -> Notable {
    Notable { author: Key::of(author), what: what.to_owned() }
}

/// Two posts by ann, one of which was told; an alert counted her, and she is a journalist.
fn told_of_ann(folder: &Folder) -> StoreHandle {
    let why = "3 posts within 10 min on ‘ann[.]example’ (at least 3)".to_owned();
    let mut counted = Incident { why: why.clone(), ..incident("i", IncidentState::Open, &["p1", "p3"]) };
    counted.notable = vec![notable("ann", JOURNALIST), notable("bob", "the journalist @bob.example")];
    counted.told.notable = 2;
    // It went on as another, which took its reason over.
    let after =
        Incident { merged: ["i".into()].into(), why: why.clone(), ..incident("after", IncidentState::Open, &[]) };
    // In another one nothing was counted by her.
    let spread = Incident { notable: vec![notable("ann", JOURNALIST)], ..incident("j", IncidentState::Open, &[]) };
    let joined = TimelineEntry { text: format!("{JOURNALIST} speaks of it"), ..note("j", 100) };
    let mut store = folder.open();
    store
        .commit(&[Commit {
            posts: vec![
                known("p1", "ann", "overheard-at-the-door"),
                known("p2", "ann", &format!("{} overheard-in-the-tail", "x".repeat(20_000))),
                known("p3", "bob", "stays"),
            ],
            tellings: vec![telling("p1", Some(&[1, 2])), telling("p3", Some(&[3]))],
            sightings: vec![sighting("p1", 100, Some("i")), sighting("p3", 100, Some("i"))],
            alerts: vec![Alert { key: Some("ann".to_owned()), why: why.clone(), ..alert(Some("p1"), "i") }],
            timeline: vec![TimelineEntry { text: why, ..note("i", 100) }, joined],
            outbox: vec![delivery("waits", "pager", counted.clone(), 1), delivery("told", "mail", counted.clone(), 1)],
            incidents: vec![counted, after, spread],
            ..Commit::default()
        }])
        .unwrap();
    store.finish(&"told".into(), &Attempt::Delivered, at(200)).unwrap();
    store.close().unwrap();
    assert!(folder.keeps("overheard") && NAMES.iter().all(|name| says(folder, name)));
    writer(folder)
}

#[tokio::test]
async fn an_author_is_erased_with_a_receipt_and_comes_back_with_new_posts_only() {
    let folder = Folder::new();
    let handle = told_of_ann(&folder);
    let reader = folder.reader();
    let bluesky = "bluesky".into();
    assert_eq!(reader.authors_of("@Ann.Example", &bluesky).unwrap(), ["ann".into()]);
    assert_eq!(reader.authors_of("ann", &bluesky).unwrap(), ["ann".into()]);
    for (name, source) in [("@ann", "bluesky"), ("ann.example", "bluesky"), ("ann", "elsewhere"), ("%", "bluesky")] {
        assert_eq!(reader.authors_of(name, &source.into()).unwrap(), [], "{name} {source}");
    }
    drop(reader);

    let (before, sealed) = (sound(&folder), folder.sealed());
    let receipt = handle.erase(order(Erasure::Author("ann".into()))).await.unwrap().unwrap();
    let Receipt { subject, posts, rows, told, entry, hash } = &receipt;
    assert_eq!((subject.len(), posts.len()), (64, 2));
    let changed = |table: &str| rows.iter().filter(|(name, _)| *name == table).map(|(_, rows)| rows).sum::<usize>();
    // Of the outbox the message that waits lost a post, and both lost the name.
    let counts = ["post", "telling", "alert", "timeline", "incident", "outbox", "audit"].map(changed);
    assert_eq!(counts, [2, 1, 1, 2, 3, 3, 2]);
    assert_eq!(told, &["mail".into()]);
    assert_eq!((*entry, sound(&folder)), (i64::try_from(before).unwrap() + 1, before + 1));
    assert_eq!(folder.reader().audit_head().unwrap(), Some((*entry, *hash)));
    let kept = folder.reader().audit(None, 1).unwrap().remove(0).entry;
    assert_eq!((kept.by.as_str(), kept.what.as_str(), &kept.about), ("dora", "author.erased", subject));
    assert!(kept.text.starts_with("her request (post 2, telling 1, "), "{}", kept.text);

    let again = handle.erase(order(Erasure::Author("ann".into()))).await.unwrap().unwrap();
    assert_eq!((again.posts.len(), again.rows.iter().map(|(_, rows)| rows).sum::<usize>()), (0, 0));
    // After a crash the stream is read again; and she writes on.
    let news = vec![known("p1", "ann", "overheard-at-the-door"), post("p4", "ann", "new-words")];
    handle.commit(Commit { posts: news, ..Commit::default() }).await.unwrap();
    handle.close().await.unwrap();
    assert!(!folder.keeps("overheard") && folder.left_of(&sealed).is_empty());
    assert_eq!(NAMES.iter().find(|name| says(&folder, name)), None);
    assert!(folder.keeps("stays") && says(&folder, "the journalist @bob.example") && folder.keeps("new-words"));
    let leased = lease(&mut folder.open(), "pager", 5).remove(0);
    assert_eq!(leased.delivery.message.incident.sample, ["p3".into()]);
    let Incident { why, notable: spread, told, .. } = &leased.delivery.message.incident;
    assert_eq!(why, "3 posts within 10 min on ‘[erased]’ (at least 3)");
    assert_eq!((spread.as_slice(), told.notable), (&[notable("bob", "the journalist @bob.example")][..], 1));
    let history = folder.reader().incident(&"j".into(), Sight::Whole).unwrap().unwrap().timeline;
    assert_eq!(history[0].text, "[erased] speaks of it");
}

#[tokio::test]
async fn an_author_of_whom_no_text_is_left_is_taken_out_of_what_was_said_of_the_account() {
    let folder = Folder::new();
    let handle = told_of_ann(&folder);
    let erased = ["p1", "p2"].map(|post| Erasure::Post(post.into())).to_vec();
    handle.commit(Commit { erased, ..Commit::default() }).await.unwrap();
    let reader = folder.reader();
    assert_eq!(reader.authors_of("ann", &"bluesky".into()).unwrap(), ["ann".into()]);
    assert_eq!(reader.authors_of("eve", &"bluesky".into()).unwrap(), []);
    let receipt = handle.erase(order(Erasure::Author("ann".into()))).await.unwrap().unwrap();
    assert_eq!((receipt.posts.as_slice(), receipt.told.as_slice()), (&[][..], &["mail".into()][..]));
    assert_eq!(folder.reader().authors_of("ann", &"bluesky".into()).unwrap(), []);
    assert_eq!(NAMES.iter().find(|name| says(&folder, name)), None);
}

#[tokio::test]
async fn what_was_said_of_an_account_is_evidence_as_well() {
    for held in ["i", "j", "after"] {
        let folder = Folder::new();
        let handle = told_of_ann(&folder);
        // Of what she wrote nothing was left when the hold came.
        let erased = ["p1", "p2"].map(|post| Erasure::Post(post.into())).to_vec();
        handle.commit(Commit { erased, ..Commit::default() }).await.unwrap();
        assert_eq!(handle.hold(hold(held)).await.unwrap(), Some(()));
        let author = Erasure::Author("ann".into());
        let refused = handle.erase(order(author.clone())).await.unwrap().unwrap_err();
        assert_eq!(refused, NotErased::Held { incident: held.into(), approved_by: "Dr. Roe".to_owned() });
        assert_eq!(folder.reader().hold_against(&author).unwrap(), Some(refused));
        assert!(NAMES.iter().all(|name| *name == "ann.example" || says(&folder, name)), "{held}");
    }
}

#[tokio::test]
async fn one_post_is_erased_and_the_others_of_its_author_stay() {
    let folder = Folder::new();
    let handle = told_of_ann(&folder);
    let sealed = folder.sealed();
    let receipt = handle.erase(order(Erasure::Post("p1".into()))).await.unwrap().unwrap();
    assert_eq!(receipt.posts, std::slice::from_ref(&receipt.subject));
    handle.close().await.unwrap();
    assert!(!folder.keeps("overheard-at-the-door") && folder.keeps("overheard-in-the-tail"));
    assert!(folder.left_of(&sealed).is_empty());
}

#[tokio::test]
async fn what_is_held_outlives_retention_and_erasure_and_its_authors_wish_out_of_sight() {
    let folder = Folder::new();
    let handle = told_of_ann(&folder);
    let ended = incident("i", IncidentState::Resolved, &["p1", "p3"]);
    // What was merged into it is held with it.
    let whole = Incident { merged: ["before".into()].into(), ..ended };
    let merged = incident("before", IncidentState::Resolved, &[]);
    let more = Commit {
        incidents: vec![whole, merged],
        posts: vec![known("p5", "eve", "merged-words")],
        sightings: vec![sighting("p5", 100, Some("before"))],
        ..Commit::default()
    };
    handle.commit(more).await.unwrap();
    assert_eq!(handle.hold(hold("unknown")).await.unwrap(), None);
    for _ in 0..2 {
        assert_eq!(handle.hold(hold("i")).await.unwrap(), Some(()));
    }
    assert_eq!(folder.reader().holds().unwrap(), [hold("i")]);

    let refused = handle.erase(order(Erasure::Author("ann".into()))).await.unwrap().unwrap_err();
    assert_eq!(refused, NotErased::Held { incident: "i".into(), approved_by: "Dr. Roe".to_owned() });
    assert_eq!(folder.reader().hold_against(&Erasure::Post("p5".into())).unwrap(), Some(refused));
    // Of p2 no rule took note: it is no evidence.
    assert_eq!(handle.forget(at(600)).await.unwrap().posts, 1);
    let kept = folder.reader().incident(&"i".into(), Sight::Whole).unwrap().unwrap();
    assert_eq!((kept.alerts.len(), kept.timeline.len(), kept.posts.len()), (1, 1, 3));
    let why = |folder: &Folder| folder.reader().standing(&"before".into()).unwrap().unwrap().why;
    assert_eq!(why(&folder), incident("before", IncidentState::Resolved, &[]).why);

    let edited = vec![known("p3", "bob", "edited")];
    let erased = vec![Erasure::Post("p1".into())];
    handle.commit(Commit { posts: edited, erased, ..Commit::default() }).await.unwrap();
    let shown: Vec<String> = folder
        .reader()
        .incident(&"i".into(), Sight::Whole)
        .unwrap()
        .unwrap()
        .posts
        .into_iter()
        .map(|post| post.text)
        .collect();
    assert!(!shown.contains(&"overheard-at-the-door".to_owned()) && shown.contains(&"edited".to_owned()), "{shown:?}");
    let held = handle.look_at_held("i".into(), "roe".to_owned(), Sight::Whole, at(700)).await.unwrap().unwrap();
    let held: Vec<&str> = held.iter().map(|post| post.text.as_str()).collect();
    assert_eq!(held, ["stays", "overheard-at-the-door"]);
    assert_eq!(handle.look_at_held("before".into(), "roe".to_owned(), Sight::Whole, at(700)).await.unwrap(), None);

    let sealed = folder.sealed();
    let released = handle.release("i".into(), "roe".to_owned(), "settled".to_owned(), at(800)).await.unwrap();
    assert_eq!(released, Some(hold("i")));
    assert_eq!(handle.release("i".into(), "roe".to_owned(), "settled".to_owned(), at(800)).await.unwrap(), None);
    let log = folder.reader().audit(None, 3).unwrap();
    let log: Vec<(&str, &str)> = log.iter().map(|kept| (kept.entry.what.as_str(), kept.entry.by.as_str())).collect();
    assert_eq!(log, [("hold.removed", "roe"), ("hold.read", "roe"), ("hold.added", "dora")]);
    handle.forget(at(600)).await.unwrap();
    handle.close().await.unwrap();
    for gone in ["overheard", "stays", "edited", "merged-words"] {
        assert!(!folder.keeps(gone), "{gone}");
    }
    assert!(folder.left_of(&sealed).is_empty());
    assert_eq!(why(&folder), "no longer kept");
    sound(&folder);
}

#[tokio::test]
async fn each_topic_is_kept_as_long_as_it_says_and_the_shortest_wins() {
    let folder = Folder::new();
    let mut store = folder.open();
    let old = |id: &str| post(id, "a", &format!("text-{id}-"));
    let resolved = |id: &str, topic: &str| Incident {
        topic: topic.into(),
        notable: vec![notable("a", JOURNALIST)],
        ..incident(id, IncidentState::Resolved, &[])
    };
    let alerted = |rule: &str, topic: &str, incident: &str| Alert {
        rule: rule.into(),
        topic: topic.into(),
        ..alert(None, incident)
    };
    let seen = [("care", "of-care"), ("long", "of-long"), ("gone", "of-gone"), ("usual", "of-usual")];
    let mut sightings: Vec<Sighting> = seen.iter().map(|(rule, post)| of_rule(rule, post, 100, None)).collect();
    sightings.extend(["care", "long"].map(|rule| of_rule(rule, "of-both", 100, None)));
    let posts = ["of-care", "of-long", "of-gone", "of-usual", "of-both", "of-none"].map(old).to_vec();
    let going_on = Incident { state: IncidentState::Open, ..resolved("i-open", "complaints") };
    let incidents = vec![
        resolved("i-care", "duty-of-care.x"),
        resolved("i-long", "cyber"),
        resolved("i-usual", "complaints"),
        going_on.clone(),
    ];
    let alerts = vec![
        alerted("gone", "duty-of-care.old", "i-care"),
        alerted("usual", "complaints", "i-usual"),
        alerted("long", "cyber", "i-long"),
    ];
    let timeline = ["i-care", "i-long", "i-usual"].map(|incident| note(incident, 100)).to_vec();
    store.commit(&[Commit { posts, sightings, incidents, alerts, timeline, ..Commit::default() }]).unwrap();

    let rules = [("care", "duty-of-care.x"), ("long", "cyber"), ("usual", "complaints")];
    let retention = |now: i64| Retention {
        usual: at(now) - Duration::from_mins(5),
        by_topic: vec![
            (Glob("duty-of-care*".to_owned()), at(now) - Duration::from_secs(70)),
            (Glob("duty*".to_owned()), at(now) - Duration::from_secs(400)),
            (Glob("cyber".to_owned()), at(now) - Duration::from_mins(15)),
        ],
        rules: rules.map(|(rule, topic)| (rule.into(), topic.into())).into(),
    };
    let left = |folder: &Folder| -> Vec<&str> {
        let all = ["care", "long", "gone", "usual", "both", "none"];
        all.into_iter().filter(|id| folder.keeps(&format!("text-of-{id}-"))).collect()
    };
    let history = |folder: &Folder| {
        ["i-care", "i-long", "i-usual"].map(|id| {
            let record = folder.reader().incident(&id.into(), Sight::Whole).unwrap().unwrap();
            let said = (record.incident.why != "no longer kept", record.incident.notable.len());
            (record.alerts.len(), record.timeline.len(), said)
        })
    };
    let (all, none) = ((1, 1, (true, 1)), (0, 0, (false, 0)));
    for (now, texts, kept) in [
        (165, &["care", "long", "gone", "usual", "both", "none"][..], [all, all, all]),
        (175, &["long", "usual", "none"][..], [none, all, all]),
        (405, &["long"][..], [none, all, none]),
        (1005, &[][..], [none, none, none]),
    ] {
        store.forget(retention(now)).unwrap();
        store.scrub().unwrap();
        assert_eq!((left(&folder), history(&folder)), (texts.to_vec(), kept), "at {now}");
    }
    assert_eq!(store.restore(at(0)).unwrap().sightings, []);
    assert_eq!(folder.reader().standing(&"i-open".into()).unwrap(), Some(going_on));
}
