//! Mattermost: Markdown, with everything that could mean something escaped. A critical incident is
//! marked urgent where the server knows priorities; others pass over that field.
//!
//! Source: <https://developers.mattermost.com/integrate/webhooks/incoming/>.

use serde_json::{Value, json};

use crate::notify::text::{Parts, Urgency};
use crate::notify::untrusted::markdown;

/// Characters.
const MAX_TEXT: usize = 16_383;

pub(super) fn body(parts: &Parts, loudness: Urgency, channel: Option<&str>) -> Value {
    let facts = parts.facts.iter().map(|fact| fact.marked(|name| format!("**{name}**"), markdown));
    let ways = parts.links().map(|(says, link)| format!("[{says}]({})", link.replace(')', "%29")));
    let posts = parts.posts.iter().map(|post| format!("> {}", markdown(&post.line())));
    let mut lines = vec![format!("**{}**", markdown(&parts.headline))];
    lines.extend(facts.chain(ways));
    // A line break of its own, or quotation swallows what stands before it.
    let text = [lines.join("\n"), posts.collect::<Vec<_>>().join("\n\n")].join("\n\n");
    let mut body = json!({ "text": text.trim_end() });
    if let Some(fields) = body.as_object_mut() {
        fields.extend(channel.map(|channel| ("channel".to_owned(), channel.into())));
        let urgent = (loudness == Urgency::Wake).then(|| json!({ "priority": "urgent" }));
        fields.extend(urgent.map(|priority| ("priority".to_owned(), priority)));
    }
    body
}

pub(super) fn fits(body: &Value) -> bool {
    body.get("text").and_then(Value::as_str).is_none_or(|text| text.chars().count() <= MAX_TEXT)
}
