//! Bytes of unknown encoding as text, for documents of the web.

use encoding_rs::{Encoding, ISO_2022_JP, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// How much of a document is searched for its XML declaration, in bytes.
const HEAD: usize = 256;

/// Reads a document. A byte-order mark says how it is encoded (RFC 7303 §3), else the `content_type` it came with, else
/// its XML declaration. What is valid UTF-8 is that, whatever else servers say by default: other text hardly ever is.
/// A byte that cannot be read becomes U+FFFD.
pub(super) fn decoded(bytes: &[u8], content_type: Option<&str>) -> String {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return encoding.decode_without_bom_handling(bytes.get(mark..).unwrap_or_default()).0.into_owned();
    }
    let said = content_type.and_then(|text| parameter(text, "charset=")).or_else(|| declared(bytes));
    let said = said.as_deref().and_then(|label| Encoding::for_label(label.as_bytes()));
    // Of these, too, many bytes in a row look like ASCII.
    let looks_like_ascii = said.is_some_and(|said| [ISO_2022_JP, UTF_16BE, UTF_16LE].contains(&said));
    if !looks_like_ascii && let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    said.unwrap_or(WINDOWS_1252).decode_without_bom_handling(bytes).0.into_owned()
}

/// The encoding of `<?xml version="1.0" encoding="…"?>`.
fn declared(bytes: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(bytes.get(..HEAD.min(bytes.len()))?);
    let declaration = head.trim_start().strip_prefix("<?xml")?.split("?>").next()?;
    parameter(declaration, "encoding=")
}

/// What stands behind `name`, with or without quotes.
fn parameter(text: &str, name: &str) -> Option<String> {
    let at = text.to_ascii_lowercase().find(name)?;
    let value = text.get(at + name.len()..)?.trim_start_matches(['"', '\'']);
    Some(value.split(['"', '\'', ';', ' ']).next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_where_an_encoding_is_said_is_believed_in_turn() {
        let xml = |label: &str, text: &[u8]| [format!("<?xml encoding='{label}'?>").as_bytes(), text].concat();
        let end = |bytes: &[u8], kind: Option<&str>| decoded(bytes, kind).rsplit('>').next().unwrap().to_owned();
        for (bytes, content_type, expected) in [
            (b"caf\xc3\xa9".to_vec(), None, "café"),
            (b"caf\xe9".to_vec(), None, "café"),
            (b"caf\xe9".to_vec(), Some("text/xml; charset=ISO-8859-1"), "café"),
            (b"caf\xc3\xa9".to_vec(), Some("text/xml; charset=ISO-8859-1"), "café"),
            (xml("ISO-8859-2", b"\xb1"), None, "ą"),
            (xml("utf-8", b"\xb1"), Some("application/xml;charset=\"iso-8859-2\""), "ą"),
            (b"\xef\xbb\xbfok".to_vec(), Some("text/xml; charset=windows-1251"), "ok"),
            (b"\xff\xfeo\0k\0".to_vec(), None, "ok"),
            (b"\x1b$B@8\x1b(B".to_vec(), Some("text/xml; charset=iso-2022-jp"), "生"),
            (b"x\xff".to_vec(), Some("text/xml; charset=utf-8"), "x\u{fffd}"),
            (b"caf\xe9".to_vec(), Some("text/xml; charset=nonsense"), "café"),
        ] {
            assert_eq!(end(&bytes, content_type), expected, "{bytes:?}");
        }
    }
}
