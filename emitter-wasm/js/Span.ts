import { describeError } from './describeError.js';
import type { Recorder } from './Recorder.js';
import { toJson } from './toJson.js';

/** One traced write: its update and its span in one. `begin`, then one of the `end`s. */
export class Span {
  readonly recorder: Recorder;
  readonly key: string;
  /** Where the recorder's session has this span's ids. */
  readonly position: number;
  /** Positions of the traced write that this one is part of, and of the outermost one. */
  readonly parent: number | undefined;
  readonly root: number;
  /** The app's own span above all of these, as W3C writes it. */
  readonly traceparent: string | undefined;
  /** When the write began, on the scale of `performance.now()`, and how long it took, in milliseconds. */
  start = 0;
  duration = 0;
  /** JSON text; none where JSON cannot hold the value. */
  value: string | undefined;
  error: { type: string; message: string } | undefined;

  constructor(recorder: Recorder, key: string, parent: Span | undefined) {
    this.recorder = recorder;
    this.key = key;
    this.position = recorder.nextPosition();
    this.parent = parent?.position;
    this.root = parent?.root ?? this.position;
    this.traceparent = parent === undefined ? recorder.activeTraceparent() : parent.traceparent;
  }

  begin(): void {
    this.start = performance.now();
  }

  end(): void {
    this.duration = performance.now() - this.start;
    this.recorder.record(this);
  }

  /** Ends with the value that was written, serialised now: the app may change the object later. */
  endWith(value: unknown): void {
    this.duration = performance.now() - this.start;
    this.value = toJson(value);
    this.recorder.record(this);
  }

  endFailed(error: unknown): void {
    this.error = describeError(error);
    this.end();
  }
}
