//! Findings as people read them: the line itself, underlined, and what to do.
//!
//! Plain for files and pipes, coloured for terminals, and always the same text for
//! the same findings. What is shown may come from anywhere, so nothing in it can
//! move the cursor, change colours or turn the direction of writing.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level as Shown, Renderer, Snippet};

use crate::domain::diagnostic::{Diagnostic, Level, Place};

/// Where the text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// To a file or a pipe.
    Plain,
    /// To a terminal.
    Ansi,
}

/// All findings, one below the other, each followed by an empty line.
pub fn render(findings: &[Diagnostic], colours: Colours) -> String {
    let renderer = match colours {
        Colours::Plain => Renderer::plain(),
        Colours::Ansi => Renderer::styled(),
    };
    let mut text = String::new();
    for finding in findings {
        text.push_str(&one(finding, &renderer));
        text.push_str("\n\n");
    }
    text
}

/// How many of each: `3 errors, 1 warning`. Notes are no problems.
pub fn summary(findings: &[Diagnostic]) -> String {
    let count = |level, word: &str| match findings.iter().filter(|finding| finding.level == level).count() {
        0 => None,
        1 => Some(format!("1 {word}")),
        many => Some(format!("{many} {word}s")),
    };
    let counts: Vec<_> =
        [count(Level::Error, "error"), count(Level::Warning, "warning")].into_iter().flatten().collect();
    if counts.is_empty() { "no problems".to_owned() } else { counts.join(", ") }
}

/// A finding in one line, for the log: where, what, and what to do.
pub fn line(finding: &Diagnostic) -> String {
    let place = finding.place.as_ref().map(|place| format!("{}: ", line_number(place)));
    let help = finding.help.as_ref().map(|help| format!(" ({help})"));
    harmless_line(&format!("{}{}{}", place.unwrap_or_default(), finding.message, help.unwrap_or_default()))
}

/// A place in a word: `rules/own.toml:12`.
pub fn line_number(place: &Place) -> String {
    let (_, number) = lines_of(&place.source.text, &place.span);
    harmless_line(&format!("{}:{number}", place.source.name))
}

/// Why a stretch of a post is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// `^`: the query found it.
    Found,
    /// `-`: an exception found it.
    Excepted,
}

/// A text with stretches of it marked.
pub fn marked(name: &str, text: &str, marks: &[(Range<usize>, Mark)]) -> String {
    let annotations = marks.iter().map(|(place, mark)| {
        let kind = match mark {
            Mark::Found => AnnotationKind::Primary,
            Mark::Excepted => AnnotationKind::Context,
        };
        let start = floor(text, place.start);
        kind.span(start..floor(text, place.end).max(start))
    });
    let snippet = Snippet::source(harmless(text)).path(name).fold(false).annotations(annotations);
    // Wide enough for any post: what is cut off cannot be judged.
    let renderer = Renderer::plain().term_width(10_000);
    renderer.render(&[annotate_snippets::Group::with_level(Shown::NOTE).element(snippet)])
}

fn one(finding: &Diagnostic, renderer: &Renderer) -> String {
    let level = match finding.level {
        Level::Error => Shown::ERROR,
        Level::Warning => Shown::WARNING,
        Level::Note => Shown::NOTE,
    };
    let title = level.primary_title(harmless(&finding.message)).id(finding.code);
    let help = finding.help.as_ref().map(|help| Shown::HELP.message(harmless_line(help)));
    let report = match &finding.place {
        None => annotate_snippets::Group::with_title(title).elements(help),
        Some(place) => title.element(snippet(place)).elements(help),
    };
    renderer.render(&[report])
}

