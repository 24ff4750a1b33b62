//! Whose word spreads.

use std::time::Duration;

use stormbell::domain::commit::Erasure;
use stormbell::domain::engine::{Action, Input};
use stormbell::domain::erasure::Account;
use stormbell::domain::event::{Decoded, SourceEvent};
use stormbell::domain::incident::Incident;
use stormbell::domain::message::MessageKind::{Opened, Updated};
use stormbell::domain::message::{Message, summary};
use stormbell::domain::post::Author;
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
    let text = Message { kind: Updated, at: sim.now, incident: only(&sim).clone() }.thin_summary();
    assert!(text.ends_with("; among its authors: a journalist, a journalist"), "{text}");
}

#[test]
fn whoever_is_erased_is_named_no_more_and_the_next_one_is_news() {
    let mut sim = sim(terms());
    sim.post("1", "eve", 10, OUTAGE);
    feed(&mut sim, by("2", "did:plc:x", 20, Some("ann.example"), None));
    let account = Account::new(&"did:plc:x".into(), &["ann.example".to_owned()]);
    sim.step(Input::Erase(Erasure::Author("did:plc:x".into()), Some(account)));
    assert_eq!(sim.engine.incidents().next().unwrap().notable, []);
    feed(&mut sim, by("3", "did:plc:bob", 30, None, None));
    assert_eq!(told(&sim, Updated), ["pager", "pager"]);
    let text = summary(only(&sim));
    assert!(text.ends_with("; among its authors: the journalist did:plc:bob"), "{text}");
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
fn an_author_who_turns_out_to_be_large_is_news_then() {
    let mut sim = sim(terms());
    sim.post("1", "eve", 10, OUTAGE);
    let author = |id: &str, followers| {
        let (handle, name) = (Some(format!("{id}.example")), None);
        Input::Author(Author { id: id.into(), handle, name, followers: Some(followers) })
    };
    sim.step(author("stranger", 900_000));
    sim.step(author("eve", 49_999));
    assert_eq!(told(&sim, Updated), [""; 0], "one spoke of nothing, the other is small");
    sim.post("2", "star", 20, OUTAGE);
    sim.step(author("star", 61_000));
    sim.step(author("star", 61_000));
    assert_eq!(told(&sim, Updated), ["pager"]);
    let text = summary(only(&sim));
    assert!(text.ends_with("; among its authors: an account with 61,000 followers"), "{text}");
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

/// An adversary with a keyword, large accounts and patience, against a quiet time of a minute and people who call it off.
#[test]
fn whatever_an_adversary_does_is_one_incident_and_few_messages() {
    let mut sim = sim(Terms { quiet: Duration::from_mins(1), ..terms() });
    let mut called_off = 0;
    for n in 0..20_000_i64 {
        // Bursts of a hundred, then silence, longer and longer.
        let second = n / 50 + (n / 100) * (n / 100);
        if n % 100 == 0 {
            sim.run_until(second.min(1_000_000) - 1);
        }
        let followers = Some(40_000 + 20_000 * u64::try_from(n % 2).unwrap());
        sim.now = sim.now.max(at(second));
        let batch =
            sim.batch(vec![by(&format!("p{n}"), &format!("bot {}", n % 40), second, None, followers)], Some(sim.now));
        let commit = sim.engine.step(Input::Batch(batch), sim.now).commit;
        sim.model.outbox.extend(commit.outbox.into_iter().map(|delivery| (delivery.id.clone(), delivery)));
        sim.model.incidents.extend(commit.incidents.into_iter().map(|incident| (incident.id.clone(), incident)));
        if n % 5_000 == 4_999 {
            let id = only(&sim).id.clone();
            called_off += u64::from(sim.command(&id, Action::Resolve).is_ok());
        }
    }
    let incident = only(&sim);
    let begun = 1 + u64::from(incident.again.map_or(0, |again| again.times));
    let hours = sim.now.since(at(0)).as_secs() / 3600;
    assert!(begun <= 10 + called_off + hours / 6, "began {begun} times in {hours} h");
    let told = sim.model.outbox.len() as u64;
    assert!(told <= 10 + 8 * begun, "{told} messages to two receivers, for {begun} beginnings");
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
