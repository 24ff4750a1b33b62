//! What is known of each character, worked out 128 neighbours at a time when one of them
//! is first met: from then on a character costs one look-up.

use std::sync::OnceLock;

/// Characters on a page.
pub(in crate::domain) const PAGE: usize = 128;
const PAGES: usize = (char::MAX as usize + 1) / PAGE;

/// Pages of some knowledge, none worked out yet.
pub(in crate::domain) struct Pages<P>([OnceLock<Box<P>>; PAGES]);

impl<P> Pages<P> {
    #[allow(clippy::large_stack_arrays, reason = "for statics: the compiler puts it where they are")]
    pub(in crate::domain) const fn new() -> Self {
        Self([const { OnceLock::new() }; PAGES])
    }

    /// The page a character is on, by `work_out` when it is not there yet, and its place
    /// on it. There is one for every character.
    pub(in crate::domain) fn page(
        &self,
        character: char,
        work_out: impl FnOnce(&[Option<char>; PAGE]) -> P,
    ) -> Option<(&P, usize)> {
        let code = character as usize;
        let page = self.0.get(code / PAGE)?.get_or_init(|| {
            let mut codes = u32::from(character) & !0x7F..;
            let neighbours = std::array::from_fn(|_| codes.next().and_then(char::from_u32));
            Box::new(work_out(&neighbours))
        });
        Some((page, code % PAGE))
    }
}
