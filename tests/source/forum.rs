//! `forum` sources against forums on loopback, each in its dialect: every topic and comment once, whatever lists do.

use std::time::Duration;

use serde_json::json;
use stormbell::config::model::{ForumConfig, ForumDialect, SourceKind, Transport};
use stormbell::config::secret::Secret;
use stormbell::domain::event::{Bookmark, DownReason, Joint, Rejected};
use stormbell::domain::post::PostKind;

use crate::support::forum::{BEGINNING, SimForum, left, texts};
use crate::support::reading::Reading;
use crate::support::sink::Act;

const DIALECTS: [&str; 5] = ["discourse", "hackernews", "lemmy", "lobsters", "reddit"];

fn config(dialect: &str, forum: &SimForum) -> SourceKind {
    let dialect = match dialect {
        "discourse" => ForumDialect::Discourse { login: None },
        "hackernews" => ForumDialect::HackerNews,
        "lemmy" => ForumDialect::Lemmy { token: None, communities: Vec::new() },
        "lobsters" => ForumDialect::Lobsters,
        "reddit" => ForumDialect::Reddit {
            client_id: "id".to_owned(),
            secret: Secret::new("secret".to_owned()),
            contact: "/u/stormbell_test".to_owned(),
            communities: vec!["boston".to_owned()],
            searches: Vec::new(),
        },
        other => panic!("{other}"),
    };
    let poll_every = Duration::from_millis(10);
    SourceKind::Forum(Box::new(ForumConfig {
        url: forum.sink.url("/"),
        dialect,
        poll_every,
        transport: Transport::default(),
    }))
}

fn start(dialect: &str, forum: &SimForum, resume: Option<Bookmark>) -> Reading {
    crate::support::forum::start(config(dialect, forum), forum, resume)
}

fn sorted(texts: Vec<&str>) -> Vec<String> {
    let mut texts: Vec<String> = texts.into_iter().map(str::to_owned).collect();
    texts.sort();
    texts
}

#[tokio::test]
async fn the_first_look_is_history_and_each_topic_and_comment_comes_once() {
    for dialect in DIALECTS {
        let forum = SimForum::start(dialect, 7).await;
        let mut rig = start(dialect, &forum, None);
        rig.more(2).await;
        assert_eq!((texts(&rig), rig.connected.as_slice()), (vec![], &[Joint::Live][..]), "{dialect}");
        let (comment, topic) = (forum.write("new"), forum.write("new"));
        rig.until(|rig| rig.posts.len() == 2).await;
        rig.more(3).await;
        assert_eq!(sorted(texts(&rig)), [format!("new {comment}"), format!("new {topic}")], "{dialect}");
        let [comment, topic] = rig.posts.as_slice() else { panic!("{dialect}") };
        assert!(comment.created_at < topic.created_at, "{dialect}: the older one first");
        if dialect != "discourse" {
            assert_eq!((comment.kind, topic.kind), (PostKind::Reply, PostKind::Post), "{dialect}");
            assert!(comment.reply_to.is_some(), "{dialect}");
        }
        assert!(topic.url.as_deref().is_some_and(|url| url.starts_with("http")), "{dialect}");
        assert!(topic.author.handle.is_some() && rig.downs.is_empty(), "{dialect}");
    }
}

#[tokio::test]
async fn what_an_outage_missed_is_read_back_page_by_page_to_what_is_known() {
    for dialect in DIALECTS {
        let forum = SimForum::start(dialect, 10).await;
        let mut rig = start(dialect, &forum, None);
        rig.more(1).await;
        let bookmark = left(rig).await;
        let missed: Vec<String> = (0..420).map(|_| format!("missed {}", forum.write("missed"))).collect();
        let mut rig = start(dialect, &forum, bookmark);
        rig.until(|rig| rig.posts.len() >= missed.len()).await;
        rig.more(2).await;
        let mut expected = missed;
        expected.sort();
        assert_eq!(sorted(texts(&rig)), expected, "{dialect}");
        assert_eq!((rig.connected.as_slice(), rig.missed.as_slice()), (&[Joint::GoesOn][..], &[][..]), "{dialect}");
    }
}

