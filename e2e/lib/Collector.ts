import { createServer, type Server } from 'node:http';

/** An OTLP collector (http/protobuf) that takes everything and keeps nothing, until it stalls or goes away. */
export class Collector {
  #server: Server | undefined;
  #port = 0;
  #stalled = false;

  static async start(): Promise<Collector> {
    const collector = new Collector();
    await collector.come();
    return collector;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Accepts and reads, and does not answer. */
  stall(): void {
    this.#stalled = true;
  }

  /** Hangs up and listens no more. */
  async go(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    const closed = new Promise((resolve) => server?.close(resolve) ?? resolve(undefined));
    server?.closeAllConnections();
    await closed;
  }

  /** Is itself again, at the same address. */
  async come(): Promise<void> {
    if (this.#server !== undefined) await this.go();
    this.#stalled = false;
    const server = createServer((request, response) => {
      request.resume().on('end', () => {
        if (this.#stalled) return;
        response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    const address = server.address();
    if (typeof address === 'object' && address !== null) this.#port = address.port;
    this.#server = server;
  }
}
