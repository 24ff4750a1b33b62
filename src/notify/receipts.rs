//! When it is asked which receipts are missing.
//!
//! A disk that cannot be written tells of itself, and what waited for it has only been taken out once it can: nobody had time for
//! a receipt. So while it refuses nothing is asked, nor for as long afterwards as a receipt may take. Whatever is decided after
//! that has its own time, so its receipt is asked for no later than without the trouble.

use std::collections::BTreeSet;

use crate::domain::id::DeliveryId;
use crate::domain::message::{RECEIPT, Undelivered};
use crate::domain::time::Timestamp;

/// What was asked, and when the disk refused last.
#[derive(Debug, Default)]
pub struct Receipts {
    refused: Option<Timestamp>,
    asked: BTreeSet<DeliveryId>,
}

impl Receipts {
    /// Whether it is time to ask, as things stand with the disk.
    pub fn may_ask(&mut self, disk_refuses: bool, now: Timestamp) -> bool {
        if disk_refuses {
            self.refused = Some(now);
        }
        // Of a clock that was set back since, nobody can say how long ago it was: then it was long enough.
        self.refused.take_if(|refused| now < *refused || now.since(*refused) >= RECEIPT);
        self.refused.is_none()
    }

    /// Of the messages without a receipt those that nobody was told of.
    pub fn fresh(&mut self, overdue: Vec<Undelivered>) -> Vec<Undelivered> {
        let ids = overdue.iter().map(|one| one.id.clone()).collect();
        let asked = std::mem::replace(&mut self.asked, ids);
        overdue.into_iter().filter(|one| !asked.contains(&one.id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(1_000_000 + second)
    }

    #[test]
    fn after_a_disk_that_refused_everybody_has_the_time_a_receipt_may_take() {
        let mut receipts = Receipts::default();
        assert!(receipts.may_ask(false, at(0)));
        for second in 1..600 {
            assert!(!receipts.may_ask(true, at(second)));
        }
        let first = (600..700).find(|second| receipts.may_ask(false, at(*second)));
        assert_eq!(first, Some(599 + 45));
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_put_it_off_for_hours() {
        let mut receipts = Receipts::default();
        assert!(!receipts.may_ask(true, at(5 * 3600)));
        assert!(receipts.may_ask(false, at(0)));
    }
}
