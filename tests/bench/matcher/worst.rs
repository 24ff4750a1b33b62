//! The worst posts against the worst rules.

use stormbell::domain::matcher::Matcher;
use stormbell::domain::query::Query;

use crate::corpus::hostile::{self, ATTACKS, Attack};
use crate::measure::timed;
use crate::subject::{Reader, query};

/// The largest frame the program reads unless told otherwise.
const LARGEST: usize = 1 << 20;
/// Two sizes at which all of a text is read, to see how the cost grows.
const SMALL: usize = 12 << 10;
const MEDIUM: usize = 48 << 10;

/// Prints a row for each post and a column for each kind of rule.
pub fn measure() {
    println!("\nworst     ms for a frame of 1 MB, decoded and matched (in brackets: 48 KB to 12 KB, × 4 is linear)");
    let mut classes: Vec<(&str, Vec<Query>)> = vec![("no rule", Vec::new())];
    for (name, texts) in hostile::rules() {
        let mut taken = Vec::new();
        for text in &texts {
            match query(text) {
                Ok(query) => taken.push(query),
                Err(reason) => {
                    println!("          refused: {} … ({reason})", text.chars().take(60).collect::<String>());
                }
            }
        }
        classes.push((name, taken));
    }
    let all: Vec<Query> = classes.iter().flat_map(|(_, queries)| queries.clone()).collect();
    classes.push(("all", all));
    let matchers: Vec<Matcher> = classes.iter().map(|(_, queries)| Matcher::new(queries)).collect();
    let titles = cells(classes.iter().map(|(name, _)| *name));
    println!("          {:<30}{titles}", "");
    let mut worst = (0.0, "");
    for attack in ATTACKS {
        let costs: Vec<Cost> = matchers.iter().map(|matcher| Cost::of(attack, matcher)).collect();
        println!("          {:<30}{}", attack.name, cells(costs.iter()));
        let longest = costs.iter().map(|cell| cell.millis).fold(0.0, f64::max);
        if longest > worst.0 {
            worst = (longest, attack.name);
        }
    }
    println!("          the worst of all: {:.1} ms ({})", worst.0, worst.1);
}

struct Cost {
    millis: f64,
    /// From a small post to one four times as large; none when too quick to tell.
    growth: Option<f64>,
}

impl Cost {
    fn of(attack: &Attack, matcher: &Matcher) -> Self {
        let (small, medium) = (millis(&attack.frame(SMALL), matcher), millis(&attack.frame(MEDIUM), matcher));
        let growth = (small > 0.02).then_some(medium / small);
        Self { millis: millis(&attack.frame(LARGEST), matcher), growth }
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2}", self.millis)?;
        self.growth.map_or(Ok(()), |growth| write!(f, " (× {growth:.1})"))
    }
}

/// In columns.
fn cells(of: impl Iterator<Item = impl std::fmt::Display>) -> String {
    of.fold(String::new(), |row, cell| row + &format!("{:>16}", cell.to_string()))
}

/// The best of three, with buffers of their own: a first post of its size grows them.
fn millis(frame: &str, matcher: &Matcher) -> f64 {
    let once = |_| timed(|| Reader::default().frame(frame.as_bytes(), matcher)).1;
    (0..3).map(once).min().unwrap_or_default().as_secs_f64() * 1000.0
}
