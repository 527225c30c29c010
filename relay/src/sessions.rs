//! Which sessions the relay knows: held by a connection, or kept for the next one.

use crate::bus::Flow;
use crate::clock;
use crate::metrics::Metrics;
use atomwire_wire::relay::{Hello, Ledger, Session};
use atomwire_wire::{SessionId, limits};
use bytes::Bytes;
use lru::LruCache;
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Ledgers kept for sessions without a connection. At about 500 bytes each, 8 MB; at the 12 KB that a hostile
/// client can fill one with, 200 MB. Who is forgotten and comes back is told so by `Welcome`.
const KEPT: NonZeroUsize = NonZeroUsize::new(16_384).expect("not zero");

/// And for how long: a laptop that sleeps through lunch goes on where it was.
const KEPT_FOR: Duration = Duration::from_hours(1);

/// How often their age is looked at while nothing else happens.
const TICK: Duration = Duration::from_mins(1);

/// Is told of sessions that are over.
type Tell = dyn Fn(&[Ended]) + Send + Sync;

/// All sessions.
pub(crate) struct Sessions {
    state: Mutex<State>,
    arrivals: AtomicU64,
    metrics: Arc<Metrics>,
    tell: Box<Tell>,
}

/// What wants a session.
#[derive(Debug, Clone)]
pub(crate) enum Arrival {
    /// A socket, numbered when it asked for its upgrade: a client connects again only after the answer. By `leave` it
    /// is told that somebody else wants the session.
    Socket { number: u64, leave: CancellationToken },
    /// A request, which comes by a connection of its own, before or after its page's next socket.
    Request,
}

#[derive(Debug)]
struct State {
    held: HashMap<SessionId, Held>,
    kept: LruCache<SessionId, Kept>,
}

/// A session without a connection.
#[derive(Debug)]
struct Kept {
    ledger: Ledger,
    unsettled: Unsettled,
    since: Instant,
    paid_until: Instant,
}

#[derive(Debug)]
struct Held {
    arrival: Arrival,
    /// A newer socket wants it.
    replaced: bool,
    released: Arc<Notify>,
}

/// A newer socket has the session.
#[derive(Debug)]
pub(crate) struct Replaced;

/// What a session has on the bus and is not settled yet: all of its numbers below the second are before the first, a
/// position. Both ascend.
#[derive(Debug, Default)]
pub(crate) struct Unsettled(VecDeque<(u64, u64)>);

impl Unsettled {
    /// The bus has every number below `end` before `position`.
    pub(crate) fn add(&mut self, position: u64, end: u64) {
        self.0.push_back((position, end));
    }

    /// What is before `position` is settled; the answer is below which number, if that is new.
    pub(crate) fn settle(&mut self, position: u64) -> Option<u64> {
        let settled = self.0.partition_point(|(before, _)| *before <= position);
        self.0.drain(..settled).next_back().map(|(_, end)| end)
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A session, held by one connection. Dropped, it is over or kept for the next.
pub(crate) struct Claim {
    sessions: Arc<Sessions>,
    pub(crate) id: SessionId,
    /// Its machine, with its ledger.
    pub(crate) session: Session,
    pub(crate) unsettled: Unsettled,
    /// Everything below this number is settled, and not by this relay: its client says so. None once that was told.
    pub(crate) start: Option<u64>,
    /// Every number below was taken in…
    pub(crate) end: u64,
    /// …and when it was claimed, every number below this.
    first: u64,
    /// Until when it has paid for what it told of its losses (`stream/reports.rs`).
    pub(crate) paid_until: Instant,
    /// Its client ended it.
    pub(crate) over: bool,
    /// The relay had no ledger of it.
    new: bool,
}

impl Claim {
    /// Whether nothing came of the session by now: there is nothing to keep, or to say.
    pub(crate) fn is_silent(&self) -> bool {
        self.new && self.end == self.first
    }

    /// Whether a newer socket wants the session. A request that does only borrows it: if the client is still there, it
    /// may come back.
    pub(crate) fn is_replaced(&self) -> bool {
        self.sessions.lock().held.get(&self.id).is_some_and(|held| held.replaced)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let sessions = Arc::clone(&self.sessions);
        sessions.announce(&sessions.release(self));
    }
}

/// A session that is over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) id: SessionId,
    /// The number of updates that it made, as far as this relay knows.
    pub(crate) next_seq: u64,
    /// `closed` by its client, or `forgotten` by this relay, to which it may come back.
    pub(crate) reason: &'static str,
}

impl Sessions {
    /// None yet; `tell` is called with those that are over.
    pub(crate) fn new(metrics: Arc<Metrics>, tell: impl Fn(&[Ended]) + Send + Sync + 'static) -> Self {
        let state = State { held: HashMap::new(), kept: LruCache::new(KEPT) };
        Self { state: Mutex::new(state), arrivals: AtomicU64::new(0), metrics, tell: Box::new(tell) }
    }

