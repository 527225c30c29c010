import { inject } from 'vitest';

/** A client frame as protobufjs gives it: numbers for integers, base64 for bytes, names for enums. */
export interface ClientFrame {
  hello?: {
    idSeed: string;
    resource?: { key: string; value: string }[];
    token?: string;
    firstUnackedSeq?: number;
    clientTimeUs: number;
  };
  batch?: {
    firstSeq?: number;
    baseTimeUs: number;
    newKeys?: string[];
    updates?: WireUpdate[];
    lost?: { first?: number; last?: number; reason: string }[];
  };
  ping?: { clientTimeUs: number };
  bye?: { nextSeq?: number };
}

interface WireUpdate {
  keyIndex?: number;
  key?: string;
  startOffsetUs?: number;
  durationUs?: number;
  value?: string;
  omitted?: string;
  error?: { type: string; message?: string };
  parent?: { traceId: string; spanId: string; flags?: number; local?: boolean };
  idOffset?: number;
}

/** An update as its test wants to read it. */
export interface Update {
  seq: number;
  key: string;
  /** Parsed; `undefined` where it was omitted. */
  value: unknown;
  omitted: boolean;
  /** It is there, but parts of it are not. */
  parts: boolean;
  /** Microseconds since the epoch, and how many. */
  start: number;
  duration: number;
  error: { type: string; message?: string } | undefined;
  parent: { traceId: string; spanId: string; flags: number; local: boolean } | undefined;
  /** In the session's id stream. */
  position: number;
}

/** The relay's end of the stream, in the hands of a test. */
export class Peer {
  readonly url: string;
  readonly #control: WebSocket;
  readonly #waiting = new Set<() => void>();
  #keys: string[] = [];
  #nextSeq = 0;
  /** Answers `Hello` with `Welcome`, and each batch with `Ack`. */
  answers = true;
  /** Refuses what it answers. */
  rejects = false;
  credit = 100_000;
  heartbeatMs = 15_000;

  readonly frames: ClientFrame[] = [];
  /** The frames of each last request. */
  readonly requests: ClientFrame[][] = [];
  /** Each sequence number once, in the order of arrival. */
  readonly updates: Update[] = [];
  readonly lost: { first: number; last: number; reason: string }[] = [];
  resent = 0;
  opened = 0;
  closed = 0;

  private constructor(url: string, control: WebSocket) {
    this.url = url;
    this.#control = control;
    control.onmessage = ({ data }) => this.#hear(JSON.parse(data));
  }

  static async listen(): Promise<Peer> {
    const base = `${inject('peerUrl')}/${crypto.randomUUID()}`;
    const control = new WebSocket(`${base}/control`);
    await new Promise((resolve) => control.addEventListener('message', resolve, { once: true }));
    return new Peer(`${base}/v1/stream`, control);
  }

  get hellos(): NonNullable<ClientFrame['hello']>[] {
    return this.frames.flatMap(({ hello }) => hello ?? []);
  }

  send(frame: object): void {
    this.#command({ type: 'send', frame });
  }

  sendBytes(...bytes: number[]): void {
    this.#command({ type: 'sendBytes', bytes });
  }

  sendText(text: string): void {
    this.#command({ type: 'sendText', text });
  }

  welcome(): void {
    const { credit, heartbeatMs } = this;
    const times = this.#times();
    this.send({ welcome: { nextSeq: this.#nextSeq, credit, heartbeatIntervalMs: heartbeatMs, times } });
  }

  ack(nextSeq: number = this.#nextSeq): void {
    const rejected = this.rejects
      ? [{ first: 0, last: nextSeq - 1, reason: 'REJECT_REASON_INVALID_JSON' }]
      : [];
    this.send({ ack: { nextSeq, credit: this.credit, times: this.#times(), rejected } });
  }

  /** What the next last request is answered. */
  answerRequest(...frames: object[]): void {
    this.#command({ type: 'answerRequest', frames });
  }

  /** Cuts the connection without a word. */
  terminate(): void {
    this.#command({ type: 'terminate' });
  }

  /** Waits until `condition` holds, asking again after whatever the emitter does. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  async updatesUntil(count: number): Promise<Update[]> {
    await this.until(() => this.updates.length >= count);
    return this.updates;
  }

  stop(): void {
    this.#control.close();
  }

  #times(): object {
    const now = Math.round((performance.timeOrigin + performance.now()) * 1_000);
    return { receivedAtUs: now, sentAtUs: now };
  }

  #command(command: object): void {
    this.#control.send(JSON.stringify(command));
  }

  #hear(
    event:
      | { type: 'open' }
      | { type: 'close' }
      | { type: 'frame'; frame: ClientFrame }
      | { type: 'request'; frames: ClientFrame[] },
  ): void {
    if (event.type === 'open') {
      this.opened += 1;
      this.#keys = [];
    }
    if (event.type === 'close') this.closed += 1;
    if (event.type === 'frame') this.#take(event.frame);
    if (event.type === 'request') this.requests.push(event.frames);
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  #take(frame: ClientFrame): void {
    this.frames.push(frame);
    if (frame.hello !== undefined && this.answers) this.welcome();
    const { batch } = frame;
    if (batch === undefined) return;
    this.#keys.push(...(batch.newKeys ?? []));
    for (const [index, update] of (batch.updates ?? []).entries()) this.#takeUpdate(batch, index, update);
    for (const { first = 0, last = 0, reason } of batch.lost ?? []) {
      this.lost.push({ first, last, reason });
      this.#nextSeq = Math.max(this.#nextSeq, last + 1);
    }
    if (this.answers) this.ack();
  }

  #takeUpdate(batch: NonNullable<ClientFrame['batch']>, index: number, update: WireUpdate): void {
    const seq = (batch.firstSeq ?? 0) + index;
    if (seq < this.#nextSeq) {
      this.resent += 1;
      return;
    }
    const { parent } = update;
    this.#nextSeq = seq + 1;
    this.updates.push({
      seq,
      key: update.key ?? this.#keys[update.keyIndex ?? 0] ?? 'unknown',
      value: update.value === undefined ? undefined : JSON.parse(text(update.value)),
      omitted: update.omitted !== undefined && update.value === undefined,
      parts: update.omitted !== undefined && update.value !== undefined,
      start: batch.baseTimeUs + (update.startOffsetUs ?? 0),
      duration: update.durationUs ?? 0,
      error: update.error,
      parent: parent && {
        traceId: hex(parent.traceId),
        spanId: hex(parent.spanId),
        flags: parent.flags ?? 0,
        local: parent.local ?? false,
      },
      position: seq + (update.idOffset ?? 0),
    });
  }
}

export function bytes(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
}

export function hex(base64: string): string {
  return Array.from(bytes(base64), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function text(base64: string): string {
  return new TextDecoder().decode(bytes(base64));
}
