import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

/** Stands between pages and the relay: what is closed here, pages cannot reach. */
export class Gate {
  /** Whether a stream may be opened. */
  streams = true;
  /** How many may be open at a time. */
  most = Infinity;
  /** Whether what follows a Hello stays here, of streams that are opened now. */
  deaf = false;
  /** Whether last requests arrive. */
  requests = true;
  /** Last requests wait for this. */
  hold: Promise<void> | undefined;
  /** Streams that were asked for. */
  tries = 0;
  /** The bodies of last requests. */
  readonly bodies: Buffer[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  private constructor(relay: string) {
    const { hostname, port } = new URL(`http://${relay}`);
    this.#server = createServer(async (incoming, response) => {
      await this.hold;
      if (!this.requests) {
        incoming.destroy();
        return;
      }
      const chunks: Buffer[] = [];
      const { method, url, headers } = incoming;
      const onward = request({ hostname, port, method, path: url, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(response);
      });
      onward.on('error', () => response.destroy());
      incoming.on('data', (chunk) => chunks.push(chunk));
      incoming.on('end', () => this.bodies.push(Buffer.concat(chunks)));
      incoming.pipe(onward);
    });
    this.#server.on('upgrade', (incoming, socket: Socket, head) => {
      this.tries += 1;
      socket.on('error', () => {});
      if (!this.streams || this.#sockets.size >= this.most) {
        socket.destroy();
        return;
      }
      const onward = connect(Number(port), hostname);
      this.#sockets.add(socket);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        onward.destroy();
      });
      onward.on('close', () => socket.destroy());
      onward.on('error', () => {});
      const lines = incoming.rawHeaders.map((text, at) => text + (at % 2 === 0 ? ': ' : '\r\n')).join('');
      onward.write(`${incoming.method} ${incoming.url} HTTP/1.1\r\n${lines}\r\n`);
      onward.write(head);
      onward.pipe(socket);
      if (this.deaf) socket.once('data', (hello) => onward.write(hello));
      else socket.pipe(onward);
    });
  }

  static async open(relay: string): Promise<Gate> {
    const gate = new Gate(relay);
    gate.#server.listen(0, '127.0.0.1');
    await once(gate.#server, 'listening');
    return gate;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Streams that are open. */
  get open(): number {
    return this.#sockets.size;
  }

  /** Cuts every stream. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  close(): void {
    this.cut();
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
