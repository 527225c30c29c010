import type { EmitterOptions } from '../EmitterOptions.js';
import type { Recorder } from '../write/Recorder.js';
import { accountOf, CREATED, SETTLED } from './accountOf.js';
import type { Core } from './Core.js';
import { hexOf } from './hexOf.js';
import { intakeOf } from './intakeOf.js';
import { memoryOf } from './memoryOf.js';
import { newAlarm } from './newAlarm.js';
import { newClock } from './newClock.js';
import { pingOf } from './pingOf.js';
import { resourceOf } from './resourceOf.js';
import type { LeftSession, Session, SessionEvents } from './Session.js';
import type { Settings } from './settingsOf.js';

// Microseconds.
/** What one click writes goes together. */
const GATHER = 5_000;
/** A stream of writes leaves about so often, and without a connection the list is taken so often. */
const FLUSH_AGE = 200_000;
/** How long opening a connection may take: a browser alone would wait for minutes. */
const CONNECT_TIMEOUT = 20_000_000;
/** How long a relay may take to answer a Hello, or a Ping when the network has changed. */
const ANSWER_TIMEOUT = 6_000_000;
/** How often a full send buffer is looked at, which has no event, and how long it may stay so. */
const BUFFERED_POLL = 100_000;
const BUFFERED_STALL = 60_000_000;
/**
 * Within this time the next try comes once the network, or a person, is back: not at once, since a building's
 * network comes back for everybody.
 */
const RETURN = 1_000_000;

// Bytes.
/** In the browser's own send buffer, above which nothing is added to it: a second of a slow 2 Mbit/s uplink. */
const BUFFERED_BYTES = 256 * 1024;
/** Of a last request. Browsers let all that outlive a page have 64 KiB; a little is left to the app's own. */
const LAST_REQUEST_BYTES = 60 * 1024;

/** How long a page that lives waits for the answer to its last request, in milliseconds. */
const ANSWER_MS = 2_000;

// Reasons of loss.
const PAGE_CLOSED = 4;
const REJECTED = 5;
const EMITTER_FAILED = 6;

/** This machine, which no network is needed for. */
const LOOPBACK = /^\w+:\/\/(localhost|127\.[\d.]+|\[::1\])(:|\/|$)/;

