//! From queries to programs, and where to file them.
//!
//! Every query is filed under a *cover*: numbers of which a satisfying post must contain
//! at least one, chosen as rare as can be told. A post then touches only the queries
//! filed under what it contains. Nothing is expanded into a normal form: a query of
//! nested ORs and ANDs stays as long as it was written.

use std::collections::HashMap;
use std::sync::Arc;

use super::frequency::share;
use super::index::{ALIASES, FILED, Index, Looser, SPELT};
use super::keys::{Number, Space};
use super::phrases::{BEGINS, FOLLOWS};
use super::program::{ListProgram, Op};
use super::rows::Rows;
use crate::domain::query::Query;
use crate::domain::query::ast::{Kind, List, Node};
use crate::domain::query::field::Field;
use crate::domain::query::regex::{Literal, Regex};
use crate::domain::query::term::{Pattern, Term, TermForm};
use crate::domain::text::{Sigil, skeleton};

/// Numbers of which one must occur, and the share of posts in which one does.
#[derive(Clone, Debug)]
struct Cover {
    share: f32,
    numbers: Vec<Number>,
}

/// What is known of a part of a query.
#[derive(Debug, Default)]
struct Part {
    /// A post that satisfies it has one of these.
    cover: Option<Cover>,
    /// A post that does not satisfy it has one of these.
    opposite: Option<Cover>,
    /// A post that satisfies it has all of these.
    needs: Vec<Number>,
}

impl Part {
    /// A part that is satisfied where a number occurs.
    fn number(number: Number, share: f32) -> Self {
        Self { cover: Some(Cover { share, numbers: vec![number] }), opposite: None, needs: vec![number] }
    }

    fn not(self) -> Self {
        Self { cover: self.opposite, opposite: self.cover, needs: Vec::new() }
    }

    fn all(parts: Vec<Self>) -> Self {
        let (mut covers, mut opposites, mut needs) = (Vec::new(), Vec::new(), Vec::new());
        for part in parts {
            covers.push(part.cover);
            opposites.push(part.opposite);
            needs.extend(part.needs);
        }
        Self { cover: rarest(covers), opposite: union(opposites), needs }
    }

    fn any(mut parts: Vec<Self>) -> Self {
        if parts.len() == 1 {
            return parts.pop().unwrap_or_default();
        }
        let (mut covers, mut opposites) = (Vec::new(), Vec::new());
        for part in parts {
            covers.push(part.cover);
            opposites.push(part.opposite);
        }
        Self { cover: union(covers), opposite: rarest(opposites), needs: Vec::new() }
    }
}

fn rarest(covers: Vec<Option<Cover>>) -> Option<Cover> {
    covers.into_iter().flatten().min_by(|a, b| a.share.total_cmp(&b.share))
}

fn union(covers: Vec<Option<Cover>>) -> Option<Cover> {
    covers.into_iter().try_fold(Cover { share: 0.0, numbers: Vec::new() }, |mut all, cover| {
        let cover = cover?;
        all.share += cover.share;
        all.numbers.extend(cover.numbers);
        Some(all)
    })
}

/// Builds a matcher's programs.
#[derive(Default)]
pub(super) struct Planner {
    pub(super) index: Index,
    /// Lists planned before, by their address: the rules of a file share them.
    lists: HashMap<*const Term, u32>,
    /// The share of posts that has each number.
    shares: Vec<f32>,
    /// For each number, what else to do where it occurs.
    flags: Vec<u8>,
    /// Numbers, and others that occur wherever these do.
    aliases: Vec<(Number, Number)>,
    /// What is being planned must say where it stands, not only that it does.
    in_places: bool,
    /// Words, and spellings of them.
    spelt: Vec<(Number, (Box<str>, Number))>,
}

/// Where a query is filed.
pub(super) struct Filed {
    /// Under each of these; under everything when there is no telling.
    pub(super) under: Option<Vec<Number>>,
    /// Another number without which the query cannot be satisfied.
    pub(super) need: Option<Number>,
    /// What is left to ask where it occurs with the one it needs: the program from this step on.
    pub(super) left: Option<u32>,
}

