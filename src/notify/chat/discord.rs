//! Discord: the headline as the message, which telephones show, and the rest in an embed.
//! `allowed_mentions` is empty: whatever the text says, nobody is rung by it.
//!
//! Source: <https://discord.com/developers/docs/resources/webhook#execute-webhook>.

use serde_json::{Value, json};

use crate::notify::text::{Parts, Urgency};
use crate::notify::untrusted::markdown;

/// Characters.
const MAX_CONTENT: usize = 2000;
const MAX_DESCRIPTION: usize = 4096;

pub(super) fn body(parts: &Parts, loudness: Urgency) -> Value {
    let facts = parts.facts.iter().map(|fact| fact.marked(|name| format!("**{name}**"), markdown));
    let ways = parts.links().map(|(says, link)| format!("[{says}]({})", link.replace(')', "%29")));
    let posts = parts.posts.iter().map(|post| format!("> {}", markdown(&post.line())));
    let lines: Vec<String> = facts.chain(ways).chain(posts).collect();
    let color = match loudness {
        Urgency::Wake => 0x00d3_2f2f,
        Urgency::High => 0x00f5_7c00,
        Urgency::Normal => 0x0019_76d2,
        Urgency::Quiet => 0x0038_8e3c,
    };
    json!({
        "content": format!("**{}**", markdown(&parts.headline)),
        "embeds": [{ "description": lines.join("\n"), "color": color }],
        "allowed_mentions": { "parse": [] },
    })
}

pub(super) fn fits(body: &Value) -> bool {
    let length = |pointer| body.pointer(pointer).and_then(Value::as_str).map_or(0, |text| text.chars().count());
    length("/content") <= MAX_CONTENT && length("/embeds/0/description") <= MAX_DESCRIPTION
}
