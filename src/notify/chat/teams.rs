//! Microsoft Teams: an adaptive card to a workflow's webhook. The old connectors are gone.
//!
//! `TextBlock` and `FactSet` read Markdown, and what escapes it differs between Teams'
//! clients; a `TextRun` is text and nothing else. So everything is a run.
//!
//! A workflow ends with the account of who made it, and says so to nobody: its owner should be a
//! team's account.
//!
//! Source: <https://adaptivecards.io/explorer/TextRun.html>,
//! <https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-format>.

use serde_json::{Value, json};

use crate::notify::text::{Parts, Urgency};
use crate::notify::untrusted::unmentioned;

/// Bytes. Teams takes something like 28 KB.
const MAX_CARD: usize = 24_000;

pub(super) fn body(parts: &Parts, loudness: Urgency) -> Value {
    let color = match loudness {
        Urgency::Wake => "attention",
        Urgency::High => "warning",
        Urgency::Normal => "accent",
        Urgency::Quiet => "good",
    };
    let headline = run(&parts.headline, &json!({ "weight": "bolder", "size": "large", "color": color }));
    let mut lines = vec![line(&[headline])];
    for fact in &parts.facts {
        let name = Some(&fact.name).filter(|name| !name.is_empty());
        let name = name.map(|name| run(&format!("{name}: "), &json!({ "weight": "bolder" })));
        let value = run(&fact.value, &json!({}));
        lines.push(line(&name.into_iter().chain([value]).collect::<Vec<_>>()));
    }
    lines.extend(parts.posts.iter().map(|post| line(&[run(&post.line(), &json!({ "isSubtle": true }))])));
    let actions = parts.links().map(|(says, link)| json!({ "type": "Action.OpenUrl", "title": says, "url": link }));
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": unmentioned(&parts.headline),
        "body": lines,
        "actions": actions.collect::<Vec<_>>(),
        "msteams": { "width": "Full" },
    });
    let content = json!({
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": null,
        "content": card,
    });
    json!({ "type": "message", "attachments": [content] })
}

fn line(runs: &[Value]) -> Value {
    json!({ "type": "RichTextBlock", "inlines": runs })
}

/// Cards replace `{{DATE(…)}}` in any text.
fn run(text: &str, style: &Value) -> Value {
    let mut run = json!({ "type": "TextRun", "text": unmentioned(text).replace("{{", "{ {") });
    if let (Some(run), Some(style)) = (run.as_object_mut(), style.as_object()) {
        run.extend(style.clone());
    }
    run
}

pub(super) fn fits(body: &Value) -> bool {
    body.to_string().len() <= MAX_CARD
}
