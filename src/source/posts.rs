//! Normalised posts, one JSON object a line: the `--format posts` of `replay`.
//!
//! The same limits and dates hold as on the wires. Such a line has no cursor but the time it was read. One with a
//! `deleted_at` (RFC 3339) beside its `id` says that its author took the post back.

use std::borrow::Cow;

use serde::Deserialize;

use super::sanity::{MAX_ITEMS, claimed_time, cut, parse_object, recorded_time, within_budget};
use crate::domain::event::{Cursor, Decoded, Rejected, SourceEvent};
use crate::domain::id::SourceName;
use crate::domain::post::Post;
use crate::domain::time::Timestamp;
use crate::wire::post::{NotAPost, PostJson};

/// Decodes one line. A post counts at its `event_time`, or else at its `created_at`.
pub fn decode(source: &SourceName, line: &[u8], received_at: Option<Timestamp>) -> Decoded {
    let event = match deletion(line, received_at) {
        Some(deletion) => deletion,
        None => post(source, line, received_at).map(|post| SourceEvent::Post(Box::new(post))),
    };
    Decoded { cursor: received_at.map(Cursor::at), event }
}

#[derive(Deserialize)]
struct Deletion<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    deleted_at: Cow<'a, str>,
}

/// What a line says that takes a post back; none for all others.
fn deletion(line: &[u8], received_at: Option<Timestamp>) -> Option<Result<SourceEvent, Rejected>> {
    let Deletion { id, deleted_at } = parse_object(line).ok()?;
    let read = || {
        let at = Timestamp::parse(&deleted_at).or(Err(Rejected::AbsurdDate))?;
        if id.is_empty() {
            return Err(Rejected::MissingField);
        }
        Ok(SourceEvent::PostDeleted { post: id.as_ref().into(), at: recorded_time(at, received_at)? })
    };
    Some(read())
}

fn post(source: &SourceName, line: &[u8], received_at: Option<Timestamp>) -> Result<Post, Rejected> {
    let json: PostJson<'_> = parse_object(line)?;
    if json.id.is_empty() || json.author.id.is_empty() {
        return Err(Rejected::MissingField);
    }
    let mut post = json.into_post(source).map_err(|error| match error {
        NotAPost::Date => Rejected::AbsurdDate,
        NotAPost::Kind => Rejected::WrongType,
    })?;
    post.event_time = recorded_time(post.event_time, received_at)?;
    claimed_time(post.created_at, post.event_time)?;
    bound(&mut post);
    Ok(post)
}

fn bound(post: &mut Post) {
    let end = cut(&post.text).len();
    post.text.truncate(end);
    post.media_text = within_budget(std::mem::take(&mut post.media_text));
    for list in [&mut post.lang, &mut post.links, &mut post.tags] {
        list.truncate(MAX_ITEMS);
        for text in list {
            let end = cut(text).len();
            text.truncate(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"id":"p1","created_at":"2011-11-22T10:00:00Z","author":{"id":"ann"},"text":"hi"}"#;

    fn decoded(line: &str) -> Result<SourceEvent, Rejected> {
        decode(&SourceName::from("file"), line.as_bytes(), None).event
    }

    #[test]
    fn a_recorded_post_counts_at_the_time_it_was_created() {
        let Ok(SourceEvent::Post(post)) = decoded(LINE) else { panic!("no post") };
        assert_eq!((post.text.as_str(), post.source.as_str()), ("hi", "file"));
        assert_eq!(post.event_time, post.created_at);
        assert_eq!(post.event_time.to_string(), "2011-11-22T10:00:00Z");
    }

    #[test]
    fn a_stamp_of_the_source_goes_before_the_claim_of_the_author() {
        let line = LINE.replace(r#""author""#, r#""event_time":"2026-11-22T10:00:05Z","author""#);
        let Ok(SourceEvent::Post(post)) = decoded(&line) else { panic!("no post") };
        assert_eq!(post.event_time.to_string(), "2026-11-22T10:00:05Z");
    }

    #[test]
    fn a_post_that_was_taken_back_is_a_deletion() {
        let at = Timestamp::parse("2026-11-22T10:00:00Z").unwrap();
        let line = r#"{"id":"p1","deleted_at":"2026-11-22T10:00:00Z"}"#;
        assert_eq!(decoded(line), Ok(SourceEvent::PostDeleted { post: "p1".into(), at }));
        assert_eq!(decoded(&line.replace("2026-11-22T", "then")), Err(Rejected::AbsurdDate));
        assert_eq!(decoded(&line.replace("p1", "")), Err(Rejected::MissingField));
    }

    #[test]
    fn what_cannot_be_a_post_is_rejected_with_its_reason() {
        let changed = |from: &str, to: &str| LINE.replace(from, to);
        for (line, reason) in [
            (String::new(), Rejected::NotJson),
            (changed("}", ""), Rejected::NotJson),
            (format!("[{LINE}]"), Rejected::WrongType),
            (changed(r#""id":"p1","#, ""), Rejected::MissingField),
            (changed(r#""p1""#, r#""""#), Rejected::MissingField),
            (changed(r#","text":"hi""#, ""), Rejected::MissingField),
            (changed(r#""hi""#, "5"), Rejected::WrongType),
            (changed(r#""hi""#, r#""hi","kind":"shout""#), Rejected::WrongType),
            (changed(r#""hi""#, r#""\ud83d""#), Rejected::LoneSurrogate),
            (changed("2011-11-22T10:00:00Z", "yesterday"), Rejected::AbsurdDate),
            (changed("2011", "1999"), Rejected::AbsurdDate),
            (changed("2011", "2200"), Rejected::AbsurdDate),
            (changed(r#""hi""#, r#""hi","event_time":"1999-01-01T00:00:00Z""#), Rejected::AbsurdDate),
            (
                changed("2011", "2028").replace(r#""hi""#, r#""hi","event_time":"2026-01-01T00:00:00Z""#),
                Rejected::AbsurdDate,
            ),
        ] {
            assert_eq!(decoded(&line), Err(reason), "{line}");
        }
    }

    #[test]
    fn endless_texts_and_lists_end() {
        let links = vec![r#""https://l.example""#; 1000].join(",");
        let line =
            LINE.replace("hi", &"é".repeat(70_000)).replace(r#","text""#, &format!(r#","links":[{links}],"text""#));
        let Ok(SourceEvent::Post(post)) = decoded(&line) else { panic!("no post") };
        assert_eq!((post.text.len(), post.links.len()), (65_536, MAX_ITEMS));
    }
}
