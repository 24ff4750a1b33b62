//! Who a message is for: a receiver, and perhaps one person there.
//!
//! A receiver is a way (SMS, mail); a recipient is somebody at the end of it. Told are pairs of
//! the two, settled at the moment a step is told: who hears of a beginning hears of its end at
//! the same address, whatever the schedule says by then.

use std::fmt;

use super::id::{PersonName, ReceiverName};

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Addressee {
    /// By which way.
    pub receiver: ReceiverName,
    /// To whom; none means whomever the receiver tells by itself.
    pub recipient: Option<Recipient>,
}

/// A person at a receiver.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Recipient {
    /// Who.
    pub person: PersonName,
    /// Their address there: a telephone number, a mail address, a topic.
    pub address: String,
}

impl Addressee {
    /// The person, if it is for one.
    pub fn person(&self) -> Option<&PersonName> {
        self.recipient.as_ref().map(|recipient| &recipient.person)
    }
}

impl From<ReceiverName> for Addressee {
    fn from(receiver: ReceiverName) -> Self {
        Self { receiver, recipient: None }
    }
}

impl From<&str> for Addressee {
    fn from(receiver: &str) -> Self {
        Self::from(ReceiverName::from(receiver))
    }
}

/// `sms`, or `ann (sms)`. Addresses are nobody else's business.
impl fmt::Display for Addressee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.person() {
            Some(person) => write!(f, "{person} ({})", self.receiver),
            None => self.receiver.fmt(f),
        }
    }
}
