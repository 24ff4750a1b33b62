//! What a team does together at a daemon that is only pretended: a playbook that is followed, evidence, a night to hand over.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use stormbell::domain::id::{IncidentId, PostId, hex};
use stormbell::domain::incident::{Incident, IncidentState, Signature};
use stormbell::domain::lane::Sight;
use stormbell::domain::playbook::{Approval, Doing, Followed, Mark, NotDone, Playbook, Statement};
use stormbell::domain::time::Timestamp;
use stormbell::web::{Approve, BackendError, Escalate, Evidence, Failed, HandOver, Note, Team};

use super::pretended::{Pretended, at, incident};

/// Two steps, two roles, a statement; the first word is due after a quarter of an hour.
pub fn playbook() -> Playbook {
    let markdown = "# Active threat\n\n## First two minutes\n1. **Call** the <b>desk</b>.\n2. Wake the commander.\n- not a step\n\n> We know.\n\n| sign | true |\n";
    let text = "There is an emergency at $org. <script>alert(1)</script> Next word at [time].".to_owned();
    let name = "playbooks/active-threat.md";
    Playbook {
        roles: vec!["Incident Commander".to_owned(), "Legal".to_owned()],
        first_statement_within: Some(std::time::Duration::from_mins(15)),
        statements: vec![Statement::new(name, "first".to_owned(), "What we know".to_owned(), 2, text)],
        ..Playbook::of(name, markdown)
    }
}

impl Team for Pretended {
    async fn hand_over(&self, id: IncidentId, order: HandOver) -> Result<Option<Incident>, BackendError> {
        if id.as_str() != "taken" {
            return Err(BackendError::Conflict("nobody has it yet".to_owned()));
        }
        let owner = Signature { by: order.to.to_string(), at: self.now_at() };
        self.handed.lock().unwrap().push(order);
        Ok(Some(Incident { acknowledged: Some(owner), ..incident(IncidentState::Acknowledged) }))
    }

    async fn escalate(&self, id: IncidentId, order: Escalate) -> Result<Option<Incident>, BackendError> {
        if id.as_str() != "active-threat/1" {
            return Ok(None);
        }
        self.escalated.lock().unwrap().push(order);
        Ok(Some(incident(IncidentState::Open)))
    }

    fn playbooks(&self) -> Vec<Arc<Playbook>> {
        vec![Arc::new(playbook())]
    }

    fn playbook(&self, incident: &Incident) -> Option<Arc<Playbook>> {
        incident.playbook.as_ref().map(|_| Arc::new(playbook()))
    }

    async fn followed(&self, _id: IncidentId) -> Result<Followed, BackendError> {
        Ok(self.followed.lock().unwrap().clone())
    }

    async fn follow(&self, id: IncidentId, doing: Doing, by: String) -> Result<Option<()>, BackendError> {
        if id.as_str() == "none" {
            return Ok(None);
        }
        let refused = |refused: NotDone| BackendError::Conflict(refused.to_string());
        let change = playbook().change(&doing, at(1), self.now_at()).map_err(refused)?;
        let approved = self.approvals.lock().unwrap().clone();
        if change.approved.is_some_and(|hash| approved.iter().all(|approval| approval.statement != hash)) {
            return Err(refused(NotDone::NotApproved));
        }
        let mut followed = self.followed.lock().unwrap();
        let key = (change.kind, change.name);
        match change.value {
            Some(value) => drop(followed.marks.insert(key, Mark { value, by, at: change.at })),
            None => drop(followed.marks.remove(&key)),
        }
        Ok(Some(()))
    }

    async fn approvals(&self) -> Result<Vec<Approval>, BackendError> {
        Ok(self.approvals.lock().unwrap().clone())
    }

    async fn approve(&self, order: Approve) -> Result<Option<()>, BackendError> {
        let playbook = playbook();
        let known = playbook.statement(&order.statement).filter(|known| hex(&known.hash, 32) == order.hash);
        let Some(known) = known else { return Ok(None) };
        let mut approvals = self.approvals.lock().unwrap();
        approvals.retain(|approval| approval.statement != known.hash);
        if order.may {
            approvals.push(Approval { statement: known.hash, by: order.by, at: self.now_at() });
        }
        Ok(Some(()))
    }

    async fn evidence(
        &self,
        _id: IncidentId,
        _sight: Sight,
        after: Option<(Timestamp, PostId)>,
        limit: usize,
    ) -> Result<Vec<Evidence>, BackendError> {
        let post = self.post();
        let kept = Evidence { id: post.id.clone(), at: at(0), hash: [7; 32], post: Some(post) };
        let gone = Evidence { id: "at://2".into(), at: at(5), hash: [9; 32], post: None };
        // A flood of further ones, where that many are found.
        let many = (2..self.found.load(Ordering::Relaxed)).map(|number| {
            let id = format!("at://{:06}", number + 1).as_str().into();
            Evidence { id, at: at(9), hash: [1; 32], post: None }
        });
        let is_after = |one: &Evidence| after.as_ref().is_none_or(|(at, id)| (one.at, &one.id) > (*at, id));
        Ok([kept, gone].into_iter().chain(many).filter(is_after).take(limit).collect())
    }

    async fn incidents_of(&self, _from: Timestamp, _to: Timestamp) -> Result<Vec<Incident>, BackendError> {
        let title = self.says.lock().unwrap().clone();
        let of = |state| Incident { title: title.clone(), ..incident(state) };
        let noise = Incident {
            id: "noise".into(),
            resolved: Some(Signature { by: "stormbell".to_owned(), at: at(70) }),
            ..of(IncidentState::Resolved)
        };
        let drill = Incident { exercise: true, ..of(IncidentState::Resolved) };
        Ok(IncidentState::ALL.into_iter().map(of).chain([noise, drill]).collect())
    }

    async fn failed(&self, _from: Timestamp, _to: Timestamp) -> Result<Vec<Failed>, BackendError> {
        Ok(vec![Failed {
            incident: "active-threat/1".to_owned(),
            receiver: "sms".to_owned(),
            person: Some("ann".to_owned()),
            kind: "incident.opened".to_owned(),
            at: at(50).to_string(),
            error: Some("no such number <i>".to_owned()),
        }])
    }

    async fn shift_notes(&self, _from: Timestamp, _to: Timestamp) -> Result<Vec<Note>, BackendError> {
        Ok(self.notes.lock().unwrap().clone())
    }

    async fn note_shift(&self, by: String, text: String) -> Result<(), BackendError> {
        if self.full.load(Ordering::Relaxed) {
            return Err(BackendError::Unavailable("the disk is full".to_owned()));
        }
        self.notes.lock().unwrap().push(Note { at: self.now_at().to_string(), by, text });
        Ok(())
    }
}
