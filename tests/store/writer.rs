//! The one writer under company and under trouble.

use std::sync::Arc;
use std::time::Duration;

use stormbell::domain::event::Cursor;
use stormbell::domain::incident::IncidentState;
use stormbell::domain::message::Attempt;
use stormbell::domain::time::{Clock, Timestamp};
use stormbell::store::{self, StoreError};
use stormbell::telemetry::metrics::Metrics;

use crate::support::*;

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        at(1000)
    }
}

fn writer() -> (store::StoreHandle, store::Requests, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    let (handle, requests) = store::channel(Arc::new(Still), Arc::clone(&metrics));
    (handle, requests, metrics)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_commits_share_a_transaction_and_each_is_answered() {
    let folder = Folder::new();
    let (handle, requests, metrics) = writer();
    let mut commits = tokio::task::JoinSet::new();
    for number in 0..100 {
        let handle = handle.clone();
        commits.spawn(async move { handle.commit(numbered(number)).await });
    }
    let store = folder.open();
    let mut writers = tokio::task::JoinSet::new();
    writers.spawn_blocking(move || store::run(store, requests));
    while let Some(done) = commits.join_next().await {
        done.unwrap().unwrap();
    }
    let frames = folder.reader().sources(at(0)).unwrap()[0].ledger.frames;
    assert_eq!(frames, 100);
    // What it counts of a transaction, it counts before it takes up the next.
    handle.next_due(&"pager".into()).await.unwrap();
    let page = metrics.render(at(0));
    let transactions: u64 =
        page.lines().find_map(|line| line.strip_prefix("stormbell_commit_seconds_count ")).unwrap().parse().unwrap();
    assert!((1..100).contains(&transactions), "{transactions} transactions for 100 commits");
    // It has answered, and is idle a moment later.
    let idle = async {
        while handle.stuck_since().is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), idle).await.expect("the writer is idle again");

    handle.commit(outbox(vec![delivery("d", "pager", incident("i", IncidentState::Open, &[]), 1)])).await.unwrap();
    assert_eq!(handle.next_due(&"pager".into()).await.unwrap(), Some(at(1)));
    assert_eq!(ids(&handle.lease(&"pager".into(), at(1), LEASE, 1).await.unwrap()), ["d"]);
    let parked = Attempt::Parked { error: "no".to_owned() };
    assert!(handle.finish(&"d".into(), parked, at(1)).await.unwrap().is_some());
    assert_eq!(handle.forget(at(500)).await.unwrap().posts, 100);
    handle.close().await.unwrap();
    writers.join_next().await.unwrap().unwrap().unwrap();
    assert!(matches!(handle.commit(numbered(1)).await, Err(StoreError::Closed)));
    folder.open();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_cannot_be_written_yet_is_held_and_not_lost() {
    let folder = Folder::new();
    let (handle, requests, _) = writer();
    let mut store = folder.open();
    store.commit(&[outbox(vec![delivery("d", "pager", incident("i", IncidentState::Open, &[]), 1)])]).unwrap();
    let sql = rusqlite::Connection::open(folder.db()).unwrap();
    let mut writers = tokio::task::JoinSet::new();
    sql.execute_batch("BEGIN IMMEDIATE").unwrap(); // a stranger holds the database
    writers.spawn_blocking(move || store::run(store, requests));
    let mut commits = tokio::task::JoinSet::new();
    let first = handle.clone();
    commits.spawn(async move { first.commit(numbered(1)).await });
    // What is on disk goes out all the same, after the writer's patience of 5 s; what needs the disk fails in words.
    let leased = loop {
        if handle.stuck_since().is_some() {
            break handle.lease(&"pager".into(), at(1), LEASE, 1).await;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(ids(&leased.unwrap()), ["d"]);
    assert!(matches!(handle.trouble().unwrap().error, StoreError::Busy));
    assert!(matches!(handle.forget(at(500)).await, Err(StoreError::Busy)));
    assert!(commits.try_join_next().is_none(), "the commit waits");
    sql.execute_batch("ROLLBACK").unwrap();
    commits.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(folder.reader().sources(at(0)).unwrap()[0].cursor, Some(Cursor(1)));
    assert_eq!(ids(&handle.lease(&"pager".into(), at(2), LEASE, 1).await.unwrap()), [] as [&str; 0], "it is out");
    assert!(handle.trouble().is_none());
    handle.close().await.unwrap();
    writers.join_next().await.unwrap().unwrap().unwrap();
}
