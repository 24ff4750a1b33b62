//! Ways in: what others send to a source by the daemon's own web server.
//!
//! A source opens an inlet under its name and is handed calls; whoever serves the addresses brings them. Neither knows
//! the other. Whether a call is what it claims to be, the inlet's gate says before anybody is handed it, in the task
//! of whoever serves: a flood of calls that nobody signed fills no queue and holds up no source. What is refused is
//! counted, and told by the source.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use hyper::body::Bytes;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use sha2::Sha256;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot};
use url::Url;

use crate::config::secret::Secret;

/// The longest body that is taken, in bytes. A batch of a thousand changes has about one MiB.
pub const MOST_BYTES: usize = 4 << 20;
/// A body of up to so many bytes is read without asking for room.
pub const SMALL_BYTES: usize = 64 << 10;
/// Longer bodies of one inlet that are held at a time.
const LARGE_AT_ONCE: usize = 4;
/// Calls that wait for a source.
const CALLS: usize = 16;

/// A request that came for a source.
#[derive(Clone, Debug)]
pub struct Call {
    /// What follows the source's name in the address.
    pub place: Option<String>,
    /// The query, as it came.
    pub query: Option<String>,
    /// Headers.
    pub headers: HeaderMap,
    /// What was posted, byte for byte; none when something is asked.
    pub body: Option<Bytes>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Whether it was taken.
    pub status: StatusCode,
    /// For whoever called.
    pub text: String,
}

impl Reply {
    /// An answer.
    pub fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    /// It could not be kept now.
    pub fn try_again() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "this could not be written down; try again")
    }
}

/// What a gate says of a call.
#[derive(Debug)]
pub enum Admission {
    /// It is for the source.
    Admitted,
    /// That is all there is to say.
    Answered(Reply),
    /// It is not what it claims to be. It is counted.
    Refused(Reply),
}

/// Decides before a source hears of a call. It must be quick, and neither wait nor keep the call.
pub trait Gate: Send + Sync {
    /// What is there to say of a call that posts something, before its body is read: whoever shows nothing that could prove
    /// anything takes no room. A call that it lets in may still be refused for its body.
    fn before(&self, call: &Call) -> Admission;

    /// What is there to say of a whole call.
    fn admit(&self, call: &Call) -> Admission;
}

/// A call that a source is handed, and where its answer goes.
#[derive(Debug)]
pub struct Waiting {
    /// It.
    pub call: Call,
    /// Dropped without an answer, it is to come again.
    pub answer: oneshot::Sender<Reply>,
}

/// What was turned away since somebody asked last.
#[derive(Debug, Default)]
pub struct Refusals {
    forged: AtomicU64,
    too_large: AtomicU64,
}

impl Refusals {
    /// Takes up to so many that were not what they claimed to be off the count.
    pub fn take_forged(&self, most: u64) -> u64 {
        take(&self.forged, most)
    }

    /// The same of those that were too long.
    pub fn take_too_large(&self, most: u64) -> u64 {
        take(&self.too_large, most)
    }
}

fn take(count: &AtomicU64, most: u64) -> u64 {
    let mut taken = 0;
    let rest = |count: u64| {
        taken = count.min(most);
        Some(count - taken)
    };
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).map_or(0, |_| taken)
}

/// A source's end of an inlet.
#[derive(Debug)]
pub struct Opened {
    /// What was admitted.
    pub calls: mpsc::Receiver<Waiting>,
    /// What was not.
    pub refusals: Arc<Refusals>,
}

/// The web server's end of an inlet.
pub struct Inlet {
    gate: Box<dyn Gate>,
    calls: mpsc::Sender<Waiting>,
    refusals: Arc<Refusals>,
    large: Semaphore,
}

