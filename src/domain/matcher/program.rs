//! What is left of a query when its words are numbers: a program, asked about one post.
//!
//! Programs lie one after the other in one list. A part that holds others says how long
//! it is, so that it can be stepped over; nothing is ever asked twice, and nothing goes
//! back, so a program takes time in proportion to its length and the places it looks at.

use std::ops::Range;
use std::sync::Arc;

use super::keys::Number;
use super::sightings::{Sightings, Span, near};
use crate::domain::post::Excerpt;
use crate::domain::query::field::Field;
use crate::domain::query::regex::{Outlines, Regex};
use crate::domain::text::Words;

/// One step of a program, followed by its parts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    /// The number occurs.
    Number(Number),
    /// The phrase whose number comes first occurs; the other numbers are its words. So many in all.
    Row(u32),
    /// All of so many numbers lie within so many positions.
    Stretch { numbers: u16, longest: u16 },
    /// The two parts in the next so many steps are near each other.
    Near { steps: u32, distance: u16, ordered: bool },
    /// All parts in the next so many steps.
    All(u32),
    /// One part in the next so many steps.
    Any(u32),
    /// Not the next part.
    Not,
    /// A list, by its place among the lists.
    List(u32),
    /// A regular expression, by its place.
    Regex(u32),
    /// A field, by its place.
    Field(u32),
}

/// A list's program and the number that occurs wherever the list could.
#[derive(Debug)]
pub(super) struct ListProgram {
    pub(super) ops: Vec<Op>,
    pub(super) number: Number,
}

/// All that programs name.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) ops: Vec<Op>,
    pub(super) lists: Vec<ListProgram>,
    pub(super) regexes: Vec<Arc<Regex>>,
    pub(super) fields: Vec<Field>,
}

/// Buffers for asking, reused over posts.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// For each list, with and without media: the spans found in this post, once asked.
    lists: Vec<Option<Range<usize>>>,
    found: Vec<Span>,
    /// Where `NEAR` collects its sides.
    spare: Vec<Vec<Span>>,
    /// Where rows have got to: places in the list of sightings, and positions.
    row: [Vec<(usize, u32)>; 2],
    /// The outlines of the texts regular expressions were asked about.
    outlines: Outlines,
}

impl Memory {
    /// Forgets the last post.
    pub(super) fn clear(&mut self, lists: usize) {
        self.lists.clear();
        self.lists.resize(2 * lists, None);
        self.found.clear();
        self.outlines.clear();
    }

    fn take(&mut self) -> Vec<Span> {
        self.spare.pop().unwrap_or_default()
    }

    fn give_back(&mut self, mut spans: Vec<Span>) {
        spans.clear();
        self.spare.push(spans);
    }
}

/// Asks programs about one post.
pub(super) struct Asker<'a> {
    pub(super) parts: &'a Parts,
    pub(super) sightings: &'a Sightings,
    pub(super) words: &'a Words,
    pub(super) post: &'a Excerpt,
    pub(super) memory: &'a mut Memory,
    /// Positions that are not read; none unless the query says `in:text`.
    pub(super) unread: Range<u32>,
}

