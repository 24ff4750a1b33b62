//! The blocks of a commit: a CAR, version 1 (<https://ipld.io/specs/transport/car/carv1/>).
//!
//! A varint and so many bytes of header, which nobody needs here; then, over and over, a varint and so many
//! bytes, which are a CID and what it names. Whether the content has that hash is the relay's business, as
//! the author's signature is.

use std::collections::HashMap;

use ipld_core::cid::Cid;

/// What a commit brings, by name. What follows something unreadable is left out.
pub(super) fn blocks(car: &[u8]) -> HashMap<Cid, &[u8]> {
    let mut blocks = HashMap::new();
    let Some((_header, mut rest)) = section(car) else { return blocks };
    while let Some((mut content, after)) = section(rest) {
        if let Ok(cid) = Cid::read_bytes(&mut content) {
            blocks.insert(cid, content);
        }
        rest = after;
    }
    blocks
}

/// So many bytes as a varint says, and what follows.
fn section(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = varint(bytes)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

/// A number in seven bits a byte, the lowest first (LEB128).
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (index, &byte) in bytes.iter().enumerate().take(9) {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Some((number, bytes.get(index + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_where_they_say() {
        for (bytes, expected) in [
            (&[0x05, 9][..], Some((5, &[9][..]))),
            (&[0x80, 0x01], Some((128, &[]))),
            (&[0xe5, 0x8e, 0x26], Some((624_485, &[]))),
            (&[0x80], None),
            (&[], None),
            (&[0xff; 10], None),
        ] {
            assert_eq!(varint(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn lengths_that_lie_end_the_reading() {
        for car in [&b""[..], b"\x00", b"\x05abc", b"\x01a\xff\xff\xff\xff\x7fx", b"\x01a\x03abc", b"\x01a\x00\x00\x00"]
        {
            assert!(blocks(car).is_empty(), "{car:?}");
        }
    }
}
