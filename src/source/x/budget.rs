//! How many posts of a month were read, and are paid for; and where reading goes on.
//!
//! Both are the bookmark, so the count is on disk with what the posts led to. A process that dies loses the posts since
//! its last commit, a second's at most, from the count; those come again by search, and are counted then.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::first_id_at;
use crate::domain::event::Bookmark;
use crate::domain::time::Timestamp;

/// Parts of a hundred of the budget at which people are told.
const WARN_AT: u64 = 80;

/// What is kept between runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Account {
    /// All up to this id was read; none before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<u64>,
    /// The month, as `2026-11`.
    month: String,
    /// Posts read in it.
    read: u64,
}

/// What reading a post means for the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spent {
    /// There is more.
    Some,
    /// With this one, most of it is spent.
    Most,
    /// All of it.
    All,
}

impl Account {
    fn resume(bookmark: Option<&Bookmark>) -> Self {
        bookmark.and_then(|bookmark| serde_json::from_str(&bookmark.0).ok()).unwrap_or_default()
    }

    pub(super) fn bookmark(&self) -> Bookmark {
        Bookmark::from(serde_json::to_string(self).unwrap_or_default())
    }

    /// Goes on where the last commit says. What was paid since then is paid.
    pub(super) fn go_on_from(&mut self, bookmark: Option<&Bookmark>) {
        let kept = Self::resume(bookmark);
        self.since = kept.since;
        if self.month.is_empty() {
            (self.month, self.read) = (kept.month, kept.read);
        } else if self.month == kept.month {
            self.read = self.read.max(kept.read);
        }
    }

    /// A new month is a new account; by X's clock, for ours may be years ahead for a moment. What was counted in a month
    /// that has not come counts in this one: what is paid is paid.
    pub(super) fn turn(&mut self, now: Timestamp) {
        let month = month(now);
        if month > self.month {
            self.read = 0;
        }
        self.month = month;
    }

    /// Whether it is that month's.
    pub(super) fn is_of(&self, now: Timestamp) -> bool {
        self.month == month(now)
    }

    /// Counts posts that were read.
    pub(super) fn count(&mut self, posts: u64, budget: u64) -> Spent {
        let before = self.read;
        self.read = before.saturating_add(posts);
        let most = budget.saturating_mul(WARN_AT).div_ceil(100);
        if self.read >= budget {
            Spent::All
        } else if before < most && self.read >= most {
            Spent::Most
        } else {
            Spent::Some
        }
    }

    pub(super) const fn is_spent(&self, budget: u64) -> bool {
        self.read >= budget
    }

    pub(super) const fn read(&self) -> u64 {
        self.read
    }

    /// Behind which id to search, no further back than X can; and whether that leaves something out.
    pub(super) fn search_from(&self, now: Timestamp) -> Option<(u64, bool)> {
        let oldest = first_id_at(now - super::SEARCHED_BACK);
        self.since.map(|since| (since.max(oldest), since < oldest))
    }
}

fn month(time: Timestamp) -> String {
    time.to_string().chars().take("2026-11".len()).collect()
}

/// How long it is until the next month, in UTC; at least a second.
pub(super) fn until_next_month(now: Timestamp) -> Duration {
    let this = month(now);
    let days = (1..=31).map(|day| now + Duration::from_hours(24) * day);
    let next = days.into_iter().find(|day| month(*day) != this).unwrap_or(now);
    // That day's beginning may be a later one of the month: its first day is.
    let first = Timestamp::parse(&format!("{}-01T00:00:00Z", month(next))).unwrap_or(next);
    first.since(now).max(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: u64 = 10;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn a_month_is_counted_over_restarts_and_ends_with_it() {
        let mut account = Account::resume(None);
        account.turn(at("2026-11-30T23:59:00Z"));
        assert_eq!((account.count(7, BUDGET), account.count(1, BUDGET)), (Spent::Some, Spent::Most));
        let mut account = Account::resume(Some(&account.bookmark()));
        account.turn(at("2026-11-30T23:59:59Z"));
        assert_eq!((account.count(1, BUDGET), account.count(5, BUDGET)), (Spent::Some, Spent::All));
        assert!(account.is_spent(BUDGET));
        account.turn(at("2026-10-01T00:00:00Z"));
        assert!(account.is_spent(BUDGET) && account.is_of(at("2026-10-31T00:00:00Z")), "the clock was wrong before");
        account.turn(at("2026-12-01T00:00:00Z"));
        assert!(!account.is_spent(BUDGET) && account.read() == 0);
        assert_eq!(Account::resume(Some(&"of another kind".into())), Account::default());
        let mut running = Account { since: Some(9), month: "2026-12".to_owned(), read: 3 };
        running.go_on_from(Some(&Account { since: Some(5), month: "2026-11".to_owned(), read: 8 }.bookmark()));
        assert_eq!(running, Account { since: Some(5), month: "2026-12".to_owned(), read: 3 });
        running.go_on_from(Some(&Account { since: Some(6), month: "2030-01".to_owned(), read: 8 }.bookmark()));
        assert_eq!(
            running,
            Account { since: Some(6), month: "2026-12".to_owned(), read: 3 },
            "of a clock that was wrong"
        );
        running.go_on_from(Some(&Account { since: None, month: "2026-12".to_owned(), read: 8 }.bookmark()));
        assert_eq!(running, Account { since: None, month: "2026-12".to_owned(), read: 8 });
    }

    #[test]
    fn the_next_month_begins_when_it_begins() {
        for (now, seconds) in [
            ("2026-11-30T23:59:00Z", 60),
            ("2026-12-31T23:00:00Z", 3600),
            ("2026-02-01T00:00:00Z", 28 * 86_400),
            ("2026-01-31T00:00:01Z", 86_399),
        ] {
            assert_eq!(until_next_month(at(now)).as_secs(), seconds, "{now}");
        }
    }

    #[test]
    fn nothing_is_searched_for_further_back_than_x_can() {
        let now = at("2026-11-22T10:00:00Z");
        let mut account = Account::default();
        assert_eq!(account.search_from(now), None);
        let recent = first_id_at(now - Duration::from_hours(1));
        account.since = Some(recent);
        assert_eq!(account.search_from(now), Some((recent, false)));
        account.since = Some(first_id_at(now - Duration::from_hours(24 * 30)));
        let (since, forgotten) = account.search_from(now).unwrap();
        assert!(forgotten && super::super::made_at(since).unwrap() > now - Duration::from_hours(24 * 7));
    }
}
