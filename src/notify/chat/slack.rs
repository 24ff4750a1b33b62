//! Slack: Block Kit. Strangers' text is `plain_text`, which knows no emphasis and no links;
//! `& < >` are escaped there, too, because Slack reads them first.
//!
//! Source: <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>,
//! <https://docs.slack.dev/reference/block-kit/composition-objects/text-object>.

use serde_json::{Value, json};

use crate::notify::text::Parts;
use crate::notify::untrusted::{clip, escape_markup, mrkdwn, unmentioned};

/// Characters.
const MAX_HEADER: usize = 150;
const MAX_TEXT: usize = 3000;
/// Beyond something like 13,000 a message is refused.
const MAX_MESSAGE: usize = 12_000;

pub(super) fn body(parts: &Parts) -> Value {
    let plain = |text: &str| json!({ "type": "plain_text", "text": escape_markup(&unmentioned(text)), "emoji": false });
    let facts = parts.facts.iter().map(|fact| fact.marked(|name| format!("*{name}*"), mrkdwn));
    let ways = parts.links().map(|(says, link)| {
        let address = escape_markup(link).replace('|', "%7C");
        format!("<{address}|{says}>")
    });
    let facts: Vec<String> = facts.chain(ways).collect();
    let mut blocks = vec![json!({ "type": "header", "text": plain(&clip(&parts.headline, MAX_HEADER)) })];
    if !facts.is_empty() {
        let text = json!({ "type": "mrkdwn", "text": facts.join("\n"), "verbatim": true });
        blocks.push(json!({ "type": "section", "text": text }));
    }
    blocks.extend(parts.posts.iter().map(|post| json!({ "type": "section", "text": plain(&post.line()) })));
    json!({ "text": mrkdwn(&parts.headline), "blocks": blocks, "unfurl_links": false, "unfurl_media": false })
}

pub(super) fn fits(body: &Value) -> bool {
    let blocks = body.get("blocks").and_then(Value::as_array).into_iter().flatten();
    let texts = blocks.filter_map(|block| block.pointer("/text/text")?.as_str());
    let mut texts = texts.map(|text| text.chars().count());
    texts.all(|length| length <= MAX_TEXT) && body.to_string().chars().count() <= MAX_MESSAGE
}
