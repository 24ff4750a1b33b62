//! Frames packed with zstd and a dictionary, which saves more than half of the bandwidth.
//!
//! The v1 wire's dictionary is a file that comes with other programs; servers of the v2 wire hand
//! theirs out. Unpacked in one piece into a buffer that is as long as the longest frame we
//! take, so no frame can make more of itself than that, whatever it says of its length.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use tokio_tungstenite::tungstenite::Bytes;
use tokio_tungstenite::tungstenite::http::HeaderMap;
use url::Url;
use zstd::bulk::Decompressor;
use zstd::zstd_safe::{get_dict_id_from_dict, get_dict_id_from_frame, get_frame_content_size};

use super::subscription::{self, Form, Place};
use crate::config::model::{Compression, Transport};
use crate::domain::event::Rejected;
use crate::source::http::{Http, Request};
use crate::source::line::Line;
use crate::source::supervise::{End, Failure};
use crate::telemetry::events;

/// How a packed frame begins (RFC 8878 §3.1.1). JSON never does.
const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
/// The longest dictionary that is taken; the known ones have 110 KiB.
const MAX_DICTIONARY_BYTES: usize = 1 << 20;

/// A dictionary and its name.
#[derive(Clone)]
pub(super) struct Dictionary {
    bytes: Arc<[u8]>,
    pub(super) id: NonZeroU32,
}

impl Dictionary {
    /// None when it is not one: such a file has a magic number and an id.
    fn new(bytes: &[u8]) -> Option<Self> {
        Some(Self { bytes: bytes.into(), id: get_dict_id_from_dict(bytes)? })
    }
}

/// The dictionaries of one source's hosts.
pub(super) struct Dictionaries {
    compression: Option<Compression>,
    transport: Transport,
    fetched: BTreeMap<String, Dictionary>,
}

impl Dictionaries {
    pub(super) const fn new(compression: Option<Compression>, transport: Transport) -> Self {
        Self { compression, transport, fetched: BTreeMap::new() }
    }

    /// What a connection's frames shall be packed with; none when they shall come as they are.
    /// A server that cannot say costs bandwidth, and no post.
    pub(super) async fn of(&mut self, base: &Url, place: &Place, line: &Line) -> Result<Option<Dictionary>, End> {
        match (&self.compression, place.form) {
            (None, _) | (Some(Compression { dictionary: None }), Form::V1) => Ok(None),
            (Some(Compression { dictionary: Some(path) }), Form::V1) => {
                let read = std::fs::read(path).map_err(|error| error.to_string());
                let read = read.and_then(|bytes| Dictionary::new(&bytes).ok_or("it is no zstd dictionary".to_owned()));
                read.map(Some).map_err(|error| {
                    Failure::operator(format!("dictionary {} cannot be used: {error}", path.display()))
                })
            }
            (Some(_), Form::V2) => {
                if let Some(known) = self.fetched.get(&place.host) {
                    return Ok(Some(known.clone()));
                }
                match self.fetch(base, line).await {
                    Ok(dictionary) => {
                        self.fetched.insert(place.host.clone(), dictionary.clone());
                        Ok(Some(dictionary))
                    }
                    Err(End::Failed(failure)) => {
                        events::source_uncompressed(&line.name, &place.host, &failure.error);
                        Ok(None)
                    }
                    Err(end) => Err(end),
                }
            }
        }
    }

    /// The server has another one by now.
    pub(super) fn forget(&mut self, place: &Place) {
        self.fetched.remove(&place.host);
    }

    async fn fetch(&self, base: &Url, line: &Line) -> Result<Dictionary, End> {
        let url = subscription::dictionary(base);
        let http = Http::new(&self.transport, url.scheme() == "http")?;
        let answer = http.get(Request::get(url, HeaderMap::new(), MAX_DICTIONARY_BYTES), line).await?;
        Dictionary::new(&answer.body).ok_or_else(|| Failure::retry("what it hands out is no zstd dictionary"))
    }
}

/// Unpacks the frames of one connection.
pub(super) struct Unpacker {
    id: NonZeroU32,
    decompressor: Decompressor<'static>,
    most: usize,
    buffer: Vec<u8>,
}

/// Why a frame cannot be unpacked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is broken, or too long.
    Alone(Rejected),
    /// It was packed with another dictionary, as all that follow will be.
    Foreign,
}

impl Unpacker {
    /// Unpacks frames of at most `most` bytes. None when the library refuses the dictionary.
    pub(super) fn new(dictionary: &Dictionary, most: usize) -> Option<Self> {
        let decompressor = Decompressor::with_dictionary(&dictionary.bytes).ok()?;
        Some(Self { id: dictionary.id, decompressor, most, buffer: Vec::new() })
    }

