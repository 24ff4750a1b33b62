//! What one set of rules did in a time.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::domain::commit::Commit;
use crate::domain::id::RuleId;
use crate::domain::incident::Alert;
use crate::domain::key::Key;
use crate::domain::time::Timestamp;

const HOUR: i64 = 3_600_000_000;
const WEEK: i64 = 7 * 24 * HOUR;
/// Shifts begin at 6, 14 and 22 o'clock.
const SHIFT: i64 = 8 * HOUR;
const FIRST_SHIFT: i64 = 6 * HOUR;
/// Alerts remembered to be shown when only the rules in force raised them.
const SHOWN: usize = 10_000;

/// The names of the shifts.
pub(super) const SHIFTS: [&str; 3] = ["day", "evening", "night"];

/// The time that is told of, and where its shifts are.
pub(super) struct Period {
    pub(super) from: Option<Timestamp>,
    pub(super) to: Option<Timestamp>,
    pub(super) zone: jiff::tz::TimeZone,
}

impl Period {
    fn holds(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at < to)
    }

    /// The number of the shift that a time lies in, by the clock on the wall.
    fn shift(&self, at: Timestamp) -> i64 {
        let offset = jiff::Timestamp::from_microsecond(at.micros()).map_or(0, |at| self.zone.to_offset(at).seconds());
        (at.micros() + i64::from(offset) * 1_000_000 - FIRST_SHIFT).div_euclid(SHIFT)
    }
}

/// What one set of rules did.
pub(super) struct Account<'a> {
    period: &'a Period,
    tried: &'a BTreeSet<RuleId>,
    pub(super) posts: u64,
    /// Event times of the first and last post.
    span: Option<(Timestamp, Timestamp)>,
    /// Alerts of each rule that is tried, by week.
    rules: BTreeMap<RuleId, BTreeMap<i64, u64>>,
    /// Incidents opened, by shift.
    pages: BTreeMap<i64, u64>,
    keys: HashSet<Key>,
    alerts: Vec<Alert>,
}

impl<'a> Account<'a> {
    pub(super) fn new(period: &'a Period, tried: &'a BTreeSet<RuleId>) -> Self {
        let (rules, pages) = (BTreeMap::new(), BTreeMap::new());
        Self { period, tried, posts: 0, span: None, rules, pages, keys: HashSet::new(), alerts: Vec::new() }
    }

    /// Counts what a batch did; `tell` is given each alert of a tried rule.
    pub(super) fn took(
        &mut self,
        span: Option<(Timestamp, Timestamp)>,
        commit: &Commit,
        mut tell: impl FnMut(&Alert) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.posts += commit.progress.values().map(|progress| progress.ledger.posts).sum::<u64>();
        self.span = match (self.span, span) {
            (Some((from, to)), Some((first, last))) => Some((from.min(first), to.max(last))),
            (known, new) => known.or(new),
        };
        for alert in commit.alerts.iter().filter(|alert| self.period.holds(alert.at)) {
            if alert.new_incident {
                *self.pages.entry(self.period.shift(alert.at)).or_default() += 1;
            }
            if !self.tried.contains(&alert.rule) {
                continue;
            }
            let week = alert.at.micros().div_euclid(WEEK);
            *self.rules.entry(alert.rule.clone()).or_default().entry(week).or_default() += 1;
            self.keys.insert(key(alert));
            tell(alert)?;
            if self.alerts.len() < SHOWN {
                self.alerts.push(alert.clone());
            }
        }
        Ok(())
    }

    /// Whether these rules raised this alert, too.
    pub(super) fn raised(&self, alert: &Alert) -> bool {
        self.keys.contains(&key(alert))
    }

    /// The alerts that are remembered, in their order.
    pub(super) fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.iter()
    }

    /// Alerts of a rule, all and in its busiest week.
    pub(super) fn of_rule(&self, rule: &RuleId) -> (u64, u64) {
        self.rules.get(rule).map_or((0, 0), |weeks| (weeks.values().sum(), weeks.values().copied().max().unwrap_or(0)))
    }

    /// Alerts of all rules that are tried.
    pub(super) fn all_alerts(&self) -> u64 {
        self.rules.values().flat_map(BTreeMap::values).sum()
    }

    /// Incidents opened, all.
    pub(super) fn all_pages(&self) -> u64 {
        self.pages.values().sum()
    }

    /// Incidents opened in each kind of shift: all, and in the worst one.
    pub(super) fn by_shift(&self) -> [(u64, u64); SHIFTS.len()] {
        let mut shifts = [(0, 0); SHIFTS.len()];
        for (number, pages) in &self.pages {
            let kind = usize::try_from(number.rem_euclid(3)).unwrap_or_default();
            if let Some((all, most)) = shifts.get_mut(kind) {
                (*all, *most) = (*all + pages, (*most).max(*pages));
            }
        }
        shifts
    }

    /// The time told of, as far as there were posts.
    pub(super) fn time(&self) -> Option<(Timestamp, Timestamp)> {
        let (first, last) = self.span?;
        let (from, to) = (self.period.from.unwrap_or(first), self.period.to.unwrap_or(last));
        Some((from.max(first), to.min(last).max(from.max(first))))
    }

    /// Its length in weeks; less than a day is taken for a day, or one alert in a minute's
    /// recording would be ten thousand a week.
    pub(super) fn weeks(&self) -> f64 {
        let days = self.time().map_or(0.0, |(from, to)| to.since(from).as_secs_f64() / 86_400.0);
        days.max(1.0) / 7.0
    }
}

fn key(alert: &Alert) -> Key {
    Key::of(&(&alert.rule, alert.at.micros(), &alert.post, &alert.key))
}
