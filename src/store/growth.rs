//! How an incident grew, and what is said in it: counted from its sightings, for whoever looks on.

use std::time::Duration;

use rusqlite::params;

use super::error::StoreError;
use super::outbox::existing_posts;
use super::read::Reader;
use crate::domain::id::IncidentId;
use crate::domain::incident::Incident;
use crate::domain::lane::Sight;
use crate::domain::post::Post;
use crate::domain::time::Timestamp;

/// Stretches that a picture has at most.
const MOMENTS: i64 = 60;
/// How long a stretch may be: what people take for round.
const LENGTHS: [Duration; 10] = [
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(15),
    Duration::from_hours(1),
    Duration::from_hours(3),
    Duration::from_hours(6),
    Duration::from_hours(12),
    Duration::from_hours(24),
];
/// And at least.
const FEWEST: i64 = 12;
/// Stories told of, at most.
const STORIES: i64 = 50;

/// How an incident grew, in stretches of equal length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrowthRow {
    /// Where the first begins, in event time.
    pub from: Timestamp,
    /// How long each is.
    pub every: Duration,
    /// Posts and distinct authors of each.
    pub moments: Vec<(u64, u64)>,
}

/// Posts of an incident that say the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoryRow {
    /// The first of them that still exists, if it may be seen.
    pub post: Option<Post>,
    /// How many.
    pub posts: u64,
    /// By how many.
    pub authors: u64,
    /// When the first was written (event time).
    pub first: Timestamp,
}

impl Reader {
    /// How an incident grew; nothing when none of its sightings is kept.
    pub fn growth(&self, id: &IncidentId) -> Result<GrowthRow, StoreError> {
        let Some(incident) = self.standing(id)? else { return Ok(GrowthRow::default()) };
        let ids = names(&incident);
        let mut ends = self.sql.prepare_cached(
            "SELECT min(at), max(at) FROM sighting WHERE incident IN (SELECT value FROM json_each(?1))",
        )?;
        let (first, last): (Option<i64>, Option<i64>) = ends.query_row([&ids], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let Some((first, last)) = first.zip(last) else { return Ok(GrowthRow::default()) };
        let every = LENGTHS.into_iter().find(|one| last - first < (MOMENTS - 1) * micros(*one));
        // Longer than two months: as many days as it takes.
        let every = every.unwrap_or_else(|| {
            let days = ((last - first) / (MOMENTS - 1) / micros(Duration::from_hours(24)) + 1).unsigned_abs();
            Duration::from_hours(24).saturating_mul(u32::try_from(days).unwrap_or(u32::MAX))
        });
        let length = micros(every);
        // What has just begun is shown as a beginning: with nothing before it.
        let begins = first - first.rem_euclid(length);
        let before = (FEWEST - 1 - (last - begins) / length).max(0);
        let from = begins - before * length;
        let count = usize::try_from((last - from) / length + 1).unwrap_or_default();
        let mut moments = vec![(0, 0); count];
        let mut counted = self.sql.prepare_cached(
            "SELECT (at - ?2) / ?3, count(DISTINCT post), count(DISTINCT author) FROM sighting
             WHERE incident IN (SELECT value FROM json_each(?1)) AND copy_of IS NULL GROUP BY 1",
        )?;
        let mut rows = counted.query(params![ids, from, length])?;
        while let Some(row) = rows.next()? {
            let (place, posts, authors): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if let Some(moment) = usize::try_from(place).ok().and_then(|place| moments.get_mut(place)) {
                *moment = (posts.unsigned_abs(), authors.unsigned_abs());
            }
        }
        Ok(GrowthRow { from: Timestamp::from_micros(from), every, moments })
    }

    /// What is said in an incident, as far as somebody may see it, what most say first.
    pub fn stories(&self, id: &IncidentId, sight: Sight) -> Result<Vec<StoryRow>, StoreError> {
        let Some(incident) = self.standing(id)? else { return Ok(Vec::new()) };
        // A telling is kept as long as its story may grow; a post without one is a story of its own. The first post that
        // still has words: the least of its times and numbers, written so that they compare as text.
        let mut select = self.sql.prepare_cached(
            "SELECT count(DISTINCT s.post), count(DISTINCT s.author), min(s.at),
               substr(min(CASE WHEN p.json IS NOT NULL THEN printf('%020d%020d', s.at, s.seq) || s.post END), 41)
             FROM sighting s LEFT JOIN telling t ON t.post = s.post LEFT JOIN post p ON p.id = s.post
             WHERE s.incident IN (SELECT value FROM json_each(?1)) AND s.copy_of IS NULL
             GROUP BY ifnull(t.story, s.post) ORDER BY 2 DESC, 1 DESC, 3 LIMIT ?2",
        )?;
        let mut rows = select.query(params![names(&incident), STORIES])?;
        let mut stories = Vec::new();
        while let Some(row) = rows.next()? {
            let post: Option<String> = row.get(3)?;
            let post = existing_posts(&self.sql, &self.keys, sight, post.as_deref())?.pop();
            let (posts, authors): (i64, i64) = (row.get(0)?, row.get(1)?);
            let first = Timestamp::from_micros(row.get(2)?);
            stories.push(StoryRow { post, posts: posts.unsigned_abs(), authors: authors.unsigned_abs(), first });
        }
        Ok(stories)
    }
}

/// It and those that were merged into it, as an array of JSON.
pub(super) fn names(incident: &Incident) -> String {
    let ids: Vec<&str> = incident.merged.iter().chain([&incident.id]).map(IncidentId::as_str).collect();
    serde_json::json!(ids).to_string()
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}
