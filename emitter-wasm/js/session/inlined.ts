import type { EmitterOptions } from '../EmitterOptions.js';
import type { Sessions } from '../Sessions.js';
import type { Recorder } from '../write/Recorder.js';
import { decode } from './decode.js';
import { encoded } from './encoded.js';
import type { LoadPersist } from './Note.js';
import { openSessions } from './openSessions.js';

/** Opens sessions with the module that came along. */
export function open(recorder: Recorder, options: EmitterOptions, persist: LoadPersist): Promise<Sessions> {
  return openSessions(recorder, options, persist, async () => WebAssembly.compile(decode(encoded)));
}
