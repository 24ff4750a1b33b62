//! Tasks with owners: none ends unnoticed, none is left behind.

use std::future::Future;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::telemetry::events;

/// Tasks of one kind, by name.
#[derive(Default)]
pub(super) struct Tasks {
    set: JoinSet<anyhow::Result<()>>,
    names: Vec<(Id, String)>,
}

/// Tasks that are stopped together.
pub(super) struct Stage {
    /// Named in the log when it is late.
    pub(super) name: &'static str,
    /// The tasks.
    pub(super) tasks: Tasks,
    /// Tells them to stop.
    pub(super) stop: CancellationToken,
    /// How long they may take to.
    pub(super) within: Duration,
}

impl Stage {
    /// A stage without tasks.
    pub(super) fn new(name: &'static str, within: Duration) -> Self {
        Self { name, tasks: Tasks::default(), stop: CancellationToken::new(), within }
    }
}

/// A task that ended by itself.
#[derive(Debug)]
pub(super) struct Ended {
    /// Its name.
    pub task: String,
    /// How.
    pub result: anyhow::Result<()>,
}

impl Tasks {
    /// Starts a task.
    pub(super) fn spawn(
        &mut self,
        name: impl Into<String>,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let handle = self.set.spawn(task);
        self.named(name, &handle);
    }

    /// Starts a task that blocks its thread.
    pub(super) fn spawn_blocking(
        &mut self,
        name: impl Into<String>,
        task: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
    ) {
        let handle = self.set.spawn_blocking(task);
        self.named(name, &handle);
    }

    /// The next task that ends; waits for ever when there is none.
    pub(super) async fn ended(&mut self) -> Ended {
        match self.set.join_next_with_id().await {
            Some(Ok((id, result))) => Ended { task: self.name(id), result },
            Some(Err(error)) => {
                let task = self.name(error.id());
                Ended { result: Err(describe(&task, error)), task }
            }
            None => std::future::pending().await,
        }
    }

    /// Waits for all tasks to end, as they were asked to, and says who is late. Errors
    /// are returned; tasks that are late are ended.
    pub(super) async fn finish(&mut self, stage: &str, within: Duration) -> anyhow::Result<()> {
        let mut result = Ok(());
        let all = async {
            while !self.set.is_empty() {
                result = std::mem::replace(&mut result, Ok(())).and(self.ended().await.result);
            }
        };
        if timeout(within, all).await.is_err() {
            events::shutdown_late(stage, within);
            // Without waiting: a thread that hangs in the kernel cannot be ended.
            self.set.abort_all();
            self.set.detach_all();
        }
        result
    }

    fn named(&mut self, name: impl Into<String>, handle: &AbortHandle) {
        self.names.push((handle.id(), name.into()));
    }

    fn name(&mut self, id: Id) -> String {
        let place = self.names.iter().position(|(known, _)| *known == id);
        place.map_or_else(String::new, |place| self.names.swap_remove(place).1)
    }
}

fn describe(task: &str, error: JoinError) -> anyhow::Error {
    if error.is_panic() {
        anyhow::anyhow!("{task} panicked; the log above says where. The next start resumes from the last commit")
    } else {
        anyhow::Error::new(error).context(format!("{task} was ended"))
    }
}

/// A task that cannot fail.
pub(super) async fn completes(task: impl Future<Output = ()>) -> anyhow::Result<()> {
    task.await;
    Ok(())
}

/// A task that is given up when it is time.
pub(super) async fn until(
    cancel: CancellationToken,
    task: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    tokio::select! {
        () = cancel.cancelled() => Ok(()),
        result = task => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_thread_that_hangs_does_not_hold_up_the_end() {
        let mut tasks = Tasks::default();
        let (held, released) = std::sync::mpsc::channel::<()>();
        tasks.spawn_blocking("hung", move || Ok(released.recv()?));
        timeout(Duration::from_secs(20), tasks.finish("test", Duration::from_millis(10))).await.unwrap().unwrap();
        held.send(()).unwrap();
    }

    #[tokio::test]
    async fn a_panic_is_told_with_the_name_of_its_task() {
        let mut tasks = Tasks::default();
        tasks.spawn("steady", std::future::pending());
        tasks.spawn("shaky", async { panic!("on purpose") });
        let ended = tasks.ended().await;
        assert_eq!(ended.task, "shaky");
        assert!(ended.result.unwrap_err().to_string().contains("shaky panicked"));
        tasks.finish("test", Duration::from_millis(10)).await.unwrap();
    }
}
