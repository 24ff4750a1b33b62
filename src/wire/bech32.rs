//! Keys as people write them: bech32 (BIP-173), as Nostr uses it (NIP-19), of any length.

const LETTERS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// Bytes behind a prefix such as `npub`.
pub fn write(prefix: &str, bytes: &[u8]) -> String {
    let mut words = regrouped(bytes.iter().map(|&byte| u32::from(byte)), 8, 5);
    if let Some((held, bits)) = words.rest {
        words.whole.push((held << (5 - bits)) & 31);
    }
    let mut words = words.whole;
    let check = (0..6)
        .fold(words.iter().fold(begun(prefix), |check, &word| polymod(check, word)), |check, _| polymod(check, 0));
    words.extend((0..6).map(|place| ((check ^ 1) >> (5 * (5 - place))) & 31));
    let letters = words.iter().filter_map(|&word| LETTERS.get(usize::try_from(word).ok()?)).copied();
    format!("{prefix}1{}", letters.map(char::from).collect::<String>())
}

/// The bytes behind a prefix, when the checksum fits. Only lower case is read.
pub fn parse(prefix: &str, text: &str) -> Option<Vec<u8>> {
    let letters = text.strip_prefix(prefix)?.strip_prefix('1')?;
    let word = |letter: u8| LETTERS.iter().position(|&one| one == letter).and_then(|word| u32::try_from(word).ok());
    let words: Vec<u32> = letters.bytes().map(word).collect::<Option<_>>()?;
    let data = words.get(..words.len().checked_sub(6)?)?;
    if words.iter().fold(begun(prefix), |check, &word| polymod(check, word)) != 1 {
        return None;
    }
    let bytes = regrouped(data.iter().copied(), 5, 8);
    let is_padding = bytes.rest.is_none_or(|(held, bits)| held == 0 && bits < 5);
    is_padding.then(|| bytes.whole.into_iter().filter_map(|byte| u8::try_from(byte).ok()).collect())
}

/// Words of another width.
struct Regrouped {
    whole: Vec<u32>,
    /// The bits that fill no word, and how many there are.
    rest: Option<(u32, u32)>,
}

fn regrouped(words: impl Iterator<Item = u32>, from: u32, to: u32) -> Regrouped {
    let (mut whole, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for word in words {
        held = (held << from) | word;
        bits += from;
        while bits >= to {
            bits -= to;
            whole.push((held >> bits) & ((1 << to) - 1));
        }
        held &= (1 << bits) - 1;
    }
    Regrouped { whole, rest: (bits > 0).then_some((held, bits)) }
}

/// The checksum up to the prefix.
fn begun(prefix: &str) -> u32 {
    let high = prefix.bytes().fold(1, |check, letter| polymod(check, u32::from(letter) >> 5));
    prefix.bytes().fold(polymod(high, 0), |check, letter| polymod(check, u32::from(letter) & 31))
}

/// One step of the checksum.
fn polymod(check: u32, word: u32) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let top = check >> 25;
    let check = ((check & 0x01ff_ffff) << 5) ^ word;
    GENERATOR
        .iter()
        .enumerate()
        .filter(|(bit, _)| (top >> bit) & 1 == 1)
        .fold(check, |check, (_, generator)| check ^ generator)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_written_as_the_specification_shows() {
        // The example of NIP-19.
        let npub = "npub10elfcs4fr0l0r8af98jlmgdh9c8tcxjvz9qkw038js35mp4dma8qzvjptg";
        let key = parse("npub", npub).unwrap();
        assert_eq!(
            crate::domain::id::hex(&key, 32),
            "7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e"
        );
        assert_eq!(write("npub", &key), npub);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_one_wrong_letter_is_noticed(
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
            at in any::<prop::sample::Index>(),
            letter in 0_usize..32,
        ) {
            let text = write("nsec", &bytes);
            prop_assert_eq!(parse("nsec", &text), Some(bytes));
            prop_assert_eq!(parse("npub", &text), None);
            let mut wrong = text.clone().into_bytes();
            let place = 5 + at.index(wrong.len() - 5);
            wrong[place] = LETTERS[letter];
            let wrong = String::from_utf8(wrong).unwrap();
            prop_assert!(wrong == text || parse("nsec", &wrong).is_none());
        }

        #[test]
        fn no_text_stops_the_reader(text in "(nsec1)?.{0,40}") {
            parse("nsec", &text);
        }
    }
}
