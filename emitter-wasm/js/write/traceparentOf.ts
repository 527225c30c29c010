import type { Recorder } from './Recorder.js';

/** The app's own active span as W3C writes it; `undefined` for none, and for one that W3C forbids. */
export function traceparentOf(recorder: Recorder): string | undefined {
  try {
    const context = recorder.parentContext?.();
    if (context === undefined) return undefined;
    // All eight flags go on, among them level 2's random flag.
    const flags = (context.traceFlags & 0xff).toString(16).padStart(2, '0');
    const text = `00-${context.traceId}-${context.spanId}-${flags}`;
    return /^00-(?!0+-)[\da-f]{32}-(?!0+-)[\da-f]{16}-/.test(text) ? text : undefined;
  } catch (error) {
    recorder.diagnose('parent_context_failed', error);
    return undefined;
  }
}
