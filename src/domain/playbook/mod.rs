//! What the people on call follow: steps to tick, roles to give, what may be said, and how soon something must be.
//!
//! A playbook is Markdown that people can read and print without Stormbell. Its numbered items are the steps. What Markdown has
//! no form for stands before it: roles, statements, how soon the first one is due. A step is known by its words, so that what was
//! ticked stays ticked when others are added before it, and not when it asks for something else. A statement is
//! approved word for word: whoever changes a word has a statement that nobody approved.

mod followed;

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

pub use followed::{Approval, Change, Doing, Followed, Mark, MarkKind, NotDone, OWN_WORDS};

use super::id::hex;

/// What people follow when something happens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Playbook {
    /// As rules name it: `playbooks/active-threat.md`.
    pub name: String,
    /// Its first heading.
    pub title: String,
    /// The rest of it, in its order.
    pub blocks: Vec<Block>,
    /// Who is needed: `Incident Commander`.
    pub roles: Vec<String>,
    /// How soon after the incident began something must be said.
    pub first_statement_within: Option<Duration>,
    /// What may be said.
    pub statements: Vec<Statement>,
}

/// A part of a playbook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// A heading.
    Heading(String),
    /// Something to do.
    Step(Step),
    /// An item of a list without numbers.
    Item(String),
    /// A row of a table.
    Row(Vec<String>),
    /// Words to use, as an example.
    Quote(String),
    /// Everything else.
    Text(String),
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its name: a hash of its words.
    pub key: String,
    /// What.
    pub text: String,
}

/// What may be said in public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its name within the playbook.
    pub id: String,
    /// What it is for.
    pub title: String,
    /// Its version, as its author counts.
    pub version: u32,
    /// Its words; `$org` stands for the organisation, `[…]` for what a person fills in.
    pub text: String,
    /// What an approval is of: its name, version and words.
    pub hash: [u8; 32],
}

impl Statement {
    /// A statement of the playbook of that name.
    pub fn new(playbook: &str, id: String, title: String, version: u32, text: String) -> Self {
        let mut hash = Sha256::new();
        hash.update(version.to_be_bytes());
        for part in [playbook, &id, &text] {
            // With its length before it, so that no two statements read the same.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self { hash: hash.finalize().into(), id, title, version, text }
    }

    /// As people name it: `first, version 2`.
    pub fn named(&self) -> String {
        format!("{}, version {}", self.id, self.version)
    }

    /// Its words, with what is known in its places.
    pub fn filled(&self, organization: &str, time: &str) -> String {
        // In one pass: the organisation's name may have a `$` of its own.
        let mut text = String::with_capacity(self.text.len());
        let mut rest = self.text.as_str();
        while let Some((before, after)) = rest.split_once('$') {
            text.push_str(before);
            let known = [("org", organization), ("time", time)];
            match known.into_iter().find_map(|(name, value)| Some((after.strip_prefix(name)?, value))) {
                Some((behind, value)) if !behind.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') => {
                    text.push_str(value);
                    rest = behind;
                }
                _ => {
                    text.push('$');
                    rest = after;
                }
            }
        }
        text + rest
    }
}

impl Playbook {
    /// A playbook of that name with this Markdown; roles and statements are for others to add.
    pub fn of(name: &str, markdown: &str) -> Self {
        let (title, blocks) = blocks(markdown);
        Self { name: name.to_owned(), title: title.unwrap_or_else(|| name.to_owned()), blocks, ..Self::default() }
    }

    /// What there is to do, in order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.blocks.iter().filter_map(|block| match block {
            Block::Step(step) => Some(step),
            _ => None,
        })
    }

    /// The step of that name.
    pub fn step(&self, key: &str) -> Option<&Step> {
        self.steps().find(|step| step.key == key)
    }

    /// The statement of that name.
    pub fn statement(&self, id: &str) -> Option<&Statement> {
        self.statements.iter().find(|statement| statement.id == id)
    }
}