export function openSession(
  core: Core,
  options: EmitterOptions,
  settings: Settings,
  events: SessionEvents,
  source: Recorder | LeftSession,
): Session {
  const left = 'seed' in source ? source : undefined;
  /** None for an earlier page's session, which is kept until it is over. */
  const recorder = left ? undefined : (source as Recorder);
  const {
    seed = crypto.getRandomValues(new Uint8Array(32)),
    resource = resourceOf(options),
    base = 0,
  } = left ?? {};
  const { url, token = '' } = options;
  const clock = newClock();
  const memory = memoryOf(core);
  const intake = intakeOf(core, memory, clock, settings);

  memory.write(seed);
  const account = accountOf(core, intake, settings, base);
  const alarm = newAlarm(handle);

  /** The module is at work. What the browser does for it may be the app's own code, and come back to us. */
  let busy = false;
  let broken = false;
  let over = 0;
  let ending = false;
  let socket: WebSocket | undefined;
  /** The socket is open; the relay has answered on it. */
  let open = false;
  let welcomed = false;
  /** When the relay must have been heard. */
  let answerBy = Infinity;
  /** The relay has asked for the wait. */
  let asked = false;
  /** The event that took the page away. */
  let away = '';
  /** Updates made when the last request left. */
  let requested = 0;
  /** When there is something to do on the connection. */
  let next = Infinity;

  const now = () => clock.at(performance.now());
  const isSettled = () => core.count(SETTLED) === core.count(CREATED);
  const isOffline = () => navigator.onLine === false && !LOOPBACK.test(url);

  /** The one guard that every entry goes through. */
  function enter<T>(act: () => T): T | undefined {
    if (busy || broken) return undefined;
    busy = true;
    try {
      if (clock.jumped()) jump();
      // Whoever asked, be it for the account alone: what the module has now is to be sent.
      if (recorder && !session.held && !over && account.take(recorder) && open)
        next = Math.min(next, now() + GATHER);
      const result = act();
      account.look();
      return result;
    } catch (error) {
      broken = true;
      leaveSocket();
      if (recorder) {
        recorder.retire(account.counts, EMITTER_FAILED);
        recorder.live = undefined;
      }
      events.broke(error);
      return undefined;
    } finally {
      busy = false;
      rest();
    }
  }

  /** What the browser has for us: an event, or none for the timer. */
  function handle(event?: Event): void {
    enter(() => {
      if (event) heed(event);
      else if (open) drive();
      else if (now() >= next) socket ? retry() : connect();
    });
    events.changed();
  }

  /** Sets the timer. */
  function rest(soon = false): void {
    const time = now();
    const ended = broken || over > 0;
    let at = ended ? Infinity : next;
    if (recorder && !ended && !session.held) {
      if (recorder.list.length > 0) at = Math.min(at, time + (soon ? 0 : open ? GATHER : FLUSH_AGE));
      // The list needs no timer of its own where one comes soon.
      recorder.awake = at - time <= FLUSH_AGE;
    }
    alarm.set(at, time);
  }

  /** The machine slept, or somebody set the clock: every deadline is void. */
  function jump(): void {
    // By the old time. Left as it is, it would also open again what ends here.
    alarm.set(Infinity, 0);
    core.clock_jumped();
    core.hurry(0);
    if (socket) retry();
    else if (next < Infinity) next = now();
  }

  function heed(event: Event): void {
    const { type } = event;
    if (type === 'open') opened();
    else if (type === 'message') hear((event as MessageEvent).data);
    else if (type === 'close' || type === 'error') retry();
    else if (over) return;
    else if (type === 'resume') comeBack('freeze');
    else if (type === 'online') open ? probe() : hasten();
    else if (type === 'visibilitychange') {
      // The page may never be seen again: on telephones this is the last that one hears of it.
      if (!document.hidden) hasten();
      else if (open) hurry();
      else if (!away) lastRequest(false);
    } else if (away !== 'pagehide') {
      // A frozen page cannot answer the relay.
      leave(type);
      lastRequest(type === 'pagehide' && !(event as PageTransitionEvent).persisted && !goesOn());
    }
  }

  function hurry(): void {
    core.hurry(0);
    drive();
  }

  /** What the next page goes on with is not over. */
  function goesOn(): boolean {
    return events.kept && !isSettled();
  }

  /** Leaves the socket, with what it still takes: an open one would keep the page out of the back/forward cache. */
  function leave(why: string): void {
    hurry();
    if (over) return;
    leaveSocket();
    core.closed(now(), 0);
    next = Infinity;
    away = why;
  }

  function comeBack(from: string): void {
    if (away === from && !over) connect();
  }

  /** What is unsettled leaves without the socket, unless it did so already. The answer is its answer. */
  function lastRequest(forGood: boolean, signal: AbortSignal | null = null): Promise<Response> | undefined {
    const created = core.count(CREATED);
    // Beside the stream; where a proxy renames that, nobody can say where the rest is.
    const address = url.replace(/^ws([^?#]*\/v1\/)stream(?![^?#])/i, 'http$1batch');
    // What an earlier page has left stays where it is; this page's own comes first.
    if (over || !recorder || address === url || (!forGood && (isSettled() || created === requested)))
      return undefined;
    requested = created;
    const length = core.last_request(now(), LAST_REQUEST_BYTES, forGood ? 1 : 0, ...hello());
    if (length === 0) return undefined;
    const answer = fetch(address, {
      method: 'POST',
      body: memory.read(length).slice(),
      keepalive: true,
      signal,
    });
    // What it carried is still pending, if the page comes back.
    answer.catch(() => {});
    return answer;
  }

  /** Takes the frames of an answer, each behind its length. */
  async function hearAll(answer: Promise<Response>): Promise<void> {
    try {
      const bytes = new Uint8Array(await (await answer).arrayBuffer());
      enter(() => {
        // The module listens on an open connection alone. This one is as good, and has said its Hello.
        core.opened(now(), ...hello());
        for (let at = 0; at < bytes.length; ) {
          let length = 0;
          for (let scale = 1, byte = 128; byte > 127; scale *= 128) {
            byte = bytes[at++] ?? 0;
            length += (byte & 127) * scale;
          }
          core.receive(memory.write(bytes.subarray(at, at + length)), now());
          at += length;
        }
        core.closed(now(), 0);
      });
    } catch {
      // Nobody knows what became of it.
    }
  }

  /** The network has changed: the socket may be of the one that is gone. */
  function probe(): void {
    const time = now();
    send(pingOf(time));
    answerBy = next = time + ANSWER_TIMEOUT;
  }

  /** The network or a person is back. */
  function hasten(): void {
    if (!socket && !away && !asked && !isOffline()) next = Math.min(next, now() + RETURN * Math.random());
  }

  function connect(): void {
    away = '';
    asked = false;
    next = Infinity;
    if (isOffline()) {
      tellDisconnected();
      return;
    }
    try {
      // A relative address would be the page's own.
      if (!/^wss?:/i.test(url)) throw new Error('no ws://');
      socket = new WebSocket(url, 'atomwire.v1');
      socket.binaryType = 'arraybuffer';
      // A Content-Security-Policy that forbids it has no close event.
      socket.onopen = socket.onmessage = socket.onclose = socket.onerror = handle;
      next = now() + CONNECT_TIMEOUT;
    } catch (error) {
      // Not a matter of the network: the address is wrong, or the page may not use it.
      events.diagnose('invalid_url', `${url}: ${(error as Error).message}`);
      stop(EMITTER_FAILED);
    }
  }

  function opened(): void {
    const time = now();
    open = true;
    answerBy = time + ANSWER_TIMEOUT;
    send(memory.read(core.opened(time, ...hello())));
    drive();
  }

  /** What a Hello says, where the module takes it: how many bytes of resource, and of token. */
  function hello(): [resource: number, token: number] {
    const length = memory.text(resource);
    return [length, memory.text(token, length)];
  }

  function hear(data: ArrayBuffer | string): void {
    answerBy = Infinity;
    // A text message is as malformed as an empty frame.
    const heard = core.receive(typeof data === 'string' ? 0 : memory.write(new Uint8Array(data)), now());
    if (heard === 0) {
      welcomed = true;
      drive();
    } else if (heard < 0) {
      events.diagnose('protocol_error', 'what the relay has sent is no frame');
      retry();
    } else {
      events.diagnose('go_away', new TextDecoder().decode(memory.read(heard - 1)));
      retry(true);
    }
  }

  /** Does what the module says until it says wait. */
  function drive(): void {
    while (open) {
      const time = now();
      const isFull = (socket?.bufferedAmount ?? 0) > BUFFERED_BYTES;
      if (isFull) answerBy = Math.min(answerBy, time + BUFFERED_STALL);
      const step = time >= answerBy ? 0 : isFull ? time + BUFFERED_POLL : core.step(time);
      if (step > 0) {
        next = Math.min(step, answerBy);
        return;
      }
      if (step < 0) send(memory.read(-step));
      else retry();
    }
  }

  function send(frame: Uint8Array<ArrayBuffer>): void {
    try {
      // A closing socket discards it; its close event follows, and the frame is sent again.
      socket?.send(frame);
    } catch {}
  }

  function leaveSocket(): void {
    const before = socket;
    socket = undefined;
    open = welcomed = false;
    answerBy = Infinity;
    if (before) before.onopen = before.onmessage = before.onclose = before.onerror = null;
    before?.close();
  }

  /** Leaves the socket, whose own close event may take minutes, and sees to what comes next. */
  function retry(isAsked = false): void {
    const isSilent = open && !welcomed;
    leaveSocket();
    const delay = core.closed(now(), Math.random());
    // First: what is refused for good counts as settled.
    if (delay < 0) stop(REJECTED);
    else if (ending && isSettled()) stop(PAGE_CLOSED);
    else {
      asked = isAsked;
      next = now() + delay;
      if (!asked) tellDisconnected(isSilent ? 'no answer from' : undefined);
    }
  }

  function tellDisconnected(why = 'no connection to'): void {
    events.diagnose('disconnected', `${why} ${url}, trying again`);
  }

  function end(): void {
    ending = true;
    core.hurry(1);
    drive();
  }

  function stop(reason: number): void {
    core.abandon(reason);
    over = reason;
  }

  if (left) {
    core.restore_at(base);
    for (const key of left.keys) intake.intern(key);
    // From the first one on that nobody can read, the rest is missing.
    left.frames.every((frame) => core.restore(memory.write(frame)));
    core.lose(Math.max(left.end - core.count(CREATED), 0), left.reason);
    end();
  }

  const session: Session = {
    seed,
    resource,
    held: false,
    wake(soon) {
      if (!busy) rest(soon);
    },
    counts() {
      enter(() => {});
      return account.counts;
    },
    created: () => base + (session.counts()[CREATED] ?? 0),
    settled: () => account.counts[SETTLED] ?? base,
    over: () => over,
    state() {
      if (over) return over === EMITTER_FAILED ? 'failed' : 'stopped';
      if (welcomed) return 'connected';
      return socket ? 'connecting' : 'waiting';
    },
    keys: () => [...intake.keys.keys()],
    traceId: ({ traceparent, root }) =>
      traceparent?.slice(3, 35) ??
      enter(() => {
        core.ids(root);
        return hexOf(memory.read(16));
      }),
    journal() {
      const frames: Uint8Array[] = [];
      enter(() => {
        for (let length = core.journal(); length > 0; length = core.journal()) {
          frames.push(memory.read(length).slice());
        }
      });
      return frames;
    },
    connect: () => enter(connect),
    hurry: () => enter(hurry),
    end: () => enter(end),
    resume: () => enter(() => comeBack('pagehide')),
    async abandon(isLast) {
      const answer = enter(() => {
        leave('pagehide');
        return isLast ? lastRequest(!goesOn(), AbortSignal.timeout?.(ANSWER_MS)) : undefined;
      });
      // The page lives, and can hear what became of it.
      if (answer) await hearAll(answer);
      const isKnown = enter(isSettled);
      enter(() => {
        if (answer && isKnown && events.kept) lastRequest(true);
        if (!over) stop(PAGE_CLOSED);
      });
      return !!isKnown;
    },
    handle,
  };
  return session;
}
