//! A daemon that is only pretended, behind a real server.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::Value;
use stormbell::config::secret::Secret;
use stormbell::domain::access::{Accounts, Change};
use stormbell::domain::addressee::{Addressee, Recipient};
use stormbell::domain::audit::Entry;
use stormbell::domain::erasure::Hold;
use stormbell::domain::id::{IncidentId, PersonName, RuleId, SilenceId};
use stormbell::domain::incident::{Escalation, Incident, IncidentState, Severity, Signature, Told};
use stormbell::domain::lane::Sight;
use stormbell::domain::message::{Delivery, Message, MessageKind};
use stormbell::domain::oncall::{Layer, People, Person, Schedule, WallTime};
use stormbell::domain::playbook::{Approval, Followed};
use stormbell::domain::post::Post;
use stormbell::domain::seek::Seek;
use stormbell::domain::silence::{Draft, Silence};
use stormbell::domain::time::{Timestamp, Zone};
use stormbell::telemetry::metrics::Metrics;
use stormbell::web::view::{AlertView, DeliveryView, LedgerView, RuleView, SourceView, StatusView, TimelineView};
use stormbell::web::{
    Access, Action, Backend, BackendError, Doors, Erase, Escalate, Growth, HandOver, Hook, IncidentDetail, Inlets,
    Judgement, Live, Merge, Moment, Note, Numbered, Story, Visit, serve,
};
use stormbell::wire::link::Console;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub const TOKEN: &str = "a-token-of-some-length";
pub const HOOK_SECRET: &str = "planted-hook-secret";

/// What a receiver sent back: of which incident, what, from whom, when.
pub type Answered = (IncidentId, Action, Option<Addressee>, Timestamp);

pub struct Pretended {
    pub live: broadcast::Sender<Live>,
    /// What the first post says.
    pub says: Mutex<String>,
    pub changes: Mutex<Vec<Change>>,
    pub entries: Mutex<Vec<Entry>>,
    /// The path of the link to the first account.
    pub first_link: Mutex<Option<String>>,
    /// Nothing can be written.
    pub full: AtomicBool,
    /// No incident is alive.
    pub quiet: AtomicBool,
    /// How many more incidents are over, two at a time.
    pub past: AtomicI64,
    /// Seconds since the beginning.
    pub clock: AtomicI64,
    pub not_ready: Mutex<Vec<String>>,
    pub acted: Mutex<Vec<(IncidentId, Action)>>,
    pub answered: Mutex<Vec<Answered>>,
    pub merged: Mutex<Vec<Merge>>,
    pub silences: Mutex<Vec<Silence>>,
    /// What a team did, see `team.rs`.
    pub handed: Mutex<Vec<HandOver>>,
    pub escalated: Mutex<Vec<Escalate>>,
    pub followed: Mutex<Followed>,
    pub approvals: Mutex<Vec<Approval>>,
    pub notes: Mutex<Vec<Note>>,
    pub judged: Mutex<Vec<Judgement>>,
    pub sought: Mutex<Vec<Seek>>,
    /// How many posts are found.
    pub found: AtomicUsize,
    /// Searches by account and name.
    pub saved: Mutex<BTreeMap<(String, String), String>>,
    /// What was ordered about privacy, see `privacy.rs`.
    pub erased: Mutex<Vec<Erase>>,
    pub held: Mutex<Vec<Hold>>,
}

impl Default for Pretended {
    fn default() -> Self {
        Self {
            live: broadcast::channel(16).0,
            says: Mutex::new("shots".to_owned()),
            changes: Mutex::default(),
            entries: Mutex::default(),
            first_link: Mutex::default(),
            full: AtomicBool::new(false),
            quiet: AtomicBool::new(false),
            past: AtomicI64::new(0),
            clock: AtomicI64::new(100),
            not_ready: Mutex::default(),
            acted: Mutex::default(),
            answered: Mutex::default(),
            merged: Mutex::default(),
            silences: Mutex::default(),
            handed: Mutex::default(),
            escalated: Mutex::default(),
            followed: Mutex::default(),
            approvals: Mutex::default(),
            notes: Mutex::default(),
            judged: Mutex::default(),
            sought: Mutex::default(),
            found: AtomicUsize::new(2),
            saved: Mutex::default(),
            erased: Mutex::default(),
            held: Mutex::default(),
        }
    }
}

