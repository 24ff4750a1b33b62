use proptest::prelude::*;
use serde_json::{Value, json};
use url::Url;

use super::memory::Verdict;
use super::{Item, Memory, Said, read_page};
use crate::domain::event::{Rejected, SourceEvent};
use crate::domain::id::PostId;
use crate::domain::post::{Post, PostKind};
use crate::domain::time::Timestamp;
use crate::source::posts;
use crate::wire::post::PostJson;

const NOW: Timestamp = Timestamp::from_seconds(1_795_361_895);
const DIALECTS: [&str; 5] = ["discourse", "hackernews", "lemmy", "lobsters", "reddit"];

fn items(dialect: &str, page: &Value) -> Vec<Item> {
    let base = Url::parse("https://forum.example/").unwrap();
    read_page(dialect, page.to_string().as_bytes(), &base, NOW).unwrap()
}

fn item(dialect: &str, page: &Value) -> Item {
    let [item] = items(dialect, page).try_into().unwrap();
    item
}

fn post(dialect: &str, page: &Value) -> Post {
    let Said::Post(post) = item(dialect, page).said else { panic!("no post") };
    *post
}

fn listing(kind: &str, data: &Value) -> Value {
    json!({ "kind": "Listing", "data": { "after": null, "children": [{ "kind": kind, "data": data }] } })
}

fn submission() -> Value {
    json!({ "name": "t3_abc", "title": "Six hours", "selftext": "in the *ER*, see https://a.example/x", "author": "rita",
        "author_fullname": "t2_9", "subreddit": "boston", "permalink": "/r/boston/comments/abc/six_hours/",
        "url": "https://www.reddit.com/r/boston/comments/abc/six_hours/", "is_self": true,
        "created_utc": 1_795_361_000.0, "edited": false })
}

#[test]
fn a_post_and_a_comment_of_reddit_are_what_people_read_there() {
    let post_ = post("reddit", &listing("t3", &submission()));
    assert_eq!((post_.id.as_str(), post_.author.id.as_str()), ("reddit:t3_abc", "reddit:t2_9"));
    assert_eq!(post_.text, "Six hours\nin the *ER*, see https://a.example/x");
    assert_eq!(post_.url.as_deref(), Some("https://www.reddit.com/r/boston/comments/abc/six_hours/"));
    assert_eq!(post_.links, ["https://a.example/x"]);
    assert_eq!((post_.event_time, post_.kind), (Timestamp::from_seconds(1_795_361_000), PostKind::Post));
    let comment = json!({ "name": "t1_def", "body": "same", "author": "bob", "parent_id": "t3_abc", "link_id": "t3_abc",
        "created_utc": 1_795_361_100, "edited": 1_795_361_200.0, "permalink": "/r/boston/comments/abc/x/def/" });
    let comment = post("reddit", &listing("t1", &comment));
    assert_eq!(comment.reply_to, Some("reddit:t3_abc".into()));
    assert_eq!((comment.author.id.as_str(), comment.kind), ("reddit:u/bob", PostKind::Reply));
    assert_eq!(comment.event_time, Timestamp::from_seconds(1_795_361_200), "the edit");
    let mut link = submission();
    (link["is_self"], link["selftext"], link["url"]) = (false.into(), "".into(), "https://news.example/er".into());
    assert_eq!(post("reddit", &listing("t3", &link)).links, ["https://news.example/er"]);
    let mut elsewhere = submission();
    elsewhere["permalink"] = "//evil.example/r/boston".into();
    assert_eq!(post("reddit", &listing("t3", &elsewhere)).url, None);
}

#[test]
fn what_was_deleted_or_removed_at_reddit_is_gone_and_a_deleted_accounts_words_are_not() {
    let gone = Said::Gone("reddit:t3_abc".into());
    for (author, body, expected) in [
        ("[deleted]", "[deleted]", true),
        ("[deleted]", "[removed]", true),
        ("rita", "[removed]", true),
        ("[deleted]", "", true),
        ("[deleted]", "words", false),
        ("rita", "", false),
    ] {
        let mut data = submission();
        (data["author"], data["selftext"]) = (author.into(), body.into());
        assert_eq!(item("reddit", &listing("t3", &data)).said == gone, expected, "{author} {body}");
    }
}

