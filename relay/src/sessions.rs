//! Which sessions the relay knows: held by a connection, or kept for the next one.

use crate::metrics::Metrics;
use atomwire_wire::proto::GoAwayReason;
use atomwire_wire::relay::{Hello, Ledger};
use atomwire_wire::{IdSeed, SessionId};
use lru::LruCache;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Ledgers kept for sessions without a connection. At about 500 bytes each, 8 MB; at the 12 KB that a hostile
/// client can fill one with, 200 MB. Who is forgotten and comes back is told so by `Welcome`.
const KEPT: NonZeroUsize = NonZeroUsize::new(16_384).expect("not zero");

/// And for how long: a laptop that sleeps through lunch goes on where it was.
const KEPT_FOR: Duration = Duration::from_hours(1);

/// All sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    state: Mutex<State>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct State {
    held: HashMap<SessionId, Held>,
    kept: LruCache<SessionId, (Ledger, Instant)>,
}

#[derive(Debug)]
struct Held {
    id_seed: IdSeed,
    replaced: CancellationToken,
    released: Arc<Notify>,
}

/// A session, held by one connection.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) id: SessionId,
    /// Cancelled when a newer connection wants the session.
    pub(crate) replaced: CancellationToken,
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
        Self { state: Mutex::new(state), metrics }
    }

    /// Takes the session that `hello` names. A connection that still holds it is told to let go, and
    /// waited for, so that everything it took on is settled.
    pub(crate) async fn claim(&self, hello: &Hello) -> Result<(Claim, Ledger), GoAwayReason> {
        loop {
            let released = match self.try_claim(hello)? {
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

    fn try_claim(&self, hello: &Hello) -> Result<Result<(Claim, Ledger), Arc<Notify>>, GoAwayReason> {
        let mut state = self.lock();
        if let Some(held) = state.held.get(&hello.session_id) {
            // Compared through a ledger's own eyes, in constant time.
            let mut owner = Ledger::new(held.id_seed, 0);
            owner.resume(&hello.id_seed, 0).map_err(|_| GoAwayReason::Unauthorized)?;
            held.replaced.cancel();
            return Ok(Err(Arc::clone(&held.released)));
        }
        let mut ledger = match state.kept.pop(&hello.session_id) {
            Some((ledger, _)) => ledger,
            None => Ledger::new(hello.id_seed, hello.first_unacked_seq),
        };
        if ledger.resume(&hello.id_seed, hello.first_unacked_seq).is_err() {
            state.kept.put(hello.session_id, (ledger, Instant::now()));
            return Err(GoAwayReason::Unauthorized);
        }
        let replaced = CancellationToken::new();
        let held =
            Held { id_seed: hello.id_seed, replaced: replaced.clone(), released: Arc::new(Notify::new()) };
        state.held.insert(hello.session_id, held);
        self.count(&state);
        Ok(Ok((Claim { id: hello.session_id, replaced }, ledger)))
    }

    /// The connection is over. With `ended` the session is, too. The answer is every session that is
    /// forgotten by this.
    pub(crate) fn release(&self, claim: &Claim, ledger: Ledger, ended: bool) -> Vec<Ended> {
        let mut state = self.lock();
        let mut gone = Vec::new();
        if ended {
            gone.push(Ended { id: claim.id, next_seq: ledger.settled(), reason: "closed" });
        } else if let Some((id, (ledger, _))) = state.kept.push(claim.id, (ledger, Instant::now())) {
            gone.push(forgotten(id, &ledger));
        }
        if let Some(held) = state.held.remove(&claim.id) {
            held.released.notify_waiters();
        }
        gone.extend(expire(&mut state.kept));
        self.count(&state);
        gone
    }

    fn count(&self, state: &State) {
        self.metrics.sessions.set((state.held.len() + state.kept.len()) as i64);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn expire(kept: &mut LruCache<SessionId, (Ledger, Instant)>) -> Vec<Ended> {
    let mut gone = Vec::new();
    while kept.peek_lru().is_some_and(|(_, (_, since))| since.elapsed() > KEPT_FOR) {
        gone.extend(kept.pop_lru().map(|(id, (ledger, _))| forgotten(id, &ledger)));
    }
    gone
}

fn forgotten(id: SessionId, ledger: &Ledger) -> Ended {
    Ended { id, next_seq: ledger.settled(), reason: "forgotten" }
}
