//! What the daemon remembers: one SQLite file, one writer, any number of readers.
//!
//! The effects of the engine's steps (evidence, incidents, messages to send, how far
//! each source was read) go to disk in one transaction, so that after a crash at any
//! instruction either all of a step happened or none of it (invariant 3). `outbox`
//! is the durable queue the dispatchers take messages from; `retention` forgets
//! what may not be kept. Nothing here decides anything, and nothing here reads a clock.
//!
//! SQLite was chosen over a log of our own because its durability is tested by others
//! (590 times more test code than library), and over a server because a page must not
//! depend on a second machine.

mod access;
mod answered;
mod archive;
mod aside;
mod audit;
mod backup;
mod erasure;
mod error;
mod files;
mod growth;
mod holds;
mod judged;
mod keeper;
mod keys;
mod lane;
mod migrate;
mod outbox;
mod playbooks;
mod quotas;
mod read;
mod restore;
mod retention;
mod ring;
mod said;
mod sealing;
mod search;
mod silences;
mod stored;
mod write;
mod writer;

pub use answered::Answered;
pub use archive::{Heard, Kept};
pub use audit::{Kept as KeptEntry, Verdict as AuditVerdict};
pub use backup::{Contents, PutBack, With};
pub use erasure::Receipt;
pub use error::StoreError;
pub use growth::{GrowthRow, StoryRow};
pub use judged::{Judged, RuleRecord};
pub use keeper::Keeper;
pub use outbox::OutboxState;
pub use playbooks::{EvidenceRow, NoteRow};
pub use read::{AlertRow, DeliveryRow, IncidentRecord, OutboxCount, Reader, SourceRecord, TimelineRow};
pub use retention::{Forgotten, Retention};
pub use write::Store;
pub use writer::{Requests, StoreHandle, Trouble, channel, run};
