//! The service manager: readiness, watchdog, status (`sd_notify(3)`).
//!
//! Without a service manager every call does nothing.

use sd_notify::NotifyState;

use crate::telemetry::events;

/// Start-up is done.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// New rules are being read; [`ready`] follows.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The daemon is going down.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// The daemon still makes progress; without this it is restarted.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// A line for `systemctl status`.
pub(super) fn status(line: &str) {
    tell(&[NotifyState::Status(line)]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        events::manager_untold(&error);
    }
}
