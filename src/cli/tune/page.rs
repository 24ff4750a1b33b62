//! What was found, for people at a terminal: two tables and a chart of plain characters.

use std::io::Write;
use std::time::Duration;

use super::advice::advice;
use super::outcome::{Caught, Outcome, Row, monthly};
use super::{AUTHORS, WITHIN, small};
use crate::domain::message::counted;
use crate::domain::time::human;

/// Where nobody says how wide the terminal is.
const USUAL_WIDTH: usize = 80;
/// Wider bars say no more.
const MOST_WIDTH: usize = 110;

pub(super) fn print(outcome: &Outcome<'_>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    write!(out, "{}", page(outcome, width()))?;
    out.flush()?;
    Ok(())
}

fn width() -> usize {
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let seen = || terminal_size::terminal_size().map(|(terminal_size::Width(columns), _)| usize::from(columns));
    said.or_else(seen).unwrap_or(USUAL_WIDTH)
}

fn page(outcome: &Outcome<'_>, width: usize) -> String {
    let Outcome { rule, title, posts, taken, span: (from, to), since, moments, seed, .. } = outcome;
    let mut lines = vec![
        format!("{rule}: {title}"),
        format!(
            "history  {} from {} to {}; the rule took {}",
            counted(*posts, "post"),
            from.whole_second(),
            to.whole_second(),
            counted(*taken, "post")
        ),
        format!(
            "tried    on the {} since {}",
            human(Duration::from_hours(outcome.tried().as_secs() / 3600)),
            since.whole_second()
        ),
        format!("bursts   {moments} of each kind at random hours (seed {seed}), of authors who write once each"),
        String::new(),
    ];
    lines.extend(settings(outcome));
    lines.push(String::new());
    lines.extend(bursts(outcome));
    lines.push(String::new());
    lines.extend(chart(outcome, width.clamp(40, MOST_WIDTH)));
    lines.push(String::new());
    if let Some(row) = outcome.in_force() {
        lines.push(format!("* in force: {}", row.setting));
    }
    lines.extend(advice(outcome));
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n") + "\n"
}

/// Each setting's name, marked when it is in force, all of one width.
fn names(outcome: &Outcome<'_>) -> Vec<String> {
    let name = |row: &Row| format!("{}{}", row.setting, if row.in_force { " *" } else { "" });
    let names: Vec<String> = outcome.rows.iter().map(name).collect();
    let width = names.iter().map(String::len).max().unwrap_or(0).max(10);
    names.into_iter().map(|name| format!("{name:width$}")).collect()
}

/// How often each would have spoken, and what it takes to be noticed.
fn settings(outcome: &Outcome<'_>) -> Vec<String> {
    let names = names(outcome);
    let width = names.first().map_or(0, String::len);
    let [fast, slow] = WITHIN.map(human);
    let mut lines = vec![
        format!("{:width$}   alerts   a month   smallest burst caught 9 times in 10, and after how long", ""),
        format!(
            "{:width$}                      {:<22}  {:<22}",
            "",
            format!("within {fast}"),
            format!("within {slow}")
        ),
    ];
    for (row, name) in outcome.rows.iter().zip(names) {
        let [fast, slow] = WITHIN.map(|within| {
            let caught = outcome.smallest(row, within);
            caught.map_or("none of these".to_owned(), |caught| {
                format!("{} authors, {}", caught.authors, short(caught.delay.unwrap_or_default()))
            })
        });
        let (alerts, month) = (row.tried.alerts, monthly(outcome.per_month(row)));
        lines.push(format!("{name}   {alerts:>6}   {month:>7}   {fast:<22}  {slow:<22}"));
    }
    lines
}

/// How many of each burst were caught, and after how long.
fn bursts(outcome: &Outcome<'_>) -> Vec<String> {
    let names = names(outcome);
    let width = names.first().map_or(0, String::len);
    let mut lines = Vec::new();
    for within in WITHIN {
        lines.extend((!lines.is_empty()).then(String::new));
        lines.push(format!("caught, and after how long (median), of bursts within {}", human(within)));
        let row = |name: &str, cells: &[String]| {
            cells.iter().fold(format!("{name:width$} "), |line, cell| line + &format!("{cell:>12}"))
        };
        lines.push(row("authors", &AUTHORS.map(|authors| authors.to_string())));
        for (setting, name) in outcome.rows.iter().zip(&names) {
            lines.push(row(name, &outcome.bursts(setting, within).iter().map(cell).collect::<Vec<_>>()));
        }
    }
    lines
}

fn cell(caught: &Caught) -> String {
    let percent = format!("{:.0}%", caught.share * 100.0);
    caught.delay.map_or(percent.clone(), |delay| format!("{percent} {}", short(delay)))
}

/// Rows of bars, all as short as possible in the best of worlds: what is heard, and what it
/// takes to be heard.
fn chart(outcome: &Outcome<'_>, width: usize) -> Vec<String> {
    let names = names(outcome);
    let label = names.first().map_or(0, String::len);
    // Each of the three: two spaces, the bar, a space and a figure.
    let bar = (width.saturating_sub(label + 3 * 10) / 3).max(4);
    let column = bar + 8;
    let months: Vec<f64> = outcome.rows.iter().map(|row| outcome.per_month(row)).collect();
    let most = months.iter().copied().fold(0.0, f64::max);
    let [fast, slow] = WITHIN.map(|within| format!("authors in {}", human(within)));
    let mut lines = vec![
        format!("{:label$}  {:<column$}  to be noticed it takes", "", ""),
        format!("{:label$}  {:<column$}  {fast:<column$}  {slow:<column$}", "", "alerts a month"),
    ];
    for ((row, name), month) in outcome.rows.iter().zip(names).zip(months) {
        let alerts = format!("{} {}", bar_of(month, most, bar), monthly(month));
        let [fast, slow] = WITHIN.map(|within| authors(outcome, row, within, bar));
        lines.push(format!("{name}  {:<column$}  {fast:<column$}  {slow:<column$}", alerts.trim_start()));
    }
    lines
}

/// How many authors it takes, as a bar and a figure.
fn authors(outcome: &Outcome<'_>, row: &Row, within: Duration, bar: usize) -> String {
    let largest = AUTHORS.into_iter().max().unwrap_or(1);
    let authors = outcome.smallest(row, within).map(|caught| caught.authors);
    let figure = authors.map_or(format!("over {largest}"), |authors| authors.to_string());
    format!("{} {figure}", bar_of(small(authors.unwrap_or(largest)), small(largest), bar))
}

/// A bar of so many characters for the most; something for everything above nothing.
fn bar_of(of: f64, most: f64, characters: usize) -> String {
    let length = if most > 0.0 { (of / most * small(characters)).ceil() } else { 0.0 };
    "#".repeat(super::whole(length).min(characters))
}

/// A delay in one unit.
fn short(delay: Duration) -> String {
    let seconds = delay.as_secs();
    match seconds {
        0..90 => format!("{seconds} s"),
        90..5400 => format!("{} min", (seconds + 30) / 60),
        _ => format!("{:.1} h", delay.as_secs_f64() / 3600.0),
    }
}
