use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_795_362_000;

fn decoded(body: &Value) -> Vec<Result<SourceEvent, Rejected>> {
    raw(body.to_string().as_bytes())
}

fn raw(body: &[u8]) -> Vec<Result<SourceEvent, Rejected>> {
    let now = Timestamp::from_seconds(NOW);
    let read = |frame: Vec<u8>| decode(&"pages".into(), &frame, Some(now)).event;
    split(body).into_iter().map(|frame| frame.and_then(read)).collect()
}

fn page(field: &str, value: &Value) -> Value {
    json!({"object": "page", "entry": [{"id": "104000000000001", "time": 1_795_361_900, "changes": [
        {"field": field, "value": value}
    ]}]})
}

fn post(mut events: Vec<Result<SourceEvent, Rejected>>) -> Post {
    assert_eq!(events.len(), 1, "{events:?}");
    let Some(Ok(SourceEvent::Post(post))) = events.pop() else { panic!("no post") };
    *post
}

fn comment() -> Value {
    json!({"item": "comment", "verb": "add", "post_id": "104000000000001_5551", "comment_id": "5551_7771",
        "parent_id": "104000000000001_5551", "from": {"id": "2001", "name": "Rita Q."}, "message": "Six hours waiting! #ER",
        "created_time": 1_795_361_895})
}

#[test]
fn a_comment_on_the_page_is_an_answer_by_its_author() {
    let post = post(decoded(&page("feed", &comment())));
    assert_eq!((post.id.as_str(), post.author.id.as_str()), ("facebook:5551_7771", "facebook:2001"));
    assert_eq!((post.author.name.as_deref(), post.text.as_str()), (Some("Rita Q."), "Six hours waiting! #ER"));
    assert_eq!(post.reply_to, Some("facebook:104000000000001_5551".into()));
    assert_eq!((post.kind, post.tags.as_slice()), (PostKind::Reply, &["ER".to_owned()][..]));
    assert_eq!(post.url.as_deref(), Some("https://www.facebook.com/104000000000001_5551"));
    assert_eq!(post.created_at, Timestamp::from_seconds(1_795_361_895));
    assert_eq!(post.event_time, Timestamp::from_seconds(1_795_361_900));
    assert!(!post.has_media && post.links.is_empty());
}

#[test]
fn raw_bytes_with_escapes_say_what_people_read() {
    let body = br#"{"object":"page","entry":[{"id":"104","time":1795361900,"changes":[{"field":"feed","value":{"item":"status","verb":"add","post_id":"104_1","from":{"id":"2"},"message":"caf\u00e9 \ud83d\ude91 see https:\/\/a.example\/x","link":"https:\/\/b.example\/y"}}]}]}"#;
    let post = post(raw(body));
    assert_eq!(post.text, "café 🚑 see https://a.example/x");
    assert_eq!(post.links, ["https://a.example/x", "https://b.example/y"]);
}

#[test]
fn mentions_and_ratings_name_whoever_wrote_them() {
    let mention = json!({"item": "post", "verb": "add", "post_id": "2001_888", "sender_id": "2001",
        "sender_name": "Rita Q.", "message": "@Northgate …"});
    let mention = post(decoded(&page("mention", &mention)));
    assert_eq!((mention.id.as_str(), mention.author.id.as_str()), ("facebook:2001_888", "facebook:2001"));
    assert_eq!(mention.kind, PostKind::Post);
    let rating = json!({"item": "rating", "verb": "add", "recommendation_type": "NEGATIVE", "review_text": "Never again",
        "reviewer_id": "2001", "reviewer_name": "Rita Q.", "open_graph_story_id": "999", "created_time": 1_795_361_985});
    let rating = post(decoded(&page("ratings", &rating)));
    assert_eq!((rating.id.as_str(), rating.text.as_str()), ("facebook:999", "Never again"));
    assert_eq!(rating.tags, ["negative"]);
    assert_eq!(rating.author.name.as_deref(), Some("Rita Q."));
}

