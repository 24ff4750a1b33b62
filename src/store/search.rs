//! Kept posts by their words, and incidents; and the searches people want to find again.
//!
//! There is no index: in clear it would say what is sealed, and of hashed words whoever has the key and a dictionary makes the
//! text again, from any old copy. So posts of the time that is asked for are opened and read, the newest first, until there
//! are enough. In years of an archive that takes time, so whoever asks names a time, or is interrupted.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, InterruptHandle, named_params, params};

use super::error::StoreError;
use super::keys::About;
use super::read::Reader;
use super::restore;
use super::stored::{read_post, words_of};
use super::writer::StoreHandle;
use crate::domain::id::{IncidentId, RuleId};
use crate::domain::incident::{Incident, Severity};
use crate::domain::lane::{RESTRICTED, Sight};
use crate::domain::post::Post;
use crate::domain::seek::{FoundPost, Seek, Terms};
use crate::domain::text::Words;
use crate::domain::time::Timestamp;

/// Incidents that are looked at.
const INCIDENTS: i64 = 10_000;

/// Whether rows that a rule, or an incident's topic, makes restricted are among them; names are
/// taken as `domain::lane::is_restricted` takes them.
pub(super) const RESTRICTED_SIGHTING: &str =
    "EXISTS (SELECT 1 FROM sighting g LEFT JOIN incident i ON i.id = g.incident
    WHERE g.post = p.id AND (g.rule IN (SELECT value FROM json_each(:restricted))
      OR EXISTS (SELECT 1 FROM json_each(:lane) beginning
        WHERE substr(g.rule, 1, length(beginning.value)) = beginning.value
          OR substr(i.detail ->> '$.topic', 1, length(beginning.value)) = beginning.value)))";

impl Reader {
    /// By what a search that takes too long is ended.
    pub fn interrupter(&self) -> InterruptHandle {
        self.sql.get_interrupt_handle()
    }

    /// Kept posts, newest first, before a post if one is named by its time and id. Whoever may not see all learns
    /// nothing of posts that a rule of the lane took; `restricted` are the rules in force that are of it by their topic.
    ///
    /// # Errors
    /// What the disk says.
    pub fn search(
        &self,
        seek: &Seek,
        sight: Sight,
        restricted: &[&str],
        before: Option<(Timestamp, &str)>,
        limit: usize,
    ) -> Result<Vec<FoundPost>, StoreError> {
        let (said, who) = (Terms::of(&seek.words), Terms::of(&seek.author));
        let mut select = self.sql.prepare_cached(&format!(
            "SELECT p.id, p.json FROM post p
             WHERE p.json IS NOT NULL AND p.at >= :from AND p.at < :to AND (p.at, p.rowid) < (:at, coalesce((SELECT rowid FROM post WHERE id = :id), 0))
               AND (:rule = '' OR EXISTS (SELECT 1 FROM sighting g WHERE g.rule = :rule AND g.post = p.id))
               AND (:severity IS NULL OR EXISTS (SELECT 1 FROM sighting g JOIN incident i ON i.id = g.incident
                 WHERE g.post = p.id AND i.detail ->> '$.severity' = :severity))
               AND (:whole OR NOT {RESTRICTED_SIGHTING})
             ORDER BY p.at DESC, p.rowid DESC"
        ))?;
        let (at, id) = match before {
            Some((at, id)) => (at.micros(), self.keys.name(id)?),
            None => (i64::MAX, String::new()),
        };
        let mut rows = select.query(named_params! {
            ":from": seek.from.map_or(i64::MIN, Timestamp::micros), ":to": seek.to.map_or(i64::MAX, Timestamp::micros),
            ":at": at, ":id": id, ":rule": seek.rule, ":severity": seek.severity.map(Severity::as_str),
            ":whole": sight == Sight::Whole, ":lane": serde_json::json!(RESTRICTED).to_string(),
            ":restricted": serde_json::json!(restricted).to_string(),
        })?;
        let (mut found, mut words) = (Vec::new(), Words::default());
        while found.len() < limit {
            let Some(row) = rows.next()? else { break };
            let (name, sealed): (String, String) = (row.get(0)?, row.get(1)?);
            let Some(post) = read_post(&self.keys, &name, &sealed)? else { continue };
            if of_source(seek, &post) && said.fit(&post, &mut words) && who.name(&post, &mut words) {
                let (rules, incidents) = self.taken_by(&name)?;
                found.push(FoundPost { post, rules, incidents });
            }
        }
        Ok(found)
    }