/// The first heading, and everything else.
fn blocks(markdown: &str) -> (Option<String>, Vec<Block>) {
    let mut title = None;
    let mut blocks: Vec<Block> = Vec::new();
    let mut again: BTreeMap<String, u32> = BTreeMap::new();
    let mut ends = true;
    for line in markdown.lines() {
        let is_inside = line.starts_with([' ', '\t']);
        let line = line.trim();
        if line.is_empty() {
            ends = true;
            continue;
        }
        if let Some(rest) = line.strip_prefix('#') {
            let heading = rest.trim_start_matches('#').trim().to_owned();
            match title {
                None => title = Some(heading),
                Some(_) => blocks.push(Block::Heading(heading)),
            }
            ends = true;
            continue;
        }
        let block = match block(line) {
            Some(Block::Row(cells)) if cells.iter().all(|cell| cell.chars().all(|c| "-: ".contains(c))) => continue,
            Some(Block::Quote(more)) => match blocks.last_mut().filter(|_| !ends) {
                Some(Block::Quote(quote)) => {
                    *quote = format!("{quote} {more}");
                    continue;
                }
                _ => Block::Quote(more),
            },
            Some(block) => block,
            None => match blocks.last_mut().filter(|_| !ends || is_inside) {
                Some(Block::Step(Step { text, .. }) | Block::Item(text) | Block::Text(text) | Block::Quote(text)) => {
                    *text = format!("{text} {line}");
                    continue;
                }
                _ => Block::Text(line.to_owned()),
            },
        };
        blocks.push(block);
        ends = false;
    }
    for block in &mut blocks {
        if let Block::Step(Step { key, text }) = block {
            // Two that ask for the same are two: the second is ticked by itself.
            let times = again.entry(text.clone()).or_default();
            *times += 1;
            *key = hex(&Sha256::digest(format!("{times}\n{text}")), 8);
        }
    }
    (title, blocks)
}

/// What a line begins; none: it goes on.
fn block(line: &str) -> Option<Block> {
    let item = |text: &str| text.trim().to_owned();
    if let Some((number, text)) = line.split_once(". ")
        && !number.is_empty()
        && number.len() <= 3
        && number.chars().all(|c| c.is_ascii_digit())
    {
        return Some(Block::Step(Step { key: String::new(), text: item(text) }));
    }
    if let Some(text) = line.strip_prefix("- ").or_else(|| line.strip_prefix("* ")) {
        return Some(Block::Item(item(text)));
    }
    if let Some(row) = line.strip_prefix('|') {
        let row = row.strip_suffix('|').unwrap_or(row);
        return Some(Block::Row(row.split('|').map(item).collect()));
    }
    line.strip_prefix('>').map(|text| Block::Quote(item(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKDOWN: &str = "\
# Fire

You were paged because
of smoke.

## First
1. **Call** the desk,
   loudly.
2. Wake the commander.
- not a step
> There is a
> fire at $org.

| sign | true |
| --- | --- |
| smoke | more |

2. Wake the commander.
";

    #[test]
    fn numbered_items_are_steps_and_all_else_stays_where_it_is() {
        let playbook = Playbook::of("fire.md", MARKDOWN);
        assert_eq!(playbook.title, "Fire");
        let steps: Vec<&str> = playbook.steps().map(|step| step.text.as_str()).collect();
        assert_eq!(steps, ["**Call** the desk, loudly.", "Wake the commander.", "Wake the commander."]);
        let rest: Vec<&Block> = playbook.blocks.iter().filter(|block| !matches!(block, Block::Step(_))).collect();
        let text = |text: &str| text.to_owned();
        assert_eq!(
            rest,
            [
                &Block::Text(text("You were paged because of smoke.")),
                &Block::Heading(text("First")),
                &Block::Item(text("not a step")),
                &Block::Quote(text("There is a fire at $org.")),
                &Block::Row(vec![text("sign"), text("true")]),
                &Block::Row(vec![text("smoke"), text("more")]),
            ]
        );
        assert_eq!(Playbook::of("x.md", "").title, "x.md");
    }

    #[test]
    fn a_step_is_known_by_its_words_wherever_it_stands() {
        let keys = |markdown: &str| -> Vec<String> {
            Playbook::of("a", markdown).steps().map(|step| step.key.clone()).collect()
        };
        let (one, other) = (keys("# T\n1. a\n2. b\n3. b"), keys("# T\n1. new\n2. a\n3. b\n4. b"));
        assert_eq!(one, other[1..]);
        assert_ne!(one[1], one[2], "asked for twice, ticked twice");
        assert_ne!(keys("1. a")[0], keys("1. a!")[0], "it asks for something else");
    }

    #[test]
    fn places_are_filled_once_and_whatever_is_unknown_stays() {
        let filled =
            |text: &str| Statement::new("p", "s".into(), "S".into(), 1, text.into()).filled("A$org & Co", "3:12");
        assert_eq!(
            filled("At $org, $time: $organ $x $ 5 [site] $org"),
            "At A$org & Co, 3:12: $organ $x $ 5 [site] A$org & Co"
        );
    }

    #[test]
    fn an_approval_is_of_these_words_in_this_version() {
        let hash = |playbook: &str, id: &str, version, text: &str| {
            Statement::new(playbook, id.into(), "S".into(), version, text.into()).hash
        };
        let all = [
            hash("p", "s", 1, "words"),
            hash("p", "s", 2, "words"),
            hash("p", "s", 1, "words!"),
            hash("p", "sw", 1, "ords"),
            hash("ps", "", 1, "words"),
        ];
        assert!(all.iter().skip(1).all(|other| *other != all[0]));
    }
}
