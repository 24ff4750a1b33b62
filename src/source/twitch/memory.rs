//! Who wrote what in which channel: when a moderator wipes out what somebody wrote in one, Twitch does not say which
//! messages those were. Other channels have nothing to do with it.

use std::collections::{HashMap, HashSet, VecDeque};

/// Messages that are remembered; what is older is not taken back.
const MOST: usize = 100_000;
/// Notifications whose ids are remembered. The server repeats one within minutes or never.
const MOST_HEARD: usize = 10_000;

/// A channel, and somebody who writes there.
type Who = (Box<str>, Box<str>);

/// What was heard lately. Ids are the server's.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Message ids by channel and author.
    written: HashMap<Who, Vec<Box<str>>>,
    order: VecDeque<Who>,
    heard: HashSet<Box<str>>,
    heard_order: VecDeque<Box<str>>,
}

impl Memory {
    /// Whether a notification is one that was not heard before.
    pub(super) fn is_new(&mut self, notification: &str) -> bool {
        if !self.heard.insert(notification.into()) {
            return false;
        }
        self.heard_order.push_back(notification.into());
        if self.heard_order.len() > MOST_HEARD
            && let Some(oldest) = self.heard_order.pop_front()
        {
            self.heard.remove(&oldest);
        }
        true
    }

    /// Somebody wrote a message.
    pub(super) fn wrote(&mut self, channel: &str, author: &str, message: &str) {
        let who: Who = (channel.into(), author.into());
        self.written.entry(who.clone()).or_default().push(message.into());
        self.order.push_back(who);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
            && let Some(messages) = self.written.get_mut(&oldest)
        {
            if !messages.is_empty() {
                messages.remove(0);
            }
            if messages.is_empty() {
                self.written.remove(&oldest);
            }
        }
    }

    /// What somebody wrote in a channel is wiped out: which messages those are.
    pub(super) fn wiped(&mut self, channel: &str, author: &str) -> Vec<Box<str>> {
        let who: Who = (channel.into(), author.into());
        let gone = self.written.remove(&who).unwrap_or_default();
        self.order.retain(|other| *other != who);
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wipe_takes_what_one_wrote_in_one_channel_and_once() {
        let mut memory = Memory::default();
        for (channel, author, message) in
            [("er", "rita", "1"), ("er", "ann", "2"), ("news", "rita", "3"), ("er", "rita", "4")]
        {
            memory.wrote(channel, author, message);
        }
        assert_eq!(memory.wiped("er", "rita"), ["1".into(), "4".into()]);
        assert!(memory.wiped("er", "rita").is_empty());
        assert_eq!(memory.wiped("news", "rita"), ["3".into()]);
    }

    #[test]
    fn memory_ends() {
        let mut memory = Memory::default();
        for message in 0..=MOST {
            memory.wrote("er", if message % 2 == 0 { "rita" } else { "ann" }, &message.to_string());
        }
        assert_eq!((memory.order.len(), memory.wiped("er", "rita").first().map(|first| &**first)), (MOST, Some("2")));
        assert!(memory.is_new("n0") && !memory.is_new("n0"));
        for notification in 1..=MOST_HEARD {
            assert!(memory.is_new(&format!("n{notification}")));
        }
        assert!(memory.is_new("n0") && memory.heard.len() == MOST_HEARD);
    }
}