impl Planner {
    /// Appends a query's program and says where to file it.
    pub(super) fn plan(&mut self, query: &Query) -> Filed {
        let mut program = Vec::new();
        self.in_places = query.text_only;
        let (part, left) = match &query.root.kind {
            Kind::And(parts) => self.parts(parts, &mut program),
            _ => (self.node(&query.root, &mut program), 0),
        };
        let under = part.cover.map(|mut cover| {
            cover.numbers.sort_unstable();
            cover.numbers.dedup();
            cover.numbers
        });
        let others = part.needs.into_iter().filter(|need| under.as_deref() != Some(&[*need]));
        let mut need = others.min_by(|a, b| self.share(*a).total_cmp(&self.share(*b)));
        let mut left = if query.text_only { Some(0) } else { Some(left) };
        match left.and_then(|left| program.get(left as usize..)) {
            _ if query.text_only => {}
            // All that is left is a number, which may well be the one that it needs.
            Some(&[Op::Number(number)]) if program.len() > 1 => (need, left) = (Some(number), None),
            Some(rest) if program.len() == rest.len() && is_certain(rest) => left = None,
            _ => {}
        }
        self.index.parts.ops.append(&mut program);
        Filed { under, need, left }
    }

    /// Parts all of which must hold: the rarest first, where that is told by its numbers alone,
    /// then the rest, and where that begins. Whoever comes by those numbers asks the rest only.
    fn parts(&mut self, parts: &[Node], program: &mut Vec<Op>) -> (Part, u32) {
        let mut planned: Vec<(Part, Vec<Op>)> = Vec::new();
        for part in parts {
            let mut ops = Vec::new();
            planned.push((self.node(part, &mut ops), ops));
        }
        let share = |part: &Part| part.cover.as_ref().map_or(1.0, |cover| cover.share);
        planned.sort_by(|(a, of_a), (b, of_b)| dearness(of_a).cmp(&dearness(of_b)).then(share(a).total_cmp(&share(b))));
        let rarest = (0..).zip(&planned).filter(|(_, (part, _))| part.cover.is_some());
        let rarest = rarest.min_by(|(_, (a, _)), (_, (b, _))| share(a).total_cmp(&share(b))).map(|(at, _)| at);
        let certain = rarest.filter(|at| planned.len() > 1 && planned.get(*at).is_some_and(|(_, ops)| is_certain(ops)));
        let mut left = 0;
        if let Some(certain) = certain {
            let first = planned.remove(certain);
            program.push(Op::All(0));
            program.extend_from_slice(&first.1);
            left = place(program);
            planned.insert(0, first);
        }
        let rest = planned.get(usize::from(certain.is_some())..).unwrap_or_default();
        let several = rest.len() > 1;
        if several {
            program.push(Op::All(0));
        }
        for (_, ops) in rest {
            program.extend_from_slice(ops);
        }
        if several {
            close(program, left as usize, Op::All);
        }
        if certain.is_some() {
            close(program, 0, Op::All);
        }
        (Part::all(planned.into_iter().map(|(part, _)| part).collect()), left)
    }

    fn share(&self, number: Number) -> f32 {
        self.shares.get(number as usize).copied().unwrap_or(1.0)
    }

    /// The number of a key; `share` tells how common it is when it is new.
    fn number(&mut self, space: Space, key: &[u8], share: f32) -> Number {
        let number = self.index.keys.number(space, key);
        if self.shares.len() <= number as usize {
            self.shares.push(share);
            self.flags.push(0);
        }
        number
    }

    fn part(&self, number: Number) -> Part {
        Part::number(number, self.share(number))
    }