/// The lines a place touches. The rest of a long file is none of the renderer's business.
fn snippet(place: &Place) -> Snippet<'_, annotate_snippets::Annotation<'_>> {
    let text = &place.source.text;
    let (lines, first_line) = lines_of(text, &place.span);
    let shown = text.get(lines.clone()).unwrap_or_default();
    let start = floor(text, place.span.start).saturating_sub(lines.start);
    let end = floor(text, place.span.end).saturating_sub(lines.start).max(start);
    let annotation = AnnotationKind::Primary.span(start..end).label(harmless_line(&place.label));
    Snippet::source(harmless(shown))
        .line_start(first_line)
        .path(harmless_line(&place.source.name))
        .annotation(annotation)
}

/// The whole lines around a span, and the number of the first.
fn lines_of(text: &str, span: &Range<usize>) -> (Range<usize>, usize) {
    let (start, end) = (floor(text, span.start), floor(text, span.end.max(span.start)));
    let before = text.get(..start).unwrap_or_default();
    let from = before.rfind('\n').map_or(0, |newline| newline + 1);
    let to = text.get(end..).and_then(|rest| rest.find('\n')).map_or(text.len(), |newline| end + newline);
    (from..to, 1 + before.matches('\n').count())
}

/// The nearest boundary of a character at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at)
}

/// Replaces what the renderer lets through: controls of the C1 range and marks that
/// turn the direction of writing or cannot be seen. As long in bytes as before, so that spans hold.
fn harmless(text: &str) -> String {
    let replace = |c: char| match c {
        '\u{80}'..='\u{9f}' | '\u{61c}' => '·',
        '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => '\u{fffd}',
        _ => c,
    };
    text.chars().map(replace).collect()
}

/// The same for texts the renderer trusts as they are.
pub fn harmless_line(text: &str) -> String {
    annotate_snippets::normalize_untrusted_str(&harmless(text)).replace('\n', " ")
}

/// Lines around a change that are shown with it.
const CONTEXT: usize = 3;

/// One change as a unified diff (`diff -u`), for `patch` and `git apply`; empty where nothing changed.
pub fn diff(name: &str, before: &str, after: &str) -> String {
    if before == after {
        return String::new();
    }
    let (old, new): (Vec<&str>, Vec<&str>) =
        (before.split_inclusive('\n').collect(), after.split_inclusive('\n').collect());
    let same = old.iter().zip(&new).take_while(|(one, other)| one == other).count();
    let rest = old.len().min(new.len()) - same;
    let end = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(one, other)| one == other).count();
    let (from, old_to, new_to) = (same.saturating_sub(CONTEXT), old.len() - end, new.len() - end);
    let until = (old_to + CONTEXT).min(old.len());
    let place = |count: usize| if count == 0 { format!("{from},0") } else { format!("{},{count}", from + 1) };
    let (was, is) = (until - from, until - from + new_to - old_to);
    let mut text = format!("--- a/{name}\n+++ b/{name}\n@@ -{} +{} @@\n", place(was), place(is));
    let mut lines = |mark: char, lines: Option<&[&str]>| {
        for line in lines.unwrap_or_default() {
            text.push(mark);
            text.push_str(line);
            if !line.ends_with('\n') {
                text.push_str("\n\\ No newline at end of file\n");
            }
        }
    };
    lines(' ', old.get(from..same));
    lines('-', old.get(same..old_to));
    lines('+', new.get(same..new_to));
    lines(' ', old.get(old_to..until));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_shows_the_change_and_what_is_around_it() {
        let before = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let expected = "--- a/f\n+++ b/f\n@@ -2,7 +2,8 @@\n 2\n 3\n 4\n-5\n+five\n+and a half\n 6\n 7\n 8\n";
        assert_eq!(diff("f", before, &before.replace('5', "five\nand a half")), expected);
        assert_eq!(diff("f", before, before), "");
        assert_eq!(diff("f", "", "1\n"), "--- a/f\n+++ b/f\n@@ -0,0 +1,1 @@\n+1\n");
        assert_eq!(
            diff("f", "1\n2", "1\n3"),
            "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n 1\n-2\n\\ No newline at end of file\n+3\n\\ No newline at end of file\n"
        );
    }
}