#[test]
fn a_post_and_a_comment_of_lemmy_have_their_names_on_the_fediverse() {
    let creator = json!({ "name": "ann", "display_name": "Ann", "actor_id": "https://home.example/u/ann" });
    let view = json!({ "creator": creator, "post": { "id": 7, "ap_id": "https://lemmy.example/post/7", "name": "Six hours",
        "body": "in the ER", "url": "https://a.example/x", "alt_text": "a full room", "published": "2026-11-22T15:30:00.123456",
        "featured_local": true } });
    let page = json!({ "posts": [view] });
    let item_ = item("lemmy", &page);
    assert!(!item_.in_order, "what is pinned stands first, whatever its date");
    let post_ = post("lemmy", &page);
    assert_eq!(
        (post_.id.as_str(), post_.author.id.as_str()),
        ("https://lemmy.example/post/7", "https://home.example/u/ann")
    );
    assert_eq!((post_.author.handle.as_deref(), post_.author.name.as_deref()), (Some("ann@home.example"), Some("Ann")));
    assert_eq!(
        (post_.text.as_str(), post_.links.as_slice()),
        ("Six hours\nin the ER", &["https://a.example/x".to_owned()][..])
    );
    assert_eq!(post_.media_text, ["a full room"]);
    assert_eq!(post_.event_time.to_string(), "2026-11-22T15:30:00.123456Z", "older versions write no zone");
    let comment = |path: &str| {
        json!({ "comments": [{ "creator": creator, "post": { "ap_id": "https://lemmy.example/post/7" },
            "comment": { "id": 34, "ap_id": "https://home.example/comment/9", "content": "same", "path": path,
                "published": "2026-11-22T15:31:00Z" } }] })
    };
    assert_eq!(post("lemmy", &comment("0.34")).reply_to, Some("https://lemmy.example/post/7".into()));
    assert_eq!(post("lemmy", &comment("0.12.34")).reply_to, Some("https://forum.example/comment/12".into()));
    let mut removed = comment("0.34");
    removed["comments"][0]["comment"]["removed"] = true.into();
    assert_eq!(item("lemmy", &removed).said, Said::Gone("https://home.example/comment/9".into()));
}

#[test]
fn an_instance_that_says_what_is_wrong_shows_no_list() {
    let base = Url::parse("https://forum.example/").unwrap();
    let said = br#"{"error":"couldnt_find_community"}"#;
    assert_eq!(read_page("lemmy", said, &base, NOW), None);
}

#[test]
fn an_item_of_hacker_news_is_read_as_html() {
    let page = json!({ "id": 9, "type": "comment", "by": "ann", "time": 1_795_361_000, "parent": 8,
        "text": "six hours <a href=\"https:&#x2F;&#x2F;a.example&#x2F;x\">here</a><p>in the ER &amp; counting" });
    let post_ = post("hackernews", &page);
    assert_eq!(post_.text, "six hours here\nin the ER & counting");
    assert_eq!(
        (post_.reply_to, post_.links.as_slice()),
        (Some("hackernews:8".into()), &["https://a.example/x".to_owned()][..])
    );
    assert_eq!(post_.url.as_deref(), Some("https://news.ycombinator.com/item?id=9"));
    for flag in ["deleted", "dead"] {
        let page = json!({ "id": 9, "type": "comment", "time": 1_795_361_000, flag: true });
        assert_eq!(item("hackernews", &page).said, Said::Gone("hackernews:9".into()));
    }
    assert_eq!(items("hackernews", &Value::Null), [], "not there yet");
}

