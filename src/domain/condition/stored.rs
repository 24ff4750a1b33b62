//! Numbers as bytes, for what conditions keep over a restart.

use crate::domain::key::Key;
use crate::domain::time::Timestamp;
use crate::domain::volume::Unreadable;

/// Bytes to be kept.
#[derive(Default)]
pub(super) struct Out(pub(super) Vec<u8>);

impl Out {
    pub(super) fn number(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    pub(super) fn time(&mut self, time: Timestamp) {
        self.0.extend(time.micros().to_le_bytes());
    }

    pub(super) fn key(&mut self, key: Key) {
        self.number(key.bits());
    }

    pub(super) fn name(&mut self, name: u32) {
        self.0.extend(name.to_le_bytes());
    }

    pub(super) fn bit(&mut self, bit: bool) {
        self.0.push(bit.into());
    }
}

/// Bytes that were kept.
pub(super) struct In<'a>(pub(super) &'a [u8]);

impl<'a> In<'a> {
    pub(super) fn bytes(&mut self, many: usize) -> Result<&'a [u8], Unreadable> {
        let (bytes, rest) = self.0.split_at_checked(many).ok_or(Unreadable)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        self.bytes(N)?.first_chunk().copied().ok_or(Unreadable)
    }

    pub(super) fn number(&mut self) -> Result<u64, Unreadable> {
        self.chunk().map(u64::from_le_bytes)
    }

    /// A number of things that is never more than `most`.
    pub(super) fn length(&mut self, most: usize) -> Result<usize, Unreadable> {
        usize::try_from(self.number()?).ok().filter(|length| *length <= most).ok_or(Unreadable)
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, Unreadable> {
        self.chunk().map(i64::from_le_bytes).map(Timestamp::from_micros)
    }

    pub(super) fn key(&mut self) -> Result<Key, Unreadable> {
        self.number().map(Key::from_bits)
    }

    pub(super) fn name(&mut self) -> Result<u32, Unreadable> {
        self.chunk().map(u32::from_le_bytes)
    }

    pub(super) fn bit(&mut self) -> Result<bool, Unreadable> {
        Ok(self.chunk::<1>()? != [0])
    }

    pub(super) fn end(&self) -> Result<(), Unreadable> {
        if self.0.is_empty() { Ok(()) } else { Err(Unreadable) }
    }
}
