//! The one writer: a blocking loop that turns waiting requests into transactions.
//!
//! Everything that waits goes into one transaction (group commit): under load the disk's
//! patience is shared, when idle nobody waits for company. An answer comes after the disk
//! has it.
//!
//! A commit that fails for a reason that may pass (a disk that is full, fails or may only be read, a stranger's lock) is
//! kept and tried again, and no later commit overtakes it: a cursor must never move past an alert that
//! is not on disk. Messages that are on disk go out meanwhile, see [`super::aside`]; everything else fails, and is told
//! so. Any other failure ends the loop; the process ends, and the restart resumes from the last commit.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::error::StoreError;
use super::keeper::Keeper;
use super::outbox::{next_due, overdue};
use super::retention::{Forgotten, Retention};
use super::write::{Store, Writing, passing};
use crate::domain::commit::Commit;
use crate::domain::id::{DeliveryId, ReceiverName};
use crate::domain::message::{Attempt, Delivery, Leased, Undelivered};
use crate::domain::time::{Clock, Timestamp};
use crate::domain::turn::Room;
use crate::telemetry::events;
use crate::telemetry::metrics::Metrics;

/// Requests that may wait; then those who ask wait.
const QUEUE: usize = 256;
/// Requests in one transaction.
const GROUP: usize = 128;
/// Between two tries of a commit that cannot be written.
const PAUSE: Duration = Duration::from_millis(250);
/// A transaction that takes longer is worth a line in the log.
const SLOW: Duration = Duration::from_secs(1);
/// Stands for "nothing under way".
const IDLE: i64 = i64::MIN;

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// The way to the writer, for as many as want one.
#[derive(Clone, Debug)]
pub struct StoreHandle {
    requests: mpsc::Sender<Request>,
    busy_since: Arc<AtomicI64>,
    trouble: Shared<Option<Trouble>>,
    aside: Shared<Vec<Delivery>>,
}

/// Since when and why nothing can be written.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// Since when.
    pub since: Timestamp,
    /// Why, the last time.
    pub error: StoreError,
}

type Shared<T> = Arc<Mutex<T>>;

