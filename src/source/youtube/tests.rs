use proptest::prelude::*;
use serde_json::{Value, json};

use super::{page, read_page};
use crate::domain::event::Rejected;
use crate::domain::post::Post;
use crate::domain::time::Timestamp;
use crate::source::forum::{Item, Said};
use crate::source::posts;
use crate::wire::post::PostJson;

const NOW: Timestamp = Timestamp::from_seconds(1_795_361_895);

fn snippet(text: &str) -> Value {
    json!({ "videoId": "VIDEOID0001", "textDisplay": text, "authorDisplayName": "Rita Q.",
        "authorChannelId": { "value": "UCrita" }, "publishedAt": "2026-11-22T15:30:00Z", "updatedAt": "2026-11-22T15:30:00Z" })
}

fn thread() -> Value {
    let mut answer = snippet("same");
    answer["parentId"] = "T1".into();
    json!({ "id": "T1", "snippet": { "videoId": "VIDEOID0001", "totalReplyCount": 7,
        "topLevelComment": { "id": "T1", "snippet": snippet("Six hours in the ER") } },
        "replies": { "comments": [{ "id": "T1.a", "snippet": answer }] } })
}

fn items(list: &Value) -> Vec<Item> {
    read_page(json!({ "items": list }).to_string().as_bytes(), NOW).unwrap()
}

fn post(item: &Item) -> &Post {
    let Said::Post(post) = &item.said else { panic!("{item:?}") };
    post
}

#[test]
fn a_thread_is_its_first_comment_and_the_answers_that_came_with_it() {
    let list = items(&json!([thread()]));
    let [first, answer] = list.as_slice() else { panic!("{list:?}") };
    assert_eq!((post(first).text.as_str(), post(answer).text.as_str()), ("Six hours in the ER", "same"));
    assert_eq!((first.in_order, answer.in_order), (true, false));
    assert_eq!(post(first).reply_to, Some("yt:video:VIDEOID0001".into()));
    assert_eq!(post(answer).reply_to, Some("yt:comment:T1".into()));
    assert_eq!((post(first).author.name.as_deref(), post(first).author.handle.as_deref()), (Some("Rita Q."), None));
    let body = json!({ "items": [thread()], "nextPageToken": "n" }).to_string();
    let read = page(body.as_bytes(), &"youtube".into(), NOW).unwrap();
    assert_eq!((read.threads, read.next), (vec![("T1".to_owned(), 7, 1)], Some("n".to_owned())));
}

#[test]
fn an_edit_counts_when_it_was_made() {
    let mut edited = thread();
    edited["snippet"]["topLevelComment"]["snippet"]["updatedAt"] = "2026-11-22T15:36:00Z".into();
    let list = items(&json!([edited]));
    assert_eq!(post(&list[0]).event_time.to_string(), "2026-11-22T15:36:00Z");
    assert_eq!(post(&list[0]).created_at.to_string(), "2026-11-22T15:30:00Z");
}

#[test]
fn what_has_no_name_or_author_is_rejected_and_costs_no_other() {
    let nobody = json!({ "id": "x", "snippet": { "textDisplay": "y" } });
    let list = items(&json!([nobody, 7, { "snippet": snippet("x") }, thread()]));
    let why: Vec<_> = list.iter().take(3).map(|item| item.said.clone()).collect();
    assert_eq!(
        why,
        [Said::Broken(Rejected::MissingField), Said::Broken(Rejected::WrongType), Said::Broken(Rejected::MissingField)]
    );
    assert_eq!(list.len(), 5);
}

proptest! {
    #[test]
    fn no_page_stops_the_reader_and_what_it_reads_can_be_written(
        body in "(\\{|\\}|\\[|\\]|:|,|\"items\"|\"id\"|\"snippet\"|\"topLevelComment\"|\"[a-z]{1,9}\"|[0-9]{1,20}|null|true| |\\\\ud83d){0,60}"
    ) {
        for item in read_page(body.as_bytes(), NOW).unwrap_or_default() {
            if let Said::Post(post) = item.said {
                let line = serde_json::to_vec(&PostJson::from(&*post)).unwrap();
                prop_assert!(posts::decode(&"youtube".into(), &line, Some(NOW)).event.is_ok());
            }
        }
    }
}