impl Pretended {
    pub fn now_at(&self) -> Timestamp {
        at(self.clock.load(Ordering::Relaxed))
    }

    pub fn post(&self) -> Post {
        let says = self.says.lock().unwrap().clone();
        Post::plain("at://1".into(), "bluesky".into(), "did:1".into(), says, at(0))
    }
}

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_795_341_600 + seconds)
}

pub fn incident(state: IncidentState) -> Incident {
    Incident {
        id: "active-threat/1".into(),
        topic: "active-threat".into(),
        also: [].into(),
        title: "Gunman reported <b>".to_owned(),
        severity: Severity::Critical,
        state,
        rules: ["active-threat.gunman".into()].into(),
        opened_at: at(1),
        first_post_at: at(-60),
        last_post_at: at(0),
        posts: 2,
        authors: 2,
        stories: 1,
        why: "two authors".to_owned(),
        playbook: Some("playbooks/active-threat.md".to_owned()),
        exercise: false,
        late: false,
        sample: vec!["at://1".into()],
        acknowledged: (state == IncidentState::Acknowledged).then(|| Signature { by: "ann".to_owned(), at: at(9) }),
        resolved: (state == IncidentState::Resolved).then(|| Signature { by: "bob".to_owned(), at: at(70) }),
        merged: [].into(),
        merged_into: None,
        reopened: None,
        again: None,
        notable: Vec::new(),
        anew: None,
        muted: None,
        revision: 1,
        told: Told { severity: Severity::Critical, authors: 2, notable: 0, receivers: BTreeSet::new() },
        escalations: vec![Escalation { route: 0, step: 0, due: None, muted: false }],
    }
}

impl Backend for Pretended {
    fn now(&self) -> Timestamp {
        self.now_at()
    }

    async fn not_ready(&self) -> Vec<String> {
        self.not_ready.lock().unwrap().clone()
    }

    async fn incidents(
        &self,
        state: Option<IncidentState>,
        before: Option<(Timestamp, IncidentId)>,
        limit: usize,
    ) -> Result<Vec<Incident>, BackendError> {
        if self.quiet.load(Ordering::Relaxed) && state.is_some() {
            return Ok(Vec::new());
        }
        let past = (0..self.past.load(Ordering::Relaxed)).map(|number| Incident {
            id: format!("over/{number:04}").into(),
            opened_at: at(-(number / 2)),
            ..incident(IncidentState::Resolved)
        });
        let asked = |one: &Incident| state.is_none_or(|state| state == one.state);
        let follows = |one: &Incident| {
            before.as_ref().is_none_or(|(at, id)| (Reverse(one.opened_at), &one.id) > (Reverse(*at), id))
        };
        let all = IncidentState::ALL.into_iter().map(incident).chain(past);
        Ok(all.filter(asked).filter(follows).take(limit).collect())
    }

    async fn incident(&self, id: IncidentId, _sight: Sight) -> Result<Option<IncidentDetail>, BackendError> {
        let state = match id.as_str() {
            "active-threat/1" | "drill" => IncidentState::Open,
            "taken" => IncidentState::Acknowledged,
            "over" | "merged" => IncidentState::Resolved,
            "stuck" => return Err(BackendError::Unavailable("the store is stuck".to_owned())),
            _ => return Ok(None),
        };
        let timeline = TimelineView {
            at: at(1).to_string(),
            what: "opened".to_owned(),
            by: "stormbell".to_owned(),
            text: String::new(),
        };
        let alert = AlertView {
            at: at(0).to_string(),
            rule: "active-threat.gunman".to_owned(),
            severity: "critical".to_owned(),
            condition: "count".to_owned(),
            posts: 2,
            authors: 2,
            post: None,
            key: Some("example.org/leak".to_owned()),
            expected: None,
            upper: None,
            within_seconds: None,
            why: "two authors".to_owned(),
        };
        let merged_into = (id.as_str() == "merged").then(|| "inc-b7koqi2mza".into());
        let incident = Incident { exercise: id.as_str() == "drill", merged_into, ..incident(state) };
        Ok(Some(IncidentDetail { incident, timeline: vec![timeline], alerts: vec![alert], posts: vec![self.post()] }))
    }

