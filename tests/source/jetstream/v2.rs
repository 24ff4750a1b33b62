//! The v2 wire, alone and in one list with the other.

use stormbell::config::model::Compression;

use super::*;
use crate::support::events::{Fault as V2Fault, SimEvents};
use crate::support::frames::v2 as events;

/// The post of that number, which the server counts from `base`.
fn happens(sim: &SimEvents, base: u64, n: i64) {
    let (seq, time) = (base + n.unsigned_abs(), NOW + n * 1000);
    sim.push(seq, time, events::post(seq, time, "did:plc:ann", &format!("k{n}"), &format!("post {n}")));
}

fn cursors(sim: &SimEvents) -> Vec<Option<i64>> {
    sim.requests().iter().map(crate::support::jetstream::Request::cursor).collect()
}

#[tokio::test]
async fn a_cut_connection_goes_on_at_its_number_and_nothing_is_lost() {
    let sim = SimEvents::start(&[&[(3, V2Fault::Cut)]]).await;
    (1..=5).for_each(|n| happens(&sim, 800_000, n));
    let mut rig = Rig::start(config(vec![sim.url()]), quick(), Some(NOW));
    rig.until_post(5).await;
    rig.assert_posts(1..=5);
    assert_eq!(rig.downs, [DownReason::Closed]);
    assert_eq!(cursors(&sim), [Some(NOW - 5 * SECOND), Some(800_003)]);
    assert_eq!((rig.connected[0].1, rig.connected[1].1), (Joint::Repeats(Cursor(NOW)), Joint::GoesOn));
    let first = &sim.requests()[0];
    assert_eq!(first.parameter("collections"), ["app.bsky.feed.post"]);
    assert_eq!(first.parameter("kinds"), ["commit", "identity", "account"]);
    assert_eq!((sim.words(), sim.refusals().len()), (0, 0));
}

#[tokio::test]
async fn a_number_that_is_too_old_is_refused_and_the_time_shows_the_gap() {
    let sim = SimEvents::start(&[]).await;
    (1..=3).for_each(|n| happens(&sim, 700, n));
    // What is kept of the stream begins a minute later.
    happens(&sim, 700, 60_000);
    sim.forget_before(60_700);
    let mut rig = Rig::start(config(vec![sim.url()]), quick(), Some(NOW + 2000));
    rig.position.mark(format!("v2 702 {}", sim.host()).into());
    rig.until_post(60_000).await;
    assert_eq!(sim.refusals(), ["CursorTooOld"]);
    assert_eq!(cursors(&sim), [Some(702), Some(NOW + 2000 - 5 * SECOND)]);
    // The engine compares the first event with the one that was to be repeated: tests/engine/alerts.rs.
    assert_eq!(rig.connected, [(sim.host(), Joint::Repeats(Cursor(NOW + 2000)))]);
    assert_eq!((rig.downs.len(), rig.rejected.len()), (0, 0));
}

/// Quirk: numbers are not portable between hosts, nor cursors between the wires (bluesky-social/bsky#20).
#[tokio::test]
async fn quirk_4_a_number_is_never_taken_to_another_host_or_wire() {
    let newer = SimEvents::start(&[&[(2, V2Fault::Cut)], &[(2, V2Fault::Cut)]]).await;
    let other = SimEvents::start(&[&[(3, V2Fault::Cut)]]).await;
    let legacy = SimJetstream::start(Script::default().connection(&[(4, Fault::Cut)])).await;
    for n in 1..=6 {
        happens(&newer, 800_000, n);
        happens(&other, 10, n);
        legacy.push(post(n));
    }
    let mut rig = Rig::start(config(vec![newer.url(), other.url(), legacy.url()]), quick(), Some(NOW));
    rig.until(|rig| rig.connected.len() == 5).await;
    rig.until_post(6).await;
    rig.assert_posts(1..=6);
    assert_eq!(rig.connected[0].0, newer.host());
    let other_host = 10 * SECOND;
    // The first: by time, then, after the others, again by time and not by its own number, which is outdated.
    assert_eq!(cursors(&newer), [Some(NOW - 5 * SECOND), Some(NOW + 4000 - other_host)]);
    // The last is the first again: read on elsewhere, too.
    assert_eq!(cursors(&other), [Some(NOW + 2000 - other_host), Some(NOW + 4000 - other_host)]);
    assert_eq!(legacy.requests()[0].cursor(), Some(NOW + 3000 - other_host));
}