    fn node(&mut self, node: &Node, program: &mut Vec<Op>) -> Part {
        match &node.kind {
            Kind::Term(term) => self.term(term, program),
            Kind::List(list) => self.list(list, program),
            Kind::And(parts) => Part::all(self.body(parts, Op::All, program)),
            Kind::Or(parts) => Part::any(self.body(parts, Op::Any, program)),
            Kind::Not(part) => {
                program.push(Op::Not);
                self.node(part, program).not()
            }
            Kind::Near(near) => {
                let (distance, ordered) = (u16::try_from(near.distance).unwrap_or(u16::MAX), near.ordered);
                let op = |steps| Op::Near { steps, distance, ordered };
                let outside = std::mem::replace(&mut self.in_places, true);
                let sides = self.body(&near.sides, op, program);
                self.in_places = outside;
                Part { opposite: None, ..Part::all(sides) }
            }
            Kind::Field(field) => self.field(field, program),
            Kind::Regex(regex) => {
                program.push(Op::Regex(place(&self.index.parts.regexes)));
                self.index.parts.regexes.push(Arc::clone(regex));
                let part = match regex.needs() {
                    Some(needs) => Part::any(needs.iter().map(|literal| self.literal(literal)).collect()),
                    None => self.loose(regex),
                };
                Part { opposite: None, ..part }
            }
            // The parser leaves none.
            Kind::TextOnly => {
                program.push(Op::All(0));
                Part::default()
            }
        }
    }

    /// Parts one after the other, behind the step that holds them.
    fn body(&mut self, parts: &[Node], op: impl Fn(u32) -> Op, program: &mut Vec<Op>) -> Vec<Part> {
        let at = program.len();
        program.push(op(0));
        let parts = parts.iter().map(|part| self.node(part, program)).collect();
        close(program, at, op);
        parts
    }

    fn term(&mut self, term: &Term, program: &mut Vec<Op>) -> Part {
        let joined = term.joined();
        let at = program.len();
        if joined.is_some() {
            program.push(Op::Any(0));
        }
        let part = match &term.form {
            TermForm::Phrase(words) => {
                let numbers: Vec<Number> = words.iter().map(|word| self.pattern(Sigil::Word, word)).collect();
                self.row(&numbers, program)
            }
            TermForm::Fuzzy(words) => {
                let numbers: Vec<Number> = words.iter().map(|word| self.fuzzy(word)).collect();
                self.row(&numbers, program)
            }
            TermForm::Exact(words) => {
                let numbers: Vec<Number> = words.iter().map(|spelt| self.exact(&spelt.word, &spelt.spelling)).collect();
                self.row(&numbers, program)
            }
            TermForm::Sloppy { words, slack } => {
                let numbers: Vec<Number> = words.iter().map(|word| self.pattern(Sigil::Word, word)).collect();
                let longest = u16::try_from(numbers.len())
                    .unwrap_or(u16::MAX)
                    .saturating_add(u16::try_from(*slack).unwrap_or(u16::MAX));
                program.push(Op::Stretch { numbers: u16::try_from(numbers.len()).unwrap_or(u16::MAX), longest });
                program.extend(numbers.iter().map(|&number| Op::Number(number)));
                Part { opposite: None, ..Part::all(numbers.iter().map(|&number| self.part(number)).collect()) }
            }
            TermForm::Token(sigil, pattern) => {
                let number = self.pattern(*sigil, pattern);
                program.push(Op::Number(number));
                self.part(number)
            }
        };
        let Some(joined) = joined else { return part };
        let tag = self.number(Space::token(Sigil::Tag), joined.as_bytes(), RARE);
        program.push(Op::Number(tag));
        close(program, at, Op::Any);
        Part { opposite: None, ..Part::any(vec![part, self.part(tag)]) }
    }

