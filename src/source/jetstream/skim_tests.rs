//! Skimming held against decoding: whatever the first says, the second says, too.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::domain::event::{Decoded, SourceEvent};
use crate::source::jetstream::decode;

const NOW: i64 = 1_795_361_900_000_000;
const FULL: &str = r##"{"did":"did:plc:nurse","time_us":1795361895314207,"kind":"commit","commit":{"rev":"3rev","operation":"create","collection":"app.bsky.feed.post","rkey":"3key","record":{"$type":"app.bsky.feed.post","createdAt":"2026-11-22T15:38:15.101Z","embed":{"$type":"app.bsky.embed.recordWithMedia","media":{"$type":"app.bsky.embed.images","images":[{"alt":"Crowded \"waiting\" room","image":{"$type":"blob","ref":{"$link":"bafk"},"size":204800}},{"alt":"","image":{}}]},"record":{"$type":"app.bsky.embed.record","record":{"cid":"c","uri":"at://did:plc:z/app.bsky.feed.post/3quoted"}}},"facets":[{"features":[{"$type":"app.bsky.richtext.facet#tag","tag":"er"}],"index":{"byteEnd":44,"byteStart":41}},{"features":[{"$type":"app.bsky.richtext.facet#link","uri":"https://example.org/er?a=1\u0026b=2"},{"$type":"app.bsky.richtext.facet#mention","did":"did:plc:x"}],"index":{}}],"langs":["en"],"reply":{"parent":{"cid":"c","uri":"at://did:plc:y/app.bsky.feed.post/3parent"},"root":{"cid":"c","uri":"at://did:plc:x/app.bsky.feed.post/3root"}},"tags":["northgate","#er"],"text":"6 hours in the ER \ud83d\ude02\né"},"cid":"bafycid"}}"##;
const LIKE: &str = r#"{"did":"did:plc:nurse","time_us":1795361895314207,"kind":"commit","commit":{"rev":"3rev","operation":"create","collection":"app.bsky.feed.like","rkey":"3key","record":{"$type":"app.bsky.feed.like","subject":{"uri":"at://did:plc:x/app.bsky.feed.post/3k"}},"cid":"bafy"}}"#;

const DELETE: &str = r#"{"did":"did:plc:nurse","time_us":1795361895314207,"kind":"commit","commit":{"rev":"3rev","operation":"delete","collection":"app.bsky.feed.post","rkey":"3key"}}"#;
const ACCOUNT: &str = r#"{"did":"did:plc:nurse","time_us":1795361895314207,"kind":"account","account":{"active":true,"did":"did:plc:nurse","seq":7,"time":"2026-11-22T15:38:15.101Z"}}"#;

/// Checks what skimming says, if it says anything.
fn skimmed(frame: &[u8]) -> Option<Skimmed> {
    let source = SourceName::from("bluesky");
    let mut found = None;
    for received_at in [None, Some(Timestamp::from_micros(NOW))] {
        let (mut excerpt, mut buffers) = dirty();
        found = skim(&source, frame, received_at, &mut excerpt, &mut buffers);
        let whole = decode(&source, frame, received_at);
        if let Some(skimmed) = found {
            agree(skimmed, &excerpt, &whole, &String::from_utf8_lossy(frame));
        }
    }
    found
}

/// Buffers that another post has left behind.
fn dirty() -> (Excerpt, Buffers) {
    let (mut excerpt, mut buffers) = (Excerpt::default(), Buffers::default());
    let post = FULL.replace("northgate", "left behind").replace("Crowded", "left behind");
    skim(&"other".into(), post.as_bytes(), None, &mut excerpt, &mut buffers).unwrap();
    (excerpt, buffers)
}

fn agree(skimmed: Skimmed, excerpt: &Excerpt, whole: &Decoded, frame: &str) {
    match (skimmed.passing, &whole.event) {
        (Passing::Post(glimpse), Ok(SourceEvent::Post(post))) => {
            assert_eq!(glimpse, Glimpse::of(post), "{frame}");
            assert_eq!(*excerpt, Excerpt::of(post), "{frame}");
        }
        (Passing::Deleted(key), Ok(SourceEvent::PostDeleted { post, .. })) => assert_eq!(key, Key::of(post), "{frame}"),
        // The one difference that is meant: the rest of such a frame is not read.
        (Passing::Other, Err(_)) if is_about_others(frame) => return,
        (Passing::Other, Ok(SourceEvent::Other)) => {}
        (_, event) => panic!("{skimmed:?} but {event:?}: {frame}"),
    }
    assert_eq!(Some(skimmed.cursor), whole.cursor, "{frame}");
}

