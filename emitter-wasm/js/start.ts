import type { Emitter } from './Emitter.js';
import type { EmitterOptions } from './EmitterOptions.js';
import type { Sessions } from './Sessions.js';
import { statsOf } from './statsOf.js';
import { isLive } from './write/isLive.js';
import { Recorder } from './write/Recorder.js';
import { registry } from './write/registry.js';

/** Loads the rest. It rejects where the network is to blame, and may be asked again. */
type Load = (recorder: Recorder) => Promise<Sessions>;

/** How long `shutdown` waits for the relay: about as long as people wait for something to close. */
const STOP_DEADLINE_MS = 2_000;
/** The first retry comes within this time; each one waits for up to twice as long as the one before it, 32 times at the most. */
const RETRY_MS = 2_000;
const MOST_DOUBLINGS = 5;

const PAGE_CLOSED = 4;

/** Starts the page's one emitter, unless it has one. */
export function start(options: EmitterOptions, load: Load): Emitter {
  const recorder = registry.recorder ?? new Recorder();
  if (recorder.emitter) {
    recorder.diagnose('already_started', 'the new options are ignored');
    return recorder.emitter;
  }
  // On a server everything is over before it begins.
  if (isLive()) registry.recorder = recorder;
  else recorder.close(PAGE_CLOSED);

  const told = new Set<string>();
  recorder.diagnose = (kind, message) => {
    if (told.has(kind)) return;
    told.add(kind);
    // In a microtask, so that the app's code never runs in the middle of ours; what it throws is its own.
    Promise.resolve()
      .then(() => options.onDiagnostic?.({ kind, message: `${message}` }))
      .catch(() => {});
  };

  let sessions: Sessions | undefined;
  let stopped: Promise<void> | undefined;
  /** Ends the wait for the next try. */
  let hurry = () => {};
  const emitter: Emitter = {
    stats: () => statsOf(recorder),
    async flush() {
      await opened;
      await sessions?.flush();
    },
    shutdown() {
      if (registry.recorder === recorder) registry.recorder = undefined;
      stopped ??= stop();
      return stopped;
    },
  };
  recorder.start(emitter, options);
  const opened = open();
  return emitter;

  async function open(): Promise<void> {
    for (let tries = 0; !recorder.closed; tries++) {
      try {
        sessions = await load(recorder);
        return;
      } catch (error) {
        recorder.diagnose('load_failed', `${error}, trying again`);
      }
      await new Promise<void>((resolve) => {
        hurry = resolve;
        addEventListener('online', () => resolve(), { once: true });
        setTimeout(resolve, Math.random() * RETRY_MS * 2 ** Math.min(tries, MOST_DOUBLINGS));
      });
    }
  }

  async function stop(): Promise<void> {
    if (recorder.closed) return;
    const ended = opened.then(() => sessions?.end());
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, STOP_DEADLINE_MS))]);
    await sessions?.abandon();
    recorder.close(PAGE_CLOSED);
    recorder.live = undefined;
    hurry();
  }
}
