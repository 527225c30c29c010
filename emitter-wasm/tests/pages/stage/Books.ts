import { Bus } from './Bus.ts';

interface Loss {
  first: number;
  last: number;
  reason: string;
}

/** What is on the bus about one session. */
export class Session {
  /** Values by their numbers. */
  readonly rows = new Map<number, unknown>();
  readonly times = new Map<number, string>();
  readonly lost: Loss[] = [];
  /** Why it is over; `undefined` while it is not. */
  end: string | undefined;
  nextSeq = 0;

  /** Numbers that nobody accounts for. */
  get holes(): number[] {
    const end = Math.max(this.nextSeq, ...[...this.rows.keys()].map((seq) => seq + 1));
    const explained = (seq: number) =>
      this.rows.has(seq) || this.lost.some(({ first, last }) => first <= seq && seq <= last);
    return Array.from({ length: end }, (_, seq) => seq).filter((seq) => !explained(seq));
  }

  lostFor(reason: string): number {
    const ranges = this.lost.filter((loss) => loss.reason === reason);
    return ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  }
}

/** The books that a consumer of the bus can keep. */
export class Books {
  readonly #bus: Bus;
  #read = 0;
  readonly #sessions = new Map<string, Session>();
  /** Messages that repeat a row. */
  repeats = 0;

  constructor(address: string) {
    this.#bus = new Bus(address);
  }

  /** By id, as of now. Throws when a number is both a row and lost. */
  get sessions(): Map<string, Session> {
    for (; this.#read < this.#bus.messages.length; this.#read++) {
      const [topic, payload] = this.#bus.messages[this.#read] ?? [];
      this.#enter(String(topic), JSON.parse(String(payload)));
    }
    return this.#sessions;
  }

  get all(): Session[] {
    return [...this.sessions.values()];
  }

  /** Over, and nothing of it unaccounted for. */
  get closed(): Session[] {
    return this.all.filter(({ end, holes }) => end === 'closed' && holes.length === 0);
  }

  close(): void {
    this.#bus.close();
  }

  // biome-ignore lint/suspicious/noExplicitAny: the bus carries JSON.
  #enter(topic: string, message: any): void {
    const { session: id } = message;
    if (id === undefined) return;
    let session = this.#sessions.get(id);
    if (session === undefined) {
      session = new Session();
      this.#sessions.set(id, session);
    }
    if (topic !== 'atomwire.ledger') {
      if (session.rows.has(message.seq)) this.repeats += 1;
      session.rows.set(message.seq, message.value);
      session.times.set(message.seq, message.time);
    } else if (message.lost !== undefined) session.lost.push(...message.lost);
    else if (message.end) {
      session.end = message.reason;
      session.nextSeq = message.next_seq;
    }
    for (const { first, last } of session.lost) {
      const both = [...session.rows.keys()].find((seq) => first <= seq && seq <= last);
      if (both !== undefined) throw new Error(`${both} of ${id} is a row, and lost`);
    }
  }
}