fn is_about_others(frame: &str) -> bool {
    frame.split(r#""collection":""#).nth(1).is_some_and(|rest| !rest.starts_with("app.bsky.feed.post\""))
}

fn carries_post(skimmed: Skimmed) -> bool {
    matches!(skimmed.passing, Passing::Post(_))
}

fn create(record: &str) -> String {
    format!(
        r#"{{"did":"did:plc:nurse","time_us":1795361895314207,"kind":"commit","commit":{{"rev":"3rev","operation":"create","collection":"app.bsky.feed.post","rkey":"3key","record":{record},"cid":"bafy"}}}}"#
    )
}

#[test]
fn what_servers_usually_send_is_skimmed() {
    let embed = |embed: &str| create(&format!(r#"{{"$type":"app.bsky.feed.post","embed":{embed},"text":"t"}}"#));
    for frame in [
        FULL.to_owned(),
        FULL.replace(r#""create""#, r#""update""#),
        FULL.replace(r#","cid":"bafycid""#, ""),
        create("{}"),
        create(r#"{"text":"","langs":[],"facets":[],"tags":[]}"#),
        create(
            r#"{"$type":"app.bsky.feed.post","bridgyOriginalText":"<p>t","bridgyOriginalUrl":"https://s.example/@a/1","text":"t"}"#,
        ),
        create(r#"{"bridgyOriginalUrl":7,"text":"t"}"#),
        embed(r#"{"$type":"app.bsky.embed.images","images":[{"alt":"a"},{"alt":"a"},{"image":{}}]}"#),
        embed(r#"{"$type":"app.bsky.embed.gallery","items":[{"alt":"a"}]}"#),
        embed(r#"{"$type":"app.bsky.embed.video","alt":"a film","video":{}}"#),
        embed(r#"{"$type":"app.bsky.embed.video","video":{}}"#),
        embed(
            r#"{"$type":"app.bsky.embed.external","external":{"description":"d","thumb":{},"title":"t","uri":"https://n.example/?a\u0026b"}}"#,
        ),
        embed(r#"{"$type":"app.bsky.embed.record","record":{"cid":"c","uri":"at://z/app.bsky.feed.post/3q"}}"#),
        embed(r#"{"$type":"app.bsky.embed.record","record":{"cid":"c","uri":"at://z/app.bsky.graph.list/3q"}}"#),
        embed(r#"{"$type":"of.the.future","what":[{}]}"#),
    ] {
        assert!(skimmed(frame.as_bytes()).is_some_and(carries_post), "{frame}");
    }
    for frame in [
        LIKE.to_owned(),
        LIKE.replace("create", "delete"),
        LIKE.replace("feed.like", "graph.follow"),
        ACCOUNT.to_owned(),
        DELETE.to_owned(),
    ] {
        assert!(skimmed(frame.as_bytes()).is_some_and(|skimmed| !carries_post(skimmed)), "{frame}");
    }
}

#[test]
fn what_is_odd_is_left_to_decoding() {
    let many = |item: &str, count: usize| vec![item; count].join(",");
    for record in [
        r#"{"text":"a","text":"b"}"#.to_owned(),
        r#"{"te\u0078t":"a"}"#.to_owned(),
        r#"{"bridgyOriginalUrl":"a","bridgyOriginalUrl":"b"}"#.to_owned(),
        r#"{"text":null}"#.to_owned(),
        r#"{"text":7}"#.to_owned(),
        r#"{"text":"\ud83d"}"#.to_owned(),
        r#"{ "text":"a"}"#.to_owned(),
        r#"{"createdAt":"lately"}"#.to_owned(),
        r#"{"createdAt":"1970-01-01T00:00:00Z"}"#.to_owned(),
        r#"{"createdAt":"2099-01-01T00:00:00Z"}"#.to_owned(),
        r#"{"langs":["en",7]}"#.to_owned(),
        r#"{"reply":"none"}"#.to_owned(),
        r#"{"tags":["a"],"facets":[]}"#.to_owned(),
        r#"{"embed":{"images":[],"$type":"app.bsky.embed.images"}}"#.to_owned(),
        r#"{"embed":{"$type":"app.bsky.embed.images","images":[{"alt":7}]}}"#.to_owned(),
        format!(r#"{{"tags":[{}]}}"#, many(r#""a""#, 65)),
        format!(r#"{{"text":"{}"}}"#, "a".repeat(MAX_TEXT_BYTES + 1)),
        format!(r#"{{"odd":{}{}}}"#, "[".repeat(100), "]".repeat(100)),
        "[]".to_owned(),
        "null".to_owned(),
    ] {
        assert_eq!(skimmed(create(&record).as_bytes()), None, "{record}");
    }
    for frame in [
        FULL.replace(r#""create""#, r#""delete""#),
        FULL.replace(r#""create""#, r#""merge""#),
        DELETE.replace("3key", ""),
        DELETE.replace("}}", r#","cid":7}}"#),
        ACCOUNT.replace("true", "false"),
        ACCOUNT.replace("true", "1"),
        ACCOUNT.replace("active", "passive"),
        ACCOUNT.replace(r#""seq":7"#, r#""active":true"#),
        ACCOUNT.replace(r#""seq":7"#, r#""status":"deactivated""#),
        ACCOUNT.replace("}}", "}"),
        FULL.replace("3key", ""),
        FULL.replace("1795361895314207", "1795361895"),
        format!("{FULL} "),
        format!("{FULL}x"),
        LIKE.replace("}}", "}"),
        LIKE.replace(r#""did":"did:plc:nurse","#, ""),
    ] {
        assert_eq!(skimmed(frame.as_bytes()), None, "{frame}");
    }
    let mut broken = FULL.as_bytes().to_vec();
    let at = FULL.find("blob").unwrap();
    broken[at] = 0xff;
    assert_eq!(skimmed(&broken), None, "not UTF-8 where nobody reads");
}

#[test]
fn a_post_cut_off_anywhere_is_left_to_decoding() {
    for end in 0..FULL.len() {
        assert_eq!(skimmed(&FULL.as_bytes()[..end]), None, "{end}");
    }
}

#[test]
fn a_hostile_frame_takes_no_longer_than_it_is_long() {
    for part in ["[", "{\"a\":", "\\\"", "\\u0041", "\"", "[[],", "9", "{\"alt\":\"a\"},"] {
        let long = part.repeat((1 << 17) / part.len());
        for record in
            [format!(r#"{{"odd":{long}}}"#), format!(r#"{{"text":"{long}"}}"#), format!(r#"{{"tags":[{long}]}}"#)]
        {
            skimmed(create(&record).as_bytes());
        }
    }
}

#[test]
fn recorded_frames_are_skimmed_as_they_are_decoded() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/frames.jsonl.zst");
    let Ok(packed) = std::fs::read(path) else {
        println!("skipped: no recorded frames at ../shared/data");
        return;
    };
    let lines = String::from_utf8(zstd::decode_all(packed.as_slice()).unwrap()).unwrap();
    let (mut posts, mut others) = (0, 0);
    for line in lines.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let frame = row["frame"].as_str().map_or_else(|| row["frame"].to_string(), ToOwned::to_owned);
        match skimmed(frame.as_bytes()) {
            Some(Skimmed { passing: Passing::Post(_), .. }) => posts += 1,
            Some(_) => others += 1,
            None => {
                let usual = frame.contains(r#""operation":"create","collection":"#);
                assert!(!usual, "left to decoding: {frame}");
            }
        }
    }
    assert!(posts > 5 && others > 50, "{posts} posts, {others} others");
}

/// A string as programs write it, sometimes wrongly.
fn string() -> impl Strategy<Value = String> {
    let plain = "[a-zA-Zé日😀# ./:?-]{0,12}".prop_map(|text| format!("\"{text}\""));
    let escaped =
        r#"([a-z#]|\\["\\/bfnrt]|\\u[0-9a-f]{4}|\\ud83d\\ude02|\\u0026){0,6}"#.prop_map(|text| format!("\"{text}\""));
    prop_oneof![6 => plain, 3 => escaped, 1 => Just("7".to_owned()), 1 => Just("null".to_owned())]
}

fn uri() -> impl Strategy<Value = String> {
    let known = [
        "\"at://z/app.bsky.feed.post/3q\"",
        "\"at://z/app.bsky.graph.list/3q\"",
        "\"\"",
        "\"https://l.example/?a\\u0026b\"",
    ];
    prop_oneof![4 => select(known.to_vec()).prop_map(ToOwned::to_owned), 1 => string()]
}

fn list(item: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec(item, 0..4).prop_map(|items| format!("[{}]", items.join(",")))
}

/// Members of an object: usually all, in their order; sometimes fewer, twice, or shuffled.
fn object(members: Vec<(&'static str, BoxedStrategy<String>)>) -> BoxedStrategy<String> {
    let count = members.len();
    let (keys, values): (Vec<_>, Vec<_>) = members.into_iter().unzip();
    let places = prop_oneof![
        4 => Just((0..count).collect::<Vec<_>>()),
        3 => prop::sample::subsequence((0..count).collect::<Vec<_>>(), 0..=count),
        1 => prop::collection::vec(0..count, 0..=count + 1),
    ];
    (places, values)
        .prop_map(move |(places, values)| {
            let members: Vec<_> = places.iter().map(|&at| format!("\"{}\":{}", keys[at], values[at])).collect();
            format!("{{{}}}", members.join(","))
        })
        .boxed()
}

fn one_of(texts: &[&'static str]) -> BoxedStrategy<String> {
    select(texts.to_vec()).prop_map(|text| format!("\"{text}\"")).boxed()
}

fn anything() -> BoxedStrategy<String> {
    let odd = [
        "0",
        "-1.5e3",
        "true",
        "null",
        "[]",
        "{}",
        "[[{\"a\":\"}\"}]]",
        "\"\\ud83d\"",
        "01",
        "[,]",
        "{\"a\"}",
        "\"\\x\"",
    ];
    prop_oneof![select(odd.to_vec()).prop_map(ToOwned::to_owned), string()].boxed()
}

fn embed() -> BoxedStrategy<String> {
    let kinds = [
        "app.bsky.embed.images",
        "app.bsky.embed.gallery",
        "app.bsky.embed.video",
        "app.bsky.embed.external",
        "app.bsky.embed.record",
        "app.bsky.embed.recordWithMedia",
        "of.the.future",
    ];
    let described = || list(object(vec![("alt", string().boxed()), ("image", anything())])).boxed();
    let reference = || object(vec![("cid", string().boxed()), ("uri", uri().boxed())]);
    let card = object(vec![
        ("description", string().boxed()),
        ("thumb", anything()),
        ("title", string().boxed()),
        ("uri", uri().boxed()),
    ]);
    let media = object(vec![("$type", one_of(&kinds)), ("images", described()), ("record", reference())]);
    let nested = object(vec![("$type", one_of(&kinds)), ("record", reference())]);
    let of = move |kind: &'static str, members: Vec<(&'static str, BoxedStrategy<String>)>| {
        let kind = prop_oneof![8 => Just(format!("\"{kind}\"")).boxed(), 1 => one_of(&kinds)].boxed();
        object([vec![("$type", kind)], members].concat())
    };
    prop_oneof![
        of("app.bsky.embed.images", vec![("images", described()), ("other", anything())]),
        of("app.bsky.embed.gallery", vec![("items", described())]),
        of("app.bsky.embed.video", vec![("alt", string().boxed()), ("video", anything())]),
        of("app.bsky.embed.external", vec![("external", card)]),
        of("app.bsky.embed.record", vec![("record", reference())]),
        of("app.bsky.embed.recordWithMedia", vec![("media", media), ("record", nested)]),
        anything(),
    ]
    .boxed()
}

fn record() -> BoxedStrategy<String> {
    let dates = [
        "2026-11-22T15:38:15.101Z",
        "2026-11-22T16:38:15+01:00",
        "2026-02-30T00:00:00Z",
        "1999-12-31T23:59:59Z",
        "2027-11-23T15:38:15Z",
        "2027-11-24T00:00:00Z",
    ];
    let feature = object(vec![
        (
            "$type",
            one_of(&["app.bsky.richtext.facet#link", "app.bsky.richtext.facet#tag", "app.bsky.richtext.facet#mention"]),
        ),
        ("did", string().boxed()),
        ("tag", string().boxed()),
        ("uri", uri().boxed()),
    ]);
    let usual = prop_oneof![
        Just(r##"{"$type":"app.bsky.richtext.facet#tag","tag":"#er"}"##.to_owned()),
        uri().prop_map(|uri| format!(r#"{{"$type":"app.bsky.richtext.facet#link","uri":{uri}}}"#)),
        feature,
    ];
    let facet = object(vec![("features", list(usual).boxed()), ("index", anything())]);
    let reference = || object(vec![("cid", string().boxed()), ("uri", uri().boxed())]);
    object(vec![
        ("$type", Just("\"app.bsky.feed.post\"".to_owned()).boxed()),
        ("createdAt", prop_oneof![8 => one_of(&dates), 1 => anything()].boxed()),
        ("embed", embed()),
        ("facets", prop_oneof![8 => list(facet).boxed(), 1 => anything()].boxed()),
        ("langs", prop_oneof![8 => list(string()).boxed(), 1 => anything()].boxed()),
        ("odd", Just("{\"text\":\"nested\"}".to_owned()).boxed()),
        ("reply", object(vec![("parent", reference()), ("root", reference())])),
        ("tags", list(string()).boxed()),
        ("text", string().boxed()),
    ])
}

fn frame() -> impl Strategy<Value = String> {
    let commit = object(vec![
        ("rev", string().boxed()),
        ("operation", one_of(&["create", "create", "create", "update", "delete", "merge"])),
        (
            "collection",
            one_of(&["app.bsky.feed.post", "app.bsky.feed.post", "app.bsky.feed.post", "app.bsky.feed.like"]),
        ),
        ("rkey", string().boxed()),
        ("record", record()),
        ("cid", string().boxed()),
    ]);
    let time = prop_oneof![8 => Just("1795361895314207"), 1 => Just("1795361999314207"), 1 => Just("17")];
    let kind = one_of(&["commit", "commit", "commit", "identity"]);
    let whole = object(vec![
        ("did", string().boxed()),
        ("time_us", time.prop_map(ToOwned::to_owned).boxed()),
        ("kind", kind),
        ("commit", commit),
    ]);
    prop_oneof![1 => whole, 3 => record().prop_map(|record| create(&record))]
}

proptest! {
    #[test]
    fn made_up_frames_are_skimmed_as_they_are_decoded(frame in frame()) {
        skimmed(frame.as_bytes());
    }

    #[test]
    fn damaged_frames_are_skimmed_as_they_are_decoded(
        frame in prop_oneof![
            Just(FULL.to_owned()),
            Just(LIKE.to_owned()),
            Just(DELETE.to_owned()),
            Just(ACCOUNT.to_owned()),
            frame()
        ],
        changes in prop::collection::vec((any::<Index>(), prop_oneof![any::<u8>(), select(b"\"\\{}[],:u0 n\x1f".to_vec())]), 1..4),
        cut in prop::option::weighted(0.2, any::<Index>()),
        twice in prop::option::weighted(0.2, (any::<Index>(), any::<Index>())),
    ) {
        let mut bytes = frame.into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some((from, to)) = twice {
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            let part = bytes[from.min(to)..from.max(to)].to_vec();
            let at = to.min(from);
            bytes.splice(at..at, part);
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        skimmed(&bytes);
    }
}

proptest! {
    // So many posts that chance cannot make them all of one kind.
    #![proptest_config(ProptestConfig::with_cases(2))]
    #[test]
    fn some_made_up_posts_need_no_decoding_and_some_do(records in prop::collection::vec(record(), 1000)) {
        let skimmed = records.iter().filter(|record| skimmed(create(record).as_bytes()).is_some()).count();
        prop_assert!((1..1000).contains(&skimmed), "{skimmed}");
    }
}