#[test]
fn lobsters_tells_who_submitted_a_story_in_two_ways() {
    let story = |by: &Value| {
        json!([{ "short_id": "x1", "created_at": "2026-11-22T09:30:00.000-06:00", "title": "Six hours", "url": "https://a.example/x",
            "description": "<p>in the <em>ER</em></p>", "submitter_user": by, "tags": ["health"],
            "comments_url": "https://forum.example/s/x1/six_hours" }])
    };
    for by in [json!("ann"), json!({ "username": "ann" })] {
        let post_ = post("lobsters", &story(&by));
        assert_eq!(
            (post_.id.as_str(), post_.author.id.as_str()),
            ("lobsters:forum.example/s/x1", "lobsters:forum.example/~ann")
        );
        assert_eq!((post_.text.as_str(), post_.tags.as_slice()), ("Six hours\nin the ER", &["health".to_owned()][..]));
        assert_eq!(post_.event_time.to_string(), "2026-11-22T15:30:00Z");
    }
}

#[test]
fn a_comment_of_lobsters_is_read_from_its_feed() {
    let document = "<rss version=\"2.0\"><channel><item><title>on Six hours</title><link>https://forum.example/s/x1/six_hours#c_y2</link>\
        <guid>https://forum.example/c/y2</guid><author>ann@users.forum.example (ann)</author>\
        <pubDate>Sun, 22 Nov 2026 15:30:00 +0000</pubDate><description>&lt;p&gt;same&lt;/p&gt;</description></item></channel></rss>";
    let base = Url::parse("https://forum.example/").unwrap();
    let items = read_page("lobsters", document.as_bytes(), &base, NOW).unwrap();
    let [Item { said: Said::Post(post), name, .. }] = items.as_slice() else { panic!("{items:?}") };
    assert_eq!((name.as_str(), post.id.as_str()), ("c/y2", "lobsters:forum.example/c/y2"));
    assert_eq!((post.text.as_str(), post.reply_to.clone()), ("same", Some("lobsters:forum.example/s/x1".into())));
    assert_eq!((post.author.handle.as_deref(), post.kind), (Some("ann"), PostKind::Reply));
    let half = document.split("<guid>").next().unwrap();
    assert_eq!(read_page("lobsters", half.as_bytes(), &base, NOW), None, "half of it is asked for again");
}

#[test]
fn a_post_of_discourse_has_the_name_that_its_webhook_gives_it() {
    let written = json!({ "id": 501, "user_id": 9, "username": "rita", "created_at": "2026-11-22T15:30:00Z", "raw": "Six hours",
        "post_number": 1, "post_type": 1, "version": 1, "topic_id": 77, "topic_slug": "er", "topic_title": "Waiting" });
    let page = json!({ "latest_posts": [written] });
    let post_ = post("discourse", &page);
    let body = json!({ "post": written }).to_string();
    let frame =
        crate::source::webhook::discourse::frame("post_created", "https://forum.example", body.as_bytes()).unwrap();
    let called = crate::source::webhook::discourse::decode(&"forum".into(), &frame, Some(NOW)).event;
    let Ok(SourceEvent::Post(called)) = called else { panic!("{called:?}") };
    assert_eq!((&post_.id, &post_.version, &post_.text), (&called.id, &called.version, &called.text));
    let mut deleted = page.clone();
    deleted["latest_posts"][0]["user_deleted"] = true.into();
    assert_eq!(item("discourse", &deleted).said, Said::Gone("discourse:forum.example/501".into()));
    let mut note = page;
    note["latest_posts"][0]["post_type"] = 3.into();
    assert_eq!(item("discourse", &note).said, Said::Other, "a note of what became of a topic");
}

#[test]
fn what_cannot_be_read_is_known_by_its_bytes() {
    let page = json!({ "latest_posts": [7, { "id": 1 }, {}] });
    let read = items("discourse", &page);
    let why: Vec<_> = read.iter().map(|item| item.said.clone()).collect();
    assert_eq!(
        why,
        [Said::Broken(Rejected::WrongType), Said::Broken(Rejected::MissingField), Said::Broken(Rejected::MissingField)]
    );
    assert!(read.iter().all(|item| item.name.starts_with('!')));
    assert_eq!(read, items("discourse", &page));
}

