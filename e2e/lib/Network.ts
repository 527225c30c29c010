import { createServer, type Server, Socket } from 'node:net';

/** From the clients to the relay, back, or both. */
export type Direction = 'up' | 'down' | 'both';

interface Pair {
  client: Socket;
  relay: Socket;
}

/**
 * A network between clients and a relay, to which things can be done. Nothing is kept in it but what the
 * sockets' own bounded buffers hold.
 */
export class Network {
  /** What became of connections, and what was done to them. */
  readonly counts = { opened: 0, refused: 0, unreachable: 0, cut: 0, halfClosed: 0 };
  readonly #server: Server;
  readonly #relay: { host: string; port: number };
  readonly #pairs = new Set<Pair>();
  #refusing = false;
  #stalled: Direction | undefined;
  #bytesPerSecond = Number.POSITIVE_INFINITY;

  private constructor(relay: URL) {
    this.#relay = { host: relay.hostname, port: Number(relay.port) };
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) =>
      this.#open(client),
    );
  }

  /** Listens on a free port; `relay` is any URL of the relay's. */
  static async start(relay: string): Promise<Network> {
    const network = new Network(new URL(relay));
    await new Promise<void>((resolve) => network.#server.listen(0, '127.0.0.1', resolve));
    return network;
  }

  /** Where browsers connect. */
  get stream(): string {
    const address = this.#server.address();
    return `ws://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/v1/stream`;
  }

  /** Resets every `each`-th connection. */
  cut(each = 1): void {
    [...this.#pairs].forEach((pair, index) => {
      if (index % each !== 0) return;
      this.counts.cut += 1;
      this.#reset(pair);
    });
  }

  /** Ends one direction of each connection, as its sender would; what is still sent in it goes nowhere. */
  halfClose(direction: Direction): void {
    for (const { client, relay } of this.#pairs) {
      this.counts.halfClosed += 1;
      (direction === 'up' ? relay : client).end();
    }
  }

  /** Passes nothing on, and reads nothing, in these directions, until `undefined`. */
  stall(direction: Direction | undefined): void {
    this.#stalled = direction;
    for (const pair of this.#pairs) this.#flow(pair);
  }

  /** Passes so much on in each direction of each connection. */
  slow(bytesPerSecond = Number.POSITIVE_INFINITY): void {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** Resets new connections. */
  refuse(refusing: boolean): void {
    this.#refusing = refusing;
  }

  async close(): Promise<void> {
    for (const pair of this.#pairs) this.#reset(pair);
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #open(client: Socket): void {
    if (this.#refusing) {
      this.counts.refused += 1;
      client.on('error', () => {}).resetAndDestroy();
      return;
    }
    const relay = new Socket({ allowHalfOpen: true });
    const pair = { client, relay };
    this.#pairs.add(pair);
    client.setNoDelay(true);
    relay.setNoDelay(true);
    for (const socket of [client, relay]) {
      // Whatever breaks on one side breaks the other; 'close' follows 'error'.
      socket.on('error', () => this.#reset(pair)).on('close', () => this.#closed(pair));
    }
    let opened = false;
    relay.once('close', () => {
      if (!opened) this.counts.unreachable += 1;
    });
    relay.connect(this.#relay, () => {
      opened = true;
      this.counts.opened += 1;
      this.#pass(client, relay, 'up');
      this.#pass(relay, client, 'down');
      this.#flow(pair);
    });
  }

  #pass(from: Socket, to: Socket, direction: Direction): void {
    const resume = () => {
      if (!this.#isStalled(direction)) from.resume();
    };
    from.on('data', (chunk: Buffer) => {
      const goesOn = to.writable ? to.write(chunk) : true;
      const pause = (chunk.length / this.#bytesPerSecond) * 1000;
      if (goesOn && pause === 0) return;
      from.pause();
      const later = () => setTimeout(resume, pause);
      if (goesOn) later();
      else to.once('drain', later);
    });
    from.on('end', () => to.end());
  }

  #flow({ client, relay }: Pair): void {
    if (relay.connecting) return;
    for (const [socket, direction] of [[client, 'up'] as const, [relay, 'down'] as const]) {
      if (this.#isStalled(direction)) socket.pause();
      else socket.resume();
    }
  }

  #isStalled(direction: Direction): boolean {
    return this.#stalled === 'both' || this.#stalled === direction;
  }

  /** Once both sides are done with it. */
  #closed(pair: Pair): void {
    if (pair.client.destroyed && pair.relay.destroyed) this.#pairs.delete(pair);
  }

  #reset(pair: Pair): void {
    pair.client.resetAndDestroy();
    pair.relay.resetAndDestroy();
    this.#pairs.delete(pair);
  }
}