#[tokio::test]
async fn a_number_survives_a_restart_of_the_program() {
    let sim = SimEvents::start(&[]).await;
    (1..=2).for_each(|n| happens(&sim, 50, n));
    let mut rig = Rig::start(config(vec![sim.url()]), quick(), Some(NOW));
    rig.until_post(2).await;
    let kept = rig.position.bookmark().unwrap();
    assert_eq!(&*kept.0, format!("v2 52 {}", sim.host()));
    drop(rig);
    happens(&sim, 50, 3);
    let mut rig = Rig::start(config(vec![sim.url()]), quick(), Some(NOW + 2000));
    assert_eq!(rig.position.bookmark(), None, "a rig of its own");
    rig.position.mark(kept);
    rig.until_post(3).await;
    assert_eq!(cursors(&sim).last(), Some(&Some(52)));
    rig.assert_posts(2..=3);
}

#[tokio::test]
async fn an_outdated_time_is_announced_and_the_stream_goes_on() {
    let sim = SimEvents::start(&[]).await;
    (1..=4).for_each(|n| happens(&sim, 700_000, n));
    sim.forget_before(700_003);
    let mut rig = Rig::start(config(vec![sim.url()]), quick(), Some(NOW - 3600 * SECOND));
    rig.until_post(4).await;
    rig.assert_posts(3..=4);
    assert_eq!(rig.connected[0].1, Joint::Repeats(Cursor(NOW - 3600 * SECOND)));
    assert_eq!(rig.batches.iter().sum::<usize>(), 3, "the announcement is a frame, too");
    assert_eq!((rig.rejected.len(), rig.downs.len()), (0, 0));
}

#[tokio::test]
async fn a_server_that_finds_us_slow_is_not_left_for_another() {
    let sim = SimEvents::start(&[&[(2, V2Fault::Error("ConsumerTooSlow"))]]).await;
    let never_asked = SimEvents::start(&[]).await;
    (1..=3).for_each(|n| happens(&sim, 100, n));
    let mut rig = Rig::start(config(vec![sim.url(), never_asked.url()]), quick(), Some(NOW));
    rig.until_post(3).await;
    rig.assert_posts(1..=3);
    assert_eq!(rig.downs, [DownReason::Overrun]);
    assert_eq!(cursors(&sim), [Some(NOW - 5 * SECOND), Some(102)]);
    assert_eq!((never_asked.requests().len(), rig.rejected.len()), (0, 0));
}

#[tokio::test]
async fn edits_deletions_names_and_accounts_come_over_this_wire_too() {
    let sim = SimEvents::start(&[]).await;
    for (seq, text) in [
        (1, events::post(1, NOW + 1, "did:plc:ann", "k", "post 1")),
        (2, events::update(2, NOW + 2, "did:plc:ann", "k", "post 2")),
        (3, events::delete(3, NOW + 3, "did:plc:ann", "k")),
        (4, events::identity(4, NOW + 4, "did:plc:ann", "ann.example")),
        (5, events::account(5, NOW + 5, "did:plc:eve", "deleted")),
        (6, events::sync(6, NOW + 6, "did:plc:eve")),
        (7, events::post(7, NOW + 7, "did:plc:ann", "l", "post 7")),
    ] {
        sim.push(seq, NOW + i64::try_from(seq).unwrap(), text);
    }
    let mut rig = Rig::start(config(vec![sim.url()]), quick(), Some(NOW));
    rig.until_post(7).await;
    assert_eq!(rig.batches.iter().sum::<usize>(), 6, "all but the sync");
    assert_eq!(rig.rejected, []);
}

fn dictionary(seed: i64) -> Vec<u8> {
    let sample = |n: i64| events::post(n.unsigned_abs(), NOW + n * seed, "did:plc:ann", &format!("k{n}"), "at the ER");
    zstd::dict::from_samples(&(1..2000).map(sample).collect::<Vec<_>>(), 8192).unwrap()
}

