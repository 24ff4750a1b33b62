//! Ninety days at a glance: bars of how often, or how much of each day was seen, as a picture that also says it in words.

use std::fmt::Write as _;

use super::frame::Frame;
use crate::domain::harmless::escape_html;
use crate::domain::time::Timestamp;

/// Days shown.
pub(super) const DAYS: usize = 90;
const DAY: std::time::Duration = std::time::Duration::from_hours(24);
/// Of the picture.
const WIDTH: usize = 720;
const HEIGHT: usize = 64;
const BELOW: usize = 16;
/// The height of a cell.
const CELL: f64 = 56.0;

/// A day by the organisation's clocks: as it is written, when it begins, and when it ends; today ends now.
pub(super) type Day = (String, Timestamp, Timestamp);

/// The days up to today, oldest first.
pub(super) fn days(f: &Frame) -> Vec<Day> {
    let date = |at: Timestamp| f.zone.shows(at, "%Y-%m-%d");
    let first = f.now - DAY * (u32::try_from(DAYS).unwrap_or(1) - 1);
    let begins = std::iter::successors(f.zone.day(&date(first)), |at| f.zone.day_after(*at));
    let begins: Vec<Timestamp> = begins.take_while(|at| *at <= f.now).take(DAYS).collect();
    let ends = begins.iter().skip(1).copied().chain([f.now]);
    begins.iter().zip(ends).map(|(from, to)| (date(*from), *from, to)).collect()
}

/// How many of these instants lie in each day.
pub(super) fn counted(days: &[Day], times: &[Timestamp]) -> Vec<u64> {
    let within = |(_, from, to): &Day| times.iter().filter(|at| from <= at && *at < to).count() as u64;
    days.iter().map(within).collect()
}

/// Bars of one or two rows of numbers, the same scale for both; `says` is the picture in a sentence.
pub(super) fn bars(days: &[Day], rows: &[(&str, Vec<u64>)], says: &str) -> String {
    let most = rows.iter().flat_map(|(_, row)| row).copied().max().unwrap_or(0).max(1);
    let mut svg = open(rows.len(), says);
    for (row, (class, numbers)) in rows.iter().enumerate() {
        let bottom = (row + 1) * HEIGHT;
        for (place, (number, (name, ..))) in
            numbers.iter().zip(days).enumerate().filter(|(_, (number, _))| **number > 0)
        {
            let height = usize::try_from(number * (HEIGHT as u64 - 8) / most).unwrap_or(HEIGHT).max(2);
            let (x, width) = place_of(place, days.len());
            push(
                &mut svg,
                format_args!(
                    "<rect class=\"{class}\" x=\"{x}\" y=\"{}\" width=\"{width}\" height=\"{height}\"><title>{name}: {number}</title></rect>",
                    bottom - height
                ),
            );
        }
        push(&mut svg, format_args!("<line class=\"axis\" x1=\"0\" y1=\"{bottom}\" x2=\"{WIDTH}\" y2=\"{bottom}\"/>"));
    }
    close(svg, days, rows.len())
}

/// What is known of a day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Seen {
    /// So much of it was seen: 0 to 1.
    Part(f64),
    /// Nobody knows any more, or yet.
    Unknown,
}

/// A cell a day: filled as far as the day was seen.
pub(super) fn cells(days: &[Day], seen: &[Seen], says: &str, titles: &[String]) -> String {
    let mut svg = open(1, says);
    for (place, (seen, title)) in seen.iter().zip(titles).enumerate() {
        let (x, width) = place_of(place, days.len());
        let class = match seen {
            Seen::Unknown => "unknown",
            Seen::Part(part) if *part >= 0.9995 => "seen",
            Seen::Part(_) => "blind",
        };
        push(
            &mut svg,
            format_args!(
                "<rect class=\"{class}\" x=\"{x}\" y=\"8\" width=\"{width}\" height=\"{}\"><title>{}</title></rect>",
                HEIGHT - 8,
                escape_html(title)
            ),
        );
        if let (Seen::Part(part), "blind") = (seen, class) {
            // At least a line: an hour of a day must not vanish.
            let height = ((1.0 - part.clamp(0.0, 1.0)) * CELL).clamp(5.0, CELL);
            push(
                &mut svg,
                format_args!("<rect class=\"missed\" x=\"{x}\" y=\"8\" width=\"{width}\" height=\"{height:.1}\"/>"),
            );
        }
    }
    close(svg, days, 1)
}

fn open(rows: usize, says: &str) -> String {
    format!(
        "<svg class=\"strip\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{1}\"><title>{1}</title>",
        HEIGHT * rows + BELOW,
        escape_html(says)
    )
}

fn place_of(place: usize, days: usize) -> (usize, usize) {
    let width = WIDTH / days.max(1);
    (place * width, width.saturating_sub(2).max(1))
}

fn close(mut svg: String, days: &[Day], rows: usize) -> String {
    let y = HEIGHT * rows + BELOW - 3;
    let (first, last) = (days.first().map_or("", |day| &day.0), days.last().map_or("", |day| &day.0));
    push(
        &mut svg,
        format_args!(
            "<text x=\"0\" y=\"{y}\">{first}</text><text x=\"{WIDTH}\" y=\"{y}\" text-anchor=\"end\">{last}</text></svg>"
        ),
    );
    svg
}

/// A string takes all that is written to it.
fn push(svg: &mut String, text: std::fmt::Arguments<'_>) {
    svg.write_fmt(text).unwrap_or_default();
}
