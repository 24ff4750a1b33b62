//! The same post on two networks, carried from one to the other by a bridge, counts once; nobody's post is lost because
//! somebody says that it is the same as theirs.

use proptest::prelude::*;
use stormbell::domain::commit::Erasure;
use stormbell::domain::condition::Condition;
use stormbell::domain::engine::Input;
use stormbell::domain::event::SourceEvent;
use stormbell::domain::id::PostId;
use stormbell::domain::incident::Severity::{High, Low};
use stormbell::domain::post::{Author, Original, Post};
use stormbell::domain::rule::Rule;

use super::support::sim::{Sim, at, authors, frame, post, rule};

const REPORT: &str = "two men with rifles went into the lobby at St Brigids, a gunman is shouting";
const OTHER: &str = "my mother says that there is a gunman somewhere at St Brigids, is that true at all";
const TOOT: &str = "https://social.example/users/ann/statuses/1";
const PAGE: &str = "https://social.example/@ann/1";

fn rules() -> Vec<Rule> {
    vec![
        rule("threat.rumour", "threat", Low, "$org gunman", Condition::Match),
        rule("threat.gunman", "threat", High, "$org gunman", authors(2, 10)),
    ]
}

fn sim() -> Sim {
    Sim::new(rules(), Vec::new())
}

/// A post that says what it is a copy of; with an author, a bridge says so.
fn copy(id: &str, author: &str, text: &str, original: &str, by: Option<&str>) -> Post {
    let copy_of = Some(Original { post: original.into(), author: by.map(Into::into) });
    Post { copy_of, ..post(id, author, at(0), text) }
}

fn toot() -> Post {
    Post { url: Some(PAGE.to_owned()), ..post(TOOT, "ann", at(0), REPORT) }
}

fn read(sim: &mut Sim, post: &Post) {
    let post = Post { event_time: sim.now, ..post.clone() };
    sim.feed(vec![frame(Ok(SourceEvent::Post(Box::new(post))), sim.now)]);
}

fn delete(sim: &mut Sim, post: &str) {
    sim.feed(vec![frame(Ok(SourceEvent::PostDeleted { post: post.into(), at: sim.now }), sim.now)]);
}

/// What the incident counts, and how often the rule fired that wants two authors.
fn counted(sim: &Sim) -> (u64, u64, usize) {
    let fired = sim.model.fired().iter().filter(|(rule, _)| rule.as_str() == "threat.gunman").count();
    (sim.incident().posts, sim.incident().authors, fired)
}

/// The posts that are evidence of the incident, of the rule that takes every post.
fn evidence(sim: &Sim) -> Vec<&str> {
    let incident = Some(&sim.incident().id);
    let of_it = sim.model.sightings.iter().filter(|one| one.rule.as_str() == "threat.rumour");
    of_it.filter(|one| one.incident.as_ref() == incident).map(|one| one.seen.post.as_str()).collect()
}

#[test]
fn a_bridged_post_on_two_networks_is_one_post_with_two_links_whichever_comes_first() {
    let bridged = copy("https://bsky.brid.gy/convert/ap/1", "bridged", REPORT, "at://1", Some("did:plc:ann"));
    let original = post("at://1", "did:plc:ann", at(0), REPORT);
    for restart in [false, true] {
        for (first, second) in [(&original, &bridged), (&bridged, &original)] {
            let mut sim = sim();
            read(&mut sim, first);
            if restart {
                sim.crash();
            }
            read(&mut sim, second);
            assert_eq!(counted(&sim), (1, 1, 0), "{} first", first.id);
            assert_eq!(evidence(&sim), [first.id.as_str(), second.id.as_str()]);
            assert_eq!(sim.model.posts.len(), 2);
            sim.crash();
            for post in [first, second] {
                read(&mut sim, post);
            }
            assert_eq!(counted(&sim), (1, 1, 0), "read again");
            read(&mut sim, &post("at://2", "bob", at(0), REPORT));
            assert_eq!(counted(&sim), (2, 2, 1), "somebody else is somebody else");
        }
    }
}

