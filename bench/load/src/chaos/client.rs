//! One session and its connections: `wire`'s machine on a native socket, as the browser's shell runs it.

use super::plan::{ATOMS, Plan, Write};
use crate::Result;
use crate::clock::now_us;
use atomwire_wire::emitter::{Emitter, Event, Key, NewUpdate, Stats, Step};
use atomwire_wire::ids;
use atomwire_wire::{LostReason, Micros, SUBPROTOCOL, SessionId};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::{WebSocketStream, client_async};

type Socket = WebSocketStream<TcpStream>;

/// How long opening a connection may take, and how long the other end may take to say goodbye.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of a session.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) session: String,
    pub(super) stats: Stats,
    /// Connections that were opened.
    pub(super) connections: u64,
    /// The relay's last words, when it did not want this session back.
    pub(super) refused: Option<String>,
}

/// A session, and when it writes next.
pub(super) struct Client {
    plan: Plan,
    url: String,
    session: SessionId,
    emitter: Emitter,
    keys: Vec<Option<u32>>,
    written: u64,
    next_write: Instant,
    connections: u64,
    created: Arc<AtomicU64>,
    go_away: Option<String>,
}

/// Why a connection is no longer needed.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The session is over, and both sides have said so.
    Goodbye,
    /// Another connection may do better.
    Broken,
    Stopped,
}

impl Client {
    /// `created` counts the updates of all clients.
    pub(super) fn new(plan: Plan, url: &str, created: Arc<AtomicU64>) -> Self {
        let config = plan.session();
        let session = ids::session_id(config.id_seed);
        let mut emitter = Emitter::new(config);
        if plan.updates == 0 {
            emitter.end();
        }
        let keys = (0..ATOMS).map(|atom| emitter.intern(&format!("atom-{atom}"))).collect();
        Self {
            plan,
            url: url.to_owned(),
            session,
            emitter,
            keys,
            written: 0,
            next_write: Instant::now(),
            connections: 0,
            created,
            go_away: None,
        }
    }

