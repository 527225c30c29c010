//! One client: the browser's own session machine on a native socket, or text messages.

use crate::Result;
use crate::clock::now_us;
use atomwire_wire::emitter::{Config, Emitter, Event, Key, NewUpdate, Step, WhenFull};
use atomwire_wire::{SUBPROTOCOL, limits};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// With what every update begins, on the way in as text and on the bus.
pub(crate) const VALUE_START: &str = r#"{"key":"cart","value":{"t":"#;

/// The rest of the value: 16 digits of time before it, 112 bytes in all.
const VALUE_REST: &str =
    r#","items":[{"id":"salmon","n":2},{"id":"tuna","n":1},{"id":"miso-soup","n":3}],"total":3450}"#;

/// Frames sent before a look at what came back.
const FRAMES: usize = 64;

/// How clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contract {
    /// The protocol's frames, with credit and acknowledgements.
    Binary,
    /// Text messages, with TCP's own backpressure; several updates in one are lines.
    Text,
}

/// What one connection is to send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) updates: u64,
    pub(crate) per_frame: u64,
    /// Updates a second, or as fast as the other end takes them.
    pub(crate) rate: Option<f64>,
}

impl Load {
    /// Updates that should be out by now.
    fn due(&self, since: Duration) -> u64 {
        let due = self.rate.map_or(u64::MAX, |rate| (since.as_secs_f64() * rate) as u64 + self.per_frame);
        due.min(self.updates)
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

    /// Sends `load`, and waits until all of it is acknowledged where that is to be had.
    pub(crate) async fn run(mut self, load: Load) -> Result<Self> {
        let started = Instant::now();
        let mut sent = 0;
        while sent < load.updates {
            let due = load.due(started.elapsed());
            for _ in 0..FRAMES {
                if sent + load.per_frame > due || !self.has_room(load.per_frame) {
                    break;
                }
                self.feed(load.per_frame).await?;
                sent += load.per_frame;
            }
            self.socket.flush().await?;
            if !self.has_room(load.per_frame) {
                self.hear().await?;
            } else if sent + load.per_frame > due {
                tokio::select! {
                    heard = self.hear() => heard?,
                    () = sleep(Duration::from_millis(1)) => {}
                }
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
    async fn feed(&mut self, updates: u64) -> Result<()> {
        let now = now_us();
        self.created += updates;
        let Some((emitter, key)) = &mut self.emitter else {
            let first = self.created - updates;
            let lines = (first..self.created).map(|number| {
                format!(
                    r#"{VALUE_START}{now}{VALUE_REST},"traceparent":"00-{:032x}-{:016x}-01"}}"#,
                    number + 1,
                    number + 1
                )
            });
            let text = lines.collect::<Vec<_>>().join("\n");
            return Ok(self.socket.feed(Message::text(text)).await?);
        };
        let value = format!(r#"{{"t":{now}{VALUE_REST}"#);
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

/// Each of them sends `load`, all at the same time.
pub(crate) async fn run_all(connections: Vec<Connection>, load: Load) -> Result<Vec<Connection>> {
    let tasks: Vec<_> = connections.into_iter().map(|it| tokio::spawn(it.run(load))).collect();
    let mut connections = Vec::with_capacity(tasks.len());
    for task in tasks {
        connections.push(task.await??);
    }
    Ok(connections)
}
