//! Many browsers' worth of sessions that come back after whatever is done to their connections, and an exact
//! account of each: what somebody else's books are compared with.

mod client;
mod plan;

use crate::Result;
use atomwire_wire::LostReason;
use atomwire_wire::emitter::Stats;
use clap::Args;
use client::{Account, Client};
use plan::Plan;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::interval;

/// How often the progress is told: what is to happen at some number of updates happens soon after it.
const PROGRESS: Duration = Duration::from_millis(200);

#[derive(Args)]
pub(crate) struct Flags {
    /// The relay's stream.
    #[arg(long)]
    url: String,
    /// Sessions, all at the same time.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    sessions: u64,
    /// Updates of all sessions together.
    #[arg(long, default_value_t = 5_000)]
    updates: u64,
    /// What is written, and by which session, follows from this.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Updates a second of all sessions together.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
}

/// Writes, tells the number of updates so far on standard error, and prints the account once every session has
/// said goodbye, or at SIGTERM.
pub(crate) async fn run(flags: &Flags) -> Result<()> {
    let created = Arc::new(AtomicU64::new(0));
    let (stop, stopped) = watch::channel(false);
    let clients: Vec<_> = Plan::of_all(flags.seed, flags.sessions, flags.updates, flags.rate.into())
        .map(|plan| Client::new(plan, &flags.url, Arc::clone(&created)))
        .map(|client| tokio::spawn(client.run(stopped.clone())))
        .collect();
    let mut accounts = tokio::spawn(async move {
        let mut accounts = Vec::with_capacity(clients.len());
        for client in clients {
            accounts.push(client.await?);
        }
        Ok::<_, tokio::task::JoinError>(accounts)
    });
    let mut terminate = signal(SignalKind::terminate())?;
    let mut ticks = interval(PROGRESS);
    let mut told = 0;
    let accounts = loop {
        tokio::select! {
            accounts = &mut accounts => break accounts??,
            _ = terminate.recv() => {
                stop.send_replace(true);
            }
            _ = ticks.tick() => {
                let now = created.load(Ordering::Relaxed);
                if now > told {
                    eprintln!("progress {now}");
                }
                told = now;
            }
        }
    };
    println!("{}", report(&accounts));
    Ok(())
}

/// The accounts of all sessions, and their sum.
fn report(accounts: &[Account]) -> Value {
    let mut total = Stats::default();
    for Account { stats, .. } in accounts {
        total.created += stats.created;
        total.acknowledged += stats.acknowledged;
        total.pending += stats.pending;
        for (total, lost) in total.lost.iter_mut().zip(stats.lost) {
            *total += lost;
        }
    }
    let mut report = shown(&total);
    report["sessions"] = accounts
        .iter()
        .map(|account| {
            let mut session = shown(&account.stats);
            session["session"] = account.session.as_str().into();
            session["connections"] = account.connections.into();
            session["refused"] = account.refused.as_deref().into();
            session
        })
        .collect();
    report
}

fn shown(stats: &Stats) -> Value {
    let lost: serde_json::Map<String, Value> = LostReason::ALL
        .iter()
        .zip(stats.lost)
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| (reason.name().to_owned(), count.into()))
        .collect();
    json!({
        "created": stats.created,
        "acknowledged": stats.acknowledged,
        "pending": stats.pending,
        "lost": lost,
    })
}
