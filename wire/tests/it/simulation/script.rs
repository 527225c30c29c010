//! What happens in a world, as a list that can be printed, pasted and shortened.

use super::rng::Rng;
use std::fmt;
use std::str::FromStr;

/// What an event does. Its number says how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// So many atom writes.
    Write,
    /// So many updates that the app could not record.
    Lose,
    /// The page asks for what is pending to leave.
    Hurry,
    /// A connection breaks; of what is under way a prefix arrives.
    Cut,
    /// A connection swallows everything, and nobody notices.
    Silence,
    /// A connection delivers nothing for so many milliseconds, then everything.
    Stall,
    /// Nobody gets a connection for so many milliseconds.
    Outage,
    /// The network takes up to so many milliseconds each way.
    Network,
    /// Connections go to the other relay from now on.
    Switch,
    /// The relay dies with everything that it knows, and is back at once.
    Crash,
    /// The relay sends its clients away, ends in order, and is back at once.
    Drain,
    /// The relay forgets the sessions that nobody is connected to.
    Forget,
    /// The relay grants and takes other amounts from its next connection on.
    Limits,
    /// Who reads the bus takes up to so many milliseconds until the next look.
    Pace,
    /// The relay's consumer stands still.
    ConsumerHalt,
    /// It dies, with what it has not stored.
    ConsumerKill,
    /// Consumers go on where they were, or where their books stand.
    ConsumerReturn,
    /// The page is hidden; without a connection it sends a request.
    Hide,
    /// The page goes into the back/forward cache.
    Freeze,
    /// The page comes back from there.
    Return,
    /// The page goes for good, and the next one is there.
    Leave,
    /// What is pending is written down where it outlives the page.
    Journal,
    /// The page's process dies; the next page goes on with what was written down.
    Kill,
    /// The client's clock is set, by so many seconds forwards or backwards.
    ClientClock,
    /// The relay's clock is set likewise.
    RelayClock,
    /// So many microseconds pass.
    Pause,
}

use What::{
    ClientClock, ConsumerHalt, ConsumerKill, ConsumerReturn, Crash, Cut, Drain, Forget, Freeze, Hide, Hurry,
    Journal, Kill, Leave, Limits, Lose, Network, Outage, Pace, Pause, RelayClock, Return, Silence, Stall,
    Switch, Write,
};

/// Every kind, its name in a script, and how often it happens in a thousand.
const KINDS: [(What, &str, u64); 26] = [
    (Write, "write", 430),
    (Lose, "lose", 40),
    (Hurry, "hurry", 40),
    (Cut, "cut", 60),
    (Silence, "silence", 20),
    (Stall, "stall", 30),
    (Outage, "outage", 20),
    (Network, "network", 10),
    (Switch, "switch", 20),
    (Crash, "crash", 20),
    (Drain, "drain", 20),
    (Forget, "forget", 20),
    (Limits, "limits", 10),
    (Pace, "pace", 10),
    (ConsumerHalt, "consumer-halt", 20),
    (ConsumerKill, "consumer-kill", 20),
    (ConsumerReturn, "consumer-return", 50),
    (Hide, "hide", 30),
    (Freeze, "freeze", 30),
    (Return, "return", 60),
    (Leave, "leave", 15),
    (Journal, "journal", 60),
    (Kill, "kill", 15),
    (ClientClock, "client-clock", 15),
    (RelayClock, "relay-clock", 15),
    (Pause, "pause", 0),
];

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Event {
    /// Which of the seed's streams its choices come from.
    pub(super) stream: u64,
    pub(super) what: What,
    pub(super) number: u64,
}

/// A world's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Script {
    /// What the world is made of, and the streams of its events.
    pub(super) seed: u64,
    pub(super) events: Vec<Event>,
}

impl Script {
    /// The script that follows from `seed`.
    pub(super) fn of(seed: u64) -> Self {
        let mut rng = Rng::of(seed, u64::MAX);
        let mut events = Vec::new();
        for _ in 0..rng.below(120) {
            let what = kind(&mut rng);
            let number = match what {
                Write => rng.pick(&[1, 1, 1, 3, 3, 40]),
                Lose => 1 + rng.below(5),
                Stall | Outage => rng.pick(&[10, 1_000, 50_000]),
                Network => rng.pick(&[0, 1, 40, 900]),
                Pace => rng.pick(&[0, 20, 2_000]),
                // More than any exchange takes, so that one which a jump falls into shows it.
                ClientClock | RelayClock => rng.pick(&[600, 3_600, 86_400]),
                _ => 0,
            };
            // Mostly nothing at all, or a moment: what happens close together is what goes wrong.
            let most = rng.pick(&[1, 1, 10, 100, 1_000, 10_000, 60_000]);
            let pause = rng.below(most * 1_000);
            for (what, number) in [(what, number), (Pause, pause)] {
                if (what, number) != (Pause, 0) {
                    events.push(Event { stream: events.len() as u64, what, number });
                }
            }
        }
        Self { seed, events }
    }
}

fn kind(rng: &mut Rng) -> What {
    let mut at = rng.below(KINDS.iter().map(|(.., weight)| weight).sum());
    for (what, _, weight) in KINDS {
        if at < weight {
            return what;
        }
        at -= weight;
    }
    unreachable!("the weights' sum is the end")
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, name, _) = KINDS.iter().find(|(what, ..)| *what == self.what).unwrap();
        write!(f, "{} {name} {}", self.stream, self.number)
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seed)?;
        self.events.iter().try_for_each(|event| write!(f, "; {event}"))
    }
}

impl FromStr for Script {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(';').map(str::trim);
        let seed = parts.next().unwrap_or_default().parse().map_err(|it| format!("a seed first: {it}"))?;
        let events = parts.map(|part| event(part).ok_or(format!("not `stream what number`: {part}")));
        Ok(Self { seed, events: events.collect::<Result<_, _>>()? })
    }
}

fn event(text: &str) -> Option<Event> {
    let [stream, name, number] = text.split(' ').collect::<Vec<_>>().try_into().ok()?;
    let (what, ..) = KINDS.into_iter().find(|(_, known, _)| *known == name)?;
    Some(Event { stream: stream.parse().ok()?, what, number: number.parse().ok()? })
}
