import type { Sessions } from '../Sessions.js';
import type { SlimOptions } from '../slim.js';
import type { Recorder } from '../write/Recorder.js';
import type { LoadPersist } from './Note.js';
import { openSessions } from './openSessions.js';

/** Opens sessions with the module that the app serves. It rejects when that does not come, and may be asked again. */
export async function open(
  recorder: Recorder,
  options: SlimOptions,
  persist: LoadPersist,
): Promise<Sessions> {
  let { module } = options;
  if (typeof module === 'string' || module instanceof URL) module = await fetch(module);
  if (module instanceof Response) {
    if (!module.ok) throw new Error(`${module.status} for ${module.url}`);
    module = await module.arrayBuffer();
  }
  const source = module;
  return openSessions(recorder, options, persist, async () =>
    source instanceof WebAssembly.Module ? source : WebAssembly.compile(source),
  );
}