impl Asker<'_> {
    /// Whether the post satisfies a program.
    pub(super) fn holds(&mut self, program: &[Op]) -> bool {
        let Some((op, rest)) = program.split_first() else { return false };
        match *op {
            Op::Number(number) => self.occurs(number),
            Op::All(steps) => parts(body(rest, steps)).all(|part| self.holds(part)),
            Op::Any(steps) => parts(body(rest, steps)).any(|part| self.holds(part)),
            Op::Not => !self.holds(rest),
            Op::List(list) => {
                let number = self.parts.lists.get(list as usize).map(|list| list.number);
                number.is_some_and(|number| self.sightings.has(number)) && !self.list(list).is_empty()
            }
            Op::Regex(regex) => self.matches(regex),
            Op::Field(field) => self.parts.fields.get(field as usize).is_some_and(|field| field.holds(self.post)),
            Op::Near { .. } | Op::Stretch { .. } | Op::Row(_) => {
                let mut spans = self.memory.take();
                self.spans(program, &mut spans);
                let holds = !spans.is_empty();
                self.memory.give_back(spans);
                holds
            }
        }
    }

    fn occurs(&self, number: Number) -> bool {
        self.sightings.of(number).any(|span| self.reads(span))
    }

    fn reads(&self, span: Span) -> bool {
        !self.unread.contains(&span.begin)
    }

    /// Appends the spans of a part that has places in the text, sorted.
    fn spans(&mut self, part: &[Op], spans: &mut Vec<Span>) {
        let Some((op, rest)) = part.split_first() else { return };
        let from = spans.len();
        match *op {
            Op::Number(number) => spans.extend(self.sightings.of(number).filter(|span| self.reads(*span))),
            Op::Row(length) => self.rows(body(rest, length), spans),
            Op::Stretch { numbers, longest } => self.stretch(body(rest, numbers.into()), longest.into(), spans),
            Op::Any(steps) => parts(body(rest, steps)).for_each(|part| self.spans(part, spans)),
            Op::List(list) => {
                let found = self.list(list);
                spans.extend_from_slice(self.memory.found.get(found).unwrap_or_default());
            }
            Op::Near { steps, distance, ordered } => self.near(body(rest, steps), distance.into(), ordered, spans),
            // The parser lets nothing else stand beside NEAR.
            Op::All(_) | Op::Not | Op::Regex(_) | Op::Field(_) => {}
        }
        if let Some(new) = spans.get_mut(from..).filter(|new| !new.is_sorted()) {
            new.sort_unstable();
        }
    }

    /// Every place where numbers follow each other.
    fn rows(&mut self, numbers: &[Op], spans: &mut Vec<Span>) {
        let mut numbers = numbers.iter().copied().filter_map(number);
        let (Some(phrase), Some(first)) = (numbers.next(), numbers.next()) else { return };
        if !self.sightings.has(phrase) {
            return;
        }
        let [mut ends, mut next] = std::mem::take(&mut self.memory.row);
        for (place, start) in self.sightings.placed(first).filter(|(_, span)| self.reads(*span)) {
            self.ends(place, start.end, numbers.clone(), &mut ends, &mut next);
            spans.extend(ends.iter().map(|&(_, end)| Span { begin: start.begin, end }));
        }
        self.memory.row = [ends, next];
    }

    /// Where numbers that follow a place end, each at its place in the list of sightings.
    fn ends(
        &self,
        place: usize,
        end: u32,
        numbers: impl Iterator<Item = Number>,
        ends: &mut Vec<(usize, u32)>,
        next: &mut Vec<(usize, u32)>,
    ) {
        ends.clear();
        ends.push((place, end));
        for number in numbers {
            next.clear();
            for &(place, end) in &*ends {
                self.sightings.after(place, end, number, |place, end| next.push((place, end)));
            }
            next.dedup_by_key(|(_, end)| *end);
            std::mem::swap(ends, next);
            if ends.is_empty() {
                return;
            }
        }
    }

    /// From each start, the shortest stretch that holds all numbers.
    fn stretch(&mut self, numbers: &[Op], longest: u32, found: &mut Vec<Span>) {
        let (mut starts, mut lists) = (self.memory.take(), self.memory.take());
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        for number in numbers {
            let from = starts.len();
            self.spans(std::slice::from_ref(number), &mut starts);
            // From each place on, the earliest end is all that counts.
            let mut earliest = u32::MAX;
            for span in starts.iter_mut().skip(from).rev() {
                earliest = earliest.min(span.end);
                span.end = earliest;
            }
            lists.push(Span { begin: place(from), end: place(starts.len()) });
        }
        for start in &starts {
            let end = lists.iter().try_fold(0, |end: u32, list| {
                let list = starts.get(list.begin as usize..list.end as usize)?;
                let next = list.partition_point(|span| span.begin < start.begin);
                list.get(next).map(|next| end.max(next.end))
            });
            if let Some(end) = end.filter(|end| end - start.begin <= longest) {
                found.push(Span { begin: start.begin, end });
            }
        }
        self.memory.give_back(starts);
        self.memory.give_back(lists);
    }

    fn near(&mut self, sides: &[Op], distance: u32, ordered: bool, spans: &mut Vec<Span>) {
        let Some((first, second)) = length(sides).and_then(|length| sides.split_at_checked(length)) else { return };
        let (mut of_first, mut of_second) = (self.memory.take(), self.memory.take());
        self.spans(first, &mut of_first);
        if !of_first.is_empty() {
            self.spans(second, &mut of_second);
            near(&of_first, &of_second, distance, ordered, spans);
        }
        self.memory.give_back(of_first);
        self.memory.give_back(of_second);
    }

    /// The spans of a list, looked for once a post.
    fn list(&mut self, list: u32) -> Range<usize> {
        let place = 2 * list as usize + usize::from(self.unread.is_empty());
        if let Some(Some(found)) = self.memory.lists.get(place) {
            return found.clone();
        }
        let mut spans = self.memory.take();
        if let Some(list) = self.parts.lists.get(list as usize) {
            self.spans(&list.ops, &mut spans);
        }
        let from = self.memory.found.len();
        self.memory.found.extend_from_slice(&spans);
        self.memory.give_back(spans);
        let found = from..self.memory.found.len();
        if let Some(known) = self.memory.lists.get_mut(place) {
            *known = Some(found.clone());
        }
        found
    }

    fn matches(&mut self, regex: u32) -> bool {
        let Some(regex) = self.parts.regexes.get(regex as usize) else { return false };
        let texts = if self.unread.is_empty() { self.post.texts.len() } else { 1 };
        let words = self.words;
        (0..texts).any(|segment| regex.is_match(words, segment, &mut self.memory.outlines))
    }
}

/// The parts of a body.
fn parts(body: &[Op]) -> impl Iterator<Item = &[Op]> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let length = length(rest)?;
        let (part, after) = rest.split_at_checked(length)?;
        rest = after;
        Some(part)
    })
}

const fn number(op: Op) -> Option<Number> {
    if let Op::Number(number) = op { Some(number) } else { None }
}

fn body(rest: &[Op], steps: u32) -> &[Op] {
    rest.get(..steps as usize).unwrap_or_default()
}

/// How many steps the first part of a program has.
fn length(program: &[Op]) -> Option<usize> {
    let (op, rest) = program.split_first()?;
    let parts = match *op {
        Op::Number(_) | Op::List(_) | Op::Regex(_) | Op::Field(_) => 0,
        Op::Row(steps) | Op::All(steps) | Op::Any(steps) | Op::Near { steps, .. } => steps as usize,
        Op::Stretch { numbers, .. } => numbers.into(),
        Op::Not => length(rest)?,
    };
    Some(1 + parts)
}