    /// Whether a frame is packed.
    pub(super) fn is_packed(frame: &[u8]) -> bool {
        frame.starts_with(&MAGIC)
    }

    /// The frame as it was.
    pub(super) fn unpack(&mut self, frame: &[u8]) -> Result<Bytes, Unreadable> {
        if get_dict_id_from_frame(frame).is_some_and(|id| id != self.id) {
            return Err(Unreadable::Foreign);
        }
        let said = get_frame_content_size(frame).ok().flatten().and_then(|length| usize::try_from(length).ok());
        if said.is_some_and(|length| length > self.most) {
            return Err(Unreadable::Alone(Rejected::TooLarge));
        }
        self.buffer.clear();
        // Memory is taken where it is written, so asking for room costs nothing.
        self.buffer.reserve(said.unwrap_or(self.most));
        match self.decompressor.decompress_to_buffer(frame, &mut self.buffer) {
            Ok(_) if self.buffer.len() <= self.most => Ok(Bytes::copy_from_slice(&self.buffer)),
            Ok(_) => Err(Unreadable::Alone(Rejected::TooLarge)),
            // The library has a text for it, and nothing else.
            Err(error) if error.to_string().contains("too small") => Err(Unreadable::Alone(Rejected::TooLarge)),
            Err(_) => Err(Unreadable::Alone(Rejected::NotJson)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use zstd::bulk::Compressor;

    use super::*;

    fn dictionary(seed: usize) -> Vec<u8> {
        let samples: Vec<_> =
            (0..2000).map(|n| format!(r#"{{"did":"did:plc:{}","text":"post {n}"}}"#, n * seed)).collect();
        zstd::dict::from_samples(&samples, 4096).unwrap()
    }

    fn packed(dictionary: &[u8], text: &[u8]) -> Vec<u8> {
        Compressor::with_dictionary(3, dictionary).unwrap().compress(text).unwrap()
    }

    fn unpacker(dictionary: &[u8]) -> Unpacker {
        Unpacker::new(&Dictionary::new(dictionary).unwrap(), 10_000).unwrap()
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        let dictionary = dictionary(7);
        let frame = packed(&dictionary, br#"{"did":"did:plc:ann","text":"hello"}"#);
        assert!(Unpacker::is_packed(&frame) && !Unpacker::is_packed(b"{}") && !Unpacker::is_packed(b""));
        let mut unpacker = unpacker(&dictionary);
        for _ in 0..2 {
            assert_eq!(unpacker.unpack(&frame).as_deref(), Ok(&br#"{"did":"did:plc:ann","text":"hello"}"#[..]));
        }
    }

    #[test]
    fn a_bomb_is_as_long_as_the_longest_frame_and_no_longer() {
        let dictionary = dictionary(7);
        let mut unpacker = unpacker(&dictionary);
        let bomb = packed(&dictionary, &vec![b' '; 100_000_000]);
        assert!(bomb.len() < 20_000, "{}", bomb.len());
        let too_large = Err(Unreadable::Alone(Rejected::TooLarge));
        assert_eq!(unpacker.unpack(&bomb), too_large);
        // One that does not say how long it is, and one in two pieces.
        let mut stream = zstd::stream::Encoder::with_dictionary(Vec::new(), 3, &dictionary).unwrap();
        stream.write_all(&vec![b' '; 1_000_000]).unwrap();
        let stream = stream.finish().unwrap();
        assert_eq!(get_frame_content_size(&stream).unwrap(), None);
        assert_eq!(unpacker.unpack(&stream), too_large);
        let two = [packed(&dictionary, b"short"), bomb].concat();
        assert_eq!(unpacker.unpack(&two), too_large);
        assert!(unpacker.buffer.capacity() < 20_000, "{}", unpacker.buffer.capacity());
        assert_eq!(unpacker.unpack(&packed(&dictionary, b"after")).as_deref(), Ok(&b"after"[..]));
    }

    #[test]
    fn another_dictionary_is_told_from_a_broken_frame() {
        let (ours, theirs) = (dictionary(7), dictionary(11));
        let mut unpacker = unpacker(&ours);
        assert_eq!(unpacker.unpack(&packed(&theirs, b"text")), Err(Unreadable::Foreign));
        let mut broken = packed(&ours, b"a text that is long enough to be damaged in its middle");
        broken.truncate(broken.len() - 3);
        assert_eq!(unpacker.unpack(&broken), Err(Unreadable::Alone(Rejected::NotJson)));
        assert_eq!(unpacker.unpack(&MAGIC), Err(Unreadable::Alone(Rejected::NotJson)));
        assert!(Dictionary::new(b"words words words").is_none());
    }
}
