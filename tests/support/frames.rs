//! Frames of Jetstream, as the real server writes them: the v1 wire's, and in [`v2`] the other's.

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

/// Frames of the v2 wire.
pub mod v2 {
    use serde_json::{Value, json};
    use stormbell::domain::time::Timestamp;

    /// A new post, or with `operation` a new version of one.
    pub fn post(seq: u64, time_us: i64, did: &str, rkey: &str, text: &str) -> String {
        written(seq, time_us, did, "create", rkey, text)
    }

    /// A post in a new version.
    pub fn update(seq: u64, time_us: i64, did: &str, rkey: &str, text: &str) -> String {
        written(seq, time_us, did, "update", rkey, text)
    }

    fn written(seq: u64, time_us: i64, did: &str, operation: &str, rkey: &str, text: &str) -> String {
        let record = json!({
            "$type": "app.bsky.feed.post", "createdAt": Timestamp::from_micros(time_us).to_string(), "langs": ["en"],
            "text": text,
        });
        let cid = format!("bafyrei{rkey}{operation}");
        let body = format!(
            r#""rev":"3n2vwk5zwhs2v","operation":"{operation}","collection":"app.bsky.feed.post","rkey":"{rkey}","record":{record},"cid":"{cid}""#
        );
        message("commit", seq, time_us, did, &body)
    }

    /// A post taken back.
    pub fn delete(seq: u64, time_us: i64, did: &str, rkey: &str) -> String {
        let body =
            format!(r#""rev":"3n2vwk6wcoc2v","operation":"delete","collection":"app.bsky.feed.post","rkey":"{rkey}""#);
        message("commit", seq, time_us, did, &body)
    }

    /// A handle made known.
    pub fn identity(seq: u64, time_us: i64, did: &str, handle: &str) -> String {
        let identity = json!({"did": did, "handle": handle, "seq": 9, "time": "2026-11-22T15:40:00.000Z"});
        message("identity", seq, time_us, did, &format!(r#""identity":{identity}"#))
    }

    /// An account that is gone, or only away.
    pub fn account(seq: u64, time_us: i64, did: &str, status: &str) -> String {
        let account =
            json!({"did": did, "seq": 9, "time": "2026-11-22T15:40:01.000Z", "active": false, "status": status});
        message("account", seq, time_us, did, &format!(r#""account":{account}"#))
    }

    /// A repository that was replaced.
    pub fn sync(seq: u64, time_us: i64, did: &str) -> String {
        let sync = json!({"did": did, "rev": "3n2vwk6wcoc2v", "seq": 9, "time": "2026-11-22T15:40:01.000Z"});
        message("sync", seq, time_us, did, &format!(r#""sync":{sync}"#))
    }

    /// What the server says about the stream.
    pub fn info(name: &str) -> String {
        let kind = "network.bsky.jetstream.subscribeEvents#info";
        let message = "requested timestamp cursor below retention floor; starting at seq 700000";
        format!(r#"{{"$type":"message","payload":{{"$type":"{kind}","name":"{name}","message":"{message}"}}}}"#)
    }

    /// The last frame of a connection.
    pub fn error(name: &str) -> String {
        let said: Value = json!({"$type": "error", "error": name, "message": "reconnect with cursor=812000"});
        said.to_string()
    }

    fn message(kind: &str, seq: u64, time_us: i64, did: &str, body: &str) -> String {
        let time = Timestamp::from_micros(time_us);
        let kind = format!("network.bsky.jetstream.subscribeEvents#{kind}");
        format!(
            r#"{{"$type":"message","payload":{{"$type":"{kind}","seq":{seq},"did":"{did}","time":"{time}",{body}}}}}"#
        )
    }
}
