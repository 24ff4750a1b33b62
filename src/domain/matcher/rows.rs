//! For each number, a row of things: all rows in one list.

use super::keys::Number;

#[derive(Debug)]
pub(super) struct Rows<T> {
    /// Where each number's row begins; one more at the end.
    starts: Vec<u32>,
    items: Vec<T>,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self { starts: Vec::new(), items: Vec::new() }
    }
}

impl<T> Rows<T> {
    /// Puts things into the rows of their numbers, which are below `numbers`; in a row they
    /// keep their order.
    pub(super) fn new(numbers: usize, mut things: Vec<(Number, T)>) -> Self {
        things.sort_by_key(|(number, _)| *number);
        let mut starts = vec![0; numbers + 1];
        for (number, _) in &things {
            if let Some(count) = starts.get_mut(*number as usize + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        // Collected in the place where the pairs were, with their room and what they had to spare.
        let mut items: Vec<T> = things.into_iter().map(|(_, thing)| thing).collect();
        items.shrink_to_fit();
        Self { starts, items }
    }

    /// The row of a number.
    #[inline]
    pub(super) fn of(&self, number: Number) -> &[T] {
        let place = number as usize;
        let (Some(&from), Some(&to)) = (self.starts.get(place), self.starts.get(place + 1)) else { return &[] };
        self.items.get(from as usize..to as usize).unwrap_or_default()
    }
}
