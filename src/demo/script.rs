//! The play of the demo: an endless, deterministic sequence of events.
//!
//! A day like any other for twenty seconds, a crisis within the next forty, and then a
//! day like any other again. The same seed and start give the same play to the byte;
//! another start gives other keys, so that a database keeps two demos apart.

use std::iter::Peekable;
use std::time::Duration;
use std::vec::IntoIter;

use super::background::Crowd;
use super::crisis;
use super::event::{Event, Press};
use crate::domain::time::Timestamp;
use crate::rng::Rng;

/// When the first rumour of the crisis is posted.
pub const FIRST_RUMOUR: Duration = Duration::from_secs(20);
/// When a second person posts about it.
pub const SECOND_VOICE: Duration = Duration::from_secs(26);

/// The background's time from one event to the next: about 150 a second.
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_micros(11_333);

/// An event and its place in the play.
#[derive(Clone, Debug, PartialEq)]
pub struct Scripted {
    /// Time since the play began.
    pub at: Duration,
    /// What happens.
    pub event: Event,
}

/// The play, in order of time; it never ends.
#[derive(Clone, Debug)]
pub struct Script {
    beats: Peekable<IntoIter<Scripted>>,
    press: Press,
    crowd: Crowd,
    pace: Rng,
    background_at: Duration,
}

impl Script {
    /// The play of `seed` that begins at `start`.
    pub fn new(seed: u64, start: Timestamp) -> Self {
        let mut press = Press::new(seed, start);
        let beats = crisis::beats(&mut press, seed).into_iter().peekable();
        Self { beats, press, crowd: Crowd::new(!seed), pace: Rng::new(seed ^ 1), background_at: Duration::ZERO }
    }
}

impl Iterator for Script {
    type Item = Scripted;

