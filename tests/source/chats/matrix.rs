//! `matrix` against `SimMatrix`.

use std::time::Duration;

use serde_json::json;
use stormbell::config::model::{MatrixConfig, SourceKind, Transport};
use stormbell::config::secret::Secret;
use stormbell::domain::event::{DownReason, Joint, Rejected};
use tokio::time::Instant;

use crate::support::listener::{Listener, quick};
use crate::support::matrix::{ME, SimMatrix, TOKEN};

const ROOM: &str = "!er:lab";
const OTHER: &str = "!lobby:lab";
const RITA: &str = "@rita:lab";
const ANN: &str = "@ann:lab";

fn kind(sim: &SimMatrix, rooms: &[&str]) -> SourceKind {
    SourceKind::Matrix(MatrixConfig {
        url: sim.url(),
        token: Secret::new(TOKEN.to_owned()),
        rooms: rooms.iter().map(|&room| room.to_owned()).collect(),
        transport: Transport::default(),
    })
}

fn listen(sim: &SimMatrix, bookmark: Option<&str>) -> Listener {
    Listener::start(kind(sim, &[]), quick(), bookmark)
}

/// Listens from now on.
async fn listening(sim: &SimMatrix) -> Listener {
    let mut listener = listen(sim, None);
    listener.until(|listener| listener.covered == 1).await;
    listener
}

#[tokio::test]
async fn the_first_sync_is_a_baseline_and_then_everything_comes() {
    let sim = SimMatrix::start(&[ROOM]);
    sim.says(ROOM, RITA, "history");
    let mut listener = listening(&sim).await;
    assert_eq!(listener.joints, [Joint::Live]);
    let id = sim.says(ROOM, RITA, "smoke in the ER https://a.example/1");
    listener.until_text("smoke in the ER https://a.example/1").await;
    assert_eq!(listener.texts().len(), 1, "history is no news");
    let post = listener.post("smoke in the ER https://a.example/1");
    assert_eq!(post.id.as_str(), format!("matrix:{ROOM}/{id}"));
    assert_eq!((post.author.id.as_str(), post.author.handle.as_deref()), (RITA, Some("rita:lab")));
    assert_eq!(post.links, ["https://a.example/1"]);
    let first = sim.requests().into_iter().find(|request| request.contains("/sync")).unwrap();
    assert!(first.contains("timeout=0") && !first.contains("since="), "{first}");
}

#[tokio::test]
async fn edits_are_new_versions_and_redactions_take_back_in_either_form() {
    let sim = SimMatrix::start(&[ROOM]);
    let mut listener = listening(&sim).await;
    let first = sim.says(ROOM, RITA, "fire on 3");
    listener.until_text("fire on 3").await;
    let edit = sim.edits(ROOM, RITA, &first, "fire on 4");
    listener.until_text("fire on 4").await;
    let post = listener.post("fire on 4");
    assert_eq!(post.id.as_str(), format!("matrix:{ROOM}/{first}"), "an edit keeps the post's name");
    assert_eq!(post.version.as_deref(), Some(edit.as_str()));
    let second = sim.says(ROOM, ANN, "me too");
    sim.happens(ROOM, RITA, "m.room.redaction", &json!({}), &json!({ "redacts": first }));
    sim.happens(ROOM, ANN, "m.room.redaction", &json!({ "redacts": second }), &json!({}));
    listener.until(|listener| listener.deleted.len() == 2).await;
    assert_eq!(listener.deleted, [first, second].map(|id| format!("matrix:{ROOM}/{id}")).into());
}

#[tokio::test]
async fn nobody_edits_the_words_of_another() {
    let sim = SimMatrix::start(&[ROOM]);
    let old = sim.says(ROOM, RITA, "before we listened");
    let mut listener = listening(&sim).await;
    let new = sim.says(ROOM, RITA, "lost my badge");
    for event in [&old, &new] {
        sim.edits(ROOM, ANN, event, "forged");
    }
    sim.edits(ROOM, RITA, &old, "edited by its author");
    listener.until_text("edited by its author").await;
    assert_eq!(listener.texts(), ["edited by its author", "lost my badge"].into());
    assert_eq!(listener.rejected, [Rejected::WrongType; 2]);
}