#[test]
fn whoever_is_read_by_a_bridge_and_without_one_is_one_author() {
    let mut sim = sim();
    read(&mut sim, &copy("https://bsky.brid.gy/convert/ap/1", "bridged", REPORT, "at://1", Some("did:plc:ann")));
    read(&mut sim, &post("at://2", "did:plc:ann", at(0), OTHER));
    assert_eq!(counted(&sim), (2, 1, 0));
}

#[test]
fn what_names_its_original_by_its_page_is_a_copy_of_what_is_there() {
    let mut sim = sim();
    read(&mut sim, &toot());
    read(&mut sim, &copy("at://1", "did:plc:copy", REPORT, PAGE, None));
    sim.crash();
    read(&mut sim, &copy("nostr:2", "pubkey", REPORT, PAGE, None));
    read(&mut sim, &copy("nostr:3", "pubkey", REPORT, TOOT, None));
    assert_eq!(counted(&sim), (1, 1, 0));
    assert_eq!(evidence(&sim), [TOOT, "at://1", "nostr:2", "nostr:3"]);
}

#[test]
fn an_account_that_a_bridge_holds_by_the_networks_word_is_believed() {
    let introduced = |handle: &str| {
        let mut sim = sim();
        let author = Author { id: "did:plc:copy".into(), handle: Some(handle.to_owned()), name: None, followers: None };
        sim.step(Input::Author(author));
        read(&mut sim, &copy("at://1", "did:plc:copy", REPORT, PAGE, None));
        read(&mut sim, &toot());
        counted(&sim)
    };
    assert_eq!(introduced("ann.social.example.ap.brid.gy"), (1, 1, 0));
    assert_eq!(introduced("brid.gy.evil.example"), (2, 2, 1));
    assert_eq!(introduced("eve.evil.example.ap.brid.gy"), (2, 2, 1), "who carries any address as theirs");
    assert_eq!(introduced("social.example.ap.brid.gy"), (2, 2, 1), "nobody");
}

#[test]
fn deleting_one_of_both_leaves_the_other_and_neither_comes_back() {
    let bridged = copy("https://bsky.brid.gy/convert/ap/1", "bridged", REPORT, "at://1", Some("did:plc:ann"));
    let original = post("at://1", "did:plc:ann", at(0), REPORT);
    for (first, second) in [(&original, &bridged), (&bridged, &original)] {
        for gone in [first, second] {
            let mut sim = sim();
            read(&mut sim, first);
            read(&mut sim, second);
            delete(&mut sim, gone.id.as_str());
            assert_eq!(sim.model.erased, [Erasure::Post(gone.id.clone())]);
            for post in [first, second] {
                read(&mut sim, post);
            }
            assert_eq!(counted(&sim), (1, 1, 0));
        }
        let mut sim = sim();
        read(&mut sim, first);
        delete(&mut sim, first.id.as_str());
        read(&mut sim, second);
        assert_eq!(counted(&sim), (2, 1, 0), "its words are forgotten: nobody knows whether the other says the same");
    }
}

#[test]
fn a_copy_that_waits_for_its_count_goes_into_the_incident_with_its_original() {
    let mut sim = Sim::new(vec![rules().remove(1)], Vec::new());
    read(&mut sim, &post("at://1", "did:plc:ann", at(0), REPORT));
    read(&mut sim, &copy("https://bsky.brid.gy/convert/ap/1", "bridged", REPORT, "at://1", Some("did:plc:ann")));
    assert!(sim.model.sightings.iter().all(|one| one.incident.is_none()));
    read(&mut sim, &post("at://2", "bob", at(0), REPORT));
    assert!(sim.model.sightings.iter().all(|one| one.incident.as_ref() == Some(&sim.incident().id)));
    assert_eq!((sim.incident().posts, sim.incident().authors), (2, 2));
}

