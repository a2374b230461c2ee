//! The whole terminal: redrawn frame by frame, keys read one by one, and restored afterwards.

use std::io::{self, Read, Write};

use tokio::sync::mpsc;

/// Width and height when the terminal does not report them.
const USUAL: (usize, usize) = (80, 24);

/// The terminal while this program draws on all of it.
pub struct Terminal {
    #[cfg(unix)]
    before: Option<rustix::termios::Termios>,
    keys: mpsc::Receiver<u8>,
}

/// Returns its width and height.
pub fn size() -> (usize, usize) {
    #[cfg(unix)]
    if let Ok(size) = rustix::termios::tcgetwinsize(io::stdout())
        && size.ws_col > 0
        && size.ws_row > 0
    {
        return (usize::from(size.ws_col), usize::from(size.ws_row));
    }
    USUAL
}

impl Terminal {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn take() -> io::Result<Terminal> {
        let (sender, keys) = mpsc::channel(16);
        #[cfg(unix)]
        let before = raw();
        #[cfg(unix)]
        let reading = before.is_some();
        #[cfg(not(unix))]
        let reading = false;
        if reading {
            // The thread ends with the process: a read cannot be cancelled.
            let read = move || {
                for byte in io::stdin().lock().bytes().map_while(Result::ok) {
                    if sender.blocking_send(byte).is_err() {
                        return;
                    }
                }
            };
            std::thread::Builder::new().name("kapelle-keys".to_owned()).spawn(read)?;
        }
        let terminal = Terminal {
            #[cfg(unix)]
            before,
            keys,
        };
        // The alternate screen, without a cursor.
        write("\x1b[?1049h\x1b[?25l")?;
        Ok(terminal)
    }

    /// Draws a frame.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn draw(&self, lines: &[String]) -> io::Result<()> {
        let mut text = String::from("\x1b[H");
        for (number, line) in lines.iter().enumerate() {
            if number > 0 {
                text.push_str("\r\n");
            }
            text.push_str(line);
            text.push_str("\x1b[K");
        }
        text.push_str("\x1b[J");
        write(&text)
    }

    /// Returns the next key; waits for ever without a keyboard.
    pub async fn key(&mut self) -> u8 {
        match self.keys.recv().await {
            Some(key) => key,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = write("\x1b[?25h\x1b[?1049l");
        #[cfg(unix)]
        if let Some(before) = &self.before {
            let _ = rustix::termios::tcsetattr(io::stdin(), rustix::termios::OptionalActions::Now, before);
        }
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Makes keys arrive at once and without echo. Returns the former settings, when there is a keyboard.
#[cfg(unix)]
fn raw() -> Option<rustix::termios::Termios> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let before = tcgetattr(io::stdin()).ok()?;
    let mut changed = before.clone();
    // Signals stay: Ctrl-C ends the program as everywhere.
    changed.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
    tcsetattr(io::stdin(), OptionalActions::Now, &changed).ok()?;
    Some(before)
}
