//! `youtube` sources against a Data API and a feed on loopback: comments within the quota, videos beside them.

use std::time::Duration;

use serde_json::json;
use stormbell::config::model::{CommentsConfig, FeedConfig, SourceKind, Transport, YoutubeConfig};
use stormbell::config::secret::Secret;
use stormbell::domain::event::{Bookmark, DownReason, Joint};
use stormbell::domain::id::PostId;

use crate::support::forum::{SimForum, left, texts};
use crate::support::reading::Reading;
use crate::support::sink::{Act, SimSink};

fn comments(forum: &SimForum, daily_units: u64) -> CommentsConfig {
    CommentsConfig {
        url: forum.sink.url("/"),
        key: Secret::new("key".to_owned()),
        channel: Some("UCaaaaaaaaaaaaaaaaaaaaaa".to_owned()),
        videos: Vec::new(),
        daily_units,
        poll_every: Duration::from_millis(10),
        transport: Transport::default(),
    }
}

fn start(forum: &SimForum, daily_units: u64, resume: Option<Bookmark>) -> Reading {
    let config = YoutubeConfig { videos: None, comments: Some(comments(forum, daily_units)) };
    crate::support::forum::start(SourceKind::Youtube(Box::new(config)), forum, resume)
}

/// More than any test uses, so that nothing is spread over the day.
const PLENTY: u64 = 1 << 40;

fn refusal(status: u16, reason: &str) -> Act {
    Act::Saying(status, json!({ "error": { "code": status, "errors": [{ "reason": reason }] } }).to_string())
}

#[tokio::test]
async fn new_comments_come_once_with_their_video_and_what_an_outage_missed_later() {
    let forum = SimForum::start("youtube", 5).await;
    let mut rig = start(&forum, PLENTY, None);
    rig.more(1).await;
    let number = forum.write("six hours");
    rig.until(|rig| rig.posts.len() == 1).await;
    rig.more(2).await;
    let [post] = rig.posts.as_slice() else { panic!("{:?}", texts(&rig)) };
    assert_eq!(post.text, format!("six hours {number}"));
    assert_eq!(post.id.as_str(), format!("yt:comment:c{number}"));
    assert_eq!(post.reply_to.as_ref().map(PostId::as_str), Some("yt:video:VIDEOID0001"));
    assert_eq!(post.url.as_deref(), Some(format!("https://www.youtube.com/watch?v=VIDEOID0001&lc=c{number}").as_str()));
    assert_eq!(post.author.id.as_str(), "https://www.youtube.com/channel/UCann");
    assert_eq!((post.author.handle.as_deref(), rig.connected.as_slice()), (Some("ann"), &[Joint::Live][..]));
    let bookmark = left(rig).await;
    let missed: Vec<u64> = (0..250).map(|_| forum.write("missed")).collect();
    let mut rig = start(&forum, PLENTY, bookmark);
    rig.until(|rig| rig.posts.len() >= missed.len()).await;
    rig.more(2).await;
    assert_eq!((rig.posts.len(), rig.missed.len(), rig.connected.as_slice()), (250, 0, &[Joint::GoesOn][..]));
}

#[tokio::test]
async fn answers_that_are_not_shown_with_their_thread_are_asked_for() {
    let forum = SimForum::start("youtube", 3).await;
    forum.world().answers.push((2, "before the first look".to_owned()));
    let mut rig = start(&forum, PLENTY, None);
    rig.more(1).await;
    forum.clock.set(stormbell::domain::time::Timestamp::from_seconds(crate::support::forum::BEGINNING + 100_001));
    for text in ["first", "second", "third"] {
        forum.world().answers.push((3, text.to_owned()));
    }
    rig.until(|rig| rig.posts.len() == 3).await;
    rig.more(3).await;
    let mut texts = texts(&rig);
    texts.sort_unstable();
    assert_eq!(texts, ["first", "second", "third"]);
    assert!(rig.posts.iter().all(|post| post.reply_to.as_ref().is_some_and(|id| id.as_str() == "yt:comment:c3")));
    let asked = forum.asked().iter().filter(|path| path.contains("parentId=c3")).count();
    assert_eq!(asked, 1, "a unit each, and nothing changed since");
}

