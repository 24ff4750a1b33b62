//! Recordings are read in bounded memory: a long one needs no more than a short one.

use std::io::{BufWriter, Write as _};

use serde_json::Value;

use super::support::{Desk, Ran};

const RULES: &str = r#"
schema = 1
[pack]
name = "talk"
[[rule]]
id = "talk.spike"
title = "Much talk about us"
severity = "high"
query = "$org"
spike = {}
[[rule]]
id = "talk.count"
title = "Several people talk"
severity = "high"
query = "$org"
count = { at_least = 6, distinct = "author", within = "15m" }
"#;
const SHORT: u64 = 25_000;
const LONG: u64 = 4 * SHORT;
/// Names of posts, by which they are known again, are kept of many and not of all: that memory
/// fills up slowly, once in each of the two engines of `backtest`. Whoever kept the posts
/// themselves would need four times as much.
const FILLS_UP: u64 = 10 << 20;
/// Of a post's line in the recording.
const POST_BYTES: u64 = 600;

/// So many posts, one a second, of which one in fifty is about us.
fn record(desk: &Desk, name: &str, posts: u64) {
    let mut file = BufWriter::new(std::fs::File::create(desk.path().join(name)).unwrap());
    for n in 0..posts {
        let (day, hour, minute, second) = (n / 86_400 + 1, n / 3600 % 24, n / 60 % 60, n % 60);
        let at = format!("2026-09-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
        let what = if n.is_multiple_of(50) { "St Brigids" } else { "soup" };
        let padding = "it was a long day ".repeat(30);
        writeln!(file, r#"{{"id":"p{n}","created_at":"{at}","author":{{"id":"a{n}"}},"text":"{what} {n} {padding}"}}"#)
            .unwrap();
    }
    file.flush().unwrap();
    assert!(file.get_ref().metadata().unwrap().len() > posts * POST_BYTES);
}

fn peak(ran: &Ran) -> u64 {
    assert_eq!(ran.code, 0, "{}", ran.err);
    let summary: Value = serde_json::from_str(ran.out.lines().last().unwrap()).unwrap();
    summary["peak_rss_bytes"].as_u64().filter(|peak| *peak > 0).expect("Linux tells it")
}

#[test]
fn a_recording_four_times_as_long_needs_no_more_memory() {
    const { assert!((LONG - SHORT) * POST_BYTES > 4 * FILLS_UP) };
    let desk = Desk::new();
    desk.file("talk.toml", RULES);
    record(&desk, "short.jsonl", SHORT);
    record(&desk, "long.jsonl", LONG);
    for command in [&["replay"][..], &["backtest", "talk.toml"]] {
        let [short, long] = ["short.jsonl", "long.jsonl"].map(|file| {
            let how = ["--rules", "talk.toml", "--org", "St Brigids", "--json"];
            peak(&desk.run(&[command, &[file], &how].concat()))
        });
        assert!(long < short + FILLS_UP, "{command:?}: {short} bytes for {SHORT} posts, {long} for {LONG}");
    }
}
