//! The durable queue, compared with a list.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use stormbell::domain::addressee::Recipient;
use stormbell::domain::commit::Commit;
use stormbell::domain::id::ReceiverName;
use stormbell::domain::incident::{Incident, IncidentState, Severity};
use stormbell::domain::message::{Attempt, Delivery, Leased, Undelivered};
use stormbell::domain::time::ClockSet;
use stormbell::domain::turn::Room;
use stormbell::store::{Keeper, Store};

use crate::support::*;

#[test]
fn messages_of_one_incident_never_overtake_each_other() {
    let folder = Folder::new();
    let mut store = folder.open();
    let about = |id| incident(id, IncidentState::Open, &[]);
    store
        .commit(&[outbox(vec![
            delivery("a1", "pager", about("a"), 10),
            delivery("a2", "pager", about("a"), 1),
            delivery("b1", "pager", about("b"), 5),
            delivery("a1-chat", "chat", about("a"), 1),
        ])])
        .unwrap();
    assert_eq!(store.next_due(&"pager".into()).unwrap(), Some(at(5)));
    assert_eq!(ids(&lease(&mut store, "pager", 4)), [] as [&str; 0], "a2 is due, but a1 comes first");
    assert_eq!(ids(&lease(&mut store, "pager", 10)), ["a1", "b1"]);
    assert_eq!(ids(&lease(&mut store, "pager", 10)), [] as [&str; 0], "what is out is out");
    let retry = Attempt::Retry { due: at(40), error: "503".to_owned() };
    store.finish(&"a1".into(), &retry, at(11)).unwrap();
    assert_eq!(ids(&lease(&mut store, "pager", 39)), [] as [&str; 0]);
    let again = lease(&mut store, "pager", 40);
    assert_eq!((ids(&again), again[0].attempt), (vec!["a1"], 2));
    store.finish(&"a1".into(), &Attempt::Delivered, at(41)).unwrap();
    assert_eq!(ids(&lease(&mut store, "pager", 41)), ["a2"]);
    assert_eq!(ids(&lease(&mut store, "chat", 41)), ["a1-chat"]);
    assert_eq!(store.next_due(&"nobody".into()).unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_receiver_said_it_has_is_not_sent_again_though_nobody_could_record_it() {
    let folder = Folder::new();
    let mut store = folder.open();
    let about = |id| incident(id, IncidentState::Open, &[]);
    let messages = ["a", "b", "c"].map(|id| delivery(id, "pager", about(id), 1)).to_vec();
    store.commit(&[outbox(messages)]).unwrap();
    assert_eq!(ids(&lease(&mut store, "pager", 1)), ["a", "b", "c"]);
    let answered = store.answered();
    answered.note(&"a".into(), at(2));
    answered.note(&"elsewhere".into(), at(2));
    let notes = folder.db().with_file_name("stormbell.db.answered");
    drop(store); // the process is killed before it can record the answer, and in the middle of another note
    std::fs::write(&notes, format!("{}b", std::fs::read_to_string(&notes).unwrap())).unwrap();
    let mut store = folder.open();
    store.hurry(at(3)).unwrap();
    let again = lease(&mut store, "pager", 3);
    assert_eq!(ids(&again), ["b", "c"], "half a note is none");
    assert!(again.iter().all(|leased| leased.attempt == 2));
    let found = folder.reader().deliveries(&"a".into()).unwrap();
    assert_eq!((found[0].state.as_str(), found[0].finished_at), ("delivered", Some(at(2))));
    assert_eq!(std::fs::read_to_string(&notes).unwrap(), "", "it is in the database now");

    // What is recorded needs no note for ever.
    let answered = store.answered();
    let mut longest = 0;
    for number in 0..4000 {
        answered.note(&format!("message{number}").as_str().into(), at(4));
        answered.recorded();
        longest = longest.max(std::fs::metadata(&notes).unwrap().len());
    }
    assert!((64 * 1024..80 * 1024).contains(&longest), "{longest}");
    answered.note(&"c".into(), at(5));
    drop(store);
    assert_eq!(ids(&lease(&mut folder.open(), "pager", 100)), ["b"]);
}

#[test]
fn a_lease_that_runs_out_or_outlives_its_process_is_taken_again_under_the_same_id() {
    let folder = Folder::new();
    let mut store = folder.open();
    let original = delivery("d", "pager", incident("i", IncidentState::Open, &["gone"]), 1);
    store.commit(&[outbox(vec![original.clone()])]).unwrap();
    assert_eq!(lease(&mut store, "pager", 1)[0].attempt, 1);
    assert_eq!(store.next_due(&"pager".into()).unwrap(), Some(at(61)));
    assert!(lease(&mut store, "pager", 60).is_empty());
    let again = lease(&mut store, "pager", 61);
    assert_eq!(again, [Leased { delivery: original.clone(), sample: vec![], attempt: 2 }]);
    store.close().unwrap(); // the process dies before it can say how it went
    let mut store = folder.open();
    let again = lease(&mut store, "pager", 62);
    assert_eq!(again, [Leased { delivery: original.clone(), sample: vec![], attempt: 3 }], "nobody else can have it");
    store.commit(&[outbox(vec![original])]).unwrap(); // derived again: no second message
    store.finish(&"d".into(), &Attempt::Delivered, at(63)).unwrap();
    store.finish(&"d".into(), &Attempt::Parked { error: "late".to_owned() }, at(64)).unwrap();
    assert!(lease(&mut store, "pager", 1000).is_empty());
    assert_eq!(folder.reader().outbox().unwrap().len(), 1);
}

#[test]
fn a_new_start_tries_at_once_what_the_last_one_had_put_off() {
    let folder = Folder::new();
    let mut store = folder.open();
    let original = delivery("d", "pager", incident("i", IncidentState::Open, &[]), 1);
    store.commit(&[outbox(vec![original.clone()])]).unwrap();
    for attempt in 1..=8 {
        assert_eq!(lease(&mut store, "pager", attempt)[0].attempt, u32::try_from(attempt).unwrap());
        let due = if attempt == 8 { at(300) } else { at(attempt + 1) };
        store.finish(&"d".into(), &Attempt::Retry { due, error: "503".to_owned() }, at(attempt)).unwrap();
    }
    drop(store);
    let mut store = folder.open();
    assert!(lease(&mut store, "pager", 20).is_empty(), "opening alone changes nothing");
    store.hurry(at(20)).unwrap();
    let again = lease(&mut store, "pager", 20);
    assert_eq!(
        (&again[0].delivery.id, again[0].attempt),
        (&original.id, 2),
        "its patience is renewed, and it may have arrived"
    );
    assert_eq!(again[0].delivery.give_up, original.give_up, "but not its end");
}

#[test]
fn a_clock_that_is_set_moves_retries_leases_and_patience_with_it() {
    let folder = Folder::new();
    let mut store = folder.open();
    let about = |id| incident(id, IncidentState::Open, &[]);
    store
        .commit(&[outbox(vec![delivery("d", "pager", about("i"), 10), delivery("e", "pager", about("j"), 10)])])
        .unwrap();
    let before = lease(&mut store, "pager", 10);
    let retry = Attempt::Retry { due: at(40), error: "503".to_owned() };
    store.finish(&"d".into(), &retry, at(11)).unwrap();
    let hours = -5 * 3600;
    let clock_set = Some(ClockSet { by: hours * 1_000_000, at: at(20 + hours) });
    store.commit(&[Commit { clock_set, ..Commit::default() }]).unwrap();
    assert_eq!(ids(&lease(&mut store, "pager", 39 + hours)), [] as [&str; 0]);
    let again = lease(&mut store, "pager", 70 + hours);
    assert_eq!(ids(&again), ["d", "e"], "a retry and a lease that ran out");
    let left = |leased: &[Leased]| leased[0].delivery.give_up.micros();
    assert_eq!(left(&again) - left(&before), hours * 1_000_000);
    // While nothing ran, the clock was set back: the patience is no longer than it was.
    store.hurry(at(-90_000)).unwrap();
    store.finish(&"d".into(), &retry, at(-90_000)).unwrap();
    store.hurry(at(-90_000)).unwrap();
    let patience = before[0].delivery.give_up.since(before[0].delivery.due);
    assert_eq!(lease(&mut store, "pager", -90_000)[0].delivery.give_up, at(-90_000) + patience);
}

#[test]
fn a_crisis_goes_before_rumours_and_hurries_what_waits_before_it() {
    let folder = Folder::new();
    let mut store = folder.open();
    let about = |id: &str, severity| Incident { severity, ..incident(id, IncidentState::Open, &[]) };
    let rumours = (0..600).map(|n| delivery(&format!("r{n}"), "pager", about(&format!("rumour{n}"), Severity::Low), 1));
    store.commit(&[outbox(rumours.collect())]).unwrap();
    let grew = |id, severity| delivery(id, "pager", about("crisis", severity), 1);
    store.commit(&[outbox(vec![grew("low", Severity::Low), grew("grave", Severity::Critical)])]).unwrap();
    let room = |any, critical| Room { any, critical };
    let take = |store: &mut Store, room| ids_of(&store.lease(&"pager".into(), at(2), LEASE, room).unwrap());
    assert_eq!(take(&mut store, room(0, 2)), ["low"], "the end of its line must not overtake it");
    assert_eq!(take(&mut store, room(2, 2)), ["r0", "r1"]);
    store.finish(&"low".into(), &Attempt::Delivered, at(2)).unwrap();
    assert_eq!(take(&mut store, room(1, 0)), ["grave"]);
}

fn ids_of(leased: &[Leased]) -> Vec<String> {
    leased.iter().map(|leased| leased.delivery.id.to_string()).collect()
}

/// For a person at the receiver `sms`.
fn personal(id: &str, person: &str, due: i64) -> Delivery {
    let recipient = Some(Recipient { person: person.into(), address: format!("+1 {person}") });
    Delivery { recipient, ..delivery(id, "sms", incident("i", IncidentState::Open, &[]), due) }
}

#[test]
fn a_wrong_number_holds_up_nobody_else() {
    let folder = Folder::new();
    let mut store = folder.open();
    let all = vec![personal("ann1", "ann", 100), personal("bob1", "bob", 100), personal("ann2", "ann", 100)];
    store.commit(&[outbox(all.clone())]).unwrap();
    let leased = lease(&mut store, "sms", 100);
    assert_eq!(ids(&leased), ["ann1", "bob1"], "each has a line of their own");
    assert_eq!(leased[0].delivery, all[0], "address and all");
    let parked = Attempt::Parked { error: "no such number".to_owned() };
    let told = store.finish(&"ann1".into(), &parked, at(101)).unwrap().unwrap();
    assert_eq!(told.person, Some("ann".into()));
    assert_eq!(store.restore(at(0)).unwrap().undelivered, [told]);
    assert_eq!(ids(&lease(&mut store, "sms", 101)), ["ann2"]);
}

#[test]
fn what_was_held_back_holds_up_nothing_longer_than_that_would_be_tried() {
    let folder = Folder::new();
    let mut store = folder.open();
    let held = Delivery { give_up: at(8000), ..personal("held", "ann", 7000) };
    store.commit(&[outbox(vec![held])]).unwrap();
    let urgent = Delivery { give_up: at(700), ..personal("urgent", "ann", 100) };
    store.commit(&[outbox(vec![urgent])]).unwrap();
    let leased = lease(&mut store, "sms", 100);
    assert_eq!((ids(&leased), leased[0].delivery.give_up), (vec!["held"], at(700)));
}

#[test]
fn what_is_held_back_for_quiet_hours_waits_through_a_restart_and_goes_with_what_must_not_wait() {
    let folder = Folder::new();
    let mut store = folder.open();
    // Messages are of second 100; those due later are held back.
    store.commit(&[outbox(vec![personal("ann1", "ann", 5000), personal("bob1", "bob", 5000)])]).unwrap();
    store.hurry(at(200)).unwrap();
    assert!(lease(&mut store, "sms", 4999).is_empty());
    store.commit(&[outbox(vec![personal("ann2", "ann", 5000)])]).unwrap();
    assert!(lease(&mut store, "sms", 4999).is_empty());
    store.commit(&[outbox(vec![personal("ann3", "ann", 100)])]).unwrap();
    for id in ["ann1", "ann2", "ann3"] {
        assert_eq!(ids(&lease(&mut store, "sms", 300)), [id]);
        store.finish(&id.into(), &Attempt::Delivered, at(300)).unwrap();
    }
    assert_eq!(ids(&lease(&mut store, "sms", 5000)), ["bob1"]);
    let retry = Attempt::Retry { due: at(9000), error: "503".to_owned() };
    store.finish(&"bob1".into(), &retry, at(5001)).unwrap();
    store.hurry(at(5002)).unwrap();
    assert_eq!(ids(&lease(&mut store, "sms", 5002)), ["bob1"], "awake: a retry is hurried as any other");
}

#[test]
fn a_receipt_is_awaited_for_what_is_critical_until_it_comes_or_nobody_waits() {
    let folder = Folder::new();
    let mut store = folder.open();
    let of = |severity| Incident { severity, ..incident("i", IncidentState::Open, &[]) };
    let grave = |id: &str| delivery(id, id, of(Severity::Critical), 100);
    store
        .commit(&[outbox(vec![grave("a"), grave("b"), grave("c"), delivery("d", "d", of(Severity::High), 100)])])
        .unwrap();
    let overdue = |store: &Store, second| {
        let all = store.overdue(at(second)).unwrap();
        all.into_iter().map(|overdue| overdue.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(overdue(&store, 144), Vec::<String>::new());
    assert_eq!(lease(&mut store, "a", 100).len(), 1);
    store.finish(&"a".into(), &Attempt::Delivered, at(101)).unwrap();
    assert_eq!(lease(&mut store, "b", 100).len(), 1);
    store.finish(&"b".into(), &Attempt::Retry { due: at(400), error: "503".to_owned() }, at(101)).unwrap();
    assert_eq!(overdue(&store, 145), ["b", "c"]);
    assert_eq!(store.overdue(at(145)).unwrap()[0].error, "503");
    store.commit(&[Commit { overdue: vec!["b".into()], ..Commit::default() }]).unwrap();
    assert_eq!(overdue(&store, 146), ["c"]);
    // A new daemon has as long as the one before had.
    store.hurry(at(200)).unwrap();
    assert_eq!(overdue(&store, 244), Vec::<String>::new());
    assert_eq!(overdue(&store, 245), ["c"]);
    // And so it has when the clock is set.
    let set = ClockSet { by: 3_600_000_000, at: at(3845) };
    store.commit(&[Commit { clock_set: Some(set), ..Commit::default() }]).unwrap();
    assert_eq!(overdue(&store, 3844), Vec::<String>::new());
    assert_eq!(overdue(&store, 3845), ["c"]);
}

#[test]
fn a_parked_message_is_reported_until_somebody_was_told() {
    let folder = Folder::new();
    let mut store = folder.open();
    store.commit(&[outbox(vec![delivery("d", "pager", incident("i", IncidentState::Open, &[]), 1)])]).unwrap();
    lease(&mut store, "pager", 1);
    let parked = Attempt::Parked { error: "401".to_owned() };
    let expected = Undelivered {
        id: "d".into(),
        receiver: "pager".into(),
        person: None,
        incident: "i".into(),
        error: "401".to_owned(),
    };
    assert_eq!(store.finish(&"d".into(), &parked, at(2)).unwrap(), Some(expected.clone()));
    assert_eq!(store.finish(&"d".into(), &parked, at(3)).unwrap(), None, "said once");
    assert_eq!(store.restore(at(0)).unwrap().undelivered, [expected]);
    store.commit(&[Commit { told: vec!["d".into()], ..Commit::default() }]).unwrap();
    assert_eq!(store.restore(at(0)).unwrap().undelivered, []);
}

/// What may happen to the outbox, for the comparison with the model.
#[derive(Clone, Debug)]
enum Step {
    Add { receiver: u8, incident: u8, id: u8, due: u8 },
    Lease { receiver: u8, limit: usize },
    Finish { id: u8, how: u8 },
    Pass(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..2u8, 0..3u8, 0..40u8, 0..20u8).prop_map(|(receiver, incident, id, due)| Step::Add { receiver, incident, id, due }),
        3 => (0..2u8, 1..4usize).prop_map(|(receiver, limit)| Step::Lease { receiver, limit }),
        3 => (0..40u8, 0..3u8).prop_map(|(id, how)| Step::Finish { id, how }),
        1 => (1..80u8).prop_map(Step::Pass),
    ]
}

#[derive(Debug)]
struct Row {
    id: String,
    receiver: String,
    incident: u8,
    /// When it can be taken; none once finished.
    ready: Option<i64>,
    leased: bool,
    attempts: u32,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn the_outbox_behaves_like_a_list(steps in prop::collection::vec(step(), 1..60)) {
        let folder = Folder::new();
        let mut store = folder.open();
        let mut model: Vec<Row> = Vec::new();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Add { receiver, incident: about, id, due } => {
                    let (id, receiver, due) = (format!("d{id}"), format!("r{receiver}"), now + i64::from(due));
                    let about_it = incident(&format!("i{about}"), IncidentState::Open, &[]);
                    store.commit(&[outbox(vec![delivery(&id, &receiver, about_it, due)])]).unwrap();
                    if model.iter().all(|row| row.id != id) {
                        model.push(Row { id, receiver, incident: about, ready: Some(due), leased: false, attempts: 0 });
                    }
                }
                Step::Lease { receiver, limit } => {
                    let receiver = format!("r{receiver}");
                    let mut expected = Vec::new();
                    let mut taken = BTreeSet::new();
                    for row in model.iter_mut().filter(|row| row.receiver == receiver) {
                        let Some(ready) = row.ready else { continue };
                        if taken.insert(row.incident) && ready <= now && expected.len() < limit {
                            row.attempts += 1;
                            row.leased = true;
                            row.ready = Some(now + 60);
                            expected.push((row.id.clone(), row.attempts));
                        }
                    }
                    let leased = store.lease(&receiver.as_str().into(), at(now), LEASE, limit).unwrap();
                    let leased: Vec<_> = leased.iter().map(|l| (l.delivery.id.to_string(), l.attempt)).collect();
                    prop_assert_eq!(leased, expected);
                }
                Step::Finish { id, how } => {
                    let id = format!("d{id}");
                    let row = model.iter_mut().find(|row| row.id == id && row.ready.is_some());
                    let mut parked = false;
                    let attempt = match how {
                        0 => Attempt::Delivered,
                        1 => Attempt::Retry { due: at(now + 7), error: "e".to_owned() },
                        _ => Attempt::Parked { error: "e".to_owned() },
                    };
                    if let Some(row) = row {
                        match how {
                            0 => row.ready = None,
                            1 if row.leased => row.ready = Some(now + 7),
                            1 => {}
                            _ => { row.ready = None; parked = true; }
                        }
                        row.leased = false;
                    }
                    let told = store.finish(&id.as_str().into(), &attempt, at(now)).unwrap();
                    prop_assert_eq!(told.is_some(), parked);
                }
                Step::Pass(seconds) => now += i64::from(seconds),
            }
            for receiver in ["r0", "r1"] {
                let mut heads = BTreeMap::new();
                for row in model.iter().filter(|row| row.receiver == receiver) {
                    if let Some(ready) = row.ready { heads.entry(row.incident).or_insert(ready); }
                }
                let next = store.next_due(&ReceiverName::from(receiver)).unwrap();
                prop_assert_eq!(next, heads.values().min().map(|&ready| at(ready)));
            }
        }
    }
}

#[test]
fn messages_about_the_disk_leave_memory_in_their_order_and_after_what_is_on_it() {
    let folder = Folder::new();
    let about = |revision| Incident { revision, ..incident("storage", IncidentState::Open, &[]) };
    let told = |id, revision| delivery(id, "pager", about(revision), 1);
    let mut disk = Keeper::of(folder.open());
    disk.commit(&[outbox(vec![told("m1", 1)])]).unwrap();
    // The disk refuses: these have no rows, and names in no order.
    disk.set_aside(vec![told("a4", 4), told("z2", 2), told("k3", 3)]);
    let mut gone = Vec::new();
    for second in 10..14 {
        let leased = disk.lease_without_disk(&"pager".into(), at(second), LEASE, 8.into()).unwrap();
        gone.extend(ids(&leased).into_iter().map(str::to_owned));
        for one in leased {
            disk.finish_without_disk(&one.delivery.id, &Attempt::Delivered, at(second)).unwrap();
        }
    }
    assert_eq!(gone, ["m1", "z2", "k3", "a4"]);
    // It takes everything again: nothing is sent twice.
    disk.commit(&[outbox(vec![told("z2", 2), told("k3", 3), told("a4", 4)])]).unwrap();
    assert_eq!(ids(&disk.lease(&"pager".into(), at(60), LEASE, 8.into()).unwrap()), [] as [&str; 0]);
}
