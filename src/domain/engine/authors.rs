//! Who wrote what matters. Some streams name authors by nothing but a number; who that is, is
//! asked for once a post of theirs matters, and comes later.

use super::Engine;
use crate::domain::commit::Commit;
use crate::domain::id::IncidentId;
use crate::domain::key::Key;
use crate::domain::post::Author;
use crate::domain::time::Timestamp;

impl Engine {
    /// It is known now who an author is: evidence says so, and if their word spreads, so do the
    /// incidents they spoke of.
    pub(super) fn introduced(&mut self, author: Author, now: Timestamp, commit: &mut Commit) {
        if let Some(handle) = &author.handle {
            self.handles.insert(author.id.clone(), handle.as_str().into());
        }
        self.copies.introduced(&author);
        if let Some(what) = self.routes.terms.notable(&author) {
            let key = Key::of(&author.id);
            let spoken_of = || self.live.iter().filter(|(_, live)| live.has_author(key));
            // Whoever is spoken of in the duty-of-care lane is named there alone.
            let of_lane = spoken_of().any(|(_, live)| live.incident.is_restricted());
            let told = spoken_of().filter(|(_, live)| !of_lane || live.incident.is_restricted());
            let incidents: Vec<IncidentId> = told.map(|(id, _)| id.clone()).collect();
            for id in &incidents {
                self.notice(id, &author, &what, now, commit);
            }
            self.tell_changes(now, commit);
        }
        commit.authors.push(author);
    }
}