fn compressed(urls: Vec<Url>, dictionary: Option<std::path::PathBuf>) -> JetstreamConfig {
    JetstreamConfig { compression: Some(Compression { dictionary }), ..config(urls) }
}

#[tokio::test]
async fn a_dictionary_is_fetched_once_and_again_when_the_server_has_another() {
    let another = [(1, V2Fault::Dictionary(dictionary(11))), (1, V2Fault::Cut)];
    let sim = SimEvents::start(&[&[(1, V2Fault::Cut)], &another]).await;
    sim.pack_with(dictionary(7));
    (1..=2).for_each(|n| happens(&sim, 100, n));
    let mut rig = Rig::start(compressed(vec![sim.url()], None), quick(), Some(NOW));
    rig.until_post(2).await;
    rig.assert_posts(1..=2);
    assert_eq!((rig.downs.len(), rig.rejected.len(), sim.requests().len()), (2, 0, 4));
    assert_eq!((sim.handed_out(), sim.refusals()), (2, vec!["UnknownZstdDictionary".to_owned()]));
    let asked: Vec<_> = sim.requests().iter().map(|request| request.parameter("zstdDictionary")).collect();
    assert!(asked[0].len() == 1 && asked[0] == asked[2] && asked[2] != asked[3], "{asked:?}");
}

#[tokio::test]
async fn without_a_dictionary_frames_come_as_they_are() {
    let sim = SimEvents::start(&[]).await;
    happens(&sim, 100, 1);
    let mut rig = Rig::start(compressed(vec![sim.url()], None), quick(), Some(NOW));
    rig.until_post(1).await;
    assert_eq!(sim.requests()[0].parameter("zstdDictionary"), Vec::<String>::new());
    assert_eq!((sim.handed_out(), rig.downs.len()), (1, 0));
}

#[tokio::test]
async fn a_bomb_costs_one_frame() {
    let sim = SimEvents::start(&[]).await;
    sim.pack_with(dictionary(7));
    happens(&sim, 100, 1);
    sim.push(101, NOW + 1500, " ".repeat(60_000_000));
    happens(&sim, 100, 2);
    let mut rig = Rig::start(compressed(vec![sim.url()], None), quick(), Some(NOW));
    rig.until_post(2).await;
    assert_eq!((rig.rejected, rig.downs), (vec![Rejected::TooLarge], Vec::new()));
}

#[tokio::test]
async fn the_first_wire_is_packed_with_a_dictionary_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dictionary");
    std::fs::write(&path, dictionary(7)).unwrap();
    let script = Script { dictionary: Some(dictionary(7)), ..Script::default() };
    let sim = SimJetstream::start(script.connection(&[(1, Fault::Cut)])).await;
    (1..=3).for_each(|n| sim.push(post(n)));
    let mut rig = Rig::start(compressed(vec![sim.url()], Some(path)), quick(), Some(NOW));
    rig.until_post(3).await;
    rig.assert_posts(1..=3);
    assert!(sim.requests().iter().all(|request| request.parameter("compress") == ["true"]));
    assert_eq!((rig.rejected, rig.downs), (Vec::new(), vec![DownReason::Closed]));
}

#[tokio::test]
async fn frames_of_another_dictionary_are_for_the_operator_to_mend() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dictionary");
    std::fs::write(&path, dictionary(7)).unwrap();
    let script = Script { dictionary: Some(dictionary(11)), ..Script::default() };
    let sim = SimJetstream::start(script).await;
    sim.push(post(1));
    let timing = Timing { operator_rest: millis(50), ..quick() };
    let mut rig = Rig::start(compressed(vec![sim.url()], Some(path.clone())), timing.clone(), Some(NOW));
    rig.until(|rig| rig.downs.len() == 2).await;
    std::fs::write(&path, dictionary(11)).unwrap();
    rig.until_post(1).await;
    assert!(rig.downs.iter().all(|reason| *reason == DownReason::Refused), "{:?}", rig.downs);
    std::fs::write(&path, "no dictionary").unwrap();
    sim.cut_all();
    rig.until(|rig| rig.downs.last() == Some(&DownReason::Refused) && rig.downs.contains(&DownReason::Closed)).await;
}
