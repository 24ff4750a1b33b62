//! The store, and what memory keeps of messages while the disk refuses: see [`super::aside`].
//!
//! The writer's thread holds one. Everything that is written goes through [`Keeper::write`], so that what memory kept is
//! written with the first thing that is; what to do while nothing can be is for the caller to say.

use std::time::Duration;

use super::aside::Aside;
use super::error::StoreError;
use super::write::{Store, Writing};
use crate::domain::commit::Commit;
use crate::domain::id::{DeliveryId, ReceiverName};
use crate::domain::message::{Attempt, Delivery, Leased, Undelivered};
use crate::domain::time::Timestamp;
use crate::domain::turn::Room;

/// The store and what it does not know yet.
#[derive(Debug)]
pub struct Keeper {
    store: Store,
    aside: Aside,
}

impl Keeper {
    /// Of a disk that takes everything, so far.
    pub fn of(store: Store) -> Self {
        Self { store, aside: Aside::default() }
    }

    /// What is on disk.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    pub(super) const fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    pub(super) fn into_store(self) -> Store {
        self.store
    }

    /// Writes commits in order and what memory kept, all or none; on disk when it returns.
    ///
    /// # Errors
    /// What the disk says; then all is as it was, and may be tried again.
    pub fn commit(&mut self, commits: &[Commit]) -> Result<(), StoreError> {
        self.write(commits, |_| Ok(()))
    }

    /// The same, and more in the same transaction, which sees the others.
    pub(super) fn write(
        &mut self,
        commits: &[Commit],
        more: impl FnOnce(&mut Writing<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Self { store, aside } = self;
        *aside = store.transact(|writing| {
            commits.iter().try_for_each(|commit| writing.commit(commit))?;
            writing.catch_up(aside)?;
            more(writing)?;
            writing.left_aside(aside)
        })?;
        Ok(())
    }

    /// As [`Store::lease`].
    ///
    /// # Errors
    /// What the disk says.
    pub fn lease(
        &mut self,
        receiver: &ReceiverName,
        now: Timestamp,
        lease: Duration,
        room: Room,
    ) -> Result<Vec<Leased>, StoreError> {
        let mut leased = Vec::new();
        self.write(&[], |writing| {
            leased = writing.lease(receiver, now, lease, room)?;
            Ok(())
        })?;
        Ok(leased)
    }

    /// As [`Store::finish`]; of a message that only memory knows, in memory.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish(
        &mut self,
        id: &DeliveryId,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<Option<Undelivered>, StoreError> {
        if self.aside.holds(id) {
            return self.finish_without_disk(id, attempt, now);
        }
        let mut undelivered = None;
        self.write(&[], |writing| {
            undelivered = writing.finish(id, attempt, now)?;
            Ok(())
        })?;
        Ok(undelivered)
    }

    /// As [`Store::lease`], without writing anything.
    ///
    /// # Errors
    /// What cannot even be read.
    pub fn lease_without_disk(
        &mut self,
        receiver: &ReceiverName,
        now: Timestamp,
        lease: Duration,
        room: Room,
    ) -> Result<Vec<Leased>, StoreError> {
        self.aside.lease(&self.store, receiver, now, lease, room)
    }

    /// As [`Store::finish`], without writing anything.
    ///
    /// # Errors
    /// What cannot even be read.
    pub fn finish_without_disk(
        &mut self,
        id: &DeliveryId,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<Option<Undelivered>, StoreError> {
        self.aside.finish(&self.store, id, attempt, now)
    }

    /// Has messages about the disk sent before they are on it; their rows follow.
    pub fn set_aside(&mut self, notices: Vec<Delivery>) {
        self.aside.put(notices);
    }

    /// Whether only memory knows a message.
    pub(super) fn is_aside(&self, id: &DeliveryId) -> bool {
        self.aside.holds(id)
    }
}
