//! One round through a forum's lists: what is new in them, what says something else, what is gone, and what was missed.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::memory::Verdict;
use super::{Item, Memory, Said};
use crate::domain::id::PostId;
use crate::domain::post::Post;
use crate::domain::time::Timestamp;
use crate::source::Frame;
use crate::source::line::Line;
use crate::source::supervise::End;
use crate::wire::post::PostJson;

/// Items remembered of a list, unless its dialect says otherwise: several pages, so that one that is hidden for a while is
/// known again.
const REMEMBERED: usize = 400;
/// Items asked for by their names in one round.
const ASKED_AGAIN: usize = 20;

/// A page of a list.
#[derive(Debug, Default)]
pub(in crate::source) struct Page {
    /// Its items, in its order.
    pub(in crate::source) items: Vec<Item>,
    /// How many more are known and were not asked for.
    pub(in crate::source) known: usize,
    /// Where the next one is; none behind the last.
    pub(in crate::source) next: Option<String>,
}

/// A place with lists that can be asked for.
pub(in crate::source) trait Board: Send {
    /// A list ends behind so many items, though there are more; none when it shows all.
    const SHOWS: Option<usize> = None;
    /// Pages of one list that are read after an outage.
    const MOST_PAGES: usize = 100;
    /// Items remembered of a list.
    const REMEMBERED: usize = REMEMBERED;
    /// Whether a list shows what is known, too, so that what it does not show may be gone.
    const SHOWS_KNOWN: bool = true;

    /// What its lists are called.
    fn lists(&self) -> Vec<String>;

    /// A page of a list, the first one or the one at `after`; none when it is as it was, or cannot be had, and that is
    /// no reason to stop.
    fn page(
        &mut self,
        list: &str,
        after: Option<&str>,
        memory: &Memory,
        line: &Line,
    ) -> impl Future<Output = Result<Option<Page>, End>> + Send;

    /// What became of the items of those names, and of whatever else it says has changed; those that are as they were
    /// may be left out.
    fn again(
        &mut self,
        list: &str,
        names: &[String],
        memory: &Memory,
        line: &Line,
    ) -> impl Future<Output = Result<Vec<Item>, End>> + Send;

    /// Begins anew where the last commit says: with what it noted then.
    fn begin(&mut self, note: &str);

    /// How long until the next round, when it wants to be looked at that often.
    fn pace(&self, every: Duration, _now: Timestamp) -> Duration {
        every
    }

    /// What it wants to be noted with what was read.
    fn note(&self) -> String {
        String::new()
    }
}

/// What is kept between rounds, and runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// Where all this was seen. Another place is another forum.
    of: String,
    lists: BTreeMap<String, Memory>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    note: String,
}

/// A board, and what was seen of it.
pub(in crate::source) struct Reader<B> {
    board: B,
    kept: Kept,
}

/// What a round brought.
pub(in crate::source) struct Round {
    /// Posts and deletions in our own form, the oldest first.
    pub(in crate::source) frames: Vec<Frame>,
    /// What lay further back than the forum shows, or than is read: from when to when.
    pub(in crate::source) missed: Option<(Timestamp, Timestamp)>,
    /// Whether more than half of what the lists showed was news.
    pub(in crate::source) is_busy: bool,
    kept: Kept,
    changed: bool,
}

impl Round {
    /// What to note down once it is processed; none when nothing changed.
    pub(in crate::source) fn noted(&self) -> Option<String> {
        self.changed.then(|| serde_json::to_string(&self.kept).ok()).flatten()
    }
}

impl<B: Board> Reader<B> {
    /// Reads a board as the place called `of`. Nothing is asked yet.
    pub(in crate::source) fn new(board: B, of: &str) -> Self {
        Self { board, kept: Kept { of: of.to_owned(), ..Kept::default() } }
    }

    /// Goes on where that was noted; whether there is something to go on from.
    pub(in crate::source) fn resume(&mut self, noted: Option<&str>) -> bool {
        let kept = noted.and_then(|noted| serde_json::from_str::<Kept>(noted).ok());
        let of = std::mem::take(&mut self.kept.of);
        self.kept = kept.filter(|kept| kept.of == of).unwrap_or(Kept { of, ..Kept::default() });
        let lists = self.board.lists();
        self.kept.lists.retain(|list, _| lists.contains(list));
        self.board.begin(&self.kept.note);
        lists.iter().any(|list| self.kept.lists.get(list).is_some_and(|memory| !memory.is_new()))
    }

    /// The board.
    pub(in crate::source) const fn board(&self) -> &B {
        &self.board
    }

    /// Looks at every list once. What it finds counts as seen only when [`Reader::took`] says so.
    ///
    /// # Errors
    /// [`End::Stopped`], or a failure: then nothing was seen.
    pub(in crate::source) async fn round(&mut self, line: &Line) -> Result<Round, End> {
        let mut kept = self.kept.clone();
        let (mut told, mut missed, mut shown) = (Vec::new(), None, 0);
        for list in self.board.lists() {
            let memory = kept.lists.entry(list.clone()).or_default();
            let looked = look(&mut self.board, &list, memory, line).await?;
            shown += looked.shown;
            told.extend(looked.told);
            if let Some((from, to)) = looked.missed {
                let (first, last) = missed.unwrap_or((from, to));
                missed = Some((from.min(first), to.max(last)));
            }
        }
        kept.note = self.board.note();
        told.sort_by_key(|item| item.at);
        let now = line.now();
        let is_busy = told.len() * 2 > shown;
        let frames = told.into_iter().filter_map(|item| frame(item.said, now)).collect();
        let changed = kept != self.kept;
        Ok(Round { frames, missed, is_busy, kept, changed })
    }

