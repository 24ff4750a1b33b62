//! Places in JSON of a shape that only the operator knows: RFC 6901 pointers, with `*` for every item of a
//! list, and conditions on what stands there.

use serde_json::Value;

/// More steps than anybody nests.
const MOST_STEPS: usize = 16;

/// A place in a document: `/user/name`, or `/tags/*/name` for the names of all tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Into(String),
    Every,
}

impl Pointer {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, in words for the operator.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split('/');
        if parts.next() != Some("") {
            return Err("a JSON pointer begins with `/`, as in \"/user/name\"".to_owned());
        }
        let steps: Vec<Step> = parts.map(step).collect::<Result<_, _>>()?;
        if steps.len() > MOST_STEPS {
            return Err(format!("a JSON pointer has at most {MOST_STEPS} steps here"));
        }
        Ok(Self { steps })
    }

    /// Whether it may stand for several places.
    pub fn is_several(&self) -> bool {
        self.steps.contains(&Step::Every)
    }

    /// All that stands there, in order; nothing twice.
    pub fn all<'v>(&self, document: &'v Value) -> Vec<&'v Value> {
        let mut places = vec![document];
        for step in &self.steps {
            places = match step {
                Step::Into(name) => places.into_iter().filter_map(|place| into(place, name)).collect(),
                Step::Every => places.into_iter().filter_map(Value::as_array).flatten().collect(),
            };
        }
        places
    }

    /// The first that stands there and is not null.
    pub fn first<'v>(&self, document: &'v Value) -> Option<&'v Value> {
        if self.is_several() {
            return self.all(document).into_iter().find(|value| !value.is_null());
        }
        let mut place = document;
        for step in &self.steps {
            let Step::Into(name) = step else { return None };
            place = into(place, name)?;
        }
        (!place.is_null()).then_some(place)
    }

    /// The place itself, to be changed; none for one that stands for several.
    pub fn place_mut<'v>(&self, document: &'v mut Value) -> Option<&'v mut Value> {
        let mut place = document;
        for step in &self.steps {
            let Step::Into(name) = step else { return None };
            place = match place {
                Value::Object(object) => object.get_mut(name)?,
                Value::Array(items) => items.get_mut(name.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(place)
    }
}

fn step(part: &str) -> Result<Step, String> {
    if part == "*" {
        return Ok(Step::Every);
    }
    let mut name = String::new();
    let mut letters = part.chars();
    while let Some(letter) = letters.next() {
        match (letter, letter == '~') {
            (_, true) => match letters.next() {
                Some('0') => name.push('~'),
                Some('1') => name.push('/'),
                _ => return Err("in a JSON pointer `~` is written `~0`, and `/` in a name `~1`".to_owned()),
            },
            (letter, false) => name.push(letter),
        }
    }
    Ok(Step::Into(name))
}

fn into<'v>(place: &'v Value, name: &str) -> Option<&'v Value> {
    match place {
        Value::Object(object) => object.get(name),
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        _ => None,
    }
}

/// A text, a number or a truth value as text; null, lists and objects are none.
pub fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// What a document must say to be of a kind. Everything named must be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition(pub Vec<(Pointer, Vec<String>)>);

impl Condition {
    /// The word for anything that is there and not null.
    pub const ANYTHING: &str = "*";

    /// Whether `document` says so.
    pub fn holds(&self, document: &Value) -> bool {
        self.0.iter().all(|(place, words)| {
            place.all(document).into_iter().filter(|value| !value.is_null()).any(|value| {
                let said = scalar(value);
                words.iter().any(|word| word == Self::ANYTHING || said.as_ref() == Some(word))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pointer(text: &str) -> Pointer {
        Pointer::parse(text).unwrap()
    }

    #[test]
    fn pointers_find_what_the_standard_says_and_every_item() {
        let document = json!({"a": {"b": [1, {"c": "x"}, {"c": null}, {"c": "y"}]}, "m~n": {"o/p": true}, "": 7});
        for (text, expected) in [
            ("/a/b/0", vec!["1"]),
            ("/a/b/1/c", vec!["x"]),
            ("/a/b/*/c", vec!["x", "y"]),
            ("/m~0n/o~1p", vec!["true"]),
            ("/", vec!["7"]),
            ("/a/b/9", vec![]),
            ("/a/x/*", vec![]),
            ("/a/b/*", vec!["1"]),
        ] {
            let found: Vec<_> = pointer(text).all(&document).into_iter().filter_map(scalar).collect();
            assert_eq!(found, expected, "{text}");
            let first = pointer(text).first(&document).and_then(scalar);
            assert_eq!(first.as_deref(), expected.first().copied(), "{text}");
        }
        assert_eq!(pointer("").first(&document), Some(&document));
        for text in ["a", "a/b", "/~", "/a~2", &"/x".repeat(17)] {
            assert!(Pointer::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_condition_wants_all_it_names_and_one_word_of_each() {
        let condition =
            Condition(vec![(pointer("/type"), vec!["post".into(), "1".into()]), (pointer("/id"), vec!["*".into()])]);
        for (document, expected) in [
            (json!({"type": "post", "id": 5}), true),
            (json!({"type": 1, "id": {}}), true),
            (json!({"type": "post"}), false),
            (json!({"type": "post", "id": null}), false),
            (json!({"type": "like", "id": 5}), false),
            (json!([]), false),
        ] {
            assert_eq!(condition.holds(&document), expected, "{document}");
        }
    }
}
