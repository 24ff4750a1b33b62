//! Writing a query down as a person might: with as few parentheses as precedence allows or
//! more, with `AND` or a space, `NOT` or `-`, straight or curly quotes.

use std::fmt::Write as _;

use crate::naive::{Ask, Field, Means, Term};

/// How tightly an operator binds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Or,
    And,
    Near,
    Not,
}

/// Decides between two ways to write the same thing, the same way for the same seed. At 0
/// everything is written the first way.
struct Taste(u64);

impl Taste {
    fn either<T>(&mut self, usual: T, other: T) -> T {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        if self.0.is_multiple_of(3) { other } else { usual }
    }
}

/// A query's text. Different seeds write the same query in different ways.
pub(crate) fn write(ask: &Ask, seed: u64) -> String {
    let mut writer = Writer { text: String::new(), taste: Taste(seed), plain: seed == 0 };
    writer.ask(ask, Binding::Or);
    writer.text
}

struct Writer {
    text: String,
    taste: Taste,
    plain: bool,
}

impl Writer {
    fn either<T>(&mut self, usual: T, other: T) -> T {
        if self.plain { usual } else { self.taste.either(usual, other) }
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn ask(&mut self, ask: &Ask, outer: Binding) {
        let own = match ask {
            Ask::Or(_) => Some(Binding::Or),
            Ask::And(_) => Some(Binding::And),
            Ask::Near { .. } => Some(Binding::Near),
            _ => None,
        };
        let needed = own.is_some_and(|own| own < outer);
        // `in:text` is understood beside the other parts of the outermost AND only.
        let superfluous = !matches!(ask, Ask::InText) && !is_outermost_with_in_text(ask) && self.either(false, true);
        if !needed && !superfluous {
            return self.bare(ask);
        }
        let open = self.either("(", "( ");
        self.push(open);
        self.bare(ask);
        let close = self.either(")", "\n)");
        self.push(close);
    }

    fn bare(&mut self, ask: &Ask) {
        match ask {
            Ask::Term(term) => self.term(term),
            Ask::List(name) => write!(self.text, "${name}").unwrap(),
            Ask::Near { distance, ordered, sides } => {
                // Left to right: only the right side needs parentheses.
                self.ask(&sides[0], Binding::Near);
                write!(self.text, " {}NEAR/{distance} ", if *ordered { "O" } else { "" }).unwrap();
                self.ask(&sides[1], Binding::Not);
            }
            Ask::And(parts) => self.row(parts, &[" ", " AND ", "  \t"], Binding::Near),
            Ask::Or(parts) => self.row(parts, &[" OR "], Binding::And),
            Ask::Not(part) => self.not(part),
            Ask::Field(field) => self.field(field),
            Ask::Regex(regex) => write!(self.text, "/{}/", regex.as_str().replace('/', "\\/")).unwrap(),
            Ask::InText => self.push("in:text"),
        }
    }

    fn row(&mut self, parts: &[Ask], joints: &[&str], inner: Binding) {
        for (place, part) in parts.iter().enumerate() {
            if place > 0 {
                let joint = self.either(joints[0], joints[joints.len() / 2]);
                let joint = self.either(joint, joints[joints.len() - 1]);
                self.push(joint);
            }
            // Only parts of the same kind would melt together; a NOT binds tighter than all.
            self.ask(part, if matches!(part, Ask::And(_) | Ask::Or(_)) { Binding::Near } else { inner });
        }
    }

    fn not(&mut self, part: &Ask) {
        let minus = self.either("NOT ", "-");
        self.push(minus);
        // A minus before a second minus is a dash.
        if matches!(part, Ask::Not(_)) && minus == "-" {
            self.push("(");
            self.ask(part, Binding::Not);
            self.push(")");
        } else {
            self.ask(part, Binding::Not);
        }
    }

    fn term(&mut self, term: &Term) {
        let written = &term.written;
        match &term.means {
            Means::Row(_) | Means::Fuzzy(_) => {
                let bare = !written.contains(char::is_whitespace) && !written.starts_with(['#', '＃', '@', '$', '-']);
                let (open, close) = self.either(("\"", "\""), ("“", "”"));
                if bare && self.either(true, false) {
                    self.push(written);
                } else {
                    write!(self.text, "{open}{written}{close}").unwrap();
                }
            }
            Means::Slack(_, slack) => write!(self.text, "\"{written}\"~{slack}").unwrap(),
            Means::Exact(_) => write!(self.text, "{{{written}}}").unwrap(),
            Means::Tag(_) => {
                let sign = self.either("#", "tag:");
                write!(self.text, "{sign}{written}").unwrap();
            }
            Means::Mention(_) => write!(self.text, "@{written}").unwrap(),
        }
    }

    fn field(&mut self, field: &Field) {
        match field {
            Field::From(accounts) => self.values("from", accounts),
            Field::FromList(name) => write!(self.text, "from:${name}").unwrap(),
            Field::Lang(langs) => self.values("lang", langs),
            Field::Source(sources) => self.values("source", sources),
            Field::Link(domains) => self.values("link", domains),
            Field::Kind(kinds) => self.values("kind", &kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>()),
            Field::Has(things) => self.values("has", things),
            Field::MinFollowers(least) => write!(self.text, "min_followers:{least}").unwrap(),
        }
    }

    fn values<T: AsRef<str>>(&mut self, name: &str, values: &[T]) {
        let joined = values.iter().map(AsRef::as_ref).collect::<Vec<_>>();
        match joined.as_slice() {
            [one] => {
                let (open, close) = self.either(("", ""), ("\"", "\""));
                write!(self.text, "{name}:{open}{one}{close}").unwrap();
            }
            several => write!(self.text, "{name}:({})", several.join(" OR ")).unwrap(),
        }
    }
}

fn is_outermost_with_in_text(ask: &Ask) -> bool {
    matches!(ask, Ask::And(parts) if parts.iter().any(|part| matches!(part, Ask::InText)))
}
