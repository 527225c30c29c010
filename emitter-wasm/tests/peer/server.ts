import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import { type WebSocket, WebSocketServer } from 'ws';

const SCHEMA = join(
  dirname(fileURLToPath(import.meta.url)),
  '../../../wire/proto/atomwire/v1/atomwire.proto',
);

/**
 * A relay under remote control. It shares nothing with the emitter but the schema: `ws` speaks WebSocket, and
 * protobufjs decodes.
 *
 * An emitter connects to `/{name}/v1/stream`, its test to `/{name}/control`. Whatever the emitter does is
 * told to the test as JSON (`open`, `frame`, `close`), and what the test says is done: `send` a frame, bytes
 * or a text, `terminate` the connection.
 */
export async function startPeerServer(): Promise<{ url: string; close: () => Promise<void> }> {
  const schema = await protobuf.load(SCHEMA);
  const clientFrame = schema.lookupType('atomwire.v1.ClientFrame');
  const serverFrame = schema.lookupType('atomwire.v1.ServerFrame');

  const streams = new Map<string, WebSocket>();
  const controls = new Map<string, WebSocket>();
  const server = new WebSocketServer({
    host: '127.0.0.1',
    port: 0,
    handleProtocols: (offered) => (offered.has('atomwire.v1') ? 'atomwire.v1' : false),
    // A name without a test is nobody's: refuse, as a relay that is down would.
    verifyClient: ({ req }: { req: IncomingMessage }) => {
      const [, name = '', kind] = (req.url ?? '').split('/');
      return kind === 'control' || controls.has(name);
    },
  });
  await once(server, 'listening');

  server.on('connection', (socket, request) => {
    const [, name = '', kind] = (request.url ?? '').split('/');
    if (kind === 'control') control(name, socket);
    else stream(name, socket);
  });

  function control(name: string, socket: WebSocket): void {
    controls.set(name, socket);
    socket.on('close', () => {
      controls.delete(name);
      streams.get(name)?.terminate();
    });
    socket.on('message', (text) => {
      const command = JSON.parse(String(text));
      const target = streams.get(name);
      if (command.type === 'send')
        target?.send(serverFrame.encode(serverFrame.fromObject(command.frame)).finish());
      if (command.type === 'sendBytes') target?.send(Buffer.from(command.bytes));
      if (command.type === 'sendText') target?.send(command.text);
      if (command.type === 'terminate') target?.terminate();
    });
    socket.send(JSON.stringify({ type: 'ready' }));
  }

  function stream(name: string, socket: WebSocket): void {
    const tell = (event: object) => controls.get(name)?.send(JSON.stringify(event));
    streams.set(name, socket);
    tell({ type: 'open' });
    socket.on('message', (data) => {
      const frame = clientFrame.decode(data as Buffer);
      tell({
        type: 'frame',
        frame: clientFrame.toObject(frame, { longs: Number, enums: String, bytes: String }),
      });
    });
    socket.on('close', () => {
      if (streams.get(name) === socket) streams.delete(name);
      tell({ type: 'close' });
    });
  }

  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      for (const socket of server.clients) socket.terminate();
      server.close();
      await once(server, 'close');
    },
  };
}