    /// The number of the next socket.
    pub(crate) fn arrive(&self) -> u64 {
        self.arrivals.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes the session that `hello`, the first frame of `session`, names; the answer is the `Welcome`, too. Whoever
    /// still holds it is told to let go, and waited for, so that everything it took on is settled. Only a newer socket
    /// keeps it: this `hello` is then the last word of a connection that its client has given up.
    pub(crate) async fn claim(
        self: &Arc<Self>,
        mut session: Session,
        hello: &Hello,
        arrival: Arrival,
        flow: impl Fn() -> Flow,
    ) -> Result<(Claim, Bytes), Replaced> {
        let (new, mut kept) = loop {
            let released = match self.try_hold(hello.session_id, &arrival)? {
                Ok(kept) => break (kept.is_none(), kept.unwrap_or_else(|| Kept::new(hello))),
                Err(released) => released,
            };
            // Registered before the look at the state, or the release could fall in between.
            let mut waiting = std::pin::pin!(released.notified());
            waiting.as_mut().enable();
            let still = |held: &Held| Arc::ptr_eq(&held.released, &released);
            let held = self.lock().held.get(&hello.session_id).is_some_and(still);
            if held {
                waiting.await;
            }
        };
        let flow = flow();
        if let Some(end) = kept.unsettled.settle(flow.settled) {
            kept.ledger.settle(end);
        }
        let known = kept.ledger.accepted();
        kept.ledger.resume(hello.first_unacked_seq);
        let first = kept.ledger.accepted();
        let credit = match arrival {
            Arrival::Socket { .. } => flow.credit(),
            // Its welcome is read when it is over.
            Arrival::Request => limits::CREDIT,
        };
        let welcome = session.attach(kept.ledger, clock::now_us(), credit);
        let claim = Claim {
            sessions: Arc::clone(self),
            id: hello.session_id,
            session,
            unsettled: kept.unsettled,
            start: Some(first).filter(|next_seq| *next_seq > known),
            end: first,
            first,
            paid_until: kept.paid_until,
            over: false,
            new,
        };
        Ok((claim, welcome))
    }

    /// Holds a session that nobody else holds; the answer is what was kept of it. Else the answer is what will be
    /// notified when it is released.
    fn try_hold(
        &self,
        id: SessionId,
        arrival: &Arrival,
    ) -> Result<Result<Option<Kept>, Arc<Notify>>, Replaced> {
        let mut state = self.lock();
        if let Some(held) = state.held.get_mut(&id) {
            match (&held.arrival, arrival) {
                (Arrival::Socket { number: holder, .. }, Arrival::Socket { number, .. })
                    if holder > number =>
                {
                    return Err(Replaced);
                }
                (Arrival::Socket { leave, .. }, _) => {
                    held.replaced |= matches!(arrival, Arrival::Socket { .. });
                    leave.cancel();
                }
                // It lets go by itself.
                (Arrival::Request, _) => {}
            }
            return Ok(Err(Arc::clone(&held.released)));
        }
        let kept = state.kept.pop(&id);
        let held = Held { arrival: arrival.clone(), replaced: false, released: Arc::default() };
        state.held.insert(id, held);
        self.count(&state);
        Ok(Ok(kept))
    }

    /// The connection of `claim` is over. The answer is every session that is, by this.
    fn release(&self, claim: &mut Claim) -> Vec<Ended> {
        let mut state = self.lock();
        let mut gone = Vec::new();
        match claim.session.detach() {
            Some(ledger) if claim.over => {
                let next_seq = ledger.accepted();
                gone.extend((next_seq > 0).then_some(Ended { id: claim.id, next_seq, reason: "closed" }));
            }
            Some(ledger) if !claim.is_silent() => {
                let unsettled = std::mem::take(&mut claim.unsettled);
                let kept = Kept { ledger, unsettled, since: Instant::now(), paid_until: claim.paid_until };
                gone.extend(state.kept.push(claim.id, kept).map(|(id, kept)| forgotten(id, &kept.ledger)));
            }
            _ => {}
        }
        if let Some(held) = state.held.remove(&claim.id) {
            held.released.notify_waiters();
        }
        gone.extend(expire(&mut state.kept));
        self.count(&state);
        gone
    }

    /// Forgets those that nobody came back to, for as long as it is polled.
    pub(crate) async fn forget(&self) -> Infallible {
        loop {
            sleep(TICK).await;
            let gone = {
                let mut state = self.lock();
                let gone = expire(&mut state.kept);
                self.count(&state);
                gone
            };
            self.announce(&gone);
        }
    }

    fn announce(&self, gone: &[Ended]) {
        if !gone.is_empty() {
            (self.tell)(gone);
        }
    }

    fn count(&self, state: &State) {
        self.metrics.sessions.set((state.held.len() + state.kept.len()) as i64);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Of a session that the relay does not know.
    fn new(hello: &Hello) -> Self {
        let now = Instant::now();
        let ledger = Ledger::new(hello.id_seed, 0);
        Self { ledger, unsettled: Unsettled::default(), since: now, paid_until: now }
    }
}

impl Arrival {
    /// `network.protocol.name` of what comes by it.
    pub(crate) fn protocol(&self) -> &'static str {
        match self {
            Self::Socket { .. } => "websocket",
            Self::Request => "http",
        }
    }
}

fn expire(kept: &mut LruCache<SessionId, Kept>) -> Vec<Ended> {
    let mut gone = Vec::new();
    while kept.peek_lru().is_some_and(|(_, it)| it.since.elapsed() > KEPT_FOR) {
        gone.extend(kept.pop_lru().map(|(id, it)| forgotten(id, &it.ledger)));
    }
    gone
}

fn forgotten(id: SessionId, ledger: &Ledger) -> Ended {
    Ended { id, next_seq: ledger.accepted(), reason: "forgotten" }
}

#[cfg(test)]
mod tests {
    use super::{Arrival, Claim, Ended, KEPT_FOR, Sessions, TICK};
    use crate::bus::Flow;
    use crate::config::Acknowledge;
    use crate::metrics::Metrics;
    use atomwire_wire::relay::{Hello, Limits, Session};
    use std::sync::{Arc, Mutex};
    use tokio::time::{Instant, sleep, timeout};
    use tokio_util::sync::CancellationToken;