#[test]
fn claiming_posts_that_nobody_has_heard_yet_takes_nothing_from_them() {
    let mut sim = sim();
    for n in 0..3 {
        read(&mut sim, &copy(&format!("nostr:evil{n}"), "evil", REPORT, &format!("at://{n}"), None));
    }
    assert_eq!(counted(&sim), (3, 1, 0));
    for n in 0..3 {
        read(&mut sim, &post(&format!("at://{n}"), &format!("did:plc:{n}"), at(0), REPORT));
    }
    assert_eq!(counted(&sim), (6, 4, 1));
}

#[test]
fn nothing_hides_behind_a_post_that_says_something_else() {
    let threat = "there is a bomb in the lobby of St Brigids and the gunman upstairs will light it at five";
    let heard = post("at://1", "did:plc:ann", at(0), OTHER);
    let claims = |copy: &Post| {
        let mut sim = sim();
        read(&mut sim, &heard);
        read(&mut sim, copy);
        counted(&sim)
    };
    assert_eq!(claims(&copy("nostr:1", "evil", threat, "at://1", None)), (2, 2, 1));
    let quotation = Post { quote_of: Some("at://1".into()), ..copy("nostr:1", "evil", threat, "at://1", None) };
    assert_eq!(claims(&quotation), (2, 2, 1), "of one story, but not the same");
    assert_eq!(claims(&copy("nostr:1", "evil", threat, "at://1", Some("did:plc:ann"))), (2, 1, 0), "a bridge gone bad");
    assert_eq!(claims(&copy("nostr:1", "evil", OTHER, "at://1", None)), (1, 1, 0));
    assert_eq!(claims(&copy("nostr:1", "evil", OTHER, "nostr:1", None)), (2, 2, 1), "of itself");
}

#[test]
fn a_bridge_gone_bad_cannot_take_posts_whose_words_it_does_not_know() {
    let mut sim = sim();
    read(&mut sim, &copy("https://bsky.brid.gy/convert/ap/1", "b", OTHER, "at://1", Some("did:plc:ann")));
    read(&mut sim, &post("at://1", "did:plc:ann", at(0), REPORT));
    assert_eq!(sim.incident().posts, 2);
}

#[test]
fn nobody_moves_the_page_of_another_host() {
    let mut sim = sim();
    let elsewhere = Post { url: Some(PAGE.to_owned()), ..post("https://evil.example/1", "evil", at(0), REPORT) };
    read(&mut sim, &elsewhere);
    read(&mut sim, &copy("at://1", "did:plc:copy", REPORT, PAGE, None));
    assert_eq!(counted(&sim), (2, 2, 1), "the copy is one of nothing that was heard");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever is claimed by whoever is no bridge, in any order and over restarts: what others post counts as if nobody
    /// had claimed anything.
    #[test]
    fn no_claim_takes_another_authors_post_out_of_the_count(
        posts in prop::collection::vec((0u8..6, any::<bool>(), prop::option::of((0u8..6, 0u8..2))), 1..14),
        crash in 0usize..14,
    ) {
        let text = |other: bool| if other { OTHER } else { REPORT };
        let (mut alone, mut beset) = (sim(), sim());
        let mut honest = Vec::new();
        for (place, (n, other, claim)) in posts.into_iter().enumerate() {
            if place == crash {
                beset.crash();
            }
            let post = match claim {
                None => {
                    let post = post(&format!("at://{n}"), &format!("did:plc:{n}"), at(0), text(other));
                    read(&mut alone, &post);
                    honest.push((post.id.clone(), post.author.id.clone()));
                    post
                }
                Some((of, evil)) => copy(&format!("nostr:{n}"), &format!("evil{evil}"), text(other), &format!("at://{of}"), None),
            };
            read(&mut beset, &post);
        }
        let counts = |id: &PostId| {
            beset.model.sightings.iter().filter(|one| one.seen.post == *id).all(|one| one.copy_of.is_none())
        };
        prop_assert!(honest.iter().all(|(id, _)| counts(id)));
        if !honest.is_empty() {
            let (alone, beset) = (counted(&alone), counted(&beset));
            prop_assert!(beset.0 >= alone.0 && beset.1 >= alone.1 && (beset.2 > 0 || alone.2 == 0), "{alone:?} {beset:?}");
        }
    }
}
