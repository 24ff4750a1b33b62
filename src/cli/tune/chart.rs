//! What was found, as a picture for a browser or a report.
//!
//! SVG by hand: it is a page of text, and whoever opens it needs nothing else. Colours follow
//! the reader's choice of light or dark; lines are told apart by their labels, not by colour
//! alone.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use super::outcome::{Outcome, Row, monthly};
use super::{AUTHORS, WITHIN, small};
use crate::domain::message::counted;
use crate::domain::time::human;

const LEFT: f64 = 70.0;
const RIGHT: f64 = 130.0;
/// Between two settings.
const STEP: f64 = 100.0;
/// Where the curves of each kind of burst begin.
const CURVES_TOP: [f64; 2] = [108.0, 348.0];
const CURVES_HEIGHT: f64 = 180.0;
const BARS_TOP: f64 = 588.0;
const BARS_HEIGHT: f64 = 96.0;
const HEIGHT: f64 = 762.0;
/// Labels of lines are not closer than this.
const LABEL: f64 = 15.0;

const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1c1f24}.title{font-size:17px;font-weight:600}.quiet{fill:#5a6270}\
.ground{fill:#fff}.axis{stroke:#5a6270}.grid{stroke:#d9dde3}.bar{fill:#5a6b85}.line{fill:none;stroke-width:2.5}\
.s0{stroke:#b4530a}.s1{stroke:#0b62a4}.s2{stroke:#0a7d5a}.s3{stroke:#9a3b8f}.s4{stroke:#8a6d00}.s5{stroke:#555}\
@media(prefers-color-scheme:dark){text{fill:#e8eaee}.quiet{fill:#a5adba}.ground{fill:#16181d}.axis{stroke:#a5adba}\
.grid{stroke:#333842}.bar{fill:#8fa3c4}.s0{stroke:#f0985a}.s1{stroke:#6bb6f2}.s2{stroke:#4fd1a5}.s3{stroke:#dd8fd3}\
.s4{stroke:#dcc04a}.s5{stroke:#bbb}}";

/// Whether the picture can be written there.
pub(super) fn check(path: &Path) -> anyhow::Result<()> {
    let is_new = !path.try_exists().with_context(|| path.display().to_string())?;
    std::fs::File::options().append(true).create(true).open(path).with_context(|| path.display().to_string())?;
    if is_new {
        std::fs::remove_file(path).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

pub(super) fn write(path: &Path, outcome: &Outcome<'_>) -> anyhow::Result<()> {
    std::fs::write(path, svg(outcome)).with_context(|| path.display().to_string())
}

fn svg(outcome: &Outcome<'_>) -> String {
    let columns = small(outcome.rows.len().max(1));
    let (width, right) = (LEFT + STEP * columns + RIGHT, LEFT + STEP * columns);
    let about = format!(
        "{} since {}; {} of each kind tried, seed {}",
        counted(outcome.taken, "post"),
        outcome.since.whole_second(),
        counted(outcome.moments as u64, "burst"),
        outcome.seed
    );
    let mut body = String::new();
    text(&mut body, 20.0, 30.0, "title", &format!("What a setting of {} costs", outcome.rule));
    text(&mut body, 20.0, 50.0, "quiet", outcome.title);
    text(&mut body, 20.0, 68.0, "quiet", &about);
    for (within, top) in WITHIN.into_iter().zip(CURVES_TOP) {
        let heading = format!("Share caught of bursts of so many authors within {}", human(within));
        text(&mut body, LEFT, top - 10.0, "", &heading);
        for percent in [0, 25, 50, 75, 100] {
            let y = height(top, f64::from(percent) / 100.0);
            line(&mut body, "grid", (LEFT, y), (right, y));
            text(&mut body, LEFT - 44.0, y + 4.0, "quiet", &format!("{percent} %"));
        }
        curves(&mut body, outcome, within, top, right);
        line(&mut body, "axis", (LEFT, top), (LEFT, height(top, 0.0)));
    }
    text(&mut body, LEFT, BARS_TOP - 12.0, "", "Alerts a month on the history itself");
    bars(&mut body, outcome);
    line(&mut body, "axis", (LEFT, BARS_TOP + BARS_HEIGHT), (right, BARS_TOP + BARS_HEIGHT));
    let below = BARS_TOP + BARS_HEIGHT + 54.0;
    text(&mut body, LEFT, below, "quiet", "The most talkative setting is on the left");
    let title = escaped(&format!("What a setting of {} costs", outcome.rule));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {HEIGHT:.0}\" width=\"{width:.0}\" \
         height=\"{HEIGHT:.0}\" role=\"img\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"ground\" width=\"100%\" height=\"100%\"/>\n{body}</svg>\n"
    )
}

/// One line a size of burst, with its label at the end.
fn curves(body: &mut String, outcome: &Outcome<'_>, within: Duration, top: f64, right: f64) {
    let shares: Vec<Vec<f64>> = outcome
        .rows
        .iter()
        .map(|row| outcome.bursts(row, within).iter().map(|caught| caught.share).collect())
        .collect();
    let mut labels: Vec<(f64, String)> = Vec::new();
    for (which, authors) in AUTHORS.iter().enumerate() {
        let points: Vec<(f64, f64)> = shares
            .iter()
            .enumerate()
            .filter_map(|(column, shares)| Some((middle(column), height(top, *shares.get(which)?))))
            .collect();
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        writeln!(body, "<polyline class=\"line s{which}\" points=\"{}\"/>", path.join(" ")).unwrap_or_default();
        for (x, y) in &points {
            writeln!(
                body,
                "<circle class=\"ground s{which}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" stroke-width=\"2\"/>"
            )
            .unwrap_or_default();
        }
        labels.extend(points.last().map(|(_, y)| (*y, format!("{authors} authors"))));
    }
    labels.reverse(); // of equal ones the larger burst is above
    labels.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let wanted: Vec<f64> = labels.iter().map(|(y, _)| *y).collect();
    for (y, (_, label)) in apart(wanted, height(top, 0.0)).into_iter().zip(&labels) {
        text(body, right - STEP / 2.0 + 12.0, y + 4.0, "", label);
    }
}

/// Lines of large bursts lie on each other at the top, those of small ones at the bottom: moves
/// labels, which are sorted, down from each other, and up again from the bottom.
fn apart(mut labels: Vec<f64>, bottom: f64) -> Vec<f64> {
    let mut free = f64::NEG_INFINITY;
    for y in &mut labels {
        *y = y.max(free);
        free = *y + LABEL;
    }
    let mut free = bottom;
    for y in labels.iter_mut().rev() {
        *y = y.min(free);
        free = *y - LABEL;
    }
    labels
}

fn bars(body: &mut String, outcome: &Outcome<'_>) {
    let months: Vec<f64> = outcome.rows.iter().map(|row| outcome.per_month(row)).collect();
    let most = months.iter().copied().fold(0.0, f64::max).max(1e-9);
    for ((column, month), Row { setting, in_force, .. }) in months.into_iter().enumerate().zip(&outcome.rows) {
        let (x, tall) = (middle(column), month / most * BARS_HEIGHT * 0.8);
        let top = BARS_TOP + BARS_HEIGHT - tall;
        writeln!(body, "<rect class=\"bar\" x=\"{:.1}\" y=\"{top:.1}\" width=\"44\" height=\"{tall:.1}\"/>", x - 22.0)
            .unwrap_or_default();
        centred(body, x, top - 5.0, "", &monthly(month));
        centred(body, x, BARS_TOP + BARS_HEIGHT + 18.0, "", &setting.to_string());
        if *in_force {
            centred(body, x, BARS_TOP + BARS_HEIGHT + 34.0, "quiet", "in force");
        }
    }
}

fn middle(column: usize) -> f64 {
    LEFT + STEP * (small(column) + 0.5)
}

fn height(top: f64, share: f64) -> f64 {
    top + CURVES_HEIGHT * (1.0 - share)
}

fn text(body: &mut String, x: f64, y: f64, class: &str, text: &str) {
    writeln!(body, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(text)).unwrap_or_default();
}

fn centred(body: &mut String, x: f64, y: f64, class: &str, text: &str) {
    writeln!(body, "<text class=\"{class}\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(text))
        .unwrap_or_default();
}

fn line(body: &mut String, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    writeln!(body, "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>")
        .unwrap_or_default();
}

/// Harmless as text of XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_never_lie_on_each_other_nor_below_the_curves() {
        for shares in [[0.0; 6], [1.0; 6], [0.0, 0.0, 0.02, 0.95, 1.0, 1.0], [0.5; 6]] {
            let mut wanted = shares.map(|share| height(100.0, share)).to_vec();
            wanted.sort_by(f64::total_cmp);
            let labels = apart(wanted, height(100.0, 0.0));
            assert!(labels.windows(2).all(|pair| pair[1] - pair[0] >= LABEL - 1e-9), "{labels:?}");
            assert!(labels.iter().all(|y| *y <= height(100.0, 0.0)), "{labels:?}");
        }
    }

    #[test]
    fn what_rules_are_called_cannot_break_out() {
        assert_eq!(escaped("<us> & more"), "&lt;us&gt; &amp; more");
    }
}
