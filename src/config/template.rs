//! `template` of a `[[receiver]]`: the hospital's own words, for all or by language.
//!
//! What is wrong with one is a warning and never stops the daemon: people are then told in our words.

use std::sync::Arc;

use super::file::{TEXT_LIMIT, read_text};
use super::model::Voice;
use super::reference::Surroundings;
use super::table::{Checked, Noted, Table, Value, all, quoted};
use crate::domain::diagnostic::Level;
use crate::wire::template::Template;

/// The key of the template for everybody else.
const DEFAULT: &str = "default";
const FALLBACK: &str = "until it is mended, people are told in the built-in words";

/// Reads the key, where it is.
pub(super) fn voice(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<Voice> {
    let Some(value) = table.get("template") else { return Ok(Voice::default()) };
    if !value.is_table() {
        return Ok(Voice { usual: read(&value, around)?, ..Voice::default() });
    }
    let table = value.table("`template`")?;
    let mut voice = Voice::default();
    let entries = table.in_order();
    let read = all(entries.iter().map(|(language, span, file)| {
        if *language != DEFAULT && !is_language(language) {
            let message = format!("{} is no language", quoted(language));
            return table.refuse("SB0440", message, span.clone(), "write a tag such as de or pt-br, or default");
        }
        Ok((*language, read(file, around)?))
    }))?;
    for (language, template) in read {
        match template {
            Some(template) if language != DEFAULT => {
                voice.by_language.insert(language.to_owned(), template);
            }
            template => voice.usual = template.or(voice.usual),
        }
    }
    Ok(voice)
}

/// `language` of a `[[person]]`.
pub(super) fn language(value: &Value<'_>) -> Checked<String> {
    let text = value.filled()?;
    if is_language(text) {
        return Ok(text.to_owned());
    }
    value.error("SB0440", format!("{} is no language", quoted(text)), "write a tag such as de or pt-br")
}

/// A tag as BCP 47 has them, in lower case.
fn is_language(text: &str) -> bool {
    let mut parts = text.split('-');
    let letters =
        parts.next().is_some_and(|part| (2..=3).contains(&part.len()) && all_are(part, u8::is_ascii_lowercase));
    let is_part = |part: &str| (2..=8).contains(&part.len());
    letters && parts.all(|part| is_part(part) && all_are(part, |c| c.is_ascii_lowercase() || c.is_ascii_digit()))
}

fn all_are(text: &str, is: impl Fn(&u8) -> bool) -> bool {
    text.bytes().all(|byte| is(&byte))
}

/// None after a warning.
fn read(value: &Value<'_>, around: &Surroundings<'_>) -> Checked<Option<Arc<Template>>> {
    let path = around.folder.join(value.filled()?);
    let warn = |message: String| {
        value.note(Level::Warning, "SB0441", message, FALLBACK);
        Ok::<_, Noted>(None)
    };
    match read_text(&path, TEXT_LIMIT) {
        Err(error) => warn(format!("the template {} {error}", path.display())),
        Ok(text) => match Template::new(&text) {
            Ok(template) => Ok(Some(Arc::new(template))),
            Err(mistake) => warn(format!("the template {} fails: {mistake}", path.display())),
        },
    }
}