    type Told = Arc<Mutex<Vec<Ended>>>;

    fn sessions() -> (Arc<Sessions>, Told) {
        let told = Told::default();
        let telling = Arc::clone(&told);
        let tell = move |gone: &[Ended]| {
            let gone = gone.iter().map(|it| Ended { ..*it });
            telling.lock().expect("no panic").extend(gone);
        };
        (Arc::new(Sessions::new(Arc::new(Metrics::new()), tell)), told)
    }

    async fn claim(sessions: &Arc<Sessions>, arrival: Arrival) -> Claim {
        let hello = Hello {
            session_id: [1; 16],
            id_seed: [1; 32],
            resource: Vec::new(),
            token: String::new(),
            first_unacked_seq: 7,
        };
        let session = Session::new(Limits::default());
        let flow = || Flow::start(Acknowledge::Taken);
        sessions.claim(session, &hello, arrival, flow).await.expect("nobody newer has it").0
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_relay_forgets_too() {
        let (sessions, told) = sessions();
        let mut held = claim(&sessions, Arrival::Request).await;
        held.end = 9;
        drop(held);
        let released = Instant::now();
        let forgotten = async {
            while told.lock().expect("no panic").is_empty() {
                sleep(TICK).await;
            }
        };
        tokio::select! {
            never = sessions.forget() => match never {},
            within = timeout(2 * KEPT_FOR, forgotten) => within.expect("within two hours"),
        }
        let expected = [Ended { id: [1; 16], next_seq: 7, reason: "forgotten" }];
        assert_eq!(*told.lock().expect("no panic"), expected);
        assert!((KEPT_FOR..=KEPT_FOR + 3 * TICK).contains(&released.elapsed()));
        assert_eq!(sessions.metrics.sessions.get(), 0);
    }

    #[tokio::test]
    async fn whoever_waits_gets_what_is_dropped() {
        let (sessions, told) = sessions();
        let leave = CancellationToken::new();
        let mut held = claim(&sessions, Arrival::Socket { number: 0, leave: leave.clone() }).await;
        held.paid_until += KEPT_FOR;
        held.end = 8;
        let paid_until = held.paid_until;
        let holder = async {
            leave.cancelled().await;
            assert!(!held.is_replaced());
            drop(held);
        };
        let (next, ()) = tokio::join!(claim(&sessions, Arrival::Request), holder);
        assert_eq!(next.paid_until, paid_until, "its own, as it was left");
        drop(next);
        assert_eq!(sessions.metrics.sessions.get(), 1, "kept");
        assert_eq!(*told.lock().expect("no panic"), []);
    }
}
