//! How an incident's playbook was followed: what people say they did, and what that changes on record.
//!
//! Nothing here is done by the program: it keeps who said what and when. What is said twice changes nothing, so an answer that
//! was lost does no harm.

use std::collections::BTreeMap;

use super::Playbook;
use crate::domain::time::Timestamp;

/// Characters of a person's name and of a role's.
const MOST_NAME: usize = 200;
/// The name of the only mark of its kind.
const FIRST: &str = "first";
/// What a statement is called that is none of the playbook's.
pub const OWN_WORDS: &str = "own words";

/// What is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MarkKind {
    /// A step is done; named by its key.
    Step,
    /// Somebody has a role; named by it.
    Role,
    /// Something was said in public; the first time counts.
    Statement,
}

impl MarkKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Step, Self::Role, Self::Statement];

    /// The word in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Role => "role",
            Self::Statement => "statement",
        }
    }

    /// The kind of that word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Something on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Who has the role, or what was said; of a step nothing.
    pub value: String,
    /// Who says so.
    pub by: String,
    /// When it was so (wall time).
    pub at: Timestamp,
}

/// All that is on record of one incident.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// By kind and name.
    pub marks: BTreeMap<(MarkKind, String), Mark>,
}

impl Followed {
    /// That a step is done.
    pub fn step(&self, key: &str) -> Option<&Mark> {
        self.marks.get(&(MarkKind::Step, key.to_owned()))
    }

    /// Who has a role.
    pub fn role(&self, role: &str) -> Option<&Mark> {
        self.marks.get(&(MarkKind::Role, role.to_owned()))
    }

    /// The first statement, once it is out.
    pub fn statement(&self) -> Option<&Mark> {
        self.marks.get(&(MarkKind::Statement, FIRST.to_owned()))
    }
}

/// That somebody may use a statement, word for word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The [`super::Statement::hash`].
    pub statement: [u8; 32],
    /// Who says so.
    pub by: String,
    /// Since when.
    pub at: Timestamp,
}

/// What somebody says they did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doing {
    /// A step, by its key; or that it is not done after all.
    Step {
        /// Its key.
        key: String,
        /// Whether it is.
        done: bool,
    },
    /// Gave a role to somebody; to nobody when that is empty.
    Role {
        /// Which.
        role: String,
        /// To whom.
        person: String,
    },
    /// The first statement went out, then; by the statement of that name, or in own words.
    Statement {
        /// Its name.
        id: Option<String>,
        /// When.
        at: Timestamp,
    },
    /// It did not, after all.
    Withdrawn,
}

/// What that changes on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Of this kind …
    pub kind: MarkKind,
    /// … and name.
    pub name: String,
    /// What it says from then on; none: the mark goes.
    pub value: Option<String>,
    /// When it was so.
    pub at: Timestamp,
    /// What history calls it.
    pub what: &'static str,
    /// What history says.
    pub text: String,
    /// The statement that must be approved.
    pub approved: Option<[u8; 32]>,
}

/// Why it cannot go on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    /// The playbook has changed, or another one is meant.
    #[error("the playbook has no such step, role or statement; load the page again, it may have changed")]
    NotThere,
    /// Not a name.
    #[error("a person's name is one line of at most {MOST_NAME} characters")]
    NotAName,
    /// It lies ahead, or before the incident.
    #[error("the first statement cannot have gone out before the incident began, or later than now")]
    NotThen,
    /// Nobody said that it may be used.
    #[error(
        "nobody has approved this statement as it is worded now, so it cannot be marked as used; an editor can approve it on the page of playbooks"
    )]
    NotApproved,
    /// Somebody was faster.
    #[error("a first statement is on record already")]
    Already,
}

