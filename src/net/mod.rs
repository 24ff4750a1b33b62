//! Ways out of the building: TCP, the hospital's proxy, TLS, `WebSocket`, HTTP; and the way in by which sources are
//! called.
//!
//! It knows nothing of any source's or receiver's wire and never retries.

pub mod dial;
pub mod http;
pub mod inlet;
pub mod proxy;
pub mod reach;
pub mod retry;
pub mod socket;
pub mod tls;
pub mod way;
pub mod ws;
