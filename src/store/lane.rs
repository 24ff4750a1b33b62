//! Which kept posts are of the duty-of-care lane, whatever else took them.
//!
//! The veil over an incident does not cover a post that an ordinary rule took as well: so whatever reads the posts of an
//! incident asks here, post by post. What a rule of the lane took is sealed with keys of the lane, and once there, always
//! there; its sightings say it too, and a mark on its row. It is asked at the time of showing or sending, because the lane's
//! rule may take a post later than the other.
//!
//! When retention has taken text and sightings the mark goes as well: nothing is to tell for ever whom the lane was about. Such
//! a row is shown to nobody who may not see the lane, whatever it was.

use rusqlite::{Connection, named_params};

use super::error::StoreError;
use super::keys::Keys;
use super::ring::Lane;
use super::search::RESTRICTED_SIGHTING;
use crate::domain::lane::{RESTRICTED, Sight};

/// Whether retention has taken all that was kept of a post but its row.
pub(super) const NOTHING_LEFT: &str =
    "(post.json IS NULL AND NOT EXISTS (SELECT 1 FROM sighting WHERE sighting.post = post.id))";

/// Whether somebody may see a post, by its name.
pub(super) fn may_see(sql: &Connection, keys: &Keys, sight: Sight, name: &str) -> Result<bool, StoreError> {
    Ok(sight == Sight::Whole || !is_of_lane(sql, keys, name)?)
}

/// Whether a post is of the lane, by its name, or may be.
fn is_of_lane(sql: &Connection, keys: &Keys, name: &str) -> Result<bool, StoreError> {
    let mut select = sql.prepare_cached(&format!(
        "SELECT (SELECT json FROM post WHERE id = p.id),
           EXISTS (SELECT 1 FROM post WHERE id = p.id AND (restricted OR {NOTHING_LEFT})) OR {RESTRICTED_SIGHTING}
         FROM (SELECT :post AS id) p"
    ))?;
    let lane = serde_json::json!(RESTRICTED).to_string();
    let asked = named_params! { ":post": name, ":lane": lane, ":restricted": "[]" };
    let (sealed, is_known): (Option<String>, bool) = select.query_row(asked, |row| Ok((row.get(0)?, row.get(1)?)))?;
    if is_known {
        return Ok(true);
    }
    let lane = sealed.map(|sealed| keys.lane_of(&sealed)).transpose()?.flatten();
    Ok(lane == Some(Lane::Restricted))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::commit::{Commit, Erasure};
    use crate::domain::condition::Seen;
    use crate::domain::incident::Sighting;
    use crate::domain::post::Post;
    use crate::domain::story::Story;
    use crate::domain::time::Timestamp;
    use crate::store::Store;

    const AT: Timestamp = Timestamp::from_seconds(1_795_341_600);

    fn commit(rule: &str, id: &str) -> Commit {
        let post = Post::plain(id.into(), "sky".into(), "did:ann".into(), "help".to_owned(), AT);
        let seen = Seen::new(AT, post.id.clone(), post.author.id.clone(), Story::begun_by(&post.id));
        let sighting = Sighting { rule: rule.into(), seen, source: "sky".into(), incident: None, copy_of: None };
        Commit { posts: vec![post], sightings: vec![sighting], ..Commit::default() }
    }

    #[test]
    fn a_post_of_the_lane_is_one_whatever_else_takes_it_and_also_without_its_text() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("a.db")).unwrap();
        let by_topic = Commit { restricted: ["topic".into()].into(), ..commit("by-topic.rule", "topic") };
        let both = [commit("feedback.rule", "both"), commit("duty-of-care.rule", "both"), commit("other.rule", "both")];
        store.commit(&both).unwrap();
        store.commit(&[by_topic, commit("feedback.rule", "ordinary")]).unwrap();
        let may = |store: &Store, sight, id| {
            may_see(store.conn(), store.keys(), sight, &store.keys().name(id).unwrap()).unwrap()
        };
        for (id, veiled) in [("both", false), ("topic", false), ("ordinary", true), ("unknown", true)] {
            assert_eq!((may(&store, Sight::Veiled, id), may(&store, Sight::Whole, id)), (veiled, true), "{id}");
        }
        let erased = ["both", "topic", "ordinary"].map(|id| Erasure::Post(id.into())).into();
        store.commit(&[Commit { erased, ..Commit::default() }]).unwrap();
        // Its text is gone already when the lane takes it.
        let late = Commit { restricted: ["ordinary".into()].into(), ..commit("late.rule", "ordinary") };
        store.commit(&[commit("feedback.rule", "other"), late]).unwrap();
        store.commit(&[Commit { erased: vec![Erasure::Post("other".into())], ..Commit::default() }]).unwrap();
        for (id, veiled) in [("both", false), ("topic", false), ("ordinary", false), ("other", true)] {
            assert_eq!(may(&store, Sight::Veiled, id), veiled, "{id}");
        }
        let marked = |store: &Store| -> i64 {
            store.conn().query_row("SELECT count(*) FROM post WHERE restricted", (), |row| row.get(0)).unwrap()
        };
        assert_eq!(marked(&store), 3);
        store.forget(AT + Duration::from_hours(1)).unwrap();
        assert_eq!(marked(&store), 0, "nothing says for ever whom the lane was about");
        for id in ["both", "topic", "ordinary", "other"] {
            assert_eq!((may(&store, Sight::Veiled, id), may(&store, Sight::Whole, id)), (false, true), "{id}");
        }
    }
}