impl Playbook {
    /// What it changes on record that somebody did that, of an incident that began at `began`.
    ///
    /// # Errors
    /// [`NotDone`], but for what only the record knows.
    pub fn change(&self, doing: &Doing, began: Timestamp, now: Timestamp) -> Result<Change, NotDone> {
        let change = |kind, name: &str, value, at, what, text| Change {
            kind,
            name: name.to_owned(),
            value,
            at,
            what,
            text,
            approved: None,
        };
        match doing {
            Doing::Step { key, done } => {
                let step = self.step(key).ok_or(NotDone::NotThere)?;
                let (value, what) = if *done { (Some(String::new()), "ticked") } else { (None, "unticked") };
                Ok(change(MarkKind::Step, key, value, now, what, step.text.replace("**", "")))
            }
            Doing::Role { role, person } => {
                if !self.roles.contains(role) {
                    return Err(NotDone::NotThere);
                }
                if person.chars().count() > MOST_NAME || person.contains(char::is_control) {
                    return Err(NotDone::NotAName);
                }
                let value = Some(person.clone()).filter(|person| !person.is_empty());
                let text = format!("{role}: {}", if person.is_empty() { "nobody" } else { person });
                Ok(change(MarkKind::Role, role, value, now, "role", text))
            }
            Doing::Statement { id, at } => {
                if *at > now || *at < began {
                    return Err(NotDone::NotThen);
                }
                let statement = id.as_ref().map(|id| self.statement(id).ok_or(NotDone::NotThere)).transpose()?;
                let said = statement.map_or_else(|| OWN_WORDS.to_owned(), super::Statement::named);
                let text = format!("the first statement is out since {}: {said}", at.whole_second());
                let change = change(MarkKind::Statement, FIRST, Some(said), *at, "statement", text);
                Ok(Change { approved: statement.map(|statement| statement.hash), ..change })
            }
            Doing::Withdrawn => {
                let text = "no statement is out after all".to_owned();
                Ok(change(MarkKind::Statement, FIRST, None, now, "statement", text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Statement;
    use super::*;

    fn playbook() -> Playbook {
        let statement = Statement::new("p.md", "first".into(), "First".into(), 2, "We know.".into());
        let roles = vec!["Legal".to_owned()];
        Playbook { roles, statements: vec![statement], ..Playbook::of("p.md", "# P\n1. **Call** the desk") }
    }

    #[test]
    fn what_the_playbook_does_not_have_cannot_be_done() {
        let (playbook, at) = (playbook(), Timestamp::from_seconds);
        let person = |person: &str| Doing::Role { role: "Legal".into(), person: person.into() };
        let out = |id: Option<&str>, then| Doing::Statement { id: id.map(Into::into), at: at(then) };
        for (doing, refused) in [
            (Doing::Step { key: "none".into(), done: true }, NotDone::NotThere),
            (Doing::Role { role: "Cook".into(), person: "ann".into() }, NotDone::NotThere),
            (person("a\nb"), NotDone::NotAName),
            (person(&"a".repeat(201)), NotDone::NotAName),
            (out(Some("second"), 50), NotDone::NotThere),
            (out(None, 101), NotDone::NotThen),
            (out(None, 9), NotDone::NotThen),
        ] {
            assert_eq!(playbook.change(&doing, at(10), at(100)), Err(refused), "{doing:?}");
        }
    }

    #[test]
    fn history_says_in_words_what_was_done() {
        let (playbook, at) = (playbook(), Timestamp::from_seconds);
        let key = playbook.steps().next().unwrap().key.clone();
        let text = |doing: &Doing| {
            let change = playbook.change(doing, at(10), at(100)).unwrap();
            format!("{}: {} ({:?})", change.what, change.text, change.value)
        };
        assert_eq!(text(&Doing::Step { key: key.clone(), done: true }), "ticked: Call the desk (Some(\"\"))");
        assert_eq!(text(&Doing::Step { key, done: false }), "unticked: Call the desk (None)");
        let role = |person: &str| Doing::Role { role: "Legal".into(), person: person.into() };
        assert_eq!(text(&role("ann")), "role: Legal: ann (Some(\"ann\"))");
        assert_eq!(text(&role("")), "role: Legal: nobody (None)");
        let out = Doing::Statement { id: Some("first".into()), at: at(50) };
        let said = "the first statement is out since 1970-01-01T00:00:50Z: first, version 2";
        assert_eq!(text(&out), format!("statement: {said} (Some(\"first, version 2\"))"));
        let change = playbook.change(&out, at(10), at(100)).unwrap();
        assert_eq!((change.at, change.approved), (at(50), Some(playbook.statements[0].hash)));
        assert_eq!(playbook.change(&Doing::Withdrawn, at(10), at(100)).unwrap().value, None);
    }
}
