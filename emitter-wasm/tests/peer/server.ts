import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
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
 * told to the test as JSON (`open`, `frame`, `close`, and `request` for a last request), and what the test
 * says is done: `send` a frame, bytes or a text, `terminate` the connection; `answerRequest` says what the next last
 * request is answered.
 */
export async function startPeerServer(): Promise<{ url: string; close: () => Promise<void> }> {
  const schema = await protobuf.load(SCHEMA);
  const clientFrame = schema.lookupType('atomwire.v1.ClientFrame');
  const serverFrame = schema.lookupType('atomwire.v1.ServerFrame');

  const streams = new Map<string, WebSocket>();
  const controls = new Map<string, WebSocket>();
  const answers = new Map<string, Uint8Array>();
  const http = createServer(lastRequest);
  const server = new WebSocketServer({
    server: http,
    handleProtocols: (offered) => (offered.has('atomwire.v1') ? 'atomwire.v1' : false),
    // A name without a test is nobody's: refuse, as a relay that is down would.
    verifyClient: ({ req }: { req: IncomingMessage }) => {
      const [, name = '', kind] = (req.url ?? '').split('/');
      return kind === 'control' || controls.has(name);
    },
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');

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
      if (command.type === 'answerRequest') answers.set(name, delimited(command.frames));
    });
    socket.send(JSON.stringify({ type: 'ready' }));
  }

  async function lastRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, name = ''] = (request.url ?? '').split('/');
    const reader = protobuf.Reader.create(Buffer.concat(await request.toArray()));
    const frames: object[] = [];
    while (reader.pos < reader.len) frames.push(plain(clientFrame.decodeDelimited(reader)));
    controls.get(name)?.send(JSON.stringify({ type: 'request', frames }));
    response.setHeader('Access-Control-Allow-Origin', '*').end(answers.get(name));
  }

  function delimited(frames: object[]): Uint8Array {
    const writer = protobuf.Writer.create();
    for (const frame of frames) serverFrame.encodeDelimited(serverFrame.fromObject(frame), writer);
    return writer.finish();
  }

  function plain(frame: protobuf.Message): object {
    return clientFrame.toObject(frame, { longs: Number, enums: String, bytes: String });
  }

  function stream(name: string, socket: WebSocket): void {
    const tell = (event: object) => controls.get(name)?.send(JSON.stringify(event));
    streams.set(name, socket);
    tell({ type: 'open' });
    socket.on('message', (data) => {
      tell({ type: 'frame', frame: plain(clientFrame.decode(data as Buffer)) });
    });
    socket.on('close', () => {
      if (streams.get(name) === socket) streams.delete(name);
      tell({ type: 'close' });
    });
  }

  return {
    url: `ws://127.0.0.1:${(http.address() as AddressInfo).port}`,
    close: async () => {
      for (const socket of server.clients) socket.terminate();
      server.close();
      http.closeAllConnections();
      http.close();
      await once(http, 'close');
    },
  };
}
