//! On which terms incidents end and begin again, and whose word is news.

use std::time::Duration;

use super::id::{AuthorId, Topic};
use super::incident::Incident;
use super::key::Key;
use super::lane::RESTRICTED;
use super::message::counted;
use super::post::Author;
use super::route::Glob;

/// `[incidents]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// An incident ends by itself when its topic has been quiet for so long.
    pub quiet: Duration,
    /// What flares up again so soon after its end is the same incident; zero: it never is.
    pub reopen_within: Duration,
    /// An account with so many followers is a large one.
    pub large_account: u64,
    /// Accounts whose word spreads, however few follow them.
    pub journalists: Vec<Journalist>,
    /// Topics of which nothing joins an incident of another topic, nor the other way round: not everybody may know of them.
    pub apart: Vec<Glob>,
}

/// An account of a journalist, as the configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Journalist {
    /// By the name others mention, without `@`. Authors can change it.
    Handle(String),
    /// By its stable key, such as a DID.
    Id(AuthorId),
}

/// Somebody whose word spreads speaks of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notable {
    /// The author.
    pub author: Key,
    /// What they are, in words of the configuration and numbers: nothing that a stranger wrote.
    pub what: String,
}

/// How the words for a journalist begin; the account follows.
const JOURNALIST: &str = "the journalist ";

impl Notable {
    /// What the history says when somebody joins.
    pub fn speaks(what: &str) -> String {
        format!("{what} speaks of it")
    }

    /// What they are, and not who.
    pub fn kind(&self) -> &str {
        if self.what.starts_with(JOURNALIST) { "a journalist" } else { &self.what }
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            quiet: Self::QUIET,
            reopen_within: Duration::from_hours(1),
            large_account: 50_000,
            journalists: Vec::new(),
            apart: RESTRICTED.map(|beginning| Glob(format!("{beginning}*"))).to_vec(),
        }
    }
}

impl Terms {
    /// The usual quiet time; that of what the daemon says of itself is always this.
    const QUIET: Duration = Duration::from_hours(6);
    /// From then on one doubling more makes no difference.
    const DOUBLINGS: u32 = 20;

    /// How long an incident must be quiet to end by itself. One that began again has to be quiet for twice as long each
    /// time, up to the usual time: who posts once a minute where a minute is quiet enough, must not ring as often.
    pub fn quiet_for(&self, incident: &Incident) -> Duration {
        if incident.is_own() {
            return Self::QUIET;
        }
        let times = incident.again.map_or(0, |again| again.times).min(Self::DOUBLINGS);
        self.quiet.saturating_mul(1 << times).min(self.quiet.max(Self::QUIET))
    }

    /// Whether a topic keeps to itself.
    pub fn is_apart(&self, topic: &Topic) -> bool {
        self.apart.iter().any(|glob| glob.fits(topic.as_str()))
    }

    /// What makes an author somebody whose word spreads.
    pub fn notable(&self, author: &Author) -> Option<String> {
        let is = |journalist: &&Journalist| match journalist {
            Journalist::Handle(handle) => author.handle.as_ref().is_some_and(|is| is.eq_ignore_ascii_case(handle)),
            Journalist::Id(id) => author.id == *id,
        };
        if let Some(journalist) = self.journalists.iter().find(is) {
            return Some(match journalist {
                Journalist::Handle(handle) => format!("{JOURNALIST}@{handle}"),
                Journalist::Id(id) => format!("{JOURNALIST}{id}"),
            });
        }
        let followers = author.followers.filter(|followers| *followers >= self.large_account)?;
        Some(format!("an account with {}", counted(followers, "follower")))
    }
}
