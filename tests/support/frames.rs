//! Frames of the Jetstream v1 wire, as the real server writes them.

use serde_json::json;

/// A new post.
pub fn post(time_us: i64, did: &str, rkey: &str, text: &str) -> String {
    let record = json!({"$type": "app.bsky.feed.post", "langs": ["en"], "text": text});
    let commit = json!({
        "rev": "3n2vwk5zwhs2v", "operation": "create", "collection": "app.bsky.feed.post",
        "rkey": rkey, "record": record, "cid": format!("bafyrei{rkey}"),
    });
    frame(time_us, did, "commit", &commit)
}

/// A post taken back.
pub fn delete(time_us: i64, did: &str, rkey: &str) -> String {
    let commit = json!({
        "rev": "3n2vwk6wcoc2v", "operation": "delete", "collection": "app.bsky.feed.post", "rkey": rkey,
    });
    frame(time_us, did, "commit", &commit)
}

/// A like.
pub fn like(time_us: i64, did: &str, rkey: &str) -> String {
    let subject = json!({"cid": "bafyrei", "uri": "at://did:plc:x/app.bsky.feed.post/3k"});
    let commit = json!({
        "rev": "3n2vwk5zwhs2v", "operation": "create", "collection": "app.bsky.feed.like", "rkey": rkey,
        "record": {"$type": "app.bsky.feed.like", "subject": subject}, "cid": "bafyrei",
    });
    frame(time_us, did, "commit", &commit)
}

/// A handle made known.
pub fn identity(time_us: i64, did: &str, handle: &str) -> String {
    let identity = json!({"did": did, "handle": handle, "seq": 1, "time": "2026-11-22T15:40:00.000Z"});
    frame(time_us, did, "identity", &identity)
}

/// An account that is gone.
pub fn account_deleted(time_us: i64, did: &str) -> String {
    let account =
        json!({"active": false, "did": did, "seq": 2, "status": "deleted", "time": "2026-11-22T15:40:01.000Z"});
    frame(time_us, did, "account", &account)
}

/// `did`, `time_us` and `kind` come first, as from the real server.
fn frame(time_us: i64, did: &str, kind: &str, body: &serde_json::Value) -> String {
    format!(r#"{{"did":"{did}","time_us":{time_us},"kind":"{kind}","{kind}":{body}}}"#)
}
