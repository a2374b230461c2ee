//! Messages to the service manager (`sd_notify`): one datagram to the socket that it names.

/// Sender of the service's state.
#[derive(Debug, Clone, Default)]
pub struct Notifier {
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux has such a service manager"))]
    socket: Option<String>,
}

/// State of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The service answers requests.
    Ready,
    /// The service is shutting down.
    Stopping,
    /// The service is alive.
    Alive,
}

impl State {
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux has such a service manager"))]
    fn line(self) -> &'static [u8] {
        match self {
            State::Ready => b"READY=1\n",
            State::Stopping => b"STOPPING=1\n",
            State::Alive => b"WATCHDOG=1\n",
        }
    }
}

impl Notifier {
    /// Makes a notifier for the socket that `NOTIFY_SOCKET` names. Without a name it does nothing.
    #[must_use]
    pub fn new(socket: Option<String>) -> Notifier {
        Notifier { socket: socket.filter(|name| !name.is_empty()) }
    }

    /// Sends the state. A manager that does not listen is no reason to stop.
    #[cfg(target_os = "linux")]
    pub fn tell(&self, state: State) {
        use std::os::{
            linux::net::SocketAddrExt,
            unix::net::{SocketAddr, UnixDatagram},
        };
        let Some(name) = &self.socket else { return };
        let address = match name.strip_prefix('@') {
            Some(rest) => SocketAddr::from_abstract_name(rest.as_bytes()),
            None => SocketAddr::from_pathname(name),
        };
        let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.line(), &address));
        if let Err(error) = sent {
            tracing::warn!(%error, "the service manager could not be notified");
        }
    }

    /// Sends the state. A manager that does not listen is no reason to stop.
    #[cfg(not(target_os = "linux"))]
    pub fn tell(&self, _state: State) {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_manager_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::new(path.to_str().map(str::to_owned));
        notifier.tell(State::Ready);
        notifier.tell(State::Stopping);
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1\n");
        let length = socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"STOPPING=1\n");
        Notifier::new(None).tell(State::Ready);
    }
}
