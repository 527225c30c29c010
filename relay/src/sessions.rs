//! Which sessions the relay knows: held by a connection, or kept for the next one.

use crate::metrics::Metrics;
use atomwire_wire::SessionId;
use atomwire_wire::relay::{Hello, Ledger};
use lru::LruCache;
use std::collections::HashMap;
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

/// All sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    state: Mutex<State>,
    arrivals: AtomicU64,
    metrics: Arc<Metrics>,
}

/// What wants a session.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arrival {
    /// A socket, numbered when it asked for its upgrade: a client connects again only after the answer.
    Socket(u64),
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
    since: Instant,
    paid_until: Instant,
}

#[derive(Debug)]
struct Held {
    arrival: Arrival,
    replaced: CancellationToken,
    borrowed: CancellationToken,
    released: Arc<Notify>,
}

/// A newer socket has the session.
#[derive(Debug)]
pub(crate) struct Replaced;

/// A session, held by one connection.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) id: SessionId,
    /// Cancelled when a newer socket wants the session.
    pub(crate) replaced: CancellationToken,
    /// Cancelled when a request wants the session: if the client is still there, it may come back.
    pub(crate) borrowed: CancellationToken,
    /// Everything below this number is settled, and not by this relay: its client says so.
    pub(crate) starts_at: Option<u64>,
    /// Until when it has paid for what it told of its losses (`stream/reports.rs`).
    pub(crate) paid_until: Instant,
    /// The relay had no ledger of it.
    new: bool,
}

impl Claim {
    /// Whether nothing came of the session by now: there is nothing to keep, or to say.
    pub(crate) fn is_silent(&self, ledger: &Ledger) -> bool {
        self.new && ledger.accepted() == self.starts_at.unwrap_or(0)
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
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        let state = State { held: HashMap::new(), kept: LruCache::new(KEPT) };
        Self { state: Mutex::new(state), arrivals: AtomicU64::new(0), metrics }
    }

    /// The next socket.
    pub(crate) fn socket(&self) -> Arrival {
        Arrival::Socket(self.arrivals.fetch_add(1, Ordering::Relaxed))
    }

    /// Takes the session that `hello` names. Whoever still holds it is told to let go, and waited for, so
    /// that everything it took on is settled. Only a newer socket keeps it: this `hello` is then the last
    /// word of a connection that its client has given up.
    pub(crate) async fn claim(&self, hello: &Hello, arrival: Arrival) -> Result<(Claim, Ledger), Replaced> {
        loop {
            let released = match self.try_claim(hello, arrival)? {
                Ok(claimed) => return Ok(claimed),
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
        }
    }

    fn try_claim(
        &self,
        hello: &Hello,
        arrival: Arrival,
    ) -> Result<Result<(Claim, Ledger), Arc<Notify>>, Replaced> {
        let mut state = self.lock();
        if let Some(held) = state.held.get(&hello.session_id) {
            match (held.arrival, arrival) {
                (Arrival::Socket(holder), Arrival::Socket(this)) if holder > this => {
                    return Err(Replaced);
                }
                (Arrival::Socket(_), Arrival::Socket(_)) => held.replaced.cancel(),
                (Arrival::Socket(_), Arrival::Request) => held.borrowed.cancel(),
                // It lets go by itself.
                (Arrival::Request, _) => {}
            }
            return Ok(Err(Arc::clone(&held.released)));
        }
        let kept = state.kept.pop(&hello.session_id);
        let new = kept.is_none();
        let (mut ledger, paid_until) = kept
            .map_or_else(|| (Ledger::new(hello.id_seed, 0), Instant::now()), |it| (it.ledger, it.paid_until));
        let known = ledger.accepted();
        ledger.resume(hello.first_unacked_seq);
        let (replaced, borrowed) = (CancellationToken::new(), CancellationToken::new());
        let claim = Claim {
            id: hello.session_id,
            replaced: replaced.clone(),
            borrowed: borrowed.clone(),
            starts_at: Some(ledger.accepted()).filter(|next_seq| *next_seq > known),
            paid_until,
            new,
        };
        let released = Arc::new(Notify::new());
        state.held.insert(hello.session_id, Held { arrival, replaced, borrowed, released });
        self.count(&state);
        Ok(Ok((claim, ledger)))
    }

    /// The connection is over. With `ended` the session is, too. The answer is every session that is
    /// forgotten by this.
    pub(crate) fn release(&self, claim: &Claim, ledger: Ledger, ended: bool) -> Vec<Ended> {
        let mut state = self.lock();
        let mut gone = Vec::new();
        if ended {
            let next_seq = ledger.settled();
            gone.extend((next_seq > 0).then_some(Ended { id: claim.id, next_seq, reason: "closed" }));
        } else if !claim.is_silent(&ledger) {
            let kept = Kept { ledger, since: Instant::now(), paid_until: claim.paid_until };
            gone.extend(state.kept.push(claim.id, kept).map(|(id, kept)| forgotten(id, &kept.ledger)));
        }
        if let Some(held) = state.held.remove(&claim.id) {
            held.released.notify_waiters();
        }
        gone.extend(expire(&mut state.kept));
        self.count(&state);
        gone
    }

    /// Waits until somebody is forgotten because of age, and says who.
    pub(crate) async fn outdated(&self) -> Vec<Ended> {
        loop {
            sleep(TICK).await;
            let mut state = self.lock();
            let gone = expire(&mut state.kept);
            if !gone.is_empty() {
                self.count(&state);
                return gone;
            }
        }
    }

    fn count(&self, state: &State) {
        self.metrics.sessions.set((state.held.len() + state.kept.len()) as i64);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
    Ended { id, next_seq: ledger.settled(), reason: "forgotten" }
}

#[cfg(test)]
mod tests {
    use super::{Arrival, Ended, KEPT_FOR, Sessions, TICK};
    use crate::metrics::Metrics;
    use atomwire_wire::relay::Hello;
    use std::sync::Arc;
    use tokio::time::{Instant, timeout};

    #[tokio::test(start_paused = true)]
    async fn a_quiet_relay_forgets_too() {
        let sessions = Sessions::new(Arc::new(Metrics::new()));
        let hello = Hello {
            session_id: [1; 16],
            id_seed: [1; 32],
            resource: Vec::new(),
            token: String::new(),
            first_unacked_seq: 7,
        };
        let (claim, mut ledger) = sessions.claim(&hello, Arrival::Request).await.expect("nobody has it");
        ledger.resume(9);
        assert!(sessions.release(&claim, ledger, false).is_empty());
        let released = Instant::now();
        let gone = timeout(2 * KEPT_FOR, sessions.outdated()).await.expect("within two hours");
        assert_eq!(gone, [Ended { id: [1; 16], next_seq: 9, reason: "forgotten" }]);
        assert!((KEPT_FOR..=KEPT_FOR + 2 * TICK).contains(&released.elapsed()));
        assert_eq!(sessions.metrics.sessions.get(), 0);
    }
}
