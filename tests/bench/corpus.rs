//! A crowd of made-up people: Jetstream frames in the shape of the real ones, and rules
//! over the same words.
//!
//! Shares, sizes and languages follow counts of the public network: four frames in ten
//! are posts, six posts in ten hold a character beyond ASCII, words are as unequal as
//! words are (Zipf's law with Mandelbrot's correction) and like some neighbours more than
//! others, so that phrases occur. The same seed gives the same frames and the same rules.

mod draft;
mod frames;
pub mod hostile;
mod recording;
pub mod rules;
mod tongue;

pub use draft::Draft;
pub use frames::Corpus;
pub use recording::Recording;

/// Whom the rules guard.
pub const HOSPITAL: &str = "St. Brigid's Hospital";