    /// Numbers that follow each other.
    fn row(&mut self, numbers: &[Number], program: &mut Vec<Op>) -> Part {
        if let [only] = numbers {
            program.push(Op::Number(*only));
            return self.part(*only);
        }
        let known = self.index.keys.len();
        let (keys, phrases) = (&mut self.index.keys, &mut self.index.phrases);
        let phrase = phrases.number(numbers, || keys.nameless());
        if phrase as usize == known {
            // Neighbours are met together more often than chance would have it.
            let shares = numbers.iter().map(|number| self.share(*number));
            let share = shares.clone().reduce(|a, b| a * b * 10.0).unwrap_or(1.0).min(shares.fold(1.0, f32::min));
            self.shares.push(share);
            self.flags.push(0);
            for (at, number) in numbers.iter().enumerate() {
                self.flag(*number, if at == 0 { BEGINS } else { FOLLOWS });
            }
        }
        if self.in_places {
            program.push(Op::Row(place(numbers) + 1));
            program.push(Op::Number(phrase));
            program.extend(numbers.iter().map(|&number| Op::Number(number)));
        } else {
            program.push(Op::Number(phrase));
        }
        self.part(phrase)
    }

    fn pattern(&mut self, sigil: Sigil, pattern: &Pattern) -> Number {
        let common = |word: &str| if sigil == Sigil::Word { share(word) } else { RARE };
        match pattern {
            Pattern::Word(word) => {
                let share = common(word);
                self.number(Space::token(sigil), word.as_bytes(), share)
            }
            Pattern::Wild(wild) => {
                let share = 2.0 * common(wild.stem());
                let key =
                    if wild.any_ending() { format!("{}*", pattern.as_str()) } else { pattern.as_str().to_owned() };
                let known = self.index.keys.len();
                let number = self.number(Space::wild(sigil), key.as_bytes(), share);
                if number as usize == known {
                    self.index.stems.add(sigil, wild, number);
                }
                number
            }
        }
    }

    fn fuzzy(&mut self, word: &str) -> Number {
        let share = share(word);
        let fuzzy = self.number(Space::FUZZY, word.as_bytes(), share);
        let plain = self.number(Space::token(Sigil::Word), word.as_bytes(), share);
        let unusual = self.number(Space::token(Sigil::Fuzzy), skeleton(word).as_bytes(), RARE);
        self.alias(plain, fuzzy);
        self.alias(unusual, fuzzy);
        self.index.reads_fuzzy = true;
        fuzzy
    }

    fn exact(&mut self, word: &str, spelling: &str) -> Number {
        let share = share(word);
        let plain = self.number(Space::token(Sigil::Word), word.as_bytes(), share);
        let known = self.index.keys.len();
        let exact = self.number(Space::EXACT, spelling.as_bytes(), share / 2.0);
        if exact as usize == known {
            self.spelt.push((plain, (spelling.into(), exact)));
            self.flag(plain, SPELT);
        }
        exact
    }

    /// A list is planned once, and occurs where the covers of its terms do.
    fn list(&mut self, list: &List, program: &mut Vec<Op>) -> Part {
        let address = list.terms.as_ptr();
        let known = self.lists.get(&address).copied();
        let place = known.unwrap_or_else(|| self.new_list(list));
        self.lists.insert(address, place);
        let Some(list) = self.index.parts.lists.get(place as usize) else { return Part::default() };
        let number = list.number;
        // Where all terms are single numbers, the list's own number is all there is to know.
        let simple = list.ops.iter().skip(1).all(|op| matches!(op, Op::Number(_)));
        program.push(if simple { Op::Number(number) } else { Op::List(place) });
        Part { opposite: None, ..self.part(number) }
    }

    fn new_list(&mut self, list: &List) -> u32 {
        let place = place(&self.index.parts.lists);
        let mut ops = vec![Op::Any(0)];
        let mut share = 0.0;
        let mut numbers = Vec::new();
        let outside = std::mem::replace(&mut self.in_places, true);
        for term in list.terms.iter() {
            if let Some(cover) = self.term(term, &mut ops).cover {
                share += cover.share;
                numbers.extend(cover.numbers);
            }
        }
        self.in_places = outside;
        close(&mut ops, 0, Op::Any);
        let number = self.number(Space::LIST, &place.to_le_bytes(), share);
        for of in numbers {
            self.alias(of, number);
        }
        self.index.parts.lists.push(ListProgram { ops, number });
        place
    }

