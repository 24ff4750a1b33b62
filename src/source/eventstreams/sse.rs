//! Server-sent events out of bytes that come in any pieces (WHATWG HTML §9.2.6).

/// Longer ids are not kept, in bytes: they go to disk with every batch.
const MAX_ID: usize = 16 * 1024;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its lines, joined. `None` when it was longer than it may be.
    pub data: Option<String>,
    /// The last id the stream named, word for word.
    pub id: Option<String>,
}

/// Takes bytes, gives events.
#[derive(Debug)]
pub struct Events {
    most: usize,
    line: Vec<u8>,
    data: Option<String>,
    id: Option<String>,
    too_long: bool,
    /// The rest of this line is too much.
    skips: bool,
    after_cr: bool,
}

impl Events {
    /// Events of at most so many bytes. What is longer is skipped, and told.
    pub fn new(most: usize) -> Self {
        Self { most, line: Vec::new(), data: None, id: None, too_long: false, skips: false, after_cr: false }
    }

    /// Takes what came; gives what ended with it.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        let mut rest = bytes;
        if self.after_cr {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            self.after_cr &= bytes.is_empty();
        }
        while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (before, end) = rest.split_at(at);
            self.hold(before);
            events.extend(self.end_of_line());
            let is_cr = end.starts_with(b"\r");
            rest = end.get(1..).unwrap_or_default();
            if is_cr {
                self.after_cr = rest.is_empty();
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
        }
        self.hold(rest);
        events
    }

    /// Whether nothing is half read.
    pub fn is_between(&self) -> bool {
        self.line.is_empty() && self.data.is_none() && !self.too_long
    }

    fn hold(&mut self, bytes: &[u8]) {
        let held = self.line.len() + self.data.as_ref().map_or(0, String::len);
        if self.skips {
            return;
        }
        if held + bytes.len() > self.most {
            (self.too_long, self.skips) = (true, true);
            self.data = None;
            // What is left of the line says nothing, and is not the empty one that ends an event.
            self.line = b":".to_vec();
        } else {
            self.line.extend_from_slice(bytes);
        }
    }

    fn end_of_line(&mut self) -> Option<Event> {
        self.skips = false;
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_start_matches('\u{feff}'); // the stream may begin with one; elsewhere it says nothing
        if line.is_empty() {
            let too_long = std::mem::take(&mut self.too_long);
            let data = self.data.take().filter(|_| !too_long);
            return (too_long || data.is_some()).then(|| Event { data, id: self.id.clone() });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" if !self.too_long => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "id" if !value.contains('\0') && value.len() <= MAX_ID => self.id = Some(value.to_owned()),
            _ => {} // comments, names of events, and what is to come
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(text: &str) -> Vec<(Option<String>, Option<String>)> {
        Events::new(100).take(text.as_bytes()).into_iter().map(|event| (event.data, event.id)).collect()
    }

    fn event(data: &str, id: Option<&str>) -> (Option<String>, Option<String>) {
        (Some(data.to_owned()), id.map(str::to_owned))
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        assert_eq!(all(":ok\n\nevent: message\nid: 1\ndata: a\ndata:b\n\n"), [event("a\nb", Some("1"))]);
        assert_eq!(
            all("\u{feff}data:  a\r\n\r\ndata\r\rdata: c\n\n"),
            [event(" a", None), event("", None), event("c", None)]
        );
        assert_eq!(
            all("id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n"),
            [event("a", Some("1")), event("b", Some("1")), event("c", Some(""))]
        );
        assert_eq!(all("data: never ended\n"), []);
        assert_eq!(all("id: 7\n\n"), []);
    }

    #[test]
    fn an_endless_event_is_skipped_and_told_and_the_next_one_is_read() {
        let long = format!("id: 1\ndata: {}\ndata: x\n\nid: 2\ndata: b\n\n", "a".repeat(200));
        assert_eq!(all(&long), [(None, Some("1".into())), event("b", Some("2"))]);
        let many = format!("{}\ndata: b\n\n", "data: aaaaaaaaaaaaaaaa\n".repeat(20));
        assert_eq!(all(&many), [(None, None), event("b", None)]);
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(text in "(data: a|id: 1|:|\n|\r|\r\n|\n\n|x|é){0,40}", cuts in proptest::collection::vec(0_usize..60, 0..6)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut events = Events::new(1000);
            let parts = cuts.windows(2).flat_map(|cut| events.take(&bytes[cut[0]..cut[1]])).collect::<Vec<_>>();
            prop_assert_eq!(parts, Events::new(1000).take(bytes));
        }
    }
}