    /// The rules that took a post, and the incidents it counts for.
    fn taken_by(&self, post: &str) -> Result<(BTreeSet<RuleId>, BTreeSet<IncidentId>), StoreError> {
        let mut select = self.sql.prepare_cached("SELECT rule, incident FROM sighting WHERE post = ?1")?;
        let mut rows = select.query([post])?;
        let (mut rules, mut incidents) = (BTreeSet::new(), BTreeSet::new());
        while let Some(row) = rows.next()? {
            rules.insert(RuleId::from(row.get::<_, String>(0)?));
            incidents.extend(row.get::<_, Option<String>>(1)?.map(IncidentId::from));
        }
        Ok((rules, incidents))
    }

    /// Incidents, newest first, whose name, title, reason, topics or notes have the words; those of the lane only for
    /// whoever may see them.
    ///
    /// # Errors
    /// What the disk says.
    pub fn search_incidents(&self, seek: &Seek, sight: Sight, limit: usize) -> Result<Vec<Incident>, StoreError> {
        let from = seek.from.map_or(i64::MIN, Timestamp::micros);
        let to = seek.to.map_or(i64::MAX, Timestamp::micros);
        let which = "opened_at >= ?1 AND opened_at < ?2 ORDER BY opened_at DESC, id LIMIT ?3";
        let incidents = restore::incidents(&self.sql, &self.keys, which, params![from, to, INCIDENTS])?;
        let asked = folded(&seek.words);
        let notes = if asked.is_empty() { BTreeMap::new() } else { self.notes(from, to)? };
        let fits = |incident: &Incident| {
            let sought = [incident.id.as_str(), &incident.title, &incident.why].join(" ");
            let topics: Vec<&str> = incident.topics().map(|(topic, _)| topic.as_str()).collect();
            let written = notes.get(incident.id.as_str()).map_or("", String::as_str);
            let there = folded(&format!("{sought} {} {written}", topics.join(" ")));
            let there: BTreeSet<String> = there.into_iter().collect();
            (sight == Sight::Whole || !incident.is_restricted())
                && seek.severity.is_none_or(|severity| incident.severity == severity)
                && (seek.rule.is_empty() || incident.rules.iter().any(|rule| rule.as_str() == seek.rule))
                && asked.iter().all(|word| there.contains(word))
        };
        Ok(incidents.into_iter().filter(fits).take(limit).collect())
    }

    /// What people wrote about incidents that began between two instants, by their names.
    fn notes(&self, from: i64, to: i64) -> Result<BTreeMap<String, String>, StoreError> {
        let mut select = self.sql.prepare_cached(
            "SELECT t.incident, t.text FROM timeline t JOIN incident i ON i.id = t.incident
             WHERE t.what = 'note' AND i.opened_at >= ?1 AND i.opened_at < ?2",
        )?;
        let mut rows = select.query([from, to])?;
        let mut notes = BTreeMap::<String, String>::new();
        while let Some(row) = rows.next()? {
            let (incident, sealed): (String, String) = (row.get(0)?, row.get(1)?);
            let text = words_of(&self.keys, About::new("timeline", &incident), &sealed)?;
            notes.entry(incident).or_default().extend([" ", &text]);
        }
        Ok(notes)
    }

