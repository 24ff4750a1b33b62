//! What the pretended daemon knows of rules and of what was.

use std::sync::Arc;
use std::time::Duration;

use stormbell::config::rules::parse_rules;
use stormbell::domain::diagnostic::SourceText;
use stormbell::domain::event::DownReason;
use stormbell::domain::id::{IncidentId, PostId, RuleId};
use stormbell::domain::incident::{Gap, Incident, IncidentState};
use stormbell::domain::lane::Sight;
use stormbell::domain::organization::Organization;
use stormbell::domain::rule::exclusion::Exclusion;
use stormbell::domain::rule::{Rule, compile};
use stormbell::domain::seek::{FoundPost, Seek};
use stormbell::domain::time::Timestamp;
use stormbell::web::{
    Backend as _, BackendError, Draft, Judgement, LastMessage, Missed, Past, Preview, Proposal, RuleDetail, RuleState,
    Tried, TriedPost, Workshop,
};

use super::pretended::{Pretended, at, incident};

/// The one rule there is.
pub const RULE: &str = "active-threat.gunman";

fn rule() -> Rule {
    let text = format!(
        "schema = 1\n[pack]\nname = \"active-threat\"\n[[rule]]\nid = \"{RULE}\"\ntitle = \"Gunman <b>reported</b>\"\nseverity = \"critical\"\n\
         query = 'gunman'\nexcept = [{{ reason = \"films\", query = 'film' }}]\ncount = {{ at_least = 2, distinct = \"author\", within = \"10m\" }}\n"
    );
    let source = Arc::new(SourceText { name: "rules/own.toml".to_owned(), text });
    let (file, findings) = parse_rules(&source);
    assert!(findings.is_empty(), "{findings:?}");
    compile(&file.unwrap(), &Organization::example()).0.remove(0)
}

impl Pretended {
    fn tried(&self, taken: bool) -> TriedPost {
        let marks = std::iter::once(0..5).collect();
        TriedPost { post: self.post(), taken, before: !taken, marks, why: "gunman".to_owned() }
    }
}

impl Workshop for Pretended {
    async fn rule(&self, id: RuleId, _sight: Sight) -> Result<Option<RuleDetail>, BackendError> {
        if id.as_str() != RULE {
            return Ok(None);
        }
        let judged: Vec<Judgement> = self.judged.lock().unwrap().clone();
        let of = |real| {
            let those = judged.iter().filter(|one| one.real == real);
            (those.clone().count() as u64, those.map(|one| one.at).max())
        };
        let says = self.says.lock().unwrap().clone();
        let exclusion = Exclusion { query: "drill".to_owned(), noise: 3, others: 1, looked_at: 9 };
        Ok(Some(RuleDetail {
            rule: rule(),
            state: RuleState::Learning(Duration::from_hours(30)),
            file: "rules/own.toml".to_owned(),
            built_in: false,
            fired: vec![at(50), at(-86_400)],
            alerts: 2,
            real: of(true),
            noise: of(false),
            judged,
            tests: vec![("two people".to_owned(), None), ("a film".to_owned(), Some("raised 1 alert".to_owned()))],
            proposal: Some(Proposal { exclusion, reason: says, diff: "--- a/x\n+++ b/x\n".to_owned() }),
        }))
    }

    async fn try_rule(
        &self,
        id: RuleId,
        draft: Draft,
        text: String,
        _sight: Sight,
    ) -> Result<Option<Tried>, BackendError> {
        if id.as_str() != RULE {
            return Ok(None);
        }
        if draft.query.contains('(') {
            return Err(BackendError::Invalid("there is a ( without its )".to_owned()));
        }
        let diff = format!("--- a/rules/own.toml\n+query = '{}'\n", draft.query);
        let text = (!text.is_empty()).then(|| self.tried(false));
        let (taken, near, lost) = (vec![self.tried(true)], vec![self.tried(false)], Vec::new());
        Ok(Some(Tried { text, taken, near, lost, looked_at: 2, takes: 1, diff }))
    }

    async fn preview_rule(&self, id: RuleId, _draft: Draft) -> Result<Option<Preview>, BackendError> {
        let (before, after) = (vec![at(0)], vec![at(0), at(50)]);
        let preview = Preview { span: Some((at(-86_400), at(50))), posts: 1234, cut: true, before, after };
        Ok((id.as_str() == RULE).then_some(preview))
    }

    async fn judge(&self, judgement: Judgement) -> Result<Option<()>, BackendError> {
        if self.incident(judgement.incident.clone(), Sight::Veiled).await?.is_none() {
            return Ok(None);
        }
        self.judged.lock().unwrap().push(judgement);
        Ok(Some(()))
    }

    async fn judgement(&self, id: IncidentId) -> Result<Option<Judgement>, BackendError> {
        Ok(self.judged.lock().unwrap().iter().rev().find(|one| one.incident == id).cloned())
    }
}

impl Past for Pretended {
    async fn find(
        &self,
        seek: Seek,
        _sight: Sight,
        before: Option<(Timestamp, PostId)>,
        limit: usize,
    ) -> Result<Vec<FoundPost>, BackendError> {
        self.sought.lock().unwrap().push(seek);
        // So many posts, each a second older than the one before.
        let most = self.found.load(std::sync::atomic::Ordering::Relaxed);
        let begin = before.map_or(0, |(before, _)| i64::try_from(at(0).since(before).as_secs()).unwrap() + 1);
        let number = |n: i64| usize::try_from(n).unwrap();
        let one = |n: i64| {
            let post =
                stormbell::domain::post::Post { event_time: at(-n), id: format!("at://{n}").into(), ..self.post() };
            FoundPost { post, rules: [RULE.into()].into(), incidents: ["active-threat/1".into()].into() }
        };
        Ok((begin..).take_while(|n| number(*n) < most).take(limit).map(one).collect())
    }

    async fn find_incidents(&self, _seek: Seek, _sight: Sight, _limit: usize) -> Result<Vec<Incident>, BackendError> {
        Ok(vec![incident(IncidentState::Open)])
    }

    async fn saved_searches(&self, account: String) -> Result<Vec<(String, String)>, BackendError> {
        let saved = self.saved.lock().unwrap();
        let own = saved.iter().filter(|((whose, _), _)| *whose == account);
        Ok(own.map(|((_, name), query)| (name.clone(), query.clone())).collect())
    }

    async fn save_search(&self, account: String, name: String, query: Option<String>) -> Result<bool, BackendError> {
        let mut saved = self.saved.lock().unwrap();
        match query {
            Some(query) => drop(saved.insert((account, name), query)),
            None => drop(saved.remove(&(account, name))),
        }
        Ok(true)
    }

    async fn missed(&self, _since: Timestamp) -> Result<Vec<Missed>, BackendError> {
        let gap = Gap {
            source: "bluesky".into(),
            from: at(-90_000),
            to: Some(at(-86_400)),
            reason: DownReason::Closed,
            recovered: false,
        };
        Ok(vec![Missed { source: "bluesky".to_owned(), known_since: at(-10 * 86_400), gaps: vec![gap] }])
    }

    async fn last_messages(&self) -> Result<Vec<LastMessage>, BackendError> {
        Ok(vec![LastMessage { receiver: "pager".to_owned(), exercise: true, delivered: true, at: at(-60) }])
    }
}