    async fn act(&self, id: IncidentId, action: Action) -> Result<Option<Incident>, BackendError> {
        if id.as_str() == "stuck" {
            return Err(BackendError::Unavailable("the store is stuck".to_owned()));
        }
        if matches!(id.as_str(), "over" | "merged") {
            return Err(BackendError::Conflict("the incident is resolved".to_owned()));
        }
        let taken = incident(IncidentState::Acknowledged);
        let acknowledged = match id.as_str() {
            "i1" | "taken" => taken.acknowledged.clone(),
            "active-threat/1" | "drill" => Some(Signature { by: action.by.clone(), at: self.now() }),
            _ => return Ok(None),
        };
        self.acted.lock().unwrap().push((id.clone(), action));
        Ok(Some(Incident { acknowledged, exercise: id.as_str() == "drill", ..taken }))
    }

    async fn merge(&self, id: IncidentId, merge: Merge) -> Result<Option<Incident>, BackendError> {
        match id.as_str() {
            "i1" => {
                self.merged.lock().unwrap().push(merge);
                Ok(Some(incident(IncidentState::Open)))
            }
            "over" => Err(BackendError::Conflict("the incident is resolved already".to_owned())),
            _ => Ok(None),
        }
    }

    async fn answered(
        &self,
        id: IncidentId,
        action: Action,
        knows: Option<Addressee>,
        at: Timestamp,
    ) -> Result<Option<Incident>, BackendError> {
        match id.as_str() {
            "stuck" => Err(BackendError::Unavailable("the store is stuck".to_owned())),
            "i1" => {
                self.answered.lock().unwrap().push((id, action, knows, at));
                Ok(Some(incident(IncidentState::Acknowledged)))
            }
            _ => Ok(None),
        }
    }

    async fn drill(&self, scenario: String, by: String) -> Result<Vec<Incident>, BackendError> {
        match scenario.as_str() {
            "fire" => Ok(vec![Incident {
                exercise: true,
                title: format!("EXERCISE: by {by}"),
                ..incident(IncidentState::Open)
            }]),
            _ => Err(BackendError::Invalid("there is no such scenario".to_owned())),
        }
    }

    async fn exercises(&self, _since: Timestamp) -> Result<Vec<Incident>, BackendError> {
        Ok(vec![Incident { exercise: true, ..incident(IncidentState::Resolved) }])
    }

    fn next_drills(&self) -> Vec<(String, Timestamp)> {
        vec![("fire".to_owned(), at(86_400))]
    }

    async fn deliveries(&self, id: IncidentId) -> Result<Vec<DeliveryView>, BackendError> {
        let delivered = DeliveryView {
            id: "msg_1".to_owned(),
            receiver: "pager".to_owned(),
            person: None,
            kind: "incident.opened".to_owned(),
            at: at(1).to_string(),
            state: "delivered".to_owned(),
            attempts: 1,
            finished_at: Some(at(2).to_string()),
            error: None,
        };
        Ok(if id.as_str() == "active-threat/1" { vec![delivered] } else { Vec::new() })
    }

    async fn silences(&self) -> Result<Vec<Silence>, BackendError> {
        Ok(self.silences.lock().unwrap().clone())
    }

    async fn silence(&self, draft: Draft) -> Result<Silence, BackendError> {
        let silence = Silence::of(draft, self.now()).map_err(|refused| BackendError::Invalid(refused.to_string()))?;
        self.silences.lock().unwrap().push(silence.clone());
        Ok(silence)
    }

    async fn end_silence(&self, id: SilenceId, by: String) -> Result<Option<Silence>, BackendError> {
        let mut silences = self.silences.lock().unwrap();
        let Some(silence) = silences.iter_mut().find(|silence| silence.id == id) else { return Ok(None) };
        silence.until = self.now();
        silence.ended = Some(Signature { by, at: self.now() });
        Ok(Some(silence.clone()))
    }

