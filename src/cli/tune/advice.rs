//! What to do about it, when the figures say so by themselves.
//!
//! A promise trades alerts for bursts, and how much a burst is worth is not for a program to
//! say. Only a setting that is better in one and worse in nothing is advised; and alerts that
//! it would have spared may have been real, so that the advice sends people to look at them.

use std::time::Duration;

use super::WITHIN;
use super::outcome::{Outcome, Row, Setting};
use crate::domain::message::counted;

/// On less history nothing is advised.
const ENOUGH: Duration = Duration::from_hours(14 * 24);
/// Fewer alerts spared may be chance.
const WORTHWHILE: u64 = 2;

/// A sentence, or none.
pub(super) fn advice(outcome: &Outcome<'_>) -> Option<String> {
    let now = outcome.in_force().filter(|_| outcome.tried() >= ENOUGH)?;
    let same = |row: &Row| row.tried.alerts == now.tried.alerts && noticed(outcome, row) == noticed(outcome, now);
    if matches!(now.setting, Setting::Promise(_)) && outcome.rows.len() > 1 && outcome.rows.iter().all(same) {
        return Some(
            "these promises come to the same on this history: what a burst must exceed are the storms that the rule has \
             lived through, not chance"
                .to_owned(),
        );
    }
    let others = || outcome.rows.iter().filter(|row| !row.in_force && no_worse(outcome, row, now));
    let quieter = others().filter(|row| row.tried.alerts + WORTHWHILE <= now.tried.alerts);
    // Of equally quiet ones the most talkative, which is nearest to what is in force.
    if let Some(row) = quieter.min_by_key(|row| row.tried.alerts) {
        let (before, after) = (now.tried.alerts, row.tried.alerts);
        return Some(format!(
            "{} would have raised {} instead of {before} and noticed bursts as small. `stormbell backtest` with {} shows \
             which ones it leaves out: take it if they were nothing",
            row.setting,
            counted(after, "alert"),
            written(row.setting)
        ));
    }
    let keener =
        others().filter(|row| row.tried.alerts <= now.tried.alerts && noticed(outcome, row) != noticed(outcome, now));
    let row = keener.min_by_key(|row| noticed(outcome, row))?;
    Some(format!(
        "{} would have noticed smaller bursts and raised no more alerts: consider {}",
        row.setting,
        written(row.setting)
    ))
}

/// Whether every kind of burst is noticed at the same size or a smaller one.
fn no_worse(outcome: &Outcome<'_>, row: &Row, than: &Row) -> bool {
    noticed(outcome, row).into_iter().zip(noticed(outcome, than)).all(|(authors, than)| authors <= than)
}

/// The smallest burst of each kind.
fn noticed(outcome: &Outcome<'_>, row: &Row) -> [usize; WITHIN.len()] {
    WITHIN.map(|within| outcome.smallest(row, within).map_or(usize::MAX, |caught| caught.authors))
}

/// As it stands in a rule.
fn written(setting: Setting) -> String {
    match setting {
        Setting::Promise(_) => format!("false_alarms = \"{setting}\""),
        Setting::AtLeast(count) => format!("at_least = {count}"),
    }
}