#[tokio::test]
async fn a_list_that_moves_while_it_is_read_neither_repeats_nor_skips() {
    for dialect in ["discourse", "lemmy", "lobsters", "reddit"] {
        let forum = SimForum::start(dialect, 10).await;
        let mut rig = start(dialect, &forum, None);
        rig.more(1).await;
        let bookmark = left(rig).await;
        let missed: Vec<String> = (0..240).map(|_| format!("missed {}", forum.write("missed"))).collect();
        forum.world().moves = true;
        let mut rig = start(dialect, &forum, bookmark);
        rig.more(1).await;
        forum.world().moves = false;
        rig.more(2).await;
        let came = sorted(texts(&rig));
        let mut once = came.clone();
        once.dedup();
        assert_eq!(came, once, "{dialect}");
        assert!(missed.iter().all(|text| came.contains(text)), "{dialect}");
        assert!(came.iter().any(|text| text.starts_with("while it was read")), "{dialect}: the fault fired");
    }
}

#[tokio::test]
async fn what_lies_further_back_than_a_list_shows_is_told_as_missed() {
    let forum = SimForum::start("reddit", 10).await;
    let mut rig = start("reddit", &forum, None);
    rig.more(1).await;
    let bookmark = left(rig).await;
    forum.world().shows = Some(1000);
    for _ in 0..4000 {
        forum.write("missed");
    }
    let mut rig = start("reddit", &forum, bookmark);
    rig.more(1).await;
    assert_eq!(rig.posts.len(), 2000, "of topics and of comments a thousand");
    let newest = BEGINNING + 10 * 60;
    let [(from, to)] = rig.missed.as_slice() else { panic!("{:?}", rig.missed) };
    assert!((newest - 60..=newest).contains(&(from.micros() / 1_000_000)), "{from}");
    assert_eq!(to.micros() / 1_000_000, BEGINNING + (4010 - 1998) * 60);
    assert_eq!(rig.connected, [Joint::GoesOn]);
    rig.more(2).await;
    assert_eq!((rig.posts.len(), rig.missed.len()), (2000, 1), "once");
}

#[tokio::test]
async fn an_edit_is_told_again_and_what_vanished_is_asked_for_and_followed() {
    for dialect in DIALECTS {
        let forum = SimForum::start(dialect, 5).await;
        let mut rig = start(dialect, &forum, None);
        rig.more(1).await;
        let numbers: Vec<u64> = (0..6).map(|_| forum.write("calm")).collect();
        rig.until(|rig| rig.posts.len() == 6).await;
        forum.edit(numbers[3], "gunman");
        rig.until(|rig| rig.posts.len() == 7).await;
        let edited = rig.posts.last().unwrap();
        let first = rig.posts.iter().find(|post| post.id == edited.id).unwrap();
        assert!(edited.text.ends_with("gunman") && first.version != edited.version, "{dialect}");
        forum.delete(numbers[1]);
        forum.delete(numbers[2]);
        rig.until(|rig| rig.deleted.len() == 2).await;
        rig.more(2).await;
        let gone: Vec<_> = rig.posts[1..3].iter().map(|post| post.id.as_str().to_owned()).collect();
        assert_eq!(
            sorted(rig.deleted.iter().map(String::as_str).collect()),
            sorted(gone.iter().map(String::as_str).collect()),
            "{dialect}"
        );
        assert_eq!((rig.posts.len(), rig.downs.as_slice()), (7, &[][..]), "{dialect}: once each");
    }
}

#[tokio::test]
async fn what_is_only_hidden_from_a_list_is_not_deleted() {
    // A forum that moved a topic to where the list does not show it still answers for it.
    let forum = SimForum::start("discourse", 9).await;
    let mut rig = start("discourse", &forum, None);
    rig.more(1).await;
    forum.sink.script([Act::Saying(200, json!({ "latest_posts": [
        { "id": 9, "user_id": 9, "username": "rita", "created_at": "2026-11-22T15:47:15Z", "raw": "history 9", "post_type": 1, "post_number": 1, "topic_title": "ER" },
        { "id": 2, "user_id": 9, "username": "rita", "created_at": "2026-11-22T15:40:15Z", "raw": "history 2", "post_type": 1, "post_number": 2 },
    ] }).to_string())]);
    rig.more(3).await;
    assert!(forum.asked().iter().any(|path| path == "/posts/8.json"), "{:?}", forum.asked());
    assert_eq!((rig.deleted.len(), rig.posts.len()), (0, 0));
}

