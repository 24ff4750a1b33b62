use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_795_362_000;

fn written() -> Value {
    json!({"id": 501, "name": "Rita Q.", "username": "rita", "created_at": "2026-11-22T15:38:15.123Z",
        "updated_at": "2026-11-22T15:39:15.123Z", "cooked": "<p>Six hours in the <a href=\"/t/er/7\">ER</a> <img src=\"x\" alt=\"a full room\"></p>",
        "raw": "Six hours in the ER, see https://a.example/x", "post_number": 2, "post_type": 1, "version": 1, "topic_id": 77,
        "topic_slug": "waiting", "topic_title": "Waiting times", "topic_archetype": "regular", "user_id": 9,
        "reply_to_post_number": 1})
}

fn event(event: &str, body: &Value) -> Result<SourceEvent, Rejected> {
    let frame = frame(event, "https://forum.example", body.to_string().as_bytes())?;
    decode(&"forum".into(), &frame, Some(Timestamp::from_seconds(NOW))).event
}

fn post(name: &str, written: &Value) -> Post {
    let Ok(SourceEvent::Post(post)) = event(name, &json!({ "post": written })) else { panic!("no post") };
    *post
}

#[test]
fn a_post_is_what_people_read_in_the_forum() {
    let post = post("post_created", &written());
    assert_eq!(
        (post.id.as_str(), post.author.id.as_str()),
        ("discourse:forum.example/501", "discourse:forum.example/user/9")
    );
    assert_eq!((post.author.handle.as_deref(), post.author.name.as_deref()), (Some("rita"), Some("Rita Q.")));
    assert_eq!((post.text.as_str(), post.kind), ("Six hours in the ER, see https://a.example/x", PostKind::Reply));
    assert_eq!(post.url.as_deref(), Some("https://forum.example/t/waiting/77/2"));
    assert_eq!(post.links, ["https://a.example/x", "https://forum.example/t/er/7"]);
    assert_eq!((post.has_media, post.media_text.as_slice()), (true, &["a full room".to_owned()][..]));
    assert_eq!(post.event_time.to_string(), "2026-11-22T15:38:15.123Z");
}

#[test]
fn the_first_post_of_a_topic_says_its_title_and_one_without_its_source_is_read_as_html() {
    let mut first = written();
    (first["post_number"], first["raw"]) = (1.into(), Value::Null);
    let post = post("post_created", &first);
    assert_eq!((post.text.as_str(), post.kind), ("Waiting times\nSix hours in the ER", PostKind::Post));
}

#[test]
fn an_edit_is_another_version_and_what_is_destroyed_is_gone() {
    let (created, again) = (post("post_created", &written()), post("post_created", &written()));
    assert_eq!(created, again, "it was sent twice");
    let mut edited = written();
    (edited["version"], edited["raw"]) = (2.into(), "Seven hours".into());
    let edited = post("post_edited", &edited);
    assert_eq!(created.id, edited.id);
    assert_ne!(created.version, edited.version);
    assert_ne!(post("post_recovered", &written()).version, created.version);
    let at = Timestamp::from_seconds(NOW);
    let gone = event("post_destroyed", &json!({ "post": written() }));
    assert_eq!(gone, Ok(SourceEvent::PostDeleted { post: created.id, at }));
}

#[test]
fn what_is_not_for_all_is_not_read() {
    for (field, value) in
        [("topic_archetype", json!("private_message")), ("post_type", json!(4)), ("post_type", json!(3))]
    {
        let mut private = written();
        private[field] = value;
        assert_eq!(event("post_created", &json!({ "post": private })), Ok(SourceEvent::Other), "{field}");
    }
    for other in ["ping", "topic_created", "user_created", "like", ""] {
        assert_eq!(event(other, &json!({"ping": "OK"})), Ok(SourceEvent::Other), "{other}");
    }
}

#[test]
fn what_cannot_be_read_says_why() {
    assert_eq!(frame("post_created", "", b"{"), Err(Rejected::NotJson));
    for (body, reason) in [
        (json!({}), Rejected::MissingField),
        (json!([]), Rejected::WrongType),
        (json!({"post": {}}), Rejected::MissingField),
        (json!({"post": {"id": "../../x", "user_id": 1}}), Rejected::MissingField),
        (json!({"post": {"id": 1}}), Rejected::MissingField),
    ] {
        assert_eq!(event("post_created", &body), Err(reason), "{body}");
    }
}

#[test]
fn headers_are_not_believed() {
    let body = json!({ "post": written() }).to_string();
    for instance in ["javascript:alert(1)", "", "\",\"payload\":7,\"x\":\"", "https://", &"é".repeat(1000)] {
        let frame = frame("post_created", instance, body.as_bytes()).unwrap();
        let Ok(SourceEvent::Post(post)) = decode(&"forum".into(), &frame, None).event else { panic!("{instance}") };
        assert_eq!((post.id.as_str(), post.url), ("discourse:forum/501", None), "{instance}");
    }
}

proptest! {
    #[test]
    fn no_body_stops_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        decode(&"forum".into(), &bytes, None);
        let mut body = json!({ "post": written() }).to_string().into_bytes();
        let place = at.index(body.len());
        body[place] = byte;
        if let Ok(frame) = frame("post_created", "https://forum.example", &body) {
            decode(&"forum".into(), &frame, None);
        }
    }
}
