//! The audit log's head goes to the journal each minute: whoever cuts the log off must cut the journal, too.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::store::Reader;
use crate::telemetry::events;

const EVERY: Duration = Duration::from_mins(1);

/// Tells the head whenever it has changed, until cancelled.
pub(super) async fn tell_head(database: PathBuf) -> anyhow::Result<()> {
    let mut timer = interval(EVERY);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = None;
    loop {
        timer.tick().await;
        let database = database.clone();
        let head = tokio::task::spawn_blocking(move || Reader::open(&database)?.audit_head()).await?;
        // A database that is busy or full is read again in a minute; others tell of it.
        let Ok(Some(head)) = head else { continue };
        if told != Some(head) {
            events::audit_head(head.0, &head.1.text());
            told = Some(head);
        }
    }
}
