//! One client: the browser's own session machine on a native socket, or text messages.

use crate::Result;
use crate::clock::now_us;
use atomwire_wire::emitter::{Config, Emitter, Event, Key, NewUpdate, Step, WhenFull};
use atomwire_wire::{SUBPROTOCOL, limits};
use clap::ValueEnum;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// With what every update begins, on the way in as text and on the bus.
pub(crate) const VALUE_START: &str = r#"{"key":"cart","value":{"t":"#;

/// A value after its 16 digits of time: 112 bytes in all.
pub(crate) const VALUE: &str =
    r#","items":[{"id":"salmon","n":2},{"id":"tuna","n":1},{"id":"miso-soup","n":3}],"total":3450}"#;

/// One of 250 KiB.
pub(crate) static LARGE_VALUE: LazyLock<String> =
    LazyLock::new(|| format!(r#","text":"{}"}}"#, "x".repeat(250 * 1024)));

/// Frames sent before a look at what came back.
const FRAMES: usize = 64;

/// Longer than any measurement.
const FOREVER: Duration = Duration::from_hours(1);

/// How clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Contract {
    /// The protocol's frames, with credit and acknowledgements.
    Binary,
    /// Text messages, with TCP's own backpressure; several updates in one are lines.
    Plain,
}

impl Contract {
    /// Spans that an update becomes: the browser's, where there is one, and two of the target's.
    pub(crate) fn spans(self) -> u64 {
        match self {
            Self::Binary => 3,
            Self::Plain => 2,
        }
    }
}

/// What one connection is to send: so many updates, or for so long.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) updates: u64,
    pub(crate) per_frame: u64,
    /// Updates a second, or as fast as the other end takes them.
    pub(crate) rate: Option<f64>,
    pub(crate) lasting: Duration,
    /// What all connections together may still send before the subscriber has more; without it, anything.
    pub(crate) window: Option<Arc<Semaphore>>,
    /// What each value has after its time.
    pub(crate) value: &'static str,
}

impl Load {
    /// So many updates, as fast as the other end takes them.
    pub(crate) fn of(updates: u64, per_frame: u64) -> Self {
        Self { updates, per_frame, rate: None, lasting: FOREVER, window: None, value: VALUE }
    }

    /// Takes the place of one frame, if there is one.
    fn take_place(&self) -> bool {
        let Some(window) = &self.window else { return true };
        window.try_acquire_many(self.per_frame as u32).map(SemaphorePermit::forget).is_ok()
    }

    /// Waits until there may be a place for a frame.
    async fn place(&self) {
        if let Some(window) = &self.window {
            // It is never closed.
            let _ = window.acquire_many(self.per_frame as u32).await;
        }
    }

    /// From one frame to the next.
    fn interval(&self) -> Duration {
        self.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(self.per_frame as f64 / rate))
    }
}

/// An open connection.
pub(crate) struct Connection {
    socket: WebSocketStream<TcpStream>,
    emitter: Option<(Emitter, u32)>,
    created: u64,
}

impl Connection {
    /// Connects and, in the binary contract, awaits the welcome.
    pub(crate) async fn open(listen: &str, contract: Contract) -> Result<Self> {
        let mut request = format!("ws://{listen}/v1/stream").into_client_request()?;
        if contract == Contract::Binary {
            let subprotocol = HeaderValue::from_static(SUBPROTOCOL);
            request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
        }
        let stream = TcpStream::connect(listen).await?;
        stream.set_nodelay(true)?;
        let config = WebSocketConfig::default().read_buffer_size(4096);
        let (mut socket, _) = client_async_with_config(request, stream, Some(config)).await?;
        let mut emitter = None;
        if contract == Contract::Binary {
            let mut session = Emitter::new(Config {
                id_seed: std::array::from_fn(|_| fastrand::u8(..)),
                resource: vec![("service.name".into(), "bench".into())],
                token: String::new(),
                queue_updates: limits::REJECTED_RANGES,
                queue_bytes: 16 * 1024 * 1024,
                when_full: WhenFull::DropNewest,
            });
            let key = session.intern("cart").ok_or("the first key is interned")?;
            socket.send(Message::binary(session.opened(now_us()))).await?;
            let welcome = socket.next().await.ok_or("closed before the welcome")??;
            session.receive(&welcome.into_data(), now_us())?;
            emitter = Some((session, key));
        }
        Ok(Self { socket, emitter, created: 0 })
    }

