import { currentRecorder, setCurrentRecorder } from './currentRecorder.js';
import type { Emitter } from './Emitter.js';
import type { EmitterOptions } from './EmitterOptions.js';
import { Recorder } from './Recorder.js';

/**
 * Starts the page's one emitter and returns at once. It never throws for want of a network, of WebAssembly
 * or of a page: on a server it does nothing.
 *
 * A second call while one runs returns the same emitter, whatever its options say, and a diagnostic
 * `already_started` (hot module replacement does this). After `shutdown`, a call starts a new session.
 */
export function startEmitter(options: EmitterOptions): Emitter {
  if (typeof document === 'undefined') return INERT;
  let recorder = currentRecorder();
  if (recorder?.started) {
    recorder.diagnose('already_started', 'this page has an emitter; the new options are ignored');
  } else {
    recorder ??= new Recorder();
    setCurrentRecorder(recorder);
    void recorder.start(options);
  }
  return handleOf(recorder);
}

function handleOf(recorder: Recorder): Emitter {
  return {
    stats: () => recorder.stats(),
    flush: () => recorder.flush(),
    shutdown: () => {
      if (currentRecorder() === recorder) setCurrentRecorder(undefined);
      return recorder.stop();
    },
  };
}

/** The emitter of a server. */
const INERT: Emitter = {
  stats: () => ({ state: 'stopped', created: 0, acknowledged: 0, pending: 0, lost: {} }),
  flush: () => Promise.resolve(),
  shutdown: () => Promise.resolve(),
};