impl Inlet {
    /// Room for a body of that length, for as long as the answer is held; none when there is none now.
    pub fn room(&self, length: Option<usize>) -> Option<Room<'_>> {
        if length.is_some_and(|length| length <= SMALL_BYTES) {
            return Some(Room { most: SMALL_BYTES, _permit: None });
        }
        let permit = self.large.try_acquire().ok()?;
        Some(Room { most: MOST_BYTES, _permit: Some(permit) })
    }

    /// A body was longer than is taken.
    pub fn was_too_large(&self) {
        self.refusals.too_large.fetch_add(1, Ordering::Relaxed);
    }

    /// The answer to a call that posts something, where that needs no look at what it posts.
    pub fn before(&self, call: &Call) -> Option<Reply> {
        self.said(self.gate.before(call))
    }

    /// Brings a call; waits until the source has kept it.
    pub async fn call(&self, call: Call) -> Reply {
        if let Some(reply) = self.said(self.gate.admit(&call)) {
            return reply;
        }
        let (answer, answered) = oneshot::channel();
        if self.calls.send(Waiting { call, answer }).await.is_err() {
            return Reply::try_again();
        }
        answered.await.unwrap_or_else(|_| Reply::try_again())
    }

    fn said(&self, admission: Admission) -> Option<Reply> {
        match admission {
            Admission::Admitted => None,
            Admission::Answered(reply) => Some(reply),
            Admission::Refused(reply) => {
                self.refusals.forged.fetch_add(1, Ordering::Relaxed);
                Some(reply)
            }
        }
    }
}

/// Leave to read a body.
#[derive(Debug)]
pub struct Room<'a> {
    /// Up to so many bytes.
    pub most: usize,
    _permit: Option<SemaphorePermit<'a>>,
}

/// All inlets of the daemon; cheap to clone, shared.
#[derive(Clone, Default)]
pub struct Inlets {
    open: Arc<RwLock<BTreeMap<String, Arc<Inlet>>>>,
    public: Option<Arc<Public>>,
}

/// Where others reach the daemon, and what its own secrets are made of.
struct Public {
    url: Url,
    key: Secret,
}

impl Inlets {
    /// Inlets of a server that others reach at that address; `key` is this daemon's own, kept over restarts.
    pub fn at(public_url: Url, key: Secret) -> Self {
        Self { public: Some(Arc::new(Public { url: public_url, key })), ..Self::default() }
    }

    /// Opens one. One of that name before is closed.
    pub fn open(&self, name: &str, gate: Box<dyn Gate>) -> Opened {
        let (calls, handed) = mpsc::channel(CALLS);
        let refusals = Arc::new(Refusals::default());
        let inlet = Inlet { gate, calls, refusals: Arc::clone(&refusals), large: Semaphore::new(LARGE_AT_ONCE) };
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.insert(name.to_owned(), Arc::new(inlet));
        Opened { calls: handed, refusals }
    }

