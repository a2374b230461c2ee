//! A mail server in this process that keeps what it gets, and refuses, hangs or breaks where it is told to.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// Another answer than the usual one.
#[derive(Debug, Clone)]
pub struct Turn {
    /// The beginning of the line that gets the answer, such as `RCPT TO:<full@`; `.` is the end of a mail.
    pub line: &'static str,
    /// Reply to such a line.
    pub answer: Answer,
    /// Number of times that it is given.
    pub times: usize,
}

/// An answer of the server.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// A line such as `451 later`.
    Line(&'static str),
    /// It breaks the connection.
    Break,
    /// It never answers.
    Hang,
}

/// A mail that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The sender of the envelope.
    pub from: String,
    /// The recipients of the envelope.
    pub to: Vec<String>,
    /// Its text, with headers.
    pub text: String,
}

/// A running server.
#[derive(Debug)]
pub struct SmtpDouble {
    /// Its address on the loopback.
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    turns: Mutex<Vec<Turn>>,
    taken: Mutex<Vec<Taken>>,
    lines: Mutex<Vec<String>>,
    hanging: Notify,
}

impl SmtpDouble {
    /// Starts a server with these turns.
    ///
    /// # Errors
    /// When no port can be opened.
    pub async fn start(turns: Vec<Turn>) -> std::io::Result<SmtpDouble> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State { turns: Mutex::new(turns), ..State::default() });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                tokio::spawn(async move { state.serve(stream).await });
            }
        });
        Ok(SmtpDouble { address, state })
    }

    /// Returns the mails that it took.
    #[must_use]
    pub fn taken(&self) -> Vec<Taken> {
        self.state.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns every line that clients sent outside of mails.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.state.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it leaves a client without an answer.
    pub async fn hangs(&self) {
        self.state.hanging.notified().await;
    }
}

impl State {
    fn turn(&self, line: &str) -> Option<Answer> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.iter_mut().find(|turn| turn.times > 0 && line.starts_with(turn.line))?;
        turn.times -= 1;
        Some(turn.answer)
    }

    async fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut stream = BufReader::new(stream);
        let mut mail = Taken { from: String::new(), to: Vec::new(), text: String::new() };
        let mut in_mail = false;
        stream.write_all(b"220 double\r\n").await.ok()?;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let line = line.trim_end_matches(['\r', '\n']).to_owned();
            if in_mail && line != "." {
                mail.text.push_str(line.strip_prefix('.').unwrap_or(&line));
                mail.text.push('\n');
                continue;
            }
            let ended = std::mem::take(&mut in_mail);
            if !ended {
                self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line.clone());
            }
            let answer = match self.turn(&line) {
                Some(Answer::Line(line)) => line,
                Some(Answer::Break) => return None,
                Some(Answer::Hang) => {
                    self.hanging.notify_one();
                    std::future::pending().await
                }
                None => usual(&line),
            };
            let path = |line: &str| line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
            match line.get(..4).unwrap_or(&line) {
                "MAIL" => mail = Taken { from: path(&line), to: Vec::new(), text: String::new() },
                "RCPT" => mail.to.push(path(&line)),
                "DATA" => in_mail = answer.starts_with('3'),
                _ if ended && answer.starts_with('2') => {
                    self.taken.lock().unwrap_or_else(PoisonError::into_inner).push(mail.clone());
                }
                _ => {}
            }
            stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
        }
    }
}

fn usual(line: &str) -> &'static str {
    match line.get(..4).unwrap_or(line) {
        "EHLO" => "250-double\r\n250 AUTH PLAIN",
        "AUTH" => "235 welcome",
        "DATA" => "354 go on",
        "QUIT" => "221 bye",
        _ => "250 taken",
    }
}
