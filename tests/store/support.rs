//! Small builders, and a database in a folder of its own.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use stormbell::domain::commit::{Commit, Progress};
use stormbell::domain::condition::Seen;
use stormbell::domain::event::{Cursor, DownReason, Ledger};
use stormbell::domain::incident::{
    Alert, ConditionKind, Gap, Incident, IncidentState, Severity, Sighting, TimelineEntry, Told,
};
use stormbell::domain::message::{Delivery, Leased, Message, MessageKind};
use stormbell::domain::post::Post;
use stormbell::domain::story::{Story, Telling};
use stormbell::domain::time::Timestamp;
use stormbell::store::{Reader, Store};

pub(crate) const LEASE: Duration = Duration::from_mins(1);

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

pub(crate) fn post(id: &str, author: &str, text: &str) -> Post {
    Post::plain(id.into(), "bluesky".into(), author.into(), text.to_owned(), at(100))
}

pub(crate) fn incident(id: &str, state: IncidentState, sample: &[&str]) -> Incident {
    Incident {
        id: id.into(),
        topic: "active-threat".into(),
        also: [].into(),
        title: "Shots reported".to_owned(),
        severity: Severity::Critical,
        state,
        rules: ["active-threat.gunman".into()].into(),
        opened_at: at(100),
        first_post_at: at(90),
        last_post_at: at(100),
        posts: 2,
        authors: 2,
        stories: 1,
        why: "two authors".to_owned(),
        playbook: None,
        exercise: false,
        late: false,
        sample: sample.iter().map(|&id| id.into()).collect(),
        acknowledged: None,
        resolved: None,
        merged: [].into(),
        merged_into: None,
        reopened: None,
        again: None,
        notable: Vec::new(),
        anew: None,
        muted: None,
        revision: 1,
        told: Told { severity: Severity::Critical, authors: 2, notable: 0, receivers: BTreeSet::new() },
        escalations: vec![],
    }
}

pub(crate) fn delivery(id: &str, receiver: &str, incident: Incident, due: i64) -> Delivery {
    let message = Message { kind: MessageKind::Opened, at: at(100), incident };
    Delivery {
        id: id.into(),
        receiver: receiver.into(),
        recipient: None,
        message,
        due: at(due),
        give_up: at(due + 3600),
    }
}

pub(crate) fn sighting(post: &str, seconds: i64, incident: Option<&str>) -> Sighting {
    Sighting {
        rule: "r".into(),
        seen: Seen::new(at(seconds), post.into(), "a".into(), Story::begun_by(&post.into())),
        source: "bluesky".into(),
        incident: incident.map(Into::into),
        copy_of: None,
    }
}

pub(crate) fn telling(post: &str, words: Option<&[u32]>) -> Telling {
    let (author, original) = ("a".into(), Some("original".into()));
    Telling { post: post.into(), author, at: at(100), story: Story(u64::MAX), original, words: words.map(Into::into) }
}

pub(crate) fn alert(post: Option<&str>, incident: &str) -> Alert {
    Alert {
        at: at(100),
        rule: "r".into(),
        severity: Severity::High,
        topic: "t".into(),
        condition: ConditionKind::Count,
        incident: incident.into(),
        new_incident: true,
        posts: 2,
        authors: 2,
        within: Some(Duration::from_mins(10)),
        volume: None,
        figures: None,
        key: None,
        decided_by: Vec::new(),
        post: post.map(Into::into),
        why: "because".to_owned(),
    }
}

pub(crate) fn note(incident: &str, seconds: i64) -> TimelineEntry {
    TimelineEntry {
        incident: incident.into(),
        at: at(seconds),
        what: "note",
        by: "ann".to_owned(),
        text: "hi".to_owned(),
    }
}

pub(crate) fn gap(from: i64, to: Option<i64>) -> Gap {
    Gap { source: "bluesky".into(), from: at(from), to: to.map(at), reason: DownReason::Closed, recovered: false }
}

pub(crate) fn outbox(deliveries: Vec<Delivery>) -> Commit {
    Commit { outbox: deliveries, ..Commit::default() }
}

pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn db(&self) -> PathBuf {
        self.0.path().join("state").join("stormbell.db")
    }

    pub(crate) fn open(&self) -> Store {
        Store::open(&self.db()).unwrap()
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader::open(&self.db()).unwrap()
    }

    /// Whether a kept post has the text.
    pub(crate) fn keeps(&self, text: &str) -> bool {
        let kept = self.reader().kept_posts(None, usize::MAX).unwrap();
        kept.iter().any(|kept| kept.json.contains(text))
    }

    /// Everything that is sealed in the tables, as it lies there.
    pub(crate) fn sealed(&self) -> BTreeSet<String> {
        let sql = rusqlite::Connection::open(self.db()).unwrap();
        let query =
            "SELECT json FROM post WHERE json IS NOT NULL UNION SELECT json FROM held UNION SELECT why FROM alert
                     UNION SELECT text FROM timeline UNION SELECT text FROM audit WHERE text IS NOT NULL";
        let mut select = sql.prepare(query).unwrap();
        select.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    /// What was in the tables, is no more, and stands in a file all the same: the beginning of it or the end. Before is
    /// what [`Folder::sealed`] said.
    pub(crate) fn left_of(&self, before: &BTreeSet<String>) -> Vec<String> {
        let now = self.sealed();
        let all = self.bytes();
        // Characters are bytes here, and long ones lie in several pages.
        let part = |text: &String| {
            let (begin, end) = (text.len().min(80), text.len().saturating_sub(60));
            [text.get(..begin), text.get(end..)].map(|part| part.unwrap().to_owned())
        };
        let gone = before.difference(&now).flat_map(part);
        gone.filter(|part| memchr::memmem::find(&all, part.as_bytes()).is_some()).collect()
    }

    /// Whether the text stands anywhere in any file beside the database.
    pub(crate) fn contains(&self, text: &str) -> bool {
        memchr::memmem::find(&self.bytes(), text.as_bytes()).is_some()
    }

    /// All files beside the database, and itself.
    fn bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.db().parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.is_file()).flat_map(|path| std::fs::read(path).unwrap()).collect()
    }
}

pub(crate) fn ids(leased: &[Leased]) -> Vec<&str> {
    leased.iter().map(|leased| leased.delivery.id.as_str()).collect()
}

pub(crate) fn lease(store: &mut Store, receiver: &str, now: i64) -> Vec<Leased> {
    store.lease(&receiver.into(), at(now), LEASE, 10).unwrap()
}

pub(crate) fn numbered(number: i64) -> Commit {
    let progress =
        Progress { cursor: Some(Cursor(number)), bookmark: None, ledger: Ledger { frames: 1, ..Ledger::default() } };
    Commit {
        posts: vec![post(&format!("p{number}"), "a", "text")],
        progress: [("s".into(), progress)].into(),
        ..Commit::default()
    }
}
