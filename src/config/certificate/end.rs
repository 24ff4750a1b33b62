//! Until when a certificate holds: read out of its DER (X.509, RFC 5280 §4.1), which rustls does only for those of others.

use crate::domain::time::Timestamp;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// Version, which is there in all but the first version of certificates.
const VERSION: u8 = 0xA0;

/// When it ends; none for what never does, or is no certificate.
pub(super) fn end(certificate: &[u8]) -> Option<Timestamp> {
    let (whole, _) = element(certificate, SEQUENCE)?;
    let (signed, _) = element(whole, SEQUENCE)?;
    let rest = element(signed, VERSION).map_or(signed, |(_, rest)| rest);
    let (_serial, rest) = element(rest, INTEGER)?;
    let (_algorithm, rest) = element(rest, SEQUENCE)?;
    let (_issuer, rest) = element(rest, SEQUENCE)?;
    let (validity, _) = element(rest, SEQUENCE)?;
    let (_not_before, not_after) = time(validity)?;
    time(not_after).map(|(not_after, _)| not_after)
}

/// What an element of that kind holds, and what follows it.
fn element(bytes: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&length, rest) = rest.split_first().filter(|_| found == kind)?;
    let (length, rest) = match length {
        0..=0x7F => (usize::from(length), rest),
        // In so many further bytes; none of ours is longer than four say.
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7F))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// A time, and what follows it. Two digits of a year are of the century from 1950 on (RFC 5280 §4.1.2.5.1).
fn time(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (text, century, rest) = match element(bytes, UTC_TIME) {
        Some((text, rest)) => (text, Some(if text.first()? < &b'5' { "20" } else { "19" }), rest),
        None => element(bytes, GENERALIZED_TIME).map(|(text, rest)| (text, None, rest))?,
    };
    let digits = str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let digits = format!("{}{digits}", century.unwrap_or_default());
    let part = |from, to| digits.get(from..to);
    let (day, hour) = (part(0, 4).zip(part(4, 6)).zip(part(6, 8)), part(8, 10).zip(part(10, 12)).zip(part(12, 14)));
    let (((year, month), day), ((hour, minute), second)) = day.zip(hour).filter(|_| digits.len() == 14)?;
    Timestamp::parse(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z")).ok().map(|time| (time, rest))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn of(from: (i32, u8, u8), to: (i32, u8, u8)) -> Vec<u8> {
        let mut params = CertificateParams::new(["bell.hospital.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(to.0, to.1, to.2);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_says_when_it_ends() {
        for (end_of, expected) in [
            ((2027, 2, 28), "2027-02-28T00:00:00Z"),
            ((2049, 12, 31), "2049-12-31T00:00:00Z"),
            // From then on the year has four digits.
            ((2050, 1, 1), "2050-01-01T00:00:00Z"),
        ] {
            let end = end(&of((1999, 1, 1), end_of)).unwrap();
            assert_eq!(end.to_string(), expected);
        }
        assert!(end(&of((1999, 1, 1), (9999, 12, 31))).is_none(), "the date that stands for no end (§4.1.2.5)");
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        let whole = of((2026, 1, 1), (2027, 1, 1));
        for length in 0..whole.len().min(200) {
            // Nothing is read behind what is there.
            let cut = &whole[..length];
            assert!(end(cut).is_none(), "{length}");
        }
        assert!(end(&[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF]).is_none());
        assert!(end(b"hello").is_none());
    }
}