    async fn sources(&self) -> Result<Vec<SourceView>, BackendError> {
        Ok(vec![SourceView {
            name: "bluesky".to_owned(),
            up: true,
            host: Some("jetstream.example".to_owned()),
            reason: None,
            lag_seconds: Some(0.4),
            cursor: None,
            coverage: 1.0,
            ledger: LedgerView { posts: 1_204_332, ..LedgerView::default() },
            unwatched: vec!["Twitch has no channel absent, nobody reads it".to_owned()],
            gaps: vec![],
        }])
    }

    async fn rules(&self) -> Result<Vec<RuleView>, BackendError> {
        Ok(vec![])
    }

    fn people(&self) -> Arc<People> {
        let ann = || PersonName::from("ann");
        let layer =
            Layer { rotation: vec![ann()], start: WallTime::default(), every: Duration::from_hours(24), only: vec![] };
        let schedule = Schedule { zone: Zone::default(), layers: vec![layer], overrides: vec![] };
        let reached = Person { contact: [("sms".into(), "+1555".to_owned())].into(), ..Person::default() };
        let persons = [(ann(), Person::default()), ("bob".into(), reached)].into();
        Arc::new(People { persons, schedules: [("press".into(), schedule)].into(), ..People::default() })
    }

    fn desk(&self, _visit: Visit) -> Result<(), BackendError> {
        Err(BackendError::Invalid("no place for desks".to_owned()))
    }

    fn organization(&self) -> (String, Zone) {
        ("St. Brigid's Hospital".to_owned(), Zone::default())
    }

    fn started(&self) -> Timestamp {
        at(0)
    }

    fn watch(&self) -> broadcast::Receiver<Live> {
        self.live.subscribe()
    }

    async fn growth(&self, ids: Vec<IncidentId>) -> Result<Vec<Growth>, BackendError> {
        let moments = vec![Moment { posts: 1, authors: 1 }, Moment::default(), Moment { posts: 40, authors: 3 }];
        Ok(ids
            .iter()
            .map(|_| Growth { from: at(-60), every: Duration::from_secs(10), moments: moments.clone() })
            .collect())
    }

    async fn stories(&self, _id: IncidentId, _sight: Sight) -> Result<Vec<Story>, BackendError> {
        Ok(vec![Story { post: Some(self.post()), posts: 2, authors: 2, first: at(-60) }])
    }

    async fn marks(&self, _rules: BTreeSet<RuleId>, posts: Vec<Post>) -> Result<Vec<Vec<Range<usize>>>, BackendError> {
        Ok(posts.iter().map(|_| std::iter::once(0..5).collect()).collect())
    }

    async fn change_access(&self, changes: Vec<Change>, entries: Vec<Entry>) -> Result<(), BackendError> {
        if self.full.load(Ordering::Relaxed) {
            return Err(BackendError::Unavailable("the disk is full".to_owned()));
        }
        self.changes.lock().unwrap().extend(changes);
        self.entries.lock().unwrap().extend(entries);
        Ok(())
    }

    fn first_account(&self, url: &str) {
        *self.first_link.lock().unwrap() = Some(url::Url::parse(url).unwrap().path().to_owned());
    }

    async fn audit(&self, before: Option<i64>, _sight: Sight) -> Result<Vec<Numbered>, BackendError> {
        let entries = self.entries.lock().unwrap();
        let numbered = entries.iter().enumerate().map(|(n, entry)| (i64::try_from(n).unwrap() + 1, entry.clone()));
        Ok(numbered
            .filter(|(n, _)| before.is_none_or(|before| *n < before))
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect())
    }

    async fn status(&self) -> Result<StatusView, BackendError> {
        Ok(StatusView {
            version: "1".to_owned(),
            organization: "St. Brigid's Hospital".to_owned(),
            timezone: "UTC".to_owned(),
            started_at: at(0).to_string(),
            ready: true,
            reasons: vec![],
            rules: 3,
            open: 1,
            acknowledged: 0,
            sources: vec![],
            receivers: vec![],
            desks: None,
        })
    }
}

