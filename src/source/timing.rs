//! How patient a source is. One place for all numbers, so that tests can hurry.

use std::time::Duration;

/// The waits and limits of one source's connection.
#[derive(Clone, Debug)]
pub struct Timing {
    /// From the name to the end of the handshake.
    pub connect_within: Duration,
    /// A ping goes out when nothing came for so long.
    pub ping_every: Duration,
    /// Nothing at all for so long, though pinged: the connection is half open.
    pub answer_within: Duration,
    /// The ceiling of the first wait after a failure.
    pub first_backoff: Duration,
    /// The ceiling of all waits after failures.
    pub longest_backoff: Duration,
    /// A connection that lasted so long forgives the failures before it.
    pub healthy_after: Duration,
    /// The longest `Retry-After` that is believed.
    pub longest_rest: Duration,
    /// How long what somebody must mend first (a token, a right) is left alone.
    pub operator_rest: Duration,
    /// How long a full queue is waited for before the connection is given up.
    pub queue_patience: Duration,
    /// What a resume repeats on the same host.
    pub overlap: Duration,
    /// What a resume repeats on another host, whose clock may differ.
    pub overlap_other_host: Duration,
    /// A replay whose frames are no older than this has caught up. Leaves room for clocks
    /// that differ.
    pub caught_up_within: Duration,
    /// How long after catching up the hand-over is read again, or what was missed searched for: servers need a
    /// while to have it all.
    pub seam_delay: Duration,
    /// How much before and after the hand-over is read again.
    pub seam_margin: Duration,
    /// The longest that reading a hand-over again may take.
    pub seam_within: Duration,
    /// No frame for so long: the hand-over has been read to its end.
    pub seam_silence: Duration,
    /// For how long a stream of posts may bring deletions alone.
    pub only_deletions: Duration,
    /// How long a hub may take to ask whether we meant a subscription.
    pub hub_verifies_within: Duration,
    /// How long after polling found it a hub may still bring what is new.
    pub hub_brings_within: Duration,
    /// The longest wait before a hub that takes no subscription is asked again.
    pub hub_rest: Duration,
    /// How often what others may have changed on a server is looked at.
    pub looked_at_every: Duration,
    /// A hub is asked for the same subscription no sooner than after so long, whatever lease it gives.
    pub hub_renewed_after: Duration,
    /// How long saying goodbye may take.
    pub stop_within: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connect_within: seconds(10),
            ping_every: seconds(20),
            answer_within: seconds(60),
            first_backoff: Duration::from_millis(500),
            longest_backoff: seconds(30),
            healthy_after: seconds(60),
            longest_rest: seconds(300),
            operator_rest: seconds(300),
            queue_patience: seconds(15),
            overlap: seconds(5),
            overlap_other_host: seconds(10),
            caught_up_within: seconds(5),
            seam_delay: seconds(60),
            seam_margin: seconds(10),
            seam_within: seconds(60),
            seam_silence: seconds(5),
            only_deletions: seconds(300),
            hub_verifies_within: seconds(600),
            hub_brings_within: seconds(600),
            hub_rest: seconds(3600),
            looked_at_every: seconds(3600),
            hub_renewed_after: seconds(300),
            stop_within: seconds(2),
        }
    }
}