#[tokio::test]
async fn edits_and_deletions_of_comments_follow() {
    let forum = SimForum::start("youtube", 3).await;
    let mut rig = start(&forum, PLENTY, None);
    rig.more(1).await;
    let numbers: Vec<u64> = (0..3).map(|_| forum.write("calm")).collect();
    rig.until(|rig| rig.posts.len() == 3).await;
    forum.edit(numbers[0], "gunman");
    rig.until(|rig| rig.posts.len() == 4).await;
    assert_eq!(texts(&rig)[3], "gunman");
    forum.delete(numbers[1]);
    rig.until(|rig| !rig.deleted.is_empty()).await;
    rig.more(2).await;
    assert_eq!(rig.deleted, [format!("yt:comment:c{}", numbers[1])]);
}

#[tokio::test]
async fn the_days_units_are_counted_over_restarts_and_no_more_are_used() {
    let forum = SimForum::start("youtube", 3).await;
    // Twelve units: so few are spread over a day, so each start is a round, and the clock moves on.
    let mut bookmark = None;
    for _ in 0..3 {
        let mut rig = start(&forum, 3, bookmark);
        rig.more(1).await;
        bookmark = left(rig).await;
    }
    assert_eq!(forum.asked().len(), 3);
    let mut rig = start(&forum, 3, bookmark.clone());
    rig.until(|rig| !rig.downs.is_empty()).await;
    assert_eq!((forum.asked().len(), rig.downs[0]), (3, DownReason::QuotaSpent), "nothing was asked");
    left(rig).await;
    // A day later there are units again, and what was missed is read.
    let number = forum.write("meanwhile");
    let tomorrow = stormbell::domain::time::Timestamp::from_seconds(crate::support::forum::BEGINNING + 86_400);
    forum.clock.set(tomorrow);
    let mut rig = start(&forum, 3, bookmark);
    rig.until(|rig| !rig.posts.is_empty()).await;
    assert_eq!(texts(&rig), [format!("meanwhile {number}")]);
}

#[tokio::test]
async fn a_quota_that_google_says_is_used_up_is_left_alone_until_the_day_ends() {
    let forum = SimForum::start("youtube", 3).await;
    let mut rig = start(&forum, PLENTY, None);
    rig.more(1).await;
    forum.sink.script([refusal(403, "quotaExceeded")]);
    rig.until(|rig| rig.downs.len() >= 3).await;
    let asked = forum.asked().len();
    rig.until(|rig| rig.downs.len() >= 6).await;
    assert!(rig.downs.iter().all(|why| *why == DownReason::QuotaSpent), "{:?}", rig.downs);
    assert_eq!(forum.asked().len(), asked, "it was asked for nothing more");
    let number = forum.write("meanwhile");
    forum.clock.set(stormbell::domain::time::Timestamp::from_seconds(crate::support::forum::BEGINNING + 86_400));
    rig.until(|rig| !rig.posts.is_empty()).await;
    assert_eq!(texts(&rig), [format!("meanwhile {number}")]);
}

#[tokio::test]
async fn comments_that_are_switched_off_stop_nothing_else() {
    let forum = SimForum::start("youtube", 3).await;
    let config = CommentsConfig { videos: vec!["VIDEOID0002".to_owned()], ..comments(&forum, PLENTY) };
    let config = YoutubeConfig { videos: None, comments: Some(config) };
    forum.sink.script([refusal(403, "commentsDisabled")]);
    let mut rig = crate::support::forum::start(SourceKind::Youtube(Box::new(config)), &forum, None);
    rig.more(2).await;
    let number = forum.write("new");
    rig.until(|rig| !rig.posts.is_empty()).await;
    assert_eq!((texts(&rig)[0], rig.downs.as_slice()), (format!("new {number}").as_str(), &[][..]));
    forum.sink.script([refusal(400, "keyInvalid")]);
    rig.until(|rig| !rig.downs.is_empty()).await;
    assert_eq!(rig.downs, [DownReason::Refused]);
}