#[tokio::test]
async fn what_was_said_while_we_were_away_is_paged_back_in_order() {
    let sim = SimMatrix::start(&[ROOM, OTHER]);
    let listener = listening(&sim).await;
    let bookmark = listener.stop().await;
    for n in 0..250 {
        sim.says(ROOM, RITA, &format!("post {n}"));
    }
    sim.says(OTHER, ANN, "one more");
    let mut listener = listen(&sim, bookmark.as_deref());
    listener.until(|listener| listener.posts.len() == 251).await;
    assert_eq!(listener.joints, [Joint::GoesOn]);
    assert!(listener.copies.values().all(|&copies| copies == 1), "{:?}", listener.copies);
    assert_eq!(sim.requests().iter().filter(|request| request.contains("/messages")).count(), 3);
    assert!(listener.downs.is_empty());
}

#[tokio::test]
async fn a_server_that_was_away_is_read_on_where_it_was_left() {
    let mut sim = SimMatrix::start(&[ROOM]);
    let mut listener = listening(&sim).await;
    sim.says(ROOM, RITA, "before");
    listener.until_text("before").await;
    sim.kill();
    listener.until(|listener| !listener.downs.is_empty()).await;
    sim.says(ROOM, RITA, "meanwhile");
    sim.serve();
    listener.until_text("meanwhile").await;
    assert!(listener.downs.iter().all(|down| *down == DownReason::ConnectFailed), "{:?}", listener.downs);
    assert_eq!(listener.joints, [Joint::Live, Joint::GoesOn]);
    assert!(listener.copies.values().all(|&copies| copies == 1));
}

#[tokio::test]
async fn a_token_nobody_knows_any_more_starts_afresh_and_is_a_gap() {
    let sim = SimMatrix::start(&[ROOM]);
    let mut listener = listening(&sim).await;
    sim.forget_tokens();
    sim.says(ROOM, RITA, "in between");
    listener.until(|listener| listener.joints.len() == 2).await;
    assert_eq!((listener.downs.as_slice(), listener.joints[1]), (&[DownReason::CursorTooOld][..], Joint::Live));
    sim.says(ROOM, RITA, "after");
    listener.until_text("after").await;
    assert_eq!(listener.texts(), ["after"].into());
}

#[tokio::test]
async fn a_refused_token_is_for_somebody_to_mend_and_does_not_hurry_the_server() {
    let sim = SimMatrix::start(&[ROOM]);
    let SourceKind::Matrix(mut config) = kind(&sim, &[]) else { unreachable!() };
    config.token = Secret::new("wrong".to_owned());
    let mut listener = Listener::start(SourceKind::Matrix(config), quick(), None);
    let began = Instant::now();
    listener.until(|listener| listener.downs.len() == 4).await;
    assert_eq!(listener.downs, [DownReason::Refused; 4]);
    assert!(began.elapsed() >= 3 * quick().operator_rest);
}

#[tokio::test]
async fn a_rate_limit_in_the_body_is_heeded() {
    let sim = SimMatrix::start(&[ROOM]);
    sim.refuse(&[(429, json!({ "errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 600 }))]);
    let began = Instant::now();
    let listener = listening(&sim).await;
    assert!(began.elapsed() >= Duration::from_millis(600));
    assert_eq!(listener.downs, [DownReason::Refused]);
}

#[tokio::test]
async fn only_chosen_rooms_are_read_and_never_our_own_words() {
    let sim = SimMatrix::start(&[ROOM, OTHER]);
    let mut listener = Listener::start(kind(&sim, &[ROOM, "!absent:lab"]), quick(), None);
    listener.until(|listener| listener.covered == 1).await;
    sim.says(OTHER, RITA, "elsewhere");
    sim.says(ROOM, ME, "CRITICAL: an alert of our own receiver");
    sim.says(ROOM, RITA, "here");
    listener.until_text("here").await;
    assert_eq!(listener.texts(), ["here"].into());
}

#[tokio::test]
async fn an_account_that_is_in_no_room_is_told() {
    let sim = SimMatrix::start(&[OTHER]);
    let mut listener = Listener::start(kind(&sim, &[ROOM]), quick(), None);
    listener.until(|listener| listener.downs == [DownReason::Refused]).await;
    assert!(listener.joints.is_empty());
}

#[tokio::test]
async fn silence_is_only_silence() {
    let sim = SimMatrix::start(&[ROOM]);
    let mut listener = listening(&sim).await;
    sim.kick(OTHER);
    listener.until(|listener| listener.covered == 2).await;
    assert!(listener.posts.is_empty() && listener.downs.is_empty());
}
