//! JSON read part by part: what makes no sense is left out, without harm to its neighbours.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::sanity::MAX_ITEMS;

/// A JSON string, borrowed from the frame unless it holds escapes.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// The value, unless it is absent or makes no sense.
pub(super) fn lenient<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    lenient_item(raw?)
}

/// The value, unless it makes no sense.
pub(super) fn lenient_item<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

/// The first elements of a list; none when it is no list.
pub(super) fn items(list: Option<&RawValue>) -> impl Iterator<Item = &RawValue> {
    lenient::<Vec<&RawValue>>(list).unwrap_or_default().into_iter().take(MAX_ITEMS)
}

/// A string that says something, unless it is absent, empty or none.
pub(super) fn text(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    lenient::<Text<'_>>(raw).map(|Text(text)| text).filter(|text| !text.is_empty())
}
