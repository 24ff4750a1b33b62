//! A query between two languages, and how it is written in ours.

use crate::domain::query::Term;

/// A part of a query. Parts that could not be carried over are not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Something in our language that needs no parentheses.
    Leaf(String),
    /// A field or an expression: it has no place in the text.
    Field(String),
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    /// Distance, whether ordered.
    Near(u32, bool, Box<[Self; 2]>),
}

impl Part {
    /// All parts that are left.
    pub(super) fn all(parts: Vec<Self>) -> Option<Self> {
        join(parts, Self::And)
    }

    /// Any of the parts that are left.
    pub(super) fn any(parts: Vec<Self>) -> Option<Self> {
        join(parts, Self::Or)
    }

    /// Whether it can stand beside NEAR.
    pub(super) fn has_place(&self) -> bool {
        match self {
            Self::Leaf(_) | Self::Near(..) => true,
            Self::Or(parts) => parts.iter().all(Self::has_place),
            Self::Field(_) | Self::And(_) | Self::Not(_) => false,
        }
    }

    /// In our language.
    pub(super) fn write(&self) -> String {
        let joined = |parts: &[Self], between: &str| parts.iter().map(Self::grouped).collect::<Vec<_>>().join(between);
        match self {
            Self::Leaf(text) | Self::Field(text) => text.clone(),
            Self::And(parts) => joined(parts, " AND "),
            Self::Or(parts) => joined(parts, " OR "),
            Self::Not(part) => format!("NOT {}", part.grouped()),
            Self::Near(distance, ordered, sides) => {
                let operator = if *ordered { "ONEAR" } else { "NEAR" };
                joined(&sides[..], &format!(" {operator}/{distance} "))
            }
        }
    }

    fn grouped(&self) -> String {
        match self {
            Self::Leaf(_) | Self::Field(_) | Self::Not(_) => self.write(),
            Self::And(_) | Self::Or(_) | Self::Near(..) => format!("({})", self.write()),
        }
    }
}

fn join(mut parts: Vec<Part>, kind: impl Fn(Vec<Part>) -> Part) -> Option<Part> {
    if parts.len() > 1 { Some(kind(parts)) } else { parts.pop() }
}

/// A word or phrase, quoted where our language would read something else into it; none
/// when nothing could be found by it.
pub(super) fn words(text: &str) -> Option<Part> {
    let text = text.replace(['"', '“', '”', '„', '«', '»'], " ");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Term::phrase(&text).ok()?;
    let plain = |c: char| c.is_alphanumeric() || "'’&.*?".contains(c);
    let inner = |c: char| plain(c) || c == '-';
    let is_operator = ["AND", "OR", "NOT", "NEAR", "ONEAR"].contains(&text.as_str());
    let bare = text.starts_with(char::is_alphanumeric) && text.chars().all(inner) && !is_operator;
    Some(Part::Leaf(if bare { text } else { format!("\"{text}\"") }))
}