#[test]
fn a_comment_on_instagram_is_an_answer_to_what_it_stands_under() {
    let value = json!({"id": "17890", "text": "still waiting…", "from": {"id": "3001", "username": "rita.q"},
        "media": {"id": "17850", "media_product_type": "FEED"}, "parent_id": "17880"});
    let body = |value: &Value, field: &str| {
        json!({"object": "instagram", "entry": [{"id": "17841", "time": 1_795_361_900, "changes": [
            {"field": field, "value": value}
        ]}]})
    };
    let comment = post(decoded(&body(&value, "comments")));
    assert_eq!((comment.id.as_str(), comment.author.id.as_str()), ("instagram:17890", "instagram:3001"));
    assert_eq!((comment.author.handle.as_deref(), comment.url), (Some("rita.q"), None));
    assert_eq!(comment.reply_to, Some("instagram:17880".into()));
    // A mention brings ids alone.
    let mention = json!({"media_id": "17850", "comment_id": "17890"});
    assert_eq!(decoded(&body(&mention, "mentions")), [Ok(SourceEvent::Other)]);
}

#[test]
fn remove_deletes_and_edited_is_another_version() {
    let with = |verb: &str| {
        let mut value = comment();
        value["verb"] = verb.into();
        page("feed", &value)
    };
    let at = Timestamp::from_seconds(1_795_361_900);
    assert_eq!(decoded(&with("remove")), [Ok(SourceEvent::PostDeleted { post: "facebook:5551_7771".into(), at })]);
    let (added, edited) = (post(decoded(&with("add"))), post(decoded(&with("edited"))));
    assert_eq!(added.id, edited.id);
    assert_ne!(added.version, edited.version);
    for verb in ["hide", "unhide", "mute", ""] {
        assert_eq!(decoded(&with(verb)), [Ok(SourceEvent::Other)], "{verb}");
    }
}

#[test]
fn a_like_of_a_review_and_its_end_are_nothing_about_the_review() {
    let of = |item: &str, verb: &str| {
        decoded(&page(
            "ratings",
            &json!({"item": item, "verb": verb, "reaction_type": "like",
            "reviewer_id": "2001", "open_graph_story_id": "999", "created_time": 1_795_361_985}),
        ))
    };
    for item in ["reaction", "like"] {
        for verb in ["add", "edit", "remove"] {
            assert_eq!(of(item, verb), [Ok(SourceEvent::Other)], "{item} {verb}");
        }
    }
    let at = Timestamp::from_seconds(1_795_361_900);
    assert_eq!(of("rating", "remove"), [Ok(SourceEvent::PostDeleted { post: "facebook:999".into(), at })]);
}

#[test]
fn quirk_duplicates_are_one_by_item_verb_and_time() {
    let version = |verb: &str, time: i64| {
        let mut value = comment();
        value["verb"] = verb.into();
        let mut body = page("feed", &value);
        body["entry"][0]["time"] = time.into();
        let post = post(decoded(&body));
        (post.id, post.version)
    };
    assert_eq!(version("add", 1_795_361_900), version("add", 1_795_361_950), "sent again, with a time of its own");
    assert_eq!(version("edited", 1_795_361_900), version("edited", 1_795_361_900));
    assert_ne!(version("edited", 1_795_361_900), version("edited", 1_795_361_950), "edited twice");
}

#[test]
fn quirk_the_dashboards_test_is_accepted_and_nobodys_post() {
    let body = json!({"object": "page", "entry": [{"id": "0", "time": 1_795_361_900, "changes": [
        {"field": "feed", "value": {"item": "status", "post_id": "44444444_444444444", "verb": "add", "published": 1,
            "created_time": 1_795_361_900, "message": "Example post content.", "from": {"name": "Test Page", "id": "1067280970047460"}}}
    ]}]});
    assert_eq!(decoded(&body), [Ok(SourceEvent::Other)]);
}

#[test]
fn whoever_is_not_named_is_nobody_else() {
    let author = |own: &str| {
        let mut value = comment();
        value["from"] = Value::Null;
        value["comment_id"] = own.into();
        post(decoded(&page("feed", &value))).author.id
    };
    assert_ne!(author("1_1"), author("1_2"));
    assert_eq!(author("1_1").as_str(), "facebook:unknown/1_1");
}