    fn next(&mut self) -> Option<Scripted> {
        let background_at = self.background_at;
        self.beats.next_if(|beat| beat.at <= background_at).or_else(|| {
            self.background_at += self.pace.between(SHORTEST_PAUSE, LONGEST_PAUSE);
            Some(Scripted { at: background_at, event: self.crowd.act(&mut self.press, background_at) })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use serde_json::Value;

    use super::*;

    const START: Timestamp = Timestamp::from_seconds(1_795_341_600);

    fn play(seconds: u64) -> Vec<(Duration, Value)> {
        Script::new(1, START)
            .take_while(|scripted| scripted.at < Duration::from_secs(seconds))
            .map(|scripted| (scripted.at, serde_json::from_str(&scripted.event.frame(START + scripted.at)).unwrap()))
            .collect()
    }

    fn all_text(frame: &Value) -> String {
        let record = &frame["commit"]["record"];
        let alt = record.pointer("/embed/images/0/alt").or(record.pointer("/embed/media/images/0/alt"));
        format!("{} {}", record["text"].as_str().unwrap_or(""), alt.and_then(Value::as_str).unwrap_or(""))
            .to_lowercase()
    }

    fn names_the_hospital(text: &str) -> bool {
        ["st brigids", "st. brigid's", "st. brigid’s", "saint brigid's"].iter().any(|name| text.contains(name))
    }

    fn alarming(text: &str) -> bool {
        let words = [
            "gunman",
            "shooter",
            "shooting",
            "shots fired",
            "gunfire",
            "gunshots",
            "man with a gun",
            "hombre armado",
            "tirador",
            "schüsse",
            "bewaffneter",
            "coups de feu",
            "homme armé",
            "shots heard",
        ];
        words.iter().any(|word| text.contains(word)) && names_the_hospital(text)
    }

    #[test]
    fn every_frame_is_of_the_v1_wire_and_time_never_goes_back() {
        let mut last = Duration::ZERO;
        let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
        for (at, frame) in play(70) {
            assert!(at >= last, "{at:?} after {last:?}");
            last = at;
            assert!(frame["time_us"].as_i64().unwrap() >= 1_000_000_000_000_000);
            assert!(frame["did"].as_str().unwrap().starts_with("did:plc:"));
            let kind = frame["kind"].as_str().unwrap();
            let body = &frame[kind];
            let detail = match kind {
                "commit" => {
                    for key in ["rev", "rkey", "collection"] {
                        assert!(body[key].is_string(), "{key} in {frame}");
                    }
                    let created = body["operation"] == "create";
                    assert_eq!(created, body["record"].is_object() && body["cid"].is_string(), "{frame}");
                    format!("{} {}", body["operation"], body["collection"])
                }
                "identity" => format!("identity {}", body["handle"].is_string()),
                "account" => format!("account {}", body["active"]),
                other => panic!("unknown kind {other}"),
            };
            *kinds.entry(detail).or_default() += 1;
        }
        for kind in [
            "\"create\" \"app.bsky.feed.post\"",
            "\"create\" \"app.bsky.feed.like\"",
            "\"create\" \"app.bsky.feed.repost\"",
            "\"create\" \"app.bsky.graph.follow\"",
            "\"create\" \"app.bsky.actor.profile\"",
            "\"delete\" \"app.bsky.feed.post\"",
            "identity true",
            "account true",
            "account false",
        ] {
            assert!(kinds.get(kind).is_some_and(|&count| count > 3), "too few of {kind}: {kinds:?}");
        }
        let total: usize = kinds.values().sum();
        assert!((9_500..12_500).contains(&total), "{total} frames in 70 s");
    }

    #[test]
    fn nobody_is_alarmed_before_the_first_rumour_and_two_are_by_the_second_voice() {
        let mut authors: Vec<(Duration, String)> = Vec::new();
        for (at, frame) in play(51) {
            let text = all_text(&frame);
            if alarming(&text) && !text.contains("drill") {
                authors.push((at, frame["did"].as_str().unwrap().to_owned()));
            }
        }
        let by = |end: Duration| {
            authors.iter().filter(|(at, _)| *at <= end).map(|(_, did)| did).collect::<HashSet<_>>().len()
        };
        assert_eq!(by(Duration::from_millis(19_999)), 0);
        assert_eq!(by(FIRST_RUMOUR), 1);
        assert_eq!(by(SECOND_VOICE), 2);
        assert!(by(Duration::from_secs(50)) >= 24, "{} authors by 50 s", by(Duration::from_secs(50)));
    }

    #[test]
    fn the_calm_tempts_a_bad_rule() {
        let texts: Vec<String> = play(20).iter().map(|(_, frame)| all_text(frame)).collect();
        let told = |all: &[&str]| texts.iter().any(|text| all.iter().all(|word| text.contains(word)));
        assert!(told(&["active shooter drill", "st. brigid's"]), "announced drill");
        assert!(told(&["shooter", "movie"]) && told(&["shooter", "#gaming"]), "films and games");
        assert!(told(&["flu shots", "st. brigid’s"]) && told(&["shot a video", "st brigids"]), "other shots");
    }

    #[test]
    fn the_crisis_brings_pictures_quotes_replies_news_and_a_post_taken_back() {
        let frames = play(60);
        let crisis: Vec<&Value> =
            frames.iter().filter(|(_, frame)| alarming(&all_text(frame))).map(|(_, frame)| frame).collect();
        let record = |frame: &Value, pointer: &str| frame["commit"]["record"].pointer(pointer).is_some();
        for pointer in ["/reply", "/embed/record", "/embed/images", "/embed/external", "/facets"] {
            assert!(crisis.iter().any(|frame| record(frame, pointer)), "{pointer}");
        }
        let rkeys: HashSet<&str> = crisis.iter().filter_map(|frame| frame["commit"]["rkey"].as_str()).collect();
        let taken_back = |frame: &Value| {
            frame["commit"]["operation"] == "delete" && rkeys.contains(frame["commit"]["rkey"].as_str().unwrap())
        };
        assert_eq!(frames.iter().filter(|(_, frame)| taken_back(frame)).count(), 1);
        let reposts_of_crisis = frames.iter().filter(|(_, frame)| {
            let uri = frame["commit"]["record"].pointer("/subject/uri").and_then(Value::as_str).unwrap_or("");
            frame["commit"]["collection"] == "app.bsky.feed.repost" && rkeys.contains(uri.rsplit('/').next().unwrap())
        });
        assert!(reposts_of_crisis.count() > 20);
    }

    #[test]
    fn the_same_start_is_the_same_play_and_another_start_has_other_keys() {
        let frames = |start| -> Vec<Scripted> { Script::new(1, start).take(500).collect() };
        assert_eq!(frames(START), frames(START));
        let keys = |start| -> HashSet<String> {
            let rkey = |s: Scripted| {
                let frame: Value = serde_json::from_str(&s.event.frame(start + s.at)).unwrap();
                frame["commit"]["rkey"].as_str().map(|key| format!("{}{key}", frame["did"]))
            };
            frames(start).into_iter().filter_map(rkey).filter(|key| !key.ends_with("self")).collect()
        };
        assert!(keys(START).is_disjoint(&keys(START + Duration::from_hours(1))));
    }

    #[test]
    fn nobody_in_it_is_real() {
        for (_, frame) in play(30) {
            let frame = frame.to_string();
            assert!(!frame.contains(".com") && !frame.contains(".social"), "{frame}");
        }
    }
}