fn seen(name: &str, seconds: i64, text: &str) -> Item {
    let at = Timestamp::from_seconds(seconds);
    let post = Post::plain(PostId::from(name), "forum".into(), "ann".into(), text.to_owned(), at);
    Item { name: name.to_owned(), at: Some(at), in_order: true, said: Said::Post(Box::new(post)) }
}

#[test]
fn what_appears_late_is_news_and_history_that_comes_back_is_not() {
    let second = NOW.micros() / 1_000_000;
    let mut memory = Memory::default();
    memory.take_in(&[seen("a", second - 100, "a")], NOW, 10);
    memory.mark(&[seen("a", second - 100, "a")], NOW);
    let later = Timestamp::from_seconds(second + 200_000);
    let page = [
        seen("before the first look", second - 3600, "x"),
        seen("just before it, on a page that was kept", second - 60, "x"),
        seen("new", second + 100, "x"),
    ];
    assert_eq!(memory.take_in(&page, later, 10), [Verdict::Old, Verdict::News, Verdict::News]);
    memory.mark(&[seen("newest", second + 190_000, "x")], later);
    let page = [seen("late", second + 150_000, "x"), seen("too late", second + 50_000, "x")];
    assert_eq!(memory.take_in(&page, later, 10), [Verdict::News, Verdict::Old]);
}

#[test]
fn a_clock_that_was_years_ahead_makes_nothing_history() {
    let second = NOW.micros() / 1_000_000;
    let ahead = Timestamp::from_seconds(second + 100_000_000);
    let mut memory = Memory::default();
    memory.take_in(&[], ahead, 10);
    memory.mark(&[seen("dated by a liar", second + 90_000_000, "x")], ahead);
    memory.correct(NOW);
    assert_eq!(memory.read_to(), Some(NOW));
    let new = [seen("new", second + 1, "x")];
    assert_eq!(memory.settled(&new), 0);
    assert_eq!(memory.take_in(&new, Timestamp::from_seconds(second + 2), 10), [Verdict::News]);
}

#[test]
fn a_memory_is_bounded_and_reads_back() {
    let mut memory = Memory::default();
    for number in 0..100 {
        memory.take_in(&[seen(&number.to_string(), 1_795_361_895, "x")], NOW, 10);
    }
    assert!(!memory.knows("89") && memory.knows("90"));
    let text = serde_json::to_string(&memory).unwrap();
    assert!(text.len() < 10 * 60, "{text}");
    assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), memory);
}

proptest! {
    #[test]
    fn no_page_stops_the_reader_and_what_it_reads_can_be_written(
        dialect in 0..DIALECTS.len(), body in "(\\{|\\}|\\[|\\]|:|,|\"[a-z_]{1,16}\"|\"latest_posts\"|\"data\"|\"children\"|\"posts\"|\"id\"|[0-9]{1,20}|null|true| |\\\\ud83d){0,60}"
    ) {
        let base = Url::parse("https://forum.example/").unwrap();
        for item in read_page(DIALECTS[dialect], body.as_bytes(), &base, NOW).unwrap_or_default() {
            if let Said::Post(post) = item.said {
                let line = serde_json::to_vec(&PostJson::from(&*post)).unwrap();
                prop_assert!(posts::decode(&"forum".into(), &line, Some(NOW)).event.is_ok());
            }
        }
    }

    #[test]
    fn whatever_dates_a_forum_writes_they_can_be_counted_by(
        created in proptest::option::of(-10_000_000_000_i64..10_000_000_000), edited in proptest::option::of(0_i64..5_000_000_000)
    ) {
        let mut data = submission();
        (data["created_utc"], data["edited"]) = (created.into(), edited.into());
        let post = post("reddit", &listing("t3", &data));
        prop_assert!(post.event_time <= NOW);
        let line = serde_json::to_vec(&PostJson::from(&post)).unwrap();
        prop_assert!(posts::decode(&"forum".into(), &line, Some(NOW)).event.is_ok());
    }
}