    /// The searches somebody has saved, by their names: name and search.
    ///
    /// # Errors
    /// What the disk says.
    pub fn saved_searches(&self, account: &str) -> Result<Vec<(String, String)>, StoreError> {
        let mut select =
            self.sql.prepare_cached("SELECT name, query FROM saved_search WHERE account = ?1 ORDER BY name")?;
        let rows = select.query_map([account], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl StoreHandle {
    /// Saves a search under a name, in place of another of that name, or forgets it where there is no search; on disk when
    /// it returns. At most `most` are kept of an account; whether it was saved.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn save_search(
        &self,
        account: String,
        name: String,
        query: Option<String>,
        most: u32,
    ) -> Result<bool, StoreError> {
        self.job(move |writing| save(writing.sql, &account, &name, query.as_deref(), most)).await
    }
}

fn save(sql: &Connection, account: &str, name: &str, query: Option<&str>, most: u32) -> Result<bool, StoreError> {
    let Some(query) = query else {
        sql.execute("DELETE FROM saved_search WHERE account = ?1 AND name = ?2", [account, name])?;
        return Ok(true);
    };
    let saved = sql.execute(
        "INSERT INTO saved_search (account, name, query)
         SELECT ?1, ?2, ?3 WHERE (SELECT count(*) FROM saved_search WHERE account = ?1 AND name <> ?2) < ?4
         ON CONFLICT (account, name) DO UPDATE SET query = excluded.query",
        params![account, name, query, most],
    )?;
    Ok(saved > 0)
}

/// Whether a post is from the source, and in the language, that are asked for, if any are.
fn of_source(seek: &Seek, post: &Post) -> bool {
    let is_lang = |lang: &String| lang.split('-').next().unwrap_or_default().eq_ignore_ascii_case(&seek.lang);
    (seek.source.is_empty() || post.source.as_str() == seek.source)
        && (seek.lang.is_empty() || post.lang.iter().any(is_lang))
}

/// The words of a text as everybody writes them.
fn folded(text: &str) -> Vec<String> {
    let words = Words::of(text);
    words.words().map(|(word, _)| word.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::commit::{Commit, Erasure};
    use crate::domain::condition::Seen;
    use crate::domain::incident::Sighting;
    use crate::domain::story::Story;
    use crate::store::Store;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_795_341_600 + seconds)
    }

    fn post(id: &str, seconds: i64, text: &str) -> Post {
        Post::plain(id.into(), "sky".into(), format!("did:{id}").as_str().into(), text.to_owned(), at(seconds))
    }

    fn sighting(rule: &str, post: &Post) -> Sighting {
        let seen = Seen::new(post.event_time, post.id.clone(), post.author.id.clone(), Story::begun_by(&post.id));
        Sighting { rule: rule.into(), seen, source: "sky".into(), incident: None, copy_of: None }
    }

    fn store_of(posts: &[Post]) -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("a.db")).unwrap();
        store.commit(&[Commit { posts: posts.to_vec(), ..Commit::default() }]).unwrap();
        (folder, store)
    }

    fn found(folder: &tempfile::TempDir, seek: &Seek) -> Vec<String> {
        let reader = Reader::open(&folder.path().join("a.db")).unwrap();
        let found = reader.search(seek, Sight::Veiled, &[], None, 100).unwrap();
        found.iter().map(|found| found.post.id.to_string()).collect()
    }

    fn words(words: &str) -> Seek {
        Seek { words: words.to_owned(), ..Seek::default() }
    }

    #[test]
    fn posts_are_found_by_words_phrases_beginnings_and_what_is_not_there() {
        let posts = [
            post("a", 1, "Überfall at the Café lobby"),
            post("b", 2, "a drill in the lobby cafe"),
            post("c", 3, "nothing"),
        ];
        let (folder, _store) = store_of(&posts);
        for (typed, expected) in [
            ("cafe", vec!["b", "a"]),
            ("CAFÉ -drill", vec!["a"]),
            ("\"lobby cafe\"", vec!["b"]),
            ("uber*", vec!["a"]),
            ("-lobby", vec!["c"]),
            ("", vec!["c", "b", "a"]),
            ("lobby nothing", vec![]),
        ] {
            assert_eq!(found(&folder, &words(typed)), expected, "{typed}");
        }
        let by = Seek { author: "did:c".to_owned(), ..Seek::default() };
        assert_eq!(found(&folder, &by), ["c"]);
    }

    #[test]
    fn nothing_that_is_typed_is_an_error() {
        let (folder, _store) = store_of(&[post("a", 1, "AND near OR not said who")]);
        let hostile = [
            "\"",
            "\"\"",
            "\"a",
            "a\"b\"c",
            "*",
            "**",
            "a*b",
            "(",
            ")",
            "NOT",
            "AND OR",
            "NEAR(a b, 3)",
            "said:x",
            "{said} : a",
            "-",
            "--",
            "-\"",
            "^a",
            "a + b",
            "\u{0}",
            "a\u{0}\"b",
            "'; DROP TABLE post; --",
            "\u{202E}a",
            "😀",
            "é́́́",
            "a AND (",
            "rowid",
            ":wanted",
        ];
        for typed in hostile {
            found(&folder, &words(typed));
            found(&folder, &Seek { author: typed.to_owned(), ..Seek::default() });
        }
        assert_eq!(found(&folder, &words("NOT near AND")), ["a"], "operators are words");
        found(&folder, &words(&"\"a b\" ".repeat(10_000)));
    }

    #[test]
    fn what_is_taken_back_or_edited_is_not_found() {
        let planted = post("a", 1, "plantedword in the lobby\u{0}after");
        let (folder, mut store) = store_of(&[planted.clone(), post("b", 2, "plantedword too")]);
        let edited = Post { text: "something else".to_owned(), ..planted };
        store.commit(&[Commit { posts: vec![edited], ..Commit::default() }]).unwrap();
        assert_eq!(found(&folder, &words("plantedword")), ["b"]);
        assert_eq!(found(&folder, &words("else")), ["a"]);
        let erased = vec![Erasure::Post("b".into()), Erasure::Author("did:a".into())];
        store.commit(&[Commit { erased, ..Commit::default() }]).unwrap();
        assert!(found(&folder, &words("plantedword")).is_empty() && found(&folder, &words("")).is_empty());
        store.close().unwrap();
        let bytes = std::fs::read(folder.path().join("a.db")).unwrap();
        for word in ["plantedword", "plantedwor", "something else"] {
            assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()), "{word} is in the file");
        }
    }

    #[test]
    fn retention_ends_for_search_too() {
        let (folder, mut store) = store_of(&[post("a", 1, "old"), post("b", 1000, "new")]);
        store.forget(at(500)).unwrap();
        assert_eq!(found(&folder, &words("")), ["b"]);
        assert!(found(&folder, &words("old")).is_empty());
    }

    #[test]
    fn what_a_rule_of_the_lane_took_is_found_by_nobody_who_may_not() {
        let posts =
            [post("a", 1, "planted"), post("b", 2, "planted"), post("c", 3, "planted"), post("d", 4, "planted")];
        let (folder, mut store) = store_of(&posts);
        let sightings = vec![
            sighting("service.rule", &posts[0]),
            sighting("duty-of-care.self-harm", &posts[1]),
            sighting("service.rule", &posts[1]),
            sighting("other.rule", &posts[2]),
            sighting("duty-of-care-staff.rule", &posts[3]),
        ];
        store.commit(&[Commit { sightings, ..Commit::default() }]).unwrap();
        let reader = Reader::open(&folder.path().join("a.db")).unwrap();
        let ids = |sight, restricted: &[&str]| -> Vec<String> {
            let found = reader.search(&words("planted"), sight, restricted, None, 9).unwrap();
            found.iter().map(|found| found.post.id.to_string()).collect()
        };
        assert_eq!(ids(Sight::Veiled, &[]), ["c", "a"]);
        assert_eq!(ids(Sight::Veiled, &["other.rule"]), ["a"], "by the topic of a rule in force");
        assert_eq!(ids(Sight::Whole, &[]), ["d", "c", "b", "a"]);
        let rule = Seek { rule: "service.rule".to_owned(), ..Seek::default() };
        assert_eq!(reader.search(&rule, Sight::Whole, &[], None, 9).unwrap().len(), 2);
        let older = reader.search(&words(""), Sight::Whole, &[], Some((at(3), "c")), 1).unwrap();
        assert_eq!(older[0].post.id.as_str(), "b", "pages go on where the last one ended");
    }

    #[test]
    fn searches_are_saved_under_names_and_not_without_end() {
        let (_folder, mut store) = store_of(&[]);
        let mut keep = |name: &str, query| store.transact(|writing| save(writing.sql, "ann", name, query, 2));
        assert!(keep("one", Some("words=a")).unwrap() && keep("two", Some("words=b")).unwrap());
        assert!(!keep("three", Some("words=c")).unwrap());
        assert!(keep("one", Some("words=d")).unwrap() && keep("two", None).unwrap());
        let reader = Reader::open(store.conn().path().unwrap().as_ref()).unwrap();
        assert_eq!(reader.saved_searches("ann").unwrap(), [("one".to_owned(), "words=d".to_owned())]);
        assert!(reader.saved_searches("bob").unwrap().is_empty());
    }
}
