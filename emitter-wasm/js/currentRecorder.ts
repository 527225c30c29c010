import { Recorder } from './Recorder.js';

/**
 * The page's recorder. It is there before `startEmitter`, because the first writes may be; there is none on a
 * server, whose module state would mix up the requests of several people, and none after a shutdown.
 */
let current: Recorder | undefined = typeof document === 'undefined' ? undefined : new Recorder();

export function currentRecorder(): Recorder | undefined {
  return current;
}

export function setCurrentRecorder(recorder: Recorder | undefined): void {
  current = recorder;
}