/// The writer's end: what [`run`] works off.
pub struct Requests {
    queue: mpsc::Receiver<Request>,
    busy_since: Arc<AtomicI64>,
    trouble: Shared<Option<Trouble>>,
    aside: Shared<Vec<Delivery>>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

enum Request {
    Commit(Box<Commit>, Answer<()>),
    Other(Box<dyn Work>),
    Close(Answer<()>),
}

/// What happens within a transaction and is answered after it.
trait Work: Send {
    fn run(&mut self, writing: &mut Writing<'_>) -> Result<(), StoreError>;

    /// The same while nothing can be written; none when that is impossible.
    fn without_disk(&mut self, _keeper: &mut Keeper) -> Option<Result<(), StoreError>> {
        None
    }

    /// Whether only memory knows what it is about.
    fn is_aside(&self, _keeper: &Keeper) -> bool {
        false
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Job<T, F> {
    work: F,
    result: Option<T>,
    answer: Answer<T>,
}

impl<T: Send, F: Fn(&mut Writing<'_>) -> Result<T, StoreError> + Send> Work for Job<T, F> {
    fn run(&mut self, writing: &mut Writing<'_>) -> Result<(), StoreError> {
        self.result = Some((self.work)(writing)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { result, answer, .. } = *self;
        // Without an error the work ran, and left its result.
        reply(answer, outcome.and_then(|()| result.ok_or(StoreError::Closed)));
    }
}

/// Takes messages out.
struct Lease {
    receiver: ReceiverName,
    now: Timestamp,
    lasts: Duration,
    room: Room,
    result: Vec<Leased>,
    answer: Answer<Vec<Leased>>,
}

impl Work for Lease {
    fn run(&mut self, writing: &mut Writing<'_>) -> Result<(), StoreError> {
        self.result = writing.lease(&self.receiver, self.now, self.lasts, self.room)?;
        Ok(())
    }

    fn without_disk(&mut self, keeper: &mut Keeper) -> Option<Result<(), StoreError>> {
        let leased = keeper.lease_without_disk(&self.receiver, self.now, self.lasts, self.room);
        Some(leased.map(|leased| self.result = leased))
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { result, answer, .. } = *self;
        reply(answer, outcome.map(|()| result));
    }
}

/// Writes down how an attempt ended.
struct Finish {
    id: DeliveryId,
    attempt: Attempt,
    now: Timestamp,
    result: Option<Undelivered>,
    answer: Answer<Option<Undelivered>>,
}

impl Work for Finish {
    fn run(&mut self, writing: &mut Writing<'_>) -> Result<(), StoreError> {
        self.result = writing.finish(&self.id, &self.attempt, self.now)?;
        Ok(())
    }

    fn without_disk(&mut self, keeper: &mut Keeper) -> Option<Result<(), StoreError>> {
        let finished = keeper.finish_without_disk(&self.id, &self.attempt, self.now);
        Some(finished.map(|undelivered| self.result = undelivered))
    }

    fn is_aside(&self, keeper: &Keeper) -> bool {
        keeper.is_aside(&self.id)
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { result, answer, .. } = *self;
        reply(answer, outcome.map(|()| result));
    }
}

/// Both ends of the queue to the writer.
pub fn channel(clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> (StoreHandle, Requests) {
    let (requests, queue) = mpsc::channel(QUEUE);
    let (busy_since, trouble, aside) = (Arc::new(AtomicI64::new(IDLE)), Shared::default(), Shared::default());
    let handle = StoreHandle {
        requests,
        busy_since: Arc::clone(&busy_since),
        trouble: Arc::clone(&trouble),
        aside: Arc::clone(&aside),
    };
    (handle, Requests { queue, busy_since, trouble, aside, clock, metrics })
}

impl StoreHandle {
    /// Writes the effects of one or more steps; on disk when it returns.
    pub async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        self.ask(|answer| Request::Commit(Box::new(commit), answer)).await
    }

    /// See [`Store::lease`].
    pub async fn lease(
        &self,
        receiver: &ReceiverName,
        now: Timestamp,
        lease: Duration,
        room: impl Into<Room>,
    ) -> Result<Vec<Leased>, StoreError> {
        let (receiver, room) = (receiver.clone(), room.into());
        let (result, lasts) = (Vec::new(), lease);
        self.ask(|answer| Request::Other(Box::new(Lease { receiver, now, lasts, room, result, answer }))).await
    }

    /// See [`Store::finish`].
    pub async fn finish(
        &self,
        id: &DeliveryId,
        attempt: Attempt,
        now: Timestamp,
    ) -> Result<Option<Undelivered>, StoreError> {
        let id = id.clone();
        self.ask(|answer| Request::Other(Box::new(Finish { id, attempt, now, result: None, answer }))).await
    }

    /// Has messages about the disk sent before they are on it; their rows follow. Whoever leases next finds them.
    pub fn set_aside(&self, deliveries: Vec<Delivery>) {
        lock(&self.aside).extend(deliveries);
    }

    /// Since when and why nothing can be written; none when all is well.
    pub fn trouble(&self) -> Option<Trouble> {
        lock(&self.trouble).clone()
    }

    /// See [`Store::overdue`].
    pub async fn overdue(&self, now: Timestamp) -> Result<Vec<Undelivered>, StoreError> {
        self.job(move |writing| overdue(writing.sql, now)).await
    }

    /// See [`Store::next_due`].
    pub async fn next_due(&self, receiver: &ReceiverName) -> Result<Option<Timestamp>, StoreError> {
        let receiver = receiver.clone();
        self.job(move |writing| next_due(writing.sql, &receiver)).await
    }

    /// See [`Store::forget`]: a portion, so that others get their turn before the next.
    pub async fn forget(&self, retention: impl Into<Retention>) -> Result<Forgotten, StoreError> {
        let retention = retention.into();
        self.job(move |writing| writing.forget(&retention)).await
    }

    /// Ends the writer once all that was asked before is on disk, and closes the database.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.ask(Request::Close).await
    }

    /// Since when the writer has been at one piece of work; none while it is idle. What is stuck
    /// for 10 s makes the daemon not ready, and for 60 s ends it.
    pub fn stuck_since(&self) -> Option<Timestamp> {
        let since = self.busy_since.load(Ordering::Relaxed);
        (since != IDLE).then(|| Timestamp::from_micros(since))
    }

    pub(super) async fn job<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&mut Writing<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.ask(|answer| Request::Other(Box::new(Job { work, result: None, answer }))).await
    }

    async fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(request(answer)).await.or(Err(StoreError::Closed))?;
        answered.await.unwrap_or(Err(StoreError::Closed))
    }
}

/// Works off requests until [`StoreHandle::close`], or until the last handle is dropped.
///
/// Blocks; for `spawn_blocking` of a runtime with a timer.
///
/// # Errors
/// What makes it impossible to go on. Nothing that was answered with success is lost.
pub fn run(store: Store, requests: Requests) -> Result<(), StoreError> {
    let Requests { mut queue, busy_since, trouble, aside, clock, metrics } = requests;
    let mut batch = Batch::default();
    let mut keeper = Keeper::of(store);
    while let Some(request) = queue.blocking_recv() {
        batch.add(request);
        batch.fill(&mut queue);
        let begun = clock.now();
        busy_since.store(begun.micros(), Ordering::Relaxed);
        let writes = !batch.commits.is_empty(); // a look for due messages is no measure of the disk
        let mut held_up = false;
        keeper.set_aside(std::mem::take(&mut *lock(&aside)));
        while let Err(error) = batch.write(&mut keeper) {
            if !error.is_passing() || batch.is_last(&queue) {
                batch.fail(&error);
                return Err(error);
            }
            if !held_up {
                events::store_held_up(&error);
                held_up = true;
            }
            keeper.set_aside(std::mem::take(&mut *lock(&aside)));
            batch.go_on_without_disk(&mut keeper, &error);
            // It answers, if only with a refusal: nothing is stuck.
            busy_since.store(IDLE, Ordering::Relaxed);
            *lock(&trouble) = Some(Trouble { since: begun, error });
            Handle::current().block_on(tokio::time::sleep(PAUSE));
            batch.fill(&mut queue);
            busy_since.store(clock.now().micros(), Ordering::Relaxed);
        }
        busy_since.store(IDLE, Ordering::Relaxed);
        *lock(&trouble) = None;
        report(writes.then_some(&*metrics), clock.now().since(begun), held_up);
        if let Some(answer) = batch.close.take() {
            return close(keeper.into_store(), answer);
        }
        if queue.is_empty() {
            scrub(keeper.store_mut())?;
        }
    }
    keeper.into_store().close()
}

/// Nobody panics while holding one of these.
fn lock<T>(shared: &Shared<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn close(store: Store, answer: Answer<()>) -> Result<(), StoreError> {
    let closed = store.close();
    reply(answer, closed.clone());
    closed
}

/// Removed text may wait in the log a little longer, so what passes is no reason to stop.
fn scrub(store: &mut Store) -> Result<(), StoreError> {
    store.scrub().or_else(passing)
}

fn report(metrics: Option<&Metrics>, took: Duration, held_up: bool) {
    if let Some(metrics) = metrics {
        metrics.commit(took);
    }
    if held_up {
        events::store_recovered(took);
    } else if took > SLOW {
        events::store_slow(took);
    }
}

/// Requests that share a transaction.
#[derive(Default)]
struct Batch {
    commits: Vec<Commit>,
    waiting: Vec<Answer<()>>,
    others: Vec<Box<dyn Work>>,
    close: Option<Answer<()>>,
}

impl Batch {
    fn add(&mut self, request: Request) {
        match request {
            Request::Commit(commit, answer) => {
                self.commits.push(*commit);
                self.waiting.push(answer);
            }
            Request::Close(answer) => self.close = Some(answer),
            Request::Other(work) => self.others.push(work),
        }
    }

    /// Takes what waits, up to a bound; nothing behind a request to close.
    fn fill(&mut self, queue: &mut mpsc::Receiver<Request>) {
        while self.close.is_none() && self.commits.len() + self.others.len() < GROUP {
            let Ok(request) = queue.try_recv() else { return };
            self.add(request);
        }
    }

    /// Whether there is nobody left who could want this tried again.
    fn is_last(&self, queue: &mpsc::Receiver<Request>) -> bool {
        self.close.is_some() || (queue.is_closed() && queue.is_empty())
    }

    /// Writes all in one transaction, and answers once it is on disk. Commits come first: those
    /// who lease want to see them. On an error nothing is taken out.
    fn write(&mut self, keeper: &mut Keeper) -> Result<(), StoreError> {
        self.answer_those(keeper, |work, keeper| work.is_aside(keeper));
        let (commits, others) = (&self.commits, &mut self.others);
        keeper.write(commits, |writing| others.iter_mut().try_for_each(|work| work.run(writing)))?;
        self.commits.clear();
        self.waiting.drain(..).for_each(|answer| reply(answer, Ok(())));
        self.others.drain(..).for_each(|work| work.answer(Ok(())));
        Ok(())
    }

    /// Does what can be done without writing, and fails the rest but for commits.
    fn go_on_without_disk(&mut self, keeper: &mut Keeper, error: &StoreError) {
        self.answer_those(keeper, |_, _| true);
        self.fail_all_but_commits(error);
    }

    /// Answers those of `which` that memory can.
    fn answer_those(&mut self, keeper: &mut Keeper, which: impl Fn(&dyn Work, &Keeper) -> bool) {
        for mut work in std::mem::take(&mut self.others) {
            let done = if which(&*work, keeper) { work.without_disk(keeper) } else { None };
            match done {
                Some(outcome) => work.answer(outcome),
                None => self.others.push(work),
            }
        }
    }

    fn fail(&mut self, error: &StoreError) {
        self.fail_all_but_commits(error);
        self.waiting.drain(..).chain(self.close.take()).for_each(|answer| reply(answer, Err(error.clone())));
    }

    fn fail_all_but_commits(&mut self, error: &StoreError) {
        self.others.drain(..).for_each(|work| work.answer(Err(error.clone())));
    }
}

/// Whoever asked may have gone away meanwhile; what is on disk stays there.
fn reply<T>(answer: Answer<T>, result: Result<T, StoreError>) {
    drop(answer.send(result));
}
