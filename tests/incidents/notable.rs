//! Whose word spreads.

use stormbell::domain::event::{Decoded, SourceEvent};
use stormbell::domain::incident::Incident;
use stormbell::domain::message::MessageKind::{Opened, Updated};
use stormbell::domain::message::summary;
use stormbell::domain::terms::{Journalist, Terms};

use super::support::sim::{Sim, at, frame, post};
use super::{OUTAGE, history, only, sim, told};

fn by(id: &str, author: &str, seconds: i64, handle: Option<&str>, followers: Option<u64>) -> Decoded {
    let mut post = post(id, author, at(seconds), OUTAGE);
    post.author.handle = handle.map(ToOwned::to_owned);
    post.author.followers = followers;
    frame(Ok(SourceEvent::Post(Box::new(post))), at(seconds))
}

fn feed(sim: &mut Sim, post: Decoded) {
    sim.now = sim.now.max(stormbell::domain::time::Timestamp::from_micros(post.cursor.unwrap().0));
    sim.feed(vec![post]);
}

fn terms() -> Terms {
    let journalists = vec![Journalist::Handle("Ann.example".to_owned()), Journalist::Id("did:plc:bob".into())];
    Terms { journalists, ..Terms::default() }
}

#[test]
fn a_large_account_that_joins_is_news_once() {
    let mut sim = sim(terms());
    sim.post("1", "eve", 10, OUTAGE);
    feed(&mut sim, by("2", "big", 20, None, Some(49_999)));
    assert_eq!(told(&sim, Updated), [""; 0]);
    feed(&mut sim, by("3", "star", 30, None, Some(120_000)));
    assert_eq!(told(&sim, Updated), ["pager"]);
    let text = summary(only(&sim));
    assert!(text.ends_with("; among its authors: an account with 120,000 followers"), "{text}");
    feed(&mut sim, by("4", "star", 40, None, Some(120_001)));
    sim.crash();
    feed(&mut sim, by("5", "star", 50, None, Some(130_000)));
    sim.run_until(100);
    assert_eq!(told(&sim, Updated), ["pager"], "once of each, also after a restart");
    assert_eq!(history(&sim, &only(&sim).id), ["opened", "joined", "updated"]);
}

#[test]
fn journalists_are_known_by_handle_or_key_however_few_follow_them() {
    let mut sim = sim(terms());
    sim.post("1", "eve", 10, OUTAGE);
    feed(&mut sim, by("2", "did:plc:x", 20, Some("ann.EXAMPLE"), None));
    feed(&mut sim, by("3", "did:plc:bob", 30, Some("who.example"), Some(3)));
    feed(&mut sim, by("4", "did:plc:y", 40, Some("not.ann.example"), None));
    assert_eq!(told(&sim, Updated), ["pager", "pager"]);
    let text = summary(only(&sim));
    assert!(text.ends_with("; among its authors: the journalist @Ann.example, the journalist did:plc:bob"), "{text}");
}

#[test]
fn whoever_begins_it_is_named_with_its_beginning() {
    let mut sim = sim(terms());
    feed(&mut sim, by("1", "star", 10, None, Some(50_000)));
    sim.run_until(60);
    assert_eq!((told(&sim, Opened).len(), told(&sim, Updated).len()), (1, 0), "one message");
    let message = &sim.model.outbox.values().next().unwrap().message;
    assert!(message.summary().contains("an account with 50,000 followers"), "{}", message.summary());
}

#[test]
fn many_large_accounts_are_a_few_messages() {
    let mut sim = sim(terms());
    sim.post("0", "eve", 0, OUTAGE);
    for n in 1..200 {
        feed(&mut sim, by(&format!("p{n}"), &format!("star {n}"), n, None, Some(1_000_000)));
    }
    assert_eq!(only(&sim).notable.len(), Incident::NOTABLE);
    let updated = told(&sim, Updated).len();
    assert!(updated <= Incident::NOTABLE + 4, "{updated}: five of them, and at 3, 9, 27 and 81 authors");
}

#[test]
fn what_joined_in_a_silence_is_in_the_history_and_told_when_it_ends() {
    let mut sim = sim(terms());
    sim.silence(&["topic=cyber"], 600).unwrap();
    sim.post("1", "eve", 10, OUTAGE);
    feed(&mut sim, by("2", "star", 20, None, Some(120_000)));
    assert!(sim.model.outbox.is_empty());
    assert_eq!(history(&sim, &only(&sim).id), ["opened", "muted", "joined"]);
    sim.run_until(700);
    assert_eq!((told(&sim, Opened).len(), told(&sim, Updated).len()), (1, 0));
}
