//! What one set of rules did in a time.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::player::{Span, joined};
use crate::domain::commit::Commit;
use crate::domain::id::{ReceiverName, RuleId};
use crate::domain::incident::Alert;
use crate::domain::key::Key;
use crate::domain::message::MessageKind;
use crate::domain::time::Timestamp;

const HOUR: i64 = 3_600_000_000;
const WEEK: i64 = 7 * 24 * HOUR;
/// Shifts begin at 6, 14 and 22 o'clock.
const SHIFT: i64 = 8 * HOUR;
const FIRST_SHIFT: i64 = 6 * HOUR;

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

/// How much of something there was in each shift.
#[derive(Default)]
pub(super) struct ByShift(BTreeMap<i64, u64>);

impl ByShift {
    fn add(&mut self, shift: i64) {
        *self.0.entry(shift).or_default() += 1;
    }

    pub(super) fn all(&self) -> u64 {
        self.0.values().sum()
    }

    /// In each kind of shift: all, and in the worst one.
    pub(super) fn kinds(&self) -> [(u64, u64); SHIFTS.len()] {
        let mut shifts = [(0, 0); SHIFTS.len()];
        for (number, count) in &self.0 {
            let kind = usize::try_from(number.rem_euclid(3)).unwrap_or_default();
            if let Some((all, most)) = shifts.get_mut(kind) {
                (*all, *most) = (*all + count, (*most).max(*count));
            }
        }
        shifts
    }
}

/// What a receiver was sent.
#[derive(Default)]
pub(super) struct Pages {
    /// Messages that want somebody's attention.
    pub(super) sent: ByShift,
    /// So many of them because nobody took charge.
    pub(super) escalated: u64,
}

/// What one set of rules did.
pub(super) struct Account<'a> {
    period: &'a Period,
    tried: &'a BTreeSet<RuleId>,
    pub(super) posts: u64,
    /// Event times of the first and last post.
    span: Span,
    /// Alerts of each rule that is tried, by week.
    rules: BTreeMap<RuleId, BTreeMap<i64, u64>>,
    /// Incidents opened.
    pub(super) incidents: ByShift,
    pub(super) pages: BTreeMap<ReceiverName, Pages>,
}

impl<'a> Account<'a> {
    pub(super) fn new(period: &'a Period, tried: &'a BTreeSet<RuleId>) -> Self {
        let (rules, incidents, pages) = (BTreeMap::new(), ByShift::default(), BTreeMap::new());
        Self { period, tried, posts: 0, span: None, rules, incidents, pages }
    }

    /// Counts what a batch did; gives the alerts of the rules that are tried.
    pub(super) fn took(&mut self, span: Span, commit: &Commit) -> Vec<Alert> {
        self.posts += commit.progress.values().map(|progress| progress.ledger.posts).sum::<u64>();
        self.span = joined(self.span, span);
        for delivery in commit.outbox.iter().filter(|delivery| self.period.holds(delivery.message.at)) {
            let kind = delivery.message.kind;
            if !matches!(kind, MessageKind::Opened | MessageKind::Updated | MessageKind::Escalated) {
                continue;
            }
            let pages = self.pages.entry(delivery.receiver.clone()).or_default();
            pages.sent.add(self.period.shift(delivery.message.at));
            pages.escalated += u64::from(kind == MessageKind::Escalated);
        }
        let mut raised = Vec::new();
        for alert in commit.alerts.iter().filter(|alert| self.period.holds(alert.at)) {
            if alert.new_incident {
                self.incidents.add(self.period.shift(alert.at));
            }
            if self.tried.contains(&alert.rule) {
                let week = alert.at.micros().div_euclid(WEEK);
                *self.rules.entry(alert.rule.clone()).or_default().entry(week).or_default() += 1;
                raised.push(alert.clone());
            }
        }
        raised
    }

    /// Alerts of a rule, all and in its busiest week.
    pub(super) fn of_rule(&self, rule: &RuleId) -> (u64, u64) {
        self.rules.get(rule).map_or((0, 0), |weeks| (weeks.values().sum(), weeks.values().copied().max().unwrap_or(0)))
    }

    /// Alerts of all rules that are tried.
    pub(super) fn all_alerts(&self) -> u64 {
        self.rules.values().flat_map(BTreeMap::values).sum()
    }

    /// The time told of, as far as there were posts.
    pub(super) fn time(&self) -> Span {
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

/// The same for an alert that other rules raise because of the same post.
pub(super) fn key(alert: &Alert) -> Key {
    Key::of(&(&alert.rule, alert.at.micros(), &alert.post, &alert.key))
}