    /// Runs until the session is over, or `stop` becomes true.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) -> Account {
        let mut refused = None;
        loop {
            let end = match self.open(&mut stop).await {
                Ok(socket) => self.talk(socket, &mut stop).await,
                Err(end) => end,
            };
            let wait = self.emitter.closed(now_us(), fastrand::f64());
            match (end, wait) {
                (End::Goodbye | End::Stopped, _) => break,
                (End::Broken, None) => {
                    refused = Some(self.go_away.take().unwrap_or_default());
                    break;
                }
                (End::Broken, Some(wait)) => {
                    if self.write_while(&mut stop, sleep(Duration::from_micros(wait))).await.is_none() {
                        break;
                    }
                }
            }
        }
        Account {
            session: format!("{:032x}", u128::from_be_bytes(self.session)),
            stats: self.emitter.stats(),
            connections: self.connections,
            refused,
        }
    }

    async fn open(&mut self, stop: &mut watch::Receiver<bool>) -> std::result::Result<Socket, End> {
        let connected = connect(self.url.clone());
        match self.write_while(stop, timeout(PATIENCE, connected)).await {
            None => Err(End::Stopped),
            Some(Ok(Ok(socket))) => {
                self.connections += 1;
                Ok(socket)
            }
            Some(_) => Err(End::Broken),
        }
    }

    /// Goes on writing until `done`; none when it is to stop before.
    async fn write_while<T>(
        &mut self,
        stop: &mut watch::Receiver<bool>,
        done: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::pin!(done);
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return None,
                done = &mut done => return Some(done),
                () = sleep_until(self.next_write), if self.has_more() => self.write(),
            }
        }
    }

    fn has_more(&self) -> bool {
        self.written < self.plan.updates
    }

    /// Writes what is due.
    fn write(&mut self) {
        let now = now_us();
        while self.has_more() && self.next_write <= Instant::now() {
            match self.plan.write(self.written) {
                Write::NotSerializable => self.emitter.lose(1, LostReason::NotSerializable),
                Write::Update { atom, value } => {
                    let key = self.keys[atom as usize].map_or(Key::Inline("atom"), Key::Index);
                    let position = self.written;
                    self.emitter.push(
                        &NewUpdate {
                            key,
                            start: now,
                            duration: 1,
                            value: Some(&value),
                            altered: false,
                            error: None,
                            parent: None,
                            position,
                        },
                        now,
                    );
                }
            }
            self.written += 1;
            self.created.fetch_add(1, Ordering::Relaxed);
            self.next_write += self.plan.every;
        }
        if !self.has_more() {
            self.emitter.end();
        }
    }

    /// From the hello to the end of a connection.
    async fn talk(&mut self, socket: Socket, stop: &mut watch::Receiver<bool>) -> End {
        let (mut sink, mut stream) = socket.split();
        let mut out = VecDeque::from([Message::binary(self.emitter.opened(now_us()))]);
        let mut unflushed = false;
        loop {
            let wake = match self.steps(&mut out) {
                Ok(wake) => wake,
                // The relay is silent, or everything is said.
                Err(over) => return if over { goodbye(sink, stream, out).await } else { End::Broken },
            };
            unflushed |= !out.is_empty();
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return End::Stopped,
                message = stream.next() => match message {
                    Some(Ok(Message::Binary(frame))) => match self.emitter.receive(&frame, now_us()) {
                        Ok(Event::Continue) => {}
                        Ok(Event::GoAway(message)) => {
                            self.go_away = Some(message);
                            return End::Broken;
                        }
                        Err(_) => return End::Broken,
                    },
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    _ => return End::Broken,
                },
                passed = pass(&mut sink, &mut out), if unflushed => {
                    if passed.is_err() {
                        return End::Broken;
                    }
                    unflushed = false;
                }
                () = until(wake) => {}
                () = sleep_until(self.next_write), if self.has_more() => self.write(),
            }
        }
    }

    /// Takes the machine's frames, which its credit bounds, and tells when it wants to be asked again. The
    /// error says whether the session is over.
    fn steps(&mut self, out: &mut VecDeque<Message>) -> std::result::Result<Option<Micros>, bool> {
        loop {
            match self.emitter.step(now_us()) {
                Step::Send(frame) => out.push_back(Message::binary(frame)),
                Step::Wait(until) => return Ok(until),
                Step::Close => return Err(!self.has_more() && self.emitter.settled() == self.written),
            }
        }
    }
}

async fn connect(url: String) -> Result<Socket> {
    let mut request = url.into_client_request()?;
    request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    let relay = request.uri().authority().ok_or("a URL has a host")?.as_str();
    let stream = TcpStream::connect(relay).await?;
    stream.set_nodelay(true)?;
    Ok(client_async(request, stream).await?.0)
}

/// Sends all of `out`. May be given up at any time, and called again with what is left.
async fn pass(sink: &mut SplitSink<Socket, Message>, out: &mut VecDeque<Message>) -> Result<()> {
    while !out.is_empty() {
        poll_fn(|context| sink.poll_ready_unpin(context)).await?;
        if let Some(message) = out.pop_front() {
            sink.start_send_unpin(message)?;
        }
    }
    Ok(sink.flush().await?)
}

/// Sends what is left and closes. A session is over when the relay has answered that; else it may not have
/// heard the goodbye, and another connection says it again.
async fn goodbye(
    mut sink: SplitSink<Socket, Message>,
    mut stream: SplitStream<Socket>,
    mut out: VecDeque<Message>,
) -> End {
    let said = async {
        pass(&mut sink, &mut out).await?;
        sink.send(Message::Close(None)).await?;
        while let Some(message) = stream.next().await.transpose()? {
            if message.is_close() {
                return Ok(End::Goodbye);
            }
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(End::Broken)
    };
    timeout(PATIENCE, said).await.map_or(End::Broken, |said| said.unwrap_or(End::Broken))
}

/// Waits until the clock says so; for ever without a time.
async fn until(at: Option<Micros>) {
    match at {
        Some(at) => sleep(Duration::from_micros(at.saturating_sub(now_us()))).await,
        None => pending().await,
    }
}