    /// Updates that it has made so far.
    pub(crate) fn created(&self) -> u64 {
        self.created
    }

    /// Sends `load`, the first frame after `phase`, and waits until all of it is acknowledged where that is to be
    /// had.
    async fn run(mut self, load: Load, phase: Duration) -> Result<Self> {
        let started = Instant::now();
        let (first, end) = (started + phase, started + load.lasting);
        let (mut sent, mut next) = (0, first);
        while sent < load.updates && Instant::now() < end {
            for _ in 0..FRAMES {
                let is_due = sent < load.updates && next <= Instant::now();
                if !is_due || !self.has_room(load.per_frame) || !load.take_place() {
                    break;
                }
                self.feed(load.per_frame, load.value).await?;
                sent += load.per_frame;
                next = first + load.interval().mul_f64((sent / load.per_frame) as f64);
            }
            self.socket.flush().await?;
            if self.has_room(load.per_frame) {
                tokio::select! {
                    biased;
                    heard = self.hear() => heard?,
                    () = async {
                        sleep_until(next).await;
                        load.place().await;
                    } => {}
                    () = sleep_until(end) => {}
                }
            } else {
                self.hear().await?;
            }
            while let Some(heard) = self.hear().now_or_never() {
                heard?;
            }
        }
        while self.pending() > 0 {
            self.hear().await?;
        }
        Ok(self)
    }

    fn pending(&self) -> u64 {
        self.emitter.as_ref().map_or(0, |(emitter, _)| emitter.stats().pending)
    }

    /// Whether the relay's credit covers another frame.
    fn has_room(&self, updates: u64) -> bool {
        self.pending() + updates <= limits::REJECTED_RANGES as u64
    }

    /// Makes one frame of `updates` new updates.
    async fn feed(&mut self, updates: u64, value: &str) -> Result<()> {
        let now = now_us();
        self.created += updates;
        let Some((emitter, key)) = &mut self.emitter else {
            let first = self.created - updates;
            let lines = (first..self.created).map(|number| {
                format!(
                    r#"{VALUE_START}{now}{value},"traceparent":"00-{:032x}-{:016x}-01"}}"#,
                    number + 1,
                    number + 1
                )
            });
            let text = lines.collect::<Vec<_>>().join("\n");
            return Ok(self.socket.feed(Message::text(text)).await?);
        };
        let value = format!(r#"{{"t":{now}{value}"#);
        for position in self.created - updates..self.created {
            emitter.push(
                &NewUpdate {
                    key: Key::Index(*key),
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
        emitter.hurry();
        loop {
            match emitter.step(now) {
                Step::Send(frame) => self.socket.feed(Message::binary(frame)).await?,
                Step::Wait(_) => return Ok(()),
                Step::Close => return Err("the relay went silent".into()),
            }
        }
    }

    /// Takes one message from the other end.
    async fn hear(&mut self) -> Result<()> {
        match (self.socket.next().await.ok_or("the connection was closed")??, &mut self.emitter) {
            (Message::Binary(frame), Some((emitter, _))) => match emitter.receive(&frame, now_us())? {
                Event::Continue => Ok(()),
                Event::GoAway(message) => Err(message.into()),
            },
            (Message::Text(text), _) => Err(text.to_string().into()),
            (Message::Close(close), _) => Err(format!("closed: {close:?}").into()),
            _ => Ok(()),
        }
    }
}

/// `count` connections, opened one after the other.
pub(crate) async fn open_all(count: usize, listen: &str, contract: Contract) -> Result<Vec<Connection>> {
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        connections.push(Connection::open(listen, contract).await?);
    }
    Ok(connections)
}

/// Each of them sends `load`, all at the same time; at a rate, their frames are spread over the time between two.
pub(crate) async fn run_all(connections: Vec<Connection>, load: Load) -> Result<Vec<Connection>> {
    let step = load.interval() / connections.len().max(1) as u32;
    let phases = (0..).map(|number| step * number);
    let tasks: Vec<_> = connections
        .into_iter()
        .zip(phases)
        .map(|(it, phase)| tokio::spawn(it.run(load.clone(), phase)))
        .collect();
    let mut connections = Vec::with_capacity(tasks.len());
    for task in tasks {
        connections.push(task.await??);
    }
    Ok(connections)
}
