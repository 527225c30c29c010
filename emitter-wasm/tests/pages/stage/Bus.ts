import { connect, type Socket } from 'node:net';

/** A subscriber to everything on a ZeroMQ bus, as ZMTP 3.0 (RFC 23) has it, with nobody's library. */
export class Bus {
  /** Each message's parts. */
  readonly messages: Buffer[][] = [];
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  #greeted = false;
  #parts: Buffer[] = [];

  constructor(address: string) {
    const { hostname, port } = new URL(address.replace('tcp:', 'http:'));
    this.#socket = connect(Number(port), hostname);
    const greeting = Buffer.alloc(64);
    Buffer.from([0xff, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x7f, 3, 0]).copy(greeting);
    greeting.write('NULL', 12);
    this.#socket.write(greeting);
    this.#socket.on('data', (data) => this.#hear(data));
  }

  close(): void {
    this.#socket.destroy();
  }

  #hear(data: Buffer): void {
    this.#received = Buffer.concat([this.#received, data]);
    if (!this.#greeted) {
      if (this.#received.length < 64) return;
      this.#greeted = true;
      this.#received = this.#received.subarray(64);
      this.#socket.write(frame(0x04, Buffer.from('\x05READY\x0bSocket-Type\0\0\0\x03SUB', 'latin1')));
      // To every topic.
      this.#socket.write(frame(0, Buffer.from([1])));
    }
    for (let body = this.#next(); body !== undefined; body = this.#next());
  }

  #next(): Buffer | undefined {
    const [flags = 0, short = 0] = this.#received;
    const long = (flags & 0x02) !== 0;
    const head = long ? 9 : 2;
    if (this.#received.length < head) return undefined;
    const size = long ? Number(this.#received.readBigUInt64BE(1)) : short;
    if (this.#received.length < head + size) return undefined;
    const body = this.#received.subarray(head, head + size);
    this.#received = this.#received.subarray(head + size);
    if ((flags & 0x04) === 0) {
      this.#parts.push(body);
      if ((flags & 0x01) === 0) {
        this.messages.push(this.#parts);
        this.#parts = [];
      }
    }
    return body;
  }
}

function frame(flags: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([flags, body.length]), body]);
}
