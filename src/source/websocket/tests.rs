//! What becomes of messages of shapes nobody agreed on.

use serde_json::json;

use super::*;
use crate::config::model::Fields;
use crate::wire::pointer::Condition;

const NOW: Timestamp = Timestamp::from_seconds(1_795_361_895);

fn places(texts: &[&str]) -> Vec<Pointer> {
    texts.iter().map(|text| Pointer::parse(text).unwrap()).collect()
}

fn condition(place: &str, words: &[&str]) -> Condition {
    Condition(vec![(Pointer::parse(place).unwrap(), words.iter().map(|&word| word.to_owned()).collect())])
}

fn mapping() -> Mapping {
    Mapping {
        prefix: "forum:".into(),
        post: Some(condition("/type", &["new", "edit"])),
        delete: Some(condition("/type", &["gone"])),
        fields: Fields {
            id: places(&["/p/id"]),
            text: places(&["/p/title", "/p/body"]),
            author: places(&["/p/user/id"]),
            handle: places(&["/p/user/login"]),
            name: places(&["/p/user/name"]),
            followers: places(&["/p/user/fans"]),
            created_at: places(&["/p/at", "/p/time"]),
            event_time: places(&["/seen"]),
            url: places(&["/p/url"]),
            lang: places(&["/p/lang"]),
            tags: places(&["/p/tags/*/name"]),
            links: places(&["/p/links"]),
            media_text: places(&["/p/pictures/*/alt"]),
            reply_to: places(&["/p/parent"]),
            ..Fields::default()
        },
    }
}

fn full() -> Value {
    json!({"type": "new", "p": {
        "id": 17, "title": "Six hours", "body": "in the ER", "at": "2026-11-22T15:38:10Z",
        "user": {"id": "u1", "login": "@ann", "name": "Ann", "fans": 12},
        "url": "https://forum.example/p/17", "lang": "en", "tags": [{"name": "#er"}, {"x": 1}, {"name": "northgate"}],
        "links": ["https://a.example/", "https://a.example/", 5], "pictures": [{"alt": "A full waiting room"}],
        "parent": 16,
    }})
}

fn decoded(message: &Value) -> Decoded {
    decode(&mapping(), &"forum".into(), message.to_string().as_bytes(), Some(NOW))
}

fn post(message: &Value) -> Post {
    match decoded(message).event {
        Ok(SourceEvent::Post(post)) => *post,
        event => panic!("not a post: {event:?}"),
    }
}

#[test]
fn every_field_is_found_where_the_operator_says() {
    let post = post(&full());
    assert_eq!((post.id.as_str(), post.author.id.as_str()), ("forum:17", "forum:u1"));
    assert_eq!(post.text, "Six hours\nin the ER");
    assert_eq!((post.author.handle.as_deref(), post.author.name.as_deref()), (Some("ann"), Some("Ann")));
    assert_eq!(post.author.followers, Some(12));
    assert_eq!(post.url.as_deref(), Some("https://forum.example/p/17"));
    assert_eq!((post.lang, post.tags), (vec!["en".to_owned()], vec!["er".to_owned(), "northgate".to_owned()]));
    assert_eq!(post.links, ["https://a.example/", "5"]);
    assert_eq!((post.media_text, post.has_media), (vec!["A full waiting room".to_owned()], true));
    assert_eq!((post.kind, post.reply_to), (PostKind::Reply, Some("forum:16".into())));
    assert_eq!(post.created_at.to_string(), "2026-11-22T15:38:10Z");
    assert_eq!(post.event_time, post.created_at, "without a stamp of the server the claim counts");
}

#[test]
fn the_servers_stamp_goes_before_the_authors_claim() {
    let mut message = full();
    message["seen"] = json!(NOW.micros() / 1000 - 5000);
    let decoded = decoded(&message);
    assert_eq!(decoded.cursor, Some(Cursor(NOW.micros() - 5_000_000)));
    assert_eq!(post(&message).event_time, Timestamp::from_micros(NOW.micros() - 5_000_000));
    message["seen"] = json!("1971-01-01T00:00:00Z");
    assert_eq!(self::decoded(&message).event, Err(Rejected::AbsurdDate));
}

#[test]
fn an_edit_is_another_version_of_the_same_post_and_a_repetition_is_not() {
    let (first, again) = (post(&full()), post(&full()));
    let mut message = full();
    message["type"] = json!("edit");
    message["p"]["body"] = json!("in the ER, and counting");
    let edited = post(&message);
    assert_eq!((&first.id, &first.version), (&again.id, &again.version));
    assert_eq!(first.id, edited.id);
    assert_ne!(first.version, edited.version);
}

#[test]
fn a_post_that_cannot_be_read_is_never_a_deletion() {
    let changed = |place: &str, value: Value| {
        let mut message = full();
        *message.pointer_mut(place).unwrap() = value;
        decoded(&message).event
    };
    assert_eq!(changed("/p/id", json!(null)), Err(Rejected::MissingField));
    assert_eq!(changed("/p/user", json!("ann")), Err(Rejected::MissingField));
    assert_eq!(changed("/p/body", json!({"html": "x"})), Err(Rejected::WrongType));
    assert_eq!(changed("/p/id", json!("x".repeat(2000))), Err(Rejected::MissingField));
    assert_eq!(changed("/type", json!("like")), Ok(SourceEvent::Other));
    let gone = SourceEvent::PostDeleted { post: "forum:17".into(), at: NOW };
    assert_eq!(changed("/type", json!("gone")), Ok(gone));
}

#[test]
fn what_is_not_json_says_why() {
    for (frame, reason) in [
        (&b"hello"[..], Rejected::NotJson),
        (b"\xff", Rejected::NotJson),
        (br#"{"type":"new","p":{"body":"\ud83d"}}"#, Rejected::LoneSurrogate),
    ] {
        assert_eq!(decode(&mapping(), &"forum".into(), frame, Some(NOW)).event, Err(reason));
    }
}

#[test]
fn addresses_are_names_everywhere_and_odd_links_are_left_out() {
    let mut message = full();
    message["p"]["id"] = json!("https://forum.example/p/17");
    message["p"]["url"] = json!("javascript:alert(1)");
    let post = post(&message);
    assert_eq!((post.id.as_str(), post.url), ("https://forum.example/p/17", None));
}

#[test]
fn numbers_are_times_of_the_unit_their_size_says() {
    let expected = Timestamp::from_micros(1_795_361_895_250_000);
    for text in ["1795361895.25", "1795361895250", "1795361895250000", "1795361895250000000", "2026-11-22T15:38:15.25Z"]
    {
        assert_eq!(time(text), Some(expected), "{text}");
    }
    for text in ["", "17", "-5", "99999999999", "1795361895.x", "yesterday"] {
        assert_eq!(time(text), None, "{text}");
    }
}

#[test]
fn without_conditions_what_has_an_id_and_a_text_is_a_post() {
    let mapping = Mapping { post: None, ..mapping() };
    let event = |message: Value| decode(&mapping, &"f".into(), message.to_string().as_bytes(), Some(NOW)).event;
    assert!(matches!(event(full()), Ok(SourceEvent::Post(_))));
    assert_eq!(event(json!({"type": "hello"})), Ok(SourceEvent::Other));
    assert_eq!(event(json!({"p": {"id": 1, "body": "no author"}})), Err(Rejected::MissingField));
}