    fn field(&mut self, field: &Field, program: &mut Vec<Op>) -> Part {
        program.push(Op::Field(place(&self.index.parts.fields)));
        self.index.parts.fields.push(field.clone());
        let (space, names) = match field {
            Field::From(names) => (Space::AUTHOR, names),
            Field::Link(names) => (Space::HOST, names),
            _ => return Part::default(),
        };
        self.index.reads_authors |= space == Space::AUTHOR;
        self.index.reads_hosts |= space == Space::HOST;
        let numbers: Vec<Number> = names.iter().map(|name| self.number(space, name.as_bytes(), RARE)).collect();
        Part {
            needs: Vec::new(),
            opposite: None,
            ..Part::any(numbers.into_iter().map(|number| self.part(number)).collect())
        }
    }

    /// What a regular expression needs: a word, the beginning of one, or a piece of text.
    fn literal(&mut self, literal: &Literal) -> Part {
        let share = share(&literal.text);
        let number = match (literal.begins, literal.ends) {
            (true, true) => self.number(Space::token(Sigil::Word), literal.text.as_bytes(), share),
            (true, false) => self.pattern(Sigil::Word, &Pattern::stem(&literal.text)),
            (false, _) => {
                let known = self.index.keys.len();
                let number = self.number(Space::PIECE, literal.text.as_bytes(), 4.0 * share);
                if number as usize == known {
                    self.index.pieces.add(&literal.text, number);
                }
                number
            }
        };
        self.part(number)
    }

    /// An expression that needs nothing in particular: all such are looked for at once.
    fn loose(&mut self, regex: &Regex) -> Part {
        let known = self.index.keys.len();
        let number = self.number(Space::LOOSE, regex.as_str().as_bytes(), 0.2);
        if let (true, Some(loose)) = (number as usize == known, regex.loosened()) {
            self.index.loose.push((loose, number));
        }
        self.part(number)
    }

    fn alias(&mut self, of: Number, number: Number) {
        self.aliases.push((of, number));
        self.flag(of, ALIASES);
    }

    fn flag(&mut self, number: Number, flag: u8) {
        if let Some(flags) = self.flags.get_mut(number as usize) {
            *flags |= flag;
        }
    }

    /// What posts are read with, when queries are filed under these numbers.
    pub(super) fn finish(mut self, filed: impl Iterator<Item = Number>) -> Index {
        filed.for_each(|number| self.flag(number, FILED));
        self.aliases.sort_unstable();
        self.aliases.dedup();
        let Self { mut index, mut flags, aliases, spelt, .. } = self;
        flags.shrink_to_fit();
        let numbers = index.keys.len();
        index.keys.finish(&flags);
        index.phrases.finish(&flags);
        index.flags = flags;
        index.aliases = Rows::new(numbers, aliases);
        index.spelt = Rows::new(numbers, spelt);
        index.looser = Looser::new(&index.loose);
        index.parts.ops.shrink_to_fit();
        index
    }
}

/// Of hashtags, accounts, authors and hosts: each is in very few posts.
const RARE: f32 = 0.000_01;

/// Whether a part is satisfied wherever one of the numbers that cover it occurs.
fn is_certain(program: &[Op]) -> bool {
    program.iter().all(|op| matches!(op, Op::Number(_) | Op::Any(_)))
}

/// In what order to ask parts that must all hold: first those that only look numbers up.
fn dearness(program: &[Op]) -> u8 {
    let of = |op: &Op| match op {
        Op::Number(_) | Op::Any(_) | Op::All(_) | Op::Not => 0,
        Op::Row(_) | Op::Stretch { .. } | Op::Near { .. } | Op::List(_) | Op::Field(_) => 1,
        Op::Regex(_) => 2,
    };
    program.iter().map(of).max().unwrap_or(0)
}

/// Says how many steps the part at a place has, now that they are there.
fn close(program: &mut [Op], at: usize, op: impl Fn(u32) -> Op) {
    let steps = u32::try_from(program.len() - at - 1).unwrap_or(u32::MAX);
    if let Some(open) = program.get_mut(at) {
        *open = op(steps);
    }
}

fn place<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX)
}
