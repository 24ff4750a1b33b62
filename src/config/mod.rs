//! What the user wrote, turned into values that cannot hold nonsense.

pub mod model;
pub mod secret;