    /// The one of that name.
    pub fn find(&self, name: &str) -> Option<Arc<Inlet>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).get(name).map(Arc::clone)
    }

    /// The address of a place behind a name, as others reach it; none where they cannot.
    pub fn address(&self, name: &str, place: &str) -> Option<Url> {
        let mut url = self.public.as_ref()?.url.clone();
        url.path_segments_mut().ok()?.pop_if_empty().extend(["in", name, place]);
        Some(url)
    }

    /// A secret that nobody can guess and that is the same after every restart, for one purpose and topic; none where
    /// others cannot reach us. 43 letters, digits, `-` and `_`.
    pub fn secret(&self, purpose: &str, name: &str, topic: &str) -> Option<String> {
        let public = self.public.as_ref()?;
        let mac = Hmac::<Sha256>::new_from_slice(public.key.expose().as_bytes()).ok()?;
        // No purpose and no name has a line break.
        let mac = mac.chain_update(format!("stormbell inlet 1\n{purpose}\n{name}\n{topic}"));
        Some(BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for Inlets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Inlets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(body: &'static str) -> Call {
        Call { place: None, query: None, headers: HeaderMap::new(), body: Some(Bytes::from_static(body.as_bytes())) }
    }

    struct ByBody;

    impl Gate for ByBody {
        fn before(&self, call: &Call) -> Admission {
            if call.place.is_some() {
                return Admission::Answered(Reply::new(StatusCode::NOT_FOUND, "nothing here"));
            }
            if call.headers.is_empty() { Admission::Refused(no()) } else { Admission::Admitted }
        }

        fn admit(&self, call: &Call) -> Admission {
            match call.body.as_deref() {
                Some(b"good") => Admission::Admitted,
                Some(b"bad") => Admission::Refused(no()),
                _ => Admission::Answered(Reply::new(StatusCode::OK, "hello")),
            }
        }
    }

    fn no() -> Reply {
        Reply::new(StatusCode::UNAUTHORIZED, "no")
    }

    fn gate() -> Box<dyn Gate> {
        Box::new(ByBody)
    }

    #[test]
    fn what_is_refused_before_its_body_is_read_is_counted_too() {
        let inlets = Inlets::default();
        let opened = inlets.open("a", gate());
        let inlet = inlets.find("a").unwrap();
        let mut announced = Call { body: None, ..call("") };
        assert_eq!(inlet.before(&announced), Some(no()));
        announced.headers.insert("x-signature", "00".parse().unwrap());
        assert_eq!(inlet.before(&announced), None);
        announced.place = Some("else".to_owned());
        assert_eq!(inlet.before(&announced).map(|reply| reply.status), Some(StatusCode::NOT_FOUND));
        assert_eq!(opened.refusals.take_forged(1000), 1);
    }

    #[tokio::test]
    async fn what_is_refused_is_counted_and_never_reaches_the_source() {
        let inlets = Inlets::default();
        let mut opened = inlets.open("a", gate());
        let inlet = inlets.find("a").unwrap();
        for _ in 0..100 {
            assert_eq!(inlet.call(call("bad")).await.status, StatusCode::UNAUTHORIZED);
        }
        assert_eq!(inlet.call(call("else")).await.text, "hello");
        assert!(opened.calls.try_recv().is_err());
        assert_eq!((opened.refusals.take_forged(30), opened.refusals.take_forged(1000)), (30, 70));
        assert_eq!(opened.refusals.take_forged(1000), 0);
        assert!(inlets.find("b").is_none());
    }

    #[tokio::test]
    async fn a_call_waits_for_its_answer_and_comes_again_when_there_is_none() {
        let inlets = Inlets::default();
        let mut opened = inlets.open("a", gate());
        let inlet = inlets.find("a").unwrap();
        let source = async {
            let first = opened.calls.recv().await.unwrap();
            first.answer.send(Reply::new(StatusCode::OK, "kept")).unwrap();
            drop(opened.calls.recv().await);
        };
        let caller = async { (inlet.call(call("good")).await.text, inlet.call(call("good")).await) };
        let ((), (first, second)) = tokio::join!(source, caller);
        assert_eq!((first.as_str(), second), ("kept", Reply::try_again()));
        drop(opened);
        assert_eq!(inlet.call(call("good")).await, Reply::try_again(), "nobody is there any more");
    }

    #[test]
    fn long_bodies_are_few_at_a_time_and_short_ones_need_no_room() {
        let inlets = Inlets::default();
        let _opened = inlets.open("a", gate());
        let inlet = inlets.find("a").unwrap();
        let held: Vec<_> = (0..LARGE_AT_ONCE).map(|_| inlet.room(None).unwrap()).collect();
        assert!(inlet.room(None).is_none() && inlet.room(Some(MOST_BYTES)).is_none());
        assert_eq!(inlet.room(Some(SMALL_BYTES)).unwrap().most, SMALL_BYTES);
        drop(held);
        assert_eq!(inlet.room(None).unwrap().most, MOST_BYTES);
    }

    #[test]
    fn secrets_differ_by_purpose_name_topic_and_key_and_nothing_else() {
        let at = |key: &str| Inlets::at("https://bell.example/base/".parse().unwrap(), Secret::new(key.to_owned()));
        let (ours, theirs) = (at("one"), at("two"));
        let one = ours.secret("path", "blog", "https://b.example/").unwrap();
        assert_eq!(one.len(), 43);
        assert_eq!(Some(&one), at("one").secret("path", "blog", "https://b.example/").as_ref());
        for other in [
            ours.secret("secret", "blog", "https://b.example/"),
            ours.secret("path", "blo", "https://b.example/"),
            ours.secret("path", "blog", "https://b.example/2"),
            theirs.secret("path", "blog", "https://b.example/"),
        ] {
            assert_ne!(other.as_ref(), Some(&one));
        }
        assert_eq!(ours.address("blog", "x").unwrap().as_str(), "https://bell.example/base/in/blog/x");
        assert_eq!(Inlets::default().address("blog", "x"), None);
        assert_eq!(Inlets::default().secret("path", "blog", "x"), None);
    }
}
