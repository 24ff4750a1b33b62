//! What people order about what is kept: erasure, holds; and how long each topic is kept.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use super::backend::{Daemon, stopping};
use super::desk::Request;
use crate::config::model::StoreConfig;
use crate::domain::commit::Erasure;
use crate::domain::erasure::{Account, Hold, NotErased, Order};
use crate::domain::id::{AuthorId, IncidentId, SourceName};
use crate::domain::lane::Sight;
use crate::domain::post::Post;
use crate::domain::rule::RuleSet;
use crate::domain::time::Timestamp;
use crate::store::{Reader, Receipt, Retention, StoreError};
use crate::web::view::{HoldView, ReceiptView};
use crate::web::{Backend as _, BackendError, Erase, Privacy, Subject};

/// What of the past goes now.
pub(super) fn retention(store: &StoreConfig, rules: &RuleSet, now: Timestamp) -> Retention {
    let by_topic = store.retention_by_topic.iter().map(|(topic, kept)| (topic.clone(), now - *kept));
    Retention {
        usual: now - store.retention,
        by_topic: by_topic.collect(),
        rules: rules.rules().iter().map(|rule| (rule.id.clone(), rule.topic.clone())).collect(),
    }
}

impl Privacy for Daemon {
    async fn erase(&self, order: Erase) -> Result<Option<ReceiptView>, BackendError> {
        let Erase { subject, by, reason } = order;
        let taken_back = subject.clone();
        if let Some(held) = self.read(move |reader| reader.hold_on_taken_back(|post| is_of(post, &taken_back))).await? {
            return Err(BackendError::Conflict(held.to_string()));
        }
        let Some((what, account)) = self.kept_of(subject).await? else { return Ok(None) };
        let asked = what.clone();
        if let Some(held) = self.read(move |reader| reader.hold_against(&asked)).await? {
            return Err(BackendError::Conflict(held.to_string()));
        }
        let (answer, answered) = oneshot::channel();
        // What is on its way to the disk is there when memory has answered, and then goes with the rest.
        self.engine.send(Request::Erase(what.clone(), account, answer)).await.or(Err(stopping()))?;
        answered.await.or(Err(stopping()))?;
        let at = self.now();
        let order = Order { what, by: by.clone(), reason: reason.clone(), at };
        let receipt = self.store.erase(order).await.map_err(unavailable)?;
        let receipt = receipt.map_err(|refused: NotErased| BackendError::Conflict(refused.to_string()))?;
        let Receipt { subject, posts, rows, told, entry, hash } = receipt;
        let mut changed = BTreeMap::<String, u64>::new();
        for (table, rows) in rows {
            *changed.entry(table.to_owned()).or_default() += rows as u64;
        }
        Ok(Some(ReceiptView {
            at: at.to_string(),
            by,
            reason,
            subject,
            posts,
            rows: changed,
            told: told.iter().map(ToString::to_string).collect(),
            audit_entry: entry,
            audit_hash: hash.text(),
        }))
    }

    async fn holds(&self) -> Result<Vec<HoldView>, BackendError> {
        Ok(self.read(Reader::holds).await?.iter().map(view).collect())
    }

    async fn hold(&self, hold: Hold) -> Result<Option<HoldView>, BackendError> {
        let shown = view(&hold);
        Ok(self.store.hold(hold).await.map_err(unavailable)?.map(|()| shown))
    }

    async fn release(
        &self,
        incident: IncidentId,
        by: String,
        reason: String,
    ) -> Result<Option<HoldView>, BackendError> {
        let released = self.store.release(incident, by, reason, self.now()).await.map_err(unavailable)?;
        Ok(released.as_ref().map(view))
    }

    async fn held(&self, incident: IncidentId, by: String, sight: Sight) -> Result<Option<Vec<Post>>, BackendError> {
        self.store.look_at_held(incident, by, sight, self.now()).await.map_err(unavailable)
    }
}

impl Daemon {
    /// What is kept of whom, and of an author what is said of the account.
    async fn kept_of(&self, subject: Subject) -> Result<Option<(Erasure, Option<Account>)>, BackendError> {
        let (name, source) = match subject {
            Subject::Post(post) => {
                let id = post.clone();
                let is_kept = self.read(move |reader| reader.keeps(&id)).await?;
                return Ok(is_kept.then_some((Erasure::Post(post), None)));
            }
            Subject::Author { name, source } => (name, SourceName::from(source)),
        };
        let mut authors = self.read(move |reader| reader.authors_of(&name, &source)).await?;
        let author = match (authors.pop(), authors.is_empty()) {
            (None, _) => return Ok(None),
            (Some(author), true) => author,
            (Some(author), false) => {
                let ids: Vec<&str> = authors.iter().chain([&author]).map(AuthorId::as_str).collect();
                let text = format!("several accounts had this handle; say which by its id: {}", ids.join(", "));
                return Err(BackendError::Conflict(text));
            }
        };
        let id = author.clone();
        let account = self.read(move |reader| reader.account_of(&id)).await?;
        Ok(Some((Erasure::Author(author), Some(account))))
    }
}

/// Whether an order of erasure means a post.
fn is_of(post: &Post, subject: &Subject) -> bool {
    match subject {
        Subject::Post(id) => post.id == *id,
        Subject::Author { name, source } => post.source.as_str() == source && post.author.is_called(name),
    }
}

fn view(hold: &Hold) -> HoldView {
    let Hold { incident, approved_by, reason, by, at } = hold;
    HoldView {
        incident: incident.to_string(),
        approved_by: approved_by.clone(),
        reason: reason.clone(),
        by: by.clone(),
        at: at.to_string(),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "taken by map_err")]
fn unavailable(error: StoreError) -> BackendError {
    BackendError::Unavailable(error.to_string())
}
