//! What people do together about incidents, answered by the engine, the store and the playbooks in force.

use std::sync::Arc;

use super::backend::Daemon;
use crate::domain::engine::{Action, Command};
use crate::domain::id::{IncidentId, PostId, hex};
use crate::domain::incident::Incident;
use crate::domain::lane::Sight;
use crate::domain::playbook::{Approval, Doing, Followed, NotDone, Playbook};
use crate::domain::time::Timestamp;
use crate::store::{EvidenceRow, NoteRow, Reader, StoreError};
use crate::web::{Approve, Backend as _, BackendError, Escalate, Evidence, Failed, HandOver, Live, Note, Team};

impl Team for Daemon {
    async fn hand_over(&self, id: IncidentId, order: HandOver) -> Result<Option<Incident>, BackendError> {
        let HandOver { to, by, reason } = order;
        self.command(Command { incident: id, by, action: Action::HandOver(to), reason }).await
    }

    async fn escalate(&self, id: IncidentId, order: Escalate) -> Result<Option<Incident>, BackendError> {
        let Escalate { told, by, reason } = order;
        self.command(Command { incident: id, by, action: Action::Escalate(told), reason }).await
    }

    fn playbooks(&self) -> Vec<Arc<Playbook>> {
        self.rules.borrow().playbooks().values().cloned().collect()
    }

    fn playbook(&self, incident: &Incident) -> Option<Arc<Playbook>> {
        self.rules.borrow().playbooks().get(incident.playbook.as_ref()?).cloned()
    }

    async fn followed(&self, id: IncidentId) -> Result<Followed, BackendError> {
        self.read(move |reader| reader.followed(&id)).await
    }

    async fn follow(&self, id: IncidentId, doing: Doing, by: String) -> Result<Option<()>, BackendError> {
        let which = id.clone();
        let Some(incident) = self.read(move |reader| reader.standing(&which)).await? else { return Ok(None) };
        let Some(playbook) = self.playbook(&incident) else {
            return Err(BackendError::Invalid("the incident has no playbook that Stormbell knows".to_owned()));
        };
        let now = self.now();
        let change = playbook.change(&doing, incident.opened_at, now).map_err(refused)?;
        self.store.follow(id, change, by, now).await.map_err(unavailable)?.map_err(refused)?;
        // Perhaps nobody looks on.
        drop(self.live.send(Live::Incident(Arc::new(incident))));
        Ok(Some(()))
    }

    async fn approvals(&self) -> Result<Vec<Approval>, BackendError> {
        self.read(Reader::approvals).await
    }

    async fn approve(&self, order: Approve) -> Result<Option<()>, BackendError> {
        let Approve { playbook, statement, hash, may, by } = order;
        let named = format!("{playbook} {statement}");
        let playbook = self.rules.borrow().playbooks().get(&playbook).cloned();
        let known = playbook.as_ref().and_then(|playbook| playbook.statement(&statement));
        // Whoever approves has read these words, and not what a reload made of them since.
        let Some(statement) = known.filter(|known| hex(&known.hash, 32) == hash) else { return Ok(None) };
        let named = format!("{named}, version {}", statement.version);
        let approval = Approval { statement: statement.hash, by, at: self.now() };
        self.store.approve(approval, may, named).await.map_err(unavailable)?;
        Ok(Some(()))
    }

    async fn evidence(
        &self,
        id: IncidentId,
        sight: Sight,
        after: Option<(Timestamp, PostId)>,
        limit: usize,
    ) -> Result<Vec<Evidence>, BackendError> {
        let rows = self.read(move |reader| reader.evidence(&id, sight, after.as_ref(), limit)).await?;
        let evidence = |EvidenceRow { id, at, hash, post }| Evidence { id, at, hash, post };
        Ok(rows.into_iter().map(evidence).collect())
    }

    async fn incidents_of(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Incident>, BackendError> {
        self.read(move |reader| reader.incidents_of(from, to)).await
    }

    async fn failed(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Failed>, BackendError> {
        let rows = self.read(move |reader| reader.failed(from, to)).await?;
        let failed = rows.into_iter().map(|(incident, row)| Failed {
            incident: incident.to_string(),
            receiver: row.receiver,
            person: row.person,
            kind: row.kind,
            at: row.finished_at.unwrap_or(row.at).to_string(),
            error: row.error,
        });
        Ok(failed.collect())
    }

    async fn shift_notes(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Note>, BackendError> {
        let rows = self.read(move |reader| reader.handover_notes(from, to)).await?;
        Ok(rows.into_iter().map(|NoteRow { at, by, text }| Note { at: at.to_string(), by, text }).collect())
    }

    async fn note_shift(&self, by: String, text: String) -> Result<(), BackendError> {
        let note = NoteRow { at: self.now(), by, text };
        self.store.note_handover(note).await.map_err(unavailable)
    }
}

fn refused(refused: NotDone) -> BackendError {
    match refused {
        NotDone::NotApproved | NotDone::Already => BackendError::Conflict(refused.to_string()),
        NotDone::NotThere | NotDone::NotAName | NotDone::NotThen => BackendError::Invalid(refused.to_string()),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "taken by map_err")]
fn unavailable(error: StoreError) -> BackendError {
    BackendError::Unavailable(error.to_string())
}
