//! The table of BENCHMARKS.md.

use std::fmt;

use crate::corpus::rules::Set;

/// What rules are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Words and phrases.
    Strings,
    /// Words, phrases and regexes.
    Patterns,
}

/// Where frames come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Memory,
    Socket,
}

/// A program on one kind of rules and frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub name: &'static str,
    pub scope: Scope,
    pub source: Source,
}

/// What was measured of a program.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// Of processor time.
    pub frames_per_second: f64,
    /// As the program counts: what it cannot find is missing.
    pub matches_per_post: f64,
}

/// Rows of figures, or reasons why there is none, one for each number of rules.
pub struct Table {
    rules: Vec<usize>,
    rows: Vec<(Row, Vec<Result<Figure, String>>)>,
}

impl Table {
    pub const fn new(rules: Vec<usize>) -> Self {
        Self { rules, rows: Vec::new() }
    }

    /// Adds the next figure of a row.
    pub fn add(&mut self, row: Row, figure: Result<Figure, String>) {
        let told = figure.as_ref().map(|figure| format!("{:.0} frames/s", figure.frames_per_second));
        println!(
            "          {}, {}, {}: {}",
            row.name,
            row.scope.name(),
            row.source.name(),
            told.unwrap_or_else(Clone::clone)
        );
        match self.rows.iter_mut().find(|(known, _)| *known == row) {
            Some((_, figures)) => figures.push(figure),
            None => self.rows.push((row, vec![figure])),
        }
    }

    /// Stormbell's row for the same rules and frames.
    fn ours(&self, row: Row) -> &[Result<Figure, String>] {
        let same = |other: Row| other.name == "stormbell" && (other.scope, other.source) == (row.scope, row.source);
        self.rows.iter().find(|(other, _)| same(*other)).map_or(&[], |(_, figures)| figures)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n| program | rules | frames |")?;
        self.rules.iter().try_for_each(|count| write!(f, " {count} rules | ours / it |"))?;
        writeln!(f, " matches a post, most rules |")?;
        writeln!(f, "| --- | --- | --- |{} --- |", " ---: | ---: |".repeat(self.rules.len()))?;
        for (row, figures) in &self.rows {
            write!(f, "| {} | {} | {} |", row.name, row.scope.name(), row.source.name())?;
            for (figure, ours) in figures.iter().zip(self.ours(*row)) {
                match (figure, ours) {
                    (Ok(figure), Ok(ours)) => {
                        let ratio = ours.frames_per_second / figure.frames_per_second;
                        write!(f, " {:.0} | {ratio:.1} |", figure.frames_per_second)?;
                    }
                    (Ok(figure), Err(_)) => write!(f, " {:.0} | – |", figure.frames_per_second)?,
                    (Err(reason), _) => write!(f, " {reason} | – |")?,
                }
            }
            match figures.last() {
                Some(Ok(figure)) => writeln!(f, " {:.2} |", figure.matches_per_post)?,
                _ => writeln!(f, " – |")?,
            }
        }
        Ok(())
    }
}

impl Scope {
    /// The rules of that scope.
    pub const fn set(self) -> Set {
        match self {
            Self::Strings => Set::WordsAndPhrases,
            Self::Patterns => Set::WordsPhrasesRegexes,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Strings => "words, phrases",
            Self::Patterns => "with 5 % regexes",
        }
    }
}

impl Source {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Socket => "WebSocket",
        }
    }
}