#[test]
fn a_batch_is_taken_apart_and_each_change_is_read_as_if_alone() {
    let change = |number: usize| {
        let mut value = comment();
        value["comment_id"] = format!("5551_{number}").into();
        json!({"field": "feed", "value": value})
    };
    let like = json!({"field": "feed", "value": {"item": "reaction", "verb": "add", "reaction_type": "like"}});
    let mut changes: Vec<Value> = (0..998).map(change).collect();
    changes.extend([like, json!({"field": "name", "value": "Northgate"})]);
    let body = json!({"object": "page", "entry": [
        {"id": "104", "time": 1_795_361_900, "changes": changes},
        {"id": "104", "time": 1_795_361_900, "messaging": [{"message": {"text": "private"}}]},
        {"id": "105", "time": 1_795_361_900, "changes": [change(5000)]},
    ]});
    let events = decoded(&body);
    let posts = events.iter().filter(|event| matches!(event, Ok(SourceEvent::Post(_)))).count();
    assert_eq!((events.len(), posts), (1001, 999));
    assert!(!format!("{events:?}").contains("private"));
}

#[test]
fn what_cannot_be_read_says_why_and_harms_no_neighbour() {
    assert_eq!(raw(b"{"), [Err(Rejected::NotJson)]);
    assert_eq!(raw(b"[]"), [Err(Rejected::WrongType)]);
    for nothing in ["{}", r#"{"object":"page","entry":[]}"#, r#"{"object":"page","entry":[{"id":"1","time":1}]}"#] {
        assert_eq!(raw(nothing.as_bytes()), [Ok(SourceEvent::Other)], "{nothing}");
    }
    let body = json!({"object": "page", "entry": [7, {"id": "104", "time": 1_795_361_900, "changes": [
        3, {"field": "feed"}, {"field": "feed", "value": {"item": "comment", "verb": "add"}}, {"field": "feed", "value": comment()},
        {"field": "feed", "value": {"item": "comment", "verb": "add", "comment_id": "x\" onload"}},
    ]}]});
    let reasons: Vec<_> = decoded(&body).into_iter().map(Result::err).collect();
    let (wrong, missing) = (Some(Rejected::WrongType), Some(Rejected::MissingField));
    assert_eq!(reasons, [wrong, wrong, missing, missing, None, missing]);
    for (time, reason) in [(json!(null), Rejected::AbsurdDate), (json!(17), Rejected::AbsurdDate)] {
        let mut body = page("feed", &comment());
        body["entry"][0]["time"] = time;
        assert_eq!(decoded(&body), [Err(reason)]);
    }
    // Many changes beside a long name: it is not written again for each of them.
    let body = json!({"object": "x".repeat(1 << 20), "entry": [{"id": "1", "time": 1, "changes": vec![0; 1000]}]});
    let frames = split(body.to_string().as_bytes());
    assert!(frames.len() < 20 && frames.last() == Some(&Err(Rejected::TooLarge)));
}

#[test]
fn each_change_of_a_batch_that_there_is_no_room_for_is_counted() {
    let changes = vec![json!({}); 300_000];
    let body = json!({"object": "page", "entry": [{"id": "1", "time": 1_795_361_900, "changes": changes}]}).to_string();
    assert!(body.len() < crate::net::inlet::MOST_BYTES);
    let frames = split(body.as_bytes());
    assert_eq!(frames.len(), 300_000);
    assert_eq!(frames.last(), Some(&Err(Rejected::TooLarge)));
    let long = json!({"object": "page", "entry": [
        {"id": "1".repeat(300), "time": 1_795_361_900, "changes": [{}, {}]},
        {"id": "1", "time": 1_795_361_900, "changes": [{}]},
    ]});
    let frames = split(long.to_string().as_bytes());
    assert_eq!(frames.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true]);
}

proptest! {
    #[test]
    fn no_body_stops_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        raw(&bytes);
        let mut body = page("feed", &comment()).to_string().into_bytes();
        let place = at.index(body.len());
        body[place] = byte;
        raw(&body);
        prop_assert!(raw(&body[..place]).iter().all(Result::is_err));
    }
}
