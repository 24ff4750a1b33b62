//! Frames recorded from the real Jetstream give the outcome their collectors expect.

use std::path::Path;

use serde::Deserialize;
use stormbell::domain::event::{Cursor, SourceEvent};
use stormbell::domain::id::SourceName;
use stormbell::domain::post::Post;
use stormbell::domain::time::Timestamp;
use stormbell::source::jetstream::{decode, peek_time_us};

#[derive(Deserialize)]
struct Row {
    src: String,
    frame: serde_json::Value,
    expect: serde_json::Value,
}

#[derive(Deserialize)]
struct Expect {
    kind: String,
    cursor: Option<i64>,
    uri: Option<String>,
    text: Option<String>,
    langs: Option<Vec<String>>,
    created_at: Option<String>,
    author: Option<String>,
    reply: Option<bool>,
    link: Option<String>,
}

#[test]
fn every_recorded_frame_has_the_expected_outcome() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/frames.jsonl.zst");
    let Ok(packed) = std::fs::read(&path) else {
        println!("skipped: no recorded frames at ../shared/data");
        return;
    };
    let lines = String::from_utf8(zstd::decode_all(packed.as_slice()).unwrap()).unwrap();
    let rows: Vec<Row> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let rows: Vec<_> = rows.iter().filter(|row| row.src == "jetstream_v1").collect();
    assert_eq!(rows.len(), 76);
    for row in rows {
        check(row.frame.as_str().unwrap(), &Expect::deserialize(&row.expect).unwrap());
    }
}

fn check(frame: &str, expect: &Expect) {
    let decoded = decode(&SourceName::from("bluesky"), frame.as_bytes(), None);
    assert_eq!(decoded.cursor, expect.cursor.map(Cursor), "{frame}");
    assert_eq!(peek_time_us(frame.as_bytes()), expect.cursor, "{frame}");
    match (expect.kind.as_str(), decoded.event) {
        ("post", Ok(SourceEvent::Post(post))) => check_post(&post, expect),
        ("ignore", Ok(SourceEvent::Post(post))) => panic!("{} should be ignored", post.id),
        ("ignore", Ok(_)) => {}
        (kind, event) => panic!("expected {kind}, not {event:?}: {frame}"),
    }
}

fn check_post(post: &Post, expect: &Expect) {
    assert_eq!(Some(post.id.as_str()), expect.uri.as_deref());
    assert_eq!(Some(post.text.as_str()), expect.text.as_deref());
    assert_eq!(Some(&post.lang), expect.langs.as_ref());
    assert_eq!(Some(post.author.id.as_str()), expect.author.as_deref());
    assert_eq!(Some(post.reply_to.is_some()), expect.reply);
    assert_eq!(Ok(post.created_at), Timestamp::parse(expect.created_at.as_deref().unwrap()));
    if let Some(link) = &expect.link {
        assert!(post.links.contains(link), "{:?} lacks {link}", post.links);
    }
}
