//! What is said in a podcast, where somebody wrote it down (`podcast:transcript`).
//!
//! Source: <https://podcasting2.org/docs/podcast-namespace/tags/transcript>: `WebVTT`, `SubRip`, JSON, HTML, plain text.

use serde::Deserialize;

use crate::source::html::plain;
use crate::source::sanity::cut;

/// Where a transcript is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// Its address.
    pub url: String,
    /// Its media type.
    pub kind: String,
}

#[derive(Deserialize)]
struct Segments {
    segments: Vec<Segment>,
}

#[derive(Deserialize)]
struct Segment {
    #[serde(default)]
    body: String,
}

/// The words alone: without times, numbers and marks of voices. What a server says of the type is not needed.
pub fn words(text: &str) -> String {
    let text = text.trim_start_matches('\u{feff}').trim();
    let words = if let Ok(Segments { segments }) = serde_json::from_str(text) {
        segments.into_iter().map(|segment| segment.body).collect::<Vec<_>>().join(" ")
    } else if text.starts_with("WEBVTT") || text.contains("-->") {
        cues(text)
    } else {
        text.to_owned()
    };
    let words = plain(&words, None).text;
    cut(&words).to_owned()
}

/// What is said between the times; blocks without a time say something else.
fn cues(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let mut said: Vec<&str> = Vec::new();
    for block in text.split("\n\n") {
        let mut lines = block.lines().map(str::trim);
        if !lines.by_ref().any(|line| line.contains("-->")) {
            continue;
        }
        for line in lines {
            // Cues that scroll say their last line again.
            if said.last() != Some(&line) {
                said.push(line);
            }
        }
    }
    said.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_gives_the_words() {
        for text in [
            "WEBVTT\n\nNOTE made by hand\n\n1\n00:00.000 --> 00:02.000\n<v Ann>Six hours\n\n00:02.000 --> 00:04.000\nin the ER",
            "1\r\n00:00:00,000 --> 00:00:02,000\r\nSix hours\r\n\r\n2\r\n00:00:02,000 --> 00:00:04,000\r\nin the ER\r\n",
            r#"{"version":"1.0.0","segments":[{"speaker":"Ann","startTime":0,"endTime":2,"body":"Six hours"},{"body":"in the ER"}]}"#,
            "<p>Six hours in the <b>ER</b></p>",
            "Six hours in the ER",
        ] {
            assert_eq!(words(text), "Six hours in the ER", "{text}");
        }
    }
}