#[tokio::test]
async fn a_server_that_fails_is_asked_again_and_nothing_is_lost() {
    for dialect in ["discourse", "hackernews", "lemmy", "lobsters"] {
        let forum = SimForum::start(dialect, 5).await;
        let mut rig = start(dialect, &forum, None);
        rig.more(1).await;
        let number = forum.write("new");
        let fails = || [Act::Answer(500), Act::Reset, Act::HalfAnswer(Duration::from_millis(1)), Act::Answer(502)];
        let half = Act::Page(200, vec![], br#"{"latest_posts":[{"id":1"#.to_vec());
        forum.sink.script([half].into_iter().chain(fails()).chain([Act::Answer(404), Act::Answer(401)]));
        rig.until(|rig| !rig.posts.is_empty()).await;
        rig.more(2).await;
        assert_eq!(texts(&rig), [format!("new {number}")], "{dialect}");
        assert!(!rig.downs.is_empty() && rig.connected.contains(&Joint::GoesOn), "{dialect}: {:?}", rig.downs);
        assert!(rig.missed.is_empty(), "{dialect}");
    }
}

#[tokio::test]
async fn a_page_for_people_is_told_to_the_operator() {
    let forum = SimForum::start("lemmy", 1).await;
    forum.sink.script([Act::Saying(200, "<!DOCTYPE html><html>please log in</html>".into())]);
    let mut rig = start("lemmy", &forum, None);
    rig.more(1).await;
    assert_eq!((rig.downs.as_slice(), rig.connected.as_slice()), (&[DownReason::Refused][..], &[Joint::Live][..]));
}

#[tokio::test]
async fn a_forum_that_has_enough_of_us_is_left_alone_for_as_long_as_it_says() {
    let forum = SimForum::start("discourse", 5).await;
    let mut rig = start("discourse", &forum, None);
    rig.more(1).await;
    let number = forum.write("new");
    let asked = forum.asked().len();
    let wait = json!({ "errors": ["slow down"], "extras": { "wait_seconds": 0 } }).to_string();
    forum.sink.script([Act::Saying(429, wait), Act::With(429, "retry-after", "0".to_owned())]);
    rig.until(|rig| !rig.posts.is_empty()).await;
    assert_eq!((texts(&rig), rig.downs.as_slice()), (vec![format!("new {number}").as_str()], &[][..]));
    assert!(forum.asked().len() >= asked + 3, "the same page again");
    // More patience than a round has is a time without sight.
    forum.sink.script([Act::With(429, "retry-after", "3600".to_owned())]);
    rig.until(|rig| rig.downs == [DownReason::Refused]).await;
    rig.until(|rig| rig.connected.len() == 2).await;
}

#[tokio::test]
async fn a_restart_before_the_commit_reads_the_same_again() {
    for dialect in DIALECTS {
        let forum = SimForum::start(dialect, 5).await;
        let mut rig = start(dialect, &forum, None);
        rig.more(1).await;
        let bookmark = left(rig).await;
        let number = forum.write("new");
        let mut first = start(dialect, &forum, bookmark.clone());
        first.until(|rig| !rig.posts.is_empty()).await;
        let told = first.posts.clone();
        drop(first); // killed before its bookmark was on disk
        let mut second = start(dialect, &forum, bookmark);
        second.until(|rig| !rig.posts.is_empty()).await;
        assert_eq!(texts(&second), [format!("new {number}")], "{dialect}");
        assert_eq!((&told[0].id, &told[0].version), (&second.posts[0].id, &second.posts[0].version), "{dialect}");
    }
}

#[tokio::test]
async fn a_page_that_is_as_it_was_is_not_sent_again() {
    let forum = SimForum::start("discourse", 1).await;
    forum.sink.otherwise(|request| {
        if request.header("if-none-match") == "\"1\"" {
            return Act::Page(304, vec![], Vec::new());
        }
        Act::Page(200, vec![("etag", "\"1\"".into())], br#"{"latest_posts":[]}"#.to_vec())
    });
    let mut rig = start("discourse", &forum, None);
    rig.more(3).await;
    assert!(forum.sink.requests().len() >= 3 && rig.downs.is_empty());
    let tags: Vec<_> = forum.sink.requests().iter().map(|request| request.header("if-none-match").to_owned()).collect();
    assert_eq!(tags[..3], ["", "\"1\"", "\"1\""]);
}

#[tokio::test]
async fn posts_before_a_number_may_be_none_though_there_are_more() {
    // Discourse as it was until 2024: a page is a range of numbers, the named one among them.
    let forum = SimForum::start("discourse", 10).await;
    forum.world().is_old = true;
    let mut rig = start("discourse", &forum, None);
    rig.more(1).await;
    let bookmark = left(rig).await;
    let missed: Vec<u64> = (0..300).map(|_| forum.write("missed")).collect();
    // A topic of 130 posts was private, or deleted: two pages are empty.
    missed[60..190].iter().for_each(|number| forum.delete(*number));
    let mut rig = start("discourse", &forum, bookmark);
    rig.until(|rig| rig.posts.len() >= 170).await;
    rig.more(1).await;
    assert_eq!((rig.posts.len(), rig.missed.len()), (170, 0));
}

#[tokio::test]
async fn a_deleted_anchor_empties_no_list() {
    // Reddit answers `before=` a deleted thing with nothing for ever: the fake fails whoever asks so.
    let forum = SimForum::start("reddit", 6).await;
    let mut rig = start("reddit", &forum, None);
    rig.more(1).await;
    let bookmark = left(rig).await;
    (1..=6).for_each(|number| forum.delete(number));
    let numbers = [forum.write("new"), forum.write("new")];
    let mut rig = start("reddit", &forum, bookmark);
    rig.until(|rig| rig.posts.len() == 2).await;
    assert_eq!(sorted(texts(&rig)), numbers.map(|number| format!("new {number}")));
    assert_eq!((rig.connected.as_slice(), rig.missed.len()), (&[Joint::GoesOn][..], 0));
}

#[tokio::test]
async fn a_token_of_reddit_that_was_taken_back_is_replaced_and_a_wrong_secret_told() {
    let forum = SimForum::start("reddit", 2).await;
    let mut rig = start("reddit", &forum, None);
    rig.more(1).await;
    forum.world().tokens += 1; // the one we have holds no more
    rig.more(2).await;
    assert_eq!((forum.world().tokens, rig.downs.as_slice()), (3, &[][..]));
    left(rig).await;
    forum.sink.otherwise(|_| Act::Answer(401));
    let mut rig = start("reddit", &forum, None);
    rig.until(|rig| rig.downs == [DownReason::Refused]).await;
    assert_eq!(forum.asked().last().map(String::as_str), Some("/api/v1/access_token"));
}

#[tokio::test]
async fn reddit_is_not_asked_when_all_that_it_allows_is_used() {
    let forum = SimForum::start("reddit", 2).await;
    let page = |left: &str| {
        let headers = vec![("x-ratelimit-remaining", left.to_owned()), ("x-ratelimit-reset", "3600".to_owned())];
        Act::Page(200, headers, br#"{"data":{"children":[]}}"#.to_vec())
    };
    let token = Act::Saying(200, json!({ "access_token": "t0", "expires_in": 86400 }).to_string());
    forum.sink.script([token, page("50.0"), page("1.0")]);
    let began = tokio::time::Instant::now();
    let mut rig = start("reddit", &forum, None);
    rig.more(2).await;
    // Of the hour a hurried source believes 50 ms.
    assert!(began.elapsed() >= Duration::from_millis(50));
    assert!(rig.downs.is_empty());
}

#[tokio::test]
async fn what_is_pinned_or_dated_nonsense_ends_no_reading_back() {
    let forum = SimForum::start("lemmy", 200).await;
    (1..=9).step_by(2).for_each(|number| forum.change(number, |thing| thing.is_pinned = true));
    let mut rig = start("lemmy", &forum, None);
    rig.more(1).await;
    let bookmark = left(rig).await;
    let missed: Vec<u64> = (0..300).map(|_| forum.write("missed")).collect();
    // Another instance's clocks: one in 1970, one in 2099.
    forum.change(missed[299], |thing| thing.at = 5);
    forum.change(missed[297], |thing| thing.at = 4_070_908_800);
    let mut rig = start("lemmy", &forum, bookmark);
    rig.until(|rig| rig.posts.len() >= 299).await;
    rig.more(2).await;
    assert_eq!((rig.posts.len(), rig.missed.len()), (299, 0), "all but the one that is dated before it all");
    let now = rig.posts.iter().map(|post| post.event_time).max().unwrap();
    assert!(now.micros() / 1_000_000 <= BEGINNING + 500 * 60 + 1, "nothing counts in the future");
    // The date in the future is not taken for how far all is read.
    let bookmark = left(rig).await;
    let again: Vec<u64> = (0..300).map(|_| forum.write("again")).collect();
    let mut rig = start("lemmy", &forum, bookmark);
    rig.until(|rig| rig.posts.len() >= again.len()).await;
}

#[tokio::test]
async fn a_number_of_hacker_news_that_is_not_there_yet_is_asked_for_until_it_is() {
    let forum = SimForum::start("hackernews", 5).await;
    let mut rig = start("hackernews", &forum, None);
    rig.more(1).await;
    let late = forum.write("late");
    forum.world().late.push(late);
    let number = forum.write("new");
    rig.until(|rig| !rig.posts.is_empty()).await;
    rig.more(2).await;
    assert_eq!(texts(&rig), [format!("new {number}")]);
    forum.world().late.clear();
    rig.until(|rig| rig.posts.len() == 2).await;
    assert_eq!(texts(&rig)[1], format!("late {late}"));
}

#[tokio::test]
async fn one_thing_that_cannot_be_read_costs_nothing_else_and_is_counted_once() {
    let forum = SimForum::start("discourse", 3).await;
    let mut rig = start("discourse", &forum, None);
    rig.more(1).await;
    let deep = format!("{{\"id\":50,\"x\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    let good = r#"{"id":51,"user_id":9,"username":"rita","created_at":"2026-11-22T16:00:00Z","raw":"new","post_type":1,"post_number":2}"#;
    let page = format!(
        r#"{{"latest_posts":[{good},{deep},{{"id":"x"}},7,{{"id":49,"raw":"\ud83d","created_at":"2026-11-22T16:00:00Z"}}]}}"#
    );
    forum.clock.set(stormbell::domain::time::Timestamp::parse("2026-11-22T16:01:00Z").unwrap());
    forum.sink.otherwise(move |request| {
        if request.line.contains("/posts.json") { Act::Saying(200, page.clone()) } else { Act::Answer(404) }
    });
    rig.until(|rig| !rig.posts.is_empty()).await;
    rig.more(3).await;
    assert_eq!(texts(&rig), ["new"]);
    assert_eq!(rig.rejected.len(), 4, "{:?}", rig.rejected);
    assert!(rig.rejected.contains(&Rejected::LoneSurrogate), "{:?}", rig.rejected);
}

#[tokio::test]
async fn an_endless_page_is_refused_and_the_source_lives() {
    let forum = SimForum::start("lobsters", 3).await;
    forum.sink.script([Act::Page(200, vec![], vec![b' '; (16 << 20) + 1])]);
    let mut rig = start("lobsters", &forum, None);
    rig.more(1).await;
    assert_eq!(rig.downs, [DownReason::Refused]);
}

#[tokio::test]
async fn a_list_that_is_added_later_begins_with_history_of_its_own() {
    let forum = SimForum::start("reddit", 4).await;
    let mut rig = start("reddit", &forum, None);
    rig.more(1).await;
    let bookmark = left(rig).await;
    let SourceKind::Forum(mut config) = config("reddit", &forum) else { panic!("a forum") };
    if let ForumDialect::Reddit { searches, .. } = &mut config.dialect {
        searches.push("northgate".to_owned());
    }
    let number = forum.write("new");
    let mut rig = crate::support::forum::start(SourceKind::Forum(config), &forum, bookmark);
    rig.until(|rig| !rig.posts.is_empty()).await;
    rig.more(2).await;
    assert_eq!(texts(&rig), [format!("new {number}")], "once, though the search shows it, too");
    assert!(forum.asked().iter().any(|path| path.starts_with("/search?q=northgate&sort=new")), "{:?}", forum.asked());
}
