//! What the console needs of the daemon to work on rules and to look back.
//!
//! Nothing here changes a rule in force: rules stay files, and what comes of work on them is text to be applied there.

use std::future::Future;
use std::ops::Range;

use super::backend::BackendError;
use crate::domain::id::{IncidentId, PostId, RuleId};
use crate::domain::incident::{Gap, Incident};
use crate::domain::lane::Sight;
use crate::domain::post::Post;
use crate::domain::rule::Rule;
use crate::domain::rule::exclusion::Exclusion;
use crate::domain::seek::{FoundPost, Seek};
use crate::domain::time::Timestamp;

/// Rules, tried and judged. `None` stands for "there is no such rule", or incident.
pub trait Workshop: Send + Sync + 'static {
    /// What is known of a rule.
    fn rule(&self, id: RuleId, sight: Sight) -> impl Future<Output = Result<Option<RuleDetail>, BackendError>> + Send;

    /// What a rule, as it is or changed, makes of kept posts and of a text.
    ///
    /// # Errors
    /// [`BackendError::Invalid`] where the draft is no rule, in words for its author.
    fn try_rule(
        &self,
        id: RuleId,
        draft: Draft,
        text: String,
        sight: Sight,
    ) -> impl Future<Output = Result<Option<Tried>, BackendError>> + Send;

    /// How often a rule, as it is and changed, would have fired in the kept past.
    ///
    /// # Errors
    /// As [`Workshop::try_rule`].
    fn preview_rule(
        &self,
        id: RuleId,
        draft: Draft,
    ) -> impl Future<Output = Result<Option<Preview>, BackendError>> + Send;

    /// Notes whether what fired was real; on disk when it answers.
    fn judge(&self, judgement: Judgement) -> impl Future<Output = Result<Option<()>, BackendError>> + Send;

    /// What was last made of an incident.
    fn judgement(&self, id: IncidentId) -> impl Future<Output = Result<Option<Judgement>, BackendError>> + Send;
}

/// What was.
pub trait Past: Send + Sync + 'static {
    /// Kept posts, newest first, before one that is named by its time and id.
    fn find(
        &self,
        seek: Seek,
        sight: Sight,
        before: Option<(Timestamp, PostId)>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<FoundPost>, BackendError>> + Send;

    /// Incidents, newest first.
    fn find_incidents(
        &self,
        seek: Seek,
        sight: Sight,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Incident>, BackendError>> + Send;

    /// Searches somebody has saved: names and searches.
    fn saved_searches(
        &self,
        account: String,
    ) -> impl Future<Output = Result<Vec<(String, String)>, BackendError>> + Send;

    /// Saves a search under a name, or forgets it; whether there was room for it.
    fn save_search(
        &self,
        account: String,
        name: String,
        query: Option<String>,
    ) -> impl Future<Output = Result<bool, BackendError>> + Send;

    /// What each source missed since a time, and since when it is known.
    fn missed(&self, since: Timestamp) -> impl Future<Output = Result<Vec<Missed>, BackendError>> + Send;

    /// When receivers last took, or did not take, a message.
    fn last_messages(&self) -> impl Future<Output = Result<Vec<LastMessage>, BackendError>> + Send;
}

/// What somebody would like to be different; what is empty stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// Another query.
    pub query: String,
    /// Why there is one more exception.
    pub reason: String,
    /// One more exception.
    pub except: String,
}

/// How a rule is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleState {
    /// It is asked of every post.
    InForce,
    /// It does not know yet what is usual: so many seconds of a week are heard.
    Learning(std::time::Duration),
    /// No source is seen.
    Blind,
    /// What its file says now was refused, and the rule is in force as it was before.
    Refused(String),
}

/// A rule and what is known of it.
#[derive(Clone, Debug)]
pub struct RuleDetail {
    /// As it is in force.
    pub rule: Rule,
    /// How it is doing.
    pub state: RuleState,
    /// The file it stands in.
    pub file: String,
    /// It came with the program.
    pub built_in: bool,
    /// Event times of its newest alerts, newest first.
    pub fired: Vec<Timestamp>,
    /// How many alerts are kept.
    pub alerts: u64,
    /// Incidents judged real, and when the last was.
    pub real: (u64, Option<Timestamp>),
    /// Incidents judged noise, and when the last was.
    pub noise: (u64, Option<Timestamp>),
    /// The newest judgements, newest first.
    pub judged: Vec<Judgement>,
    /// Its tests, and what is wrong where one fails.
    pub tests: Vec<(String, Option<String>)>,
    /// What would take out what was judged noise.
    pub proposal: Option<Proposal>,
}

/// An exception that would take out noise and nothing real.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// What it takes out.
    pub exclusion: Exclusion,
    /// Its reason.
    pub reason: String,
    /// The change of the file, as a unified diff; empty when it cannot be written as one.
    pub diff: String,
}

/// That somebody said whether what fired was real.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The incident.
    pub incident: IncidentId,
    /// When (wall time).
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Whether it was real; otherwise noise.
    pub real: bool,
    /// Why; may be empty.
    pub reason: String,
}

/// What a rule makes of posts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// The text, if there was one.
    pub text: Option<TriedPost>,
    /// Kept posts it takes, newest first.
    pub taken: Vec<TriedPost>,
    /// Those it nearly takes, the nearest first.
    pub near: Vec<TriedPost>,
    /// Those the rule in force takes and the changed one would not.
    pub lost: Vec<TriedPost>,
    /// Posts looked at, and how many of them it takes.
    pub looked_at: usize,
    /// So many.
    pub takes: usize,
    /// The change of the file, as a unified diff; empty when nothing changed.
    pub diff: String,
}

/// One post, and what a rule makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriedPost {
    /// The post.
    pub post: Post,
    /// Whether the rule takes it.
    pub taken: bool,
    /// Whether the rule in force does.
    pub before: bool,
    /// Where the words stand in its text.
    pub marks: Vec<Range<usize>>,
    /// What is missing, or which exception took it out.
    pub why: String,
}

/// How often a rule would have fired.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// Event times of the first and last post.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Posts it was tried on.
    pub posts: usize,
    /// Whether there are more, which were too many or took too long.
    pub cut: bool,
    /// When the rule in force would have fired.
    pub before: Vec<Timestamp>,
    /// When the changed one would.
    pub after: Vec<Timestamp>,
}

/// What a source missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// Its name.
    pub source: String,
    /// Since when that is on record.
    pub known_since: Timestamp,
    /// Oldest first.
    pub gaps: Vec<Gap>,
}

/// The last message of a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastMessage {
    /// The receiver.
    pub receiver: String,
    /// Of a drill.
    pub exercise: bool,
    /// It was delivered; otherwise given up.
    pub delivered: bool,
    /// When.
    pub at: Timestamp,
}