#[tokio::test]
async fn an_api_that_fails_or_breaks_off_loses_nothing() {
    let forum = SimForum::start("youtube", 3).await;
    let mut rig = start(&forum, PLENTY, None);
    rig.more(1).await;
    let number = forum.write("new");
    let half = Act::Page(200, vec![], br#"{"items":[{"id":"c1","snip"#.to_vec());
    forum.sink.script([half, Act::Answer(500), Act::Reset, Act::Answer(503), refusal(403, "rateLimitExceeded")]);
    rig.until(|rig| !rig.posts.is_empty()).await;
    rig.more(1).await;
    assert_eq!((texts(&rig), rig.missed.len()), (vec![format!("new {number}").as_str()], 0));
    assert!(!rig.downs.is_empty());
}

/// The channel's feed with these videos, the newest first.
fn feed(videos: &[&str]) -> Act {
    let entry = |video: &&str| {
        format!(
            "<entry><id>yt:video:{video}</id><title>{video}</title><link rel=\"alternate\" href=\"https://www.youtube.com/watch?v={video}\"/>\
             <author><name>City News</name><uri>https://www.youtube.com/channel/UCabc</uri></author>\
             <published>2026-11-22T15:38:00+00:00</published></entry>"
        )
    };
    let entries: String = videos.iter().map(entry).collect();
    let document = format!("<feed xmlns=\"http://www.w3.org/2005/Atom\"><title>Videos</title>{entries}</feed>");
    Act::Page(200, Vec::new(), document.into_bytes())
}

fn both(sink: &SimSink, forum: &SimForum) -> SourceKind {
    let videos = FeedConfig {
        login: None,
        url: sink.url("/feeds/videos.xml"),
        poll_every: Some(Duration::from_millis(10)),
        push: false,
        transcripts: false,
        transport: Transport::default(),
    };
    SourceKind::Youtube(Box::new(YoutubeConfig { videos: Some(videos), comments: Some(comments(forum, PLENTY)) }))
}

#[tokio::test]
async fn videos_and_comments_are_one_source_with_one_bookmark() {
    let (sink, forum) = (SimSink::start().await, SimForum::start("youtube", 3).await);
    sink.otherwise(|_| feed(&["old"]));
    let mut rig = crate::support::forum::start(both(&sink, &forum), &forum, None);
    rig.more(4).await;
    assert_eq!((texts(&rig), rig.connected.as_slice()), (vec![], &[Joint::Live][..]));
    let bookmark = left(rig).await;
    let number = forum.write("comment");
    sink.otherwise(|_| feed(&["new", "old"]));
    let mut rig = crate::support::forum::start(both(&sink, &forum), &forum, bookmark);
    rig.until(|rig| rig.posts.len() == 2).await;
    rig.more(4).await;
    let mut texts = texts(&rig);
    texts.sort_unstable();
    assert_eq!(
        (texts, rig.connected.as_slice()),
        (vec![format!("comment {number}").as_str(), "new"], &[Joint::GoesOn][..])
    );
    let video = rig.posts.iter().find(|post| post.text == "new").unwrap();
    assert_eq!(video.id.as_str(), "yt:video:new");
    // Without the one the other is not all.
    forum.sink.script([refusal(403, "accessNotConfigured")]);
    rig.until(|rig| rig.downs == [DownReason::Refused]).await;
    rig.until(|rig| rig.connected.len() == 2).await;
}

#[tokio::test]
async fn videos_are_read_on_while_the_quota_for_comments_is_used_up() {
    let (sink, forum) = (SimSink::start().await, SimForum::start("youtube", 3).await);
    sink.otherwise(|_| feed(&["old"]));
    let mut rig = crate::support::forum::start(both(&sink, &forum), &forum, None);
    rig.more(4).await;
    forum.sink.script([refusal(403, "quotaExceeded")]);
    rig.until(|rig| rig.downs == [DownReason::QuotaSpent]).await;
    let (asked, number) = (forum.asked().len(), forum.write("comment"));
    sink.otherwise(|_| feed(&["new", "old"]));
    rig.until(|rig| texts(rig) == ["new"]).await;
    assert_eq!(
        (forum.asked().len(), rig.downs.len(), rig.connected.len()),
        (asked, 1, 1),
        "no more is asked, and it is told once"
    );
    forum.clock.set(stormbell::domain::time::Timestamp::from_seconds(crate::support::forum::BEGINNING + 86_400));
    rig.until(|rig| rig.posts.len() == 2).await;
    assert_eq!(texts(&rig), ["new".to_owned(), format!("comment {number}")]);
    assert_eq!(rig.connected, [Joint::Live, Joint::GoesOn]);
    assert_eq!((rig.downs.as_slice(), rig.missed.len()), (&[DownReason::QuotaSpent][..], 0));
}
