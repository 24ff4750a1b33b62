//! Erasure and holds at a daemon that is only pretended.

use stormbell::domain::erasure::Hold;
use stormbell::domain::id::IncidentId;
use stormbell::domain::lane::Sight;
use stormbell::domain::post::Post;
use stormbell::web::view::{HoldView, ReceiptView};
use stormbell::web::{BackendError, Erase, Privacy, Subject};

use super::pretended::Pretended;

impl Privacy for Pretended {
    async fn erase(&self, order: Erase) -> Result<Option<ReceiptView>, BackendError> {
        if order.subject == Subject::Post("held".into()) {
            return Err(BackendError::Conflict("it is held".to_owned()));
        }
        if order.subject == Subject::Post("unknown".into()) {
            return Ok(None);
        }
        let (by, reason) = (order.by.clone(), order.reason.clone());
        self.erased.lock().unwrap().push(order);
        Ok(Some(ReceiptView {
            at: self.now_at().to_string(),
            by,
            reason,
            subject: "ab".repeat(32),
            posts: vec!["cd".repeat(32)],
            rows: [("post".to_owned(), 1)].into(),
            told: vec!["mail".to_owned()],
            audit_entry: 7,
            audit_hash: "ef".repeat(32),
        }))
    }

    async fn holds(&self) -> Result<Vec<HoldView>, BackendError> {
        Ok(self.held.lock().unwrap().iter().map(view).collect())
    }

    async fn hold(&self, hold: Hold) -> Result<Option<HoldView>, BackendError> {
        if hold.incident.as_str() != "active-threat/1" {
            return Ok(None);
        }
        let shown = view(&hold);
        self.held.lock().unwrap().push(hold);
        Ok(Some(shown))
    }

    async fn release(
        &self,
        incident: IncidentId,
        _by: String,
        _reason: String,
    ) -> Result<Option<HoldView>, BackendError> {
        let mut held = self.held.lock().unwrap();
        let place = held.iter().position(|hold| hold.incident == incident);
        Ok(place.map(|place| view(&held.remove(place))))
    }

    async fn held(&self, incident: IncidentId, _by: String, _sight: Sight) -> Result<Option<Vec<Post>>, BackendError> {
        let is_held = self.held.lock().unwrap().iter().any(|hold| hold.incident == incident);
        Ok(is_held.then(|| vec![self.post()]))
    }
}

fn view(hold: &Hold) -> HoldView {
    let Hold { incident, approved_by, reason, by, at } = hold.clone();
    HoldView { incident: incident.to_string(), approved_by, reason, by, at: at.to_string() }
}
