//! The service manager: readiness, watchdog, status (`sd_notify(3)`).
//!
//! Without a service manager every call does nothing.

use sd_notify::NotifyState;

/// The connection to the service manager.
#[derive(Debug, Default)]
pub struct Service {
    last_status: String,
}

impl Service {
    /// Start-up is done.
    pub fn ready(&self) {
        tell(&[NotifyState::Ready]);
    }

    /// New rules are being read; [`Self::ready`] follows.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(_) => tell(&[NotifyState::Reloading]),
        }
    }

    /// The daemon is going down.
    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }

    /// The daemon still makes progress; without this it is restarted.
    pub fn alive(&self) {
        tell(&[NotifyState::Watchdog]);
    }

    /// A line for `systemctl status`.
    pub fn status(&mut self, line: &str) {
        if self.last_status != line {
            line.clone_into(&mut self.last_status);
            tell(&[NotifyState::Status(line)]);
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "service manager not told");
    }
}
