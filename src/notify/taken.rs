//! Who already took a message, where one message goes to several people one by one.
//!
//! Only memory, and little of it: what a restart forgets is sent again, which a receiver marks
//! as a repetition. Without it a single wrong number would have everybody else told again with
//! every attempt.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::SendError;
use crate::domain::id::DeliveryId;

/// (Message, person) pairs remembered.
const REMEMBERED: usize = 1024;

/// Who took what.
#[derive(Default)]
pub(super) struct Taken(Mutex<VecDeque<(DeliveryId, String)>>);

impl Taken {
    /// Whether somebody has this message.
    pub(super) fn has(&self, id: &DeliveryId, who: &str) -> bool {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.iter().any(|(message, person)| message == id && person == who)
    }

    /// Somebody has it.
    pub(super) fn remember(&self, id: &DeliveryId, who: &str) {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.push_back((id.clone(), who.to_owned()));
        if taken.len() > REMEMBERED {
            taken.pop_front();
        }
    }
}

/// How an attempt at several people went.
#[derive(Default)]
pub(super) struct Outcome {
    told: usize,
    refused: Vec<(usize, String)>,
    again: bool,
    after: Option<Duration>,
}

impl Outcome {
    /// One has it.
    pub(super) fn took(&mut self) {
        self.told += 1;
    }

    /// The one at `place`, from 0, has it not.
    pub(super) fn refused(&mut self, place: usize, error: &SendError) {
        let text = error.to_string();
        if let SendError::Retry { after, .. } = error {
            self.again = true;
            self.after = self.after.max(*after);
        }
        self.refused.push((place, text));
    }

    /// The verdict: again as long as anybody may yet take it. Who never will is told of in the end,
    /// by place, as addresses of people do not belong in logs.
    pub(super) fn end(self, people: &str) -> Result<(), SendError> {
        if self.refused.is_empty() {
            return Ok(());
        }
        let all = self.told + self.refused.len();
        let each: Vec<String> =
            self.refused.iter().map(|(place, error)| format!("no. {}: {error}", place + 1)).collect();
        let each = each.join("; ");
        let error = if all == 1 {
            each.strip_prefix("no. 1: ").unwrap_or(&each).to_owned()
        } else {
            format!("{} of {all} {people} were told; {each}", self.told)
        };
        Err(if self.again { SendError::Retry { after: self.after, error } } else { SendError::Permanent { error } })
    }
}