/// Where people reach the daemon.
pub fn public() -> Console {
    Console::with_links("https://bell.hospital.example".parse().unwrap(), "planted-link-key")
}

/// Where the link leads that a message at `sent` had, sent to `person` or everybody behind `sms`.
pub fn link(incident_id: &str, person: Option<&str>, sent: Timestamp) -> String {
    let incident = Incident { id: incident_id.into(), ..incident(IncidentState::Open) };
    let recipient = person.map(|person| Recipient { person: person.into(), address: "+1555".to_owned() });
    let message = Message { kind: MessageKind::Opened, at: sent, incident };
    let (id, receiver) = ("msg".into(), "sms".into());
    let delivery = Delivery { id, receiver, recipient, message, due: sent, give_up: sent };
    let url = public().acknowledge_url(&delivery).unwrap();
    url.strip_prefix("https://bell.hospital.example").unwrap().to_owned()
}

/// A server that stops when the test ends.
pub struct Server {
    pub address: SocketAddr,
    pub backend: Arc<Pretended>,
    pub metrics: Arc<Metrics>,
    pub client: Client,
    pub cancel: CancellationToken,
    pub tasks: JoinSet<std::io::Result<()>>,
}

impl Server {
    pub async fn start(access: Access, console: Option<Console>) -> Self {
        Self::start_with(access, console, |_| {}).await
    }

    /// With other doors than the usual ones.
    pub async fn start_with(access: Access, console: Option<Console>, change: impl FnOnce(&mut Doors)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (backend, metrics) = (Arc::new(Pretended::default()), Arc::new(Metrics::default()));
        let (cancel, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let console = console.unwrap_or_else(|| Console::at(format!("http://{address}").parse().unwrap()));
        let hooks = [("pager".into(), Hook::PagerDuty(Secret::new(HOOK_SECRET.to_owned())))].into();
        let (accounts, inlets) = (Accounts::default(), Inlets::default());
        let mut doors =
            Doors { access, tls: None, proxy: None, oidc: None, accounts, console: Some(console), hooks, inlets };
        change(&mut doors);
        let served = serve(listener, Arc::clone(&backend), doors, Arc::clone(&metrics), cancel.clone());
        tasks.spawn(served);
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        Self { address, backend, metrics, client, cancel, tasks }
    }

    pub async fn open() -> Self {
        Self::start(Access::Open, None).await
    }

    pub async fn guarded() -> Self {
        Self::start(Access::Token(Secret::new(TOKEN.to_owned())), None).await
    }

    pub async fn with_links() -> Self {
        Self::start(Access::Token(Secret::new(TOKEN.to_owned())), Some(public())).await
    }

    /// What a browser gets that was sent to the public address; `origin` says on which page a button was pressed.
    pub async fn browse(&self, method: Method, path: &str, origin: Option<&str>) -> (StatusCode, String) {
        let mut request = self.ask(method, path).header("host", "bell.hospital.example");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        if text.starts_with('<') {
            let header = |name: &str| headers[name].to_str().unwrap().to_owned();
            assert_eq!(header("content-type"), "text/html; charset=utf-8");
            assert_eq!((header("cache-control"), header("referrer-policy")), ("no-store".into(), "same-origin".into()));
            assert!(header("x-robots-tag").contains("noindex"));
            let policy = header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"));
            assert!(policy.contains("form-action 'self'; frame-ancestors 'none'"), "{policy}");
        }
        (status, text)
    }

    pub fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.ask(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &str) -> (StatusCode, Value) {
        let request = self.ask(Method::POST, path).header("content-type", "application/json");
        answer(request.body(body.to_owned())).await
    }
}

pub async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert!(response.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    let (status, text) = (response.status(), response.text().await.unwrap());
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

pub fn is_error(answer: &(StatusCode, Value), status: u16, words: &str) {
    assert_eq!(answer.0.as_u16(), status, "{answer:?}");
    assert!(answer.1["error"].as_str().unwrap().contains(words), "{answer:?}");
}
