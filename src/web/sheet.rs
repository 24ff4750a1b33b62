//! Found posts as files for other programs: CSV for spreadsheets, JSON.
//!
//! A spreadsheet takes a cell that begins with `=` for a formula, and a stranger may have written it: such a cell gets an
//! apostrophe first, which makes it text. Characters that hide or reorder others are taken out of CSV, and written as
//! escapes in JSON, where programs get what was said.

use std::fmt::Write as _;

use super::search::FoundView;
use crate::domain::harmless::{clean, is_hidden};
use crate::domain::id::{IncidentId, RuleId};
use crate::domain::post::PostKind;
use crate::domain::seek::FoundPost;

/// The columns of CSV.
const COLUMNS: &str = "at,source,author,handle,name,followers,kind,lang,text,pictures,links,url,rules,incidents,id\r\n";

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// RFC 4180, with the mark by which spreadsheets know UTF-8.
    Csv,
    /// One object with all posts.
    Json,
}

impl Form {
    /// The end of its name.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Json => "application/json",
        }
    }
}

/// A file that is being written, a part at a time.
#[derive(Debug)]
pub(super) struct Sheet {
    form: Form,
    begun: bool,
    rows: bool,
}

impl Sheet {
    pub(super) const fn new(form: Form) -> Self {
        Self { form, begun: false, rows: false }
    }

    /// Some more posts.
    pub(super) fn rows(&mut self, found: &[FoundPost]) -> String {
        let mut text = match (self.form, std::mem::replace(&mut self.begun, true)) {
            (_, true) => String::new(),
            (Form::Csv, false) => format!("\u{FEFF}{COLUMNS}"),
            (Form::Json, false) => "{\"posts\":[".to_owned(),
        };
        for found in found {
            match self.form {
                Form::Csv => text.push_str(&row(found)),
                Form::Json => {
                    let comma = if self.rows { ",\n" } else { "\n" };
                    let view = serde_json::to_string(&FoundView::from(found)).unwrap_or_default();
                    text.extend([comma, &escaped(&view)]);
                }
            }
            self.rows = true;
        }
        text
    }

    /// Its end; where it was cut, after how many posts.
    pub(super) fn end(&self, cut: Option<usize>) -> String {
        match (self.form, cut) {
            (Form::Csv, None) => String::new(),
            (Form::Csv, Some(limit)) => {
                cell(&format!("cut: only the newest {limit} posts are here; search for less to see the others"))
                    + "\r\n"
            }
            (Form::Json, _) => format!("\n],\"cut\":{}}}\n", cut.is_some()),
        }
    }
}

fn row(found: &FoundPost) -> String {
    let FoundPost { post, rules, incidents } = found;
    let author = &post.author;
    let kind = match post.kind {
        PostKind::Post => "post",
        PostKind::Reply => "reply",
        PostKind::Quote => "quote",
        PostKind::Repost => "repost",
    };
    let rules: Vec<&str> = rules.iter().map(RuleId::as_str).collect();
    let incidents: Vec<&str> = incidents.iter().map(IncidentId::as_str).collect();
    let cells = [
        post.event_time.to_string(),
        post.source.to_string(),
        author.id.to_string(),
        author.handle.clone().unwrap_or_default(),
        author.name.clone().unwrap_or_default(),
        author.followers.map(|followers| followers.to_string()).unwrap_or_default(),
        kind.to_owned(),
        post.lang.join(" "),
        post.text.clone(),
        post.media_text.join(" | "),
        post.links.join(" "),
        post.url.clone().unwrap_or_default(),
        rules.join(" "),
        incidents.join(" "),
        post.id.to_string(),
    ];
    cells.map(|text| cell(&text)).join(",") + "\r\n"
}

/// A cell that is text, whatever was written.
fn cell(text: &str) -> String {
    let text = clean(text);
    // Also the full-width signs, which some spreadsheets take for the others.
    let is_formula = text.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠', '|', '%']);
    let mark = if is_formula { "'" } else { "" };
    format!("\"{mark}{}\"", text.replace('"', "\"\""))
}

/// JSON in which nothing hides: such characters stand between quotes alone, where an escape says the same.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if is_hidden(c) && c != '\n' {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                write!(text, "\\u{unit:04x}").unwrap_or_default();
            }
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::post::Post;
    use crate::domain::time::Timestamp;

    #[test]
    fn what_a_stranger_wrote_is_no_formula() {
        for (text, expected) in [
            ("=cmd|' /C calc'!A0", "\"'=cmd|' /C calc'!A0\""),
            ("\t=1+1", "\"'=1+1\""),
            ("\r\n@SUM(A1)", "\"'@SUM(A1)\""),
            ("\u{202E}-1", "\"'-1\""),
            ("\u{FEFF}＝1", "\"'＝1\""),
            ("+1 \"quoted\"\nline", "\"'+1 \"\"quoted\"\" line\""),
            ("a=b", "\"a=b\""),
            ("", "\"\""),
        ] {
            assert_eq!(cell(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_file_begins_once_and_tells_where_it_was_cut() {
        let post = |text: &str| {
            let post = Post::plain("p".into(), "s".into(), "a".into(), text.to_owned(), Timestamp::from_seconds(0));
            FoundPost { post, rules: ["r.a".into()].into(), incidents: [].into() }
        };
        let mut json = Sheet::new(Form::Json);
        let text = json.rows(&[post("a\u{202E}\u{E0041}b")]) + &json.rows(&[post("c"), post("d")]) + &json.end(Some(3));
        assert!(!text.contains('\u{202E}') && text.contains("\\u202e\\udb40\\udc41"), "{text}");
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((read["posts"][0]["text"].as_str(), &read["cut"]), (Some("a\u{202E}\u{E0041}b"), &true.into()));
        assert_eq!(read["posts"].as_array().unwrap().len(), 3);
        let mut csv = Sheet::new(Form::Csv);
        let text = csv.rows(&[]) + &csv.rows(&[post("=1")]) + &csv.end(None);
        assert_eq!(text.lines().count(), 2);
        assert!(text.starts_with("\u{FEFF}at,source") && text.contains(",\"'=1\","), "{text}");
        assert!(csv.end(Some(9)).starts_with("\"cut: only the newest 9"));
        let empty: serde_json::Value = {
            let mut json = Sheet::new(Form::Json);
            serde_json::from_str(&(json.rows(&[]) + &json.end(None))).unwrap()
        };
        assert_eq!(empty["posts"].as_array().unwrap().len(), 0);
    }
}