    /// What a round found was handed on.
    pub(in crate::source) fn took(&mut self, round: Round) {
        self.kept = round.kept;
    }
}

/// What a look at a list brought.
struct Looked {
    told: Vec<Item>,
    missed: Option<(Timestamp, Timestamp)>,
    shown: usize,
}

async fn look<B: Board>(board: &mut B, list: &str, memory: &mut Memory, line: &Line) -> Result<Looked, End> {
    let now = line.now();
    let is_first = memory.is_new();
    memory.correct(now);
    let Pages { items, window, is_cut, is_unchanged } = pages(board, list, memory, line).await?;
    let shown = items.len();
    if is_first && is_unchanged {
        // It could not be had: the first look is still to come.
        return Ok(Looked { told: Vec::new(), missed: None, shown });
    }
    let before = memory.read_to();
    let mut told = take_in::<B>(memory, items.clone(), now);
    memory.mark(&items, now);
    if !is_first {
        let missing = match window.filter(|_| B::SHOWS_KNOWN && !is_unchanged) {
            Some(since) => memory.missing(&items, since, ASKED_AGAIN),
            None => Vec::new(),
        };
        match board.again(list, &missing, memory, line).await {
            Ok(again) => {
                told.extend(take_in::<B>(memory, again, now));
                memory.set_aside(&missing);
            }
            Err(End::Stopped) => return Err(End::Stopped),
            // One thing that cannot be had must not cost all that is new; it is asked for again in the next round.
            Err(_) => {}
        }
    }
    let oldest = items.iter().filter(|item| item.in_order).filter_map(|item| item.at).min();
    let missed = before.zip(oldest).filter(|(from, to)| is_cut && !is_first && from < to);
    Ok(Looked { told, missed, shown })
}

/// The pages of a list as far back as was read before.
struct Pages {
    items: Vec<Item>,
    /// How far back the first page goes: what stood behind that should still be there.
    window: Option<Timestamp>,
    is_cut: bool,
    is_unchanged: bool,
}

async fn pages<B: Board>(board: &mut B, list: &str, memory: &Memory, line: &Line) -> Result<Pages, End> {
    let mut pages = Pages { items: Vec::new(), window: None, is_cut: false, is_unchanged: false };
    let (mut names, mut after, mut read) = (HashSet::new(), None, 0);
    for count in 1.. {
        let Some(page) = board.page(list, after.as_deref(), memory, line).await? else {
            (pages.is_unchanged, pages.is_cut) = (count == 1, count > 1);
            break;
        };
        let ordered = page.items.iter().filter(|item| item.in_order);
        if count == 1 {
            let oldest = ordered.clone().filter_map(|item| item.at).min();
            // What is all there is goes back for ever.
            pages.window = if page.next.is_some() { oldest } else { Some(Timestamp::from_seconds(0)) };
        }
        let (all, settled) = (ordered.count() + page.known, memory.settled(&page.items) + page.known);
        read += all;
        // Lists move while they are read: the end of one page is the beginning of the next.
        pages.items.extend(page.items.into_iter().filter(|item| names.insert(item.name.clone())));
        let reaches_known = all > 0 && settled * 2 >= all;
        match page.next {
            _ if memory.is_new() || reaches_known => break,
            None => {
                pages.is_cut = B::SHOWS.is_some_and(|shows| read >= shows);
                break;
            }
            Some(_) if count == B::MOST_PAGES => {
                pages.is_cut = true;
                break;
            }
            next => after = next,
        }
    }
    Ok(pages)
}

/// Those of the items that are to be told, the oldest first.
fn take_in<B: Board>(memory: &mut Memory, mut items: Vec<Item>, now: Timestamp) -> Vec<Item> {
    items.reverse();
    items.sort_by_key(|item| item.at);
    let verdicts = memory.take_in(&items, now, B::REMEMBERED);
    items.into_iter().zip(verdicts).filter(|(_, verdict)| *verdict == Verdict::News).map(|(item, _)| item).collect()
}

fn frame(said: Said, now: Timestamp) -> Option<Frame> {
    let body = match said {
        Said::Post(post) => Ok(line_of(&post)?.into()),
        Said::Gone(id) => Ok(crate::source::feed::gone_line(id.as_str(), now).into()),
        Said::Broken(why) => Err(why),
        Said::Other => return None,
    };
    Some(Frame { received_at: Some(now), body })
}

/// A post in our own form; whose source it is, whoever reads the line knows.
fn line_of(post: &Post) -> Option<Vec<u8>> {
    serde_json::to_vec(&PostJson { source: None, ..PostJson::from(post) }).ok()
}

/// What a board answers when one of its items is not there any more.
pub(super) fn gone(name: &str, id: PostId) -> Item {
    Item { name: name.to_owned(), at: None, in_order: false, said: Said::Gone(id) }
}
