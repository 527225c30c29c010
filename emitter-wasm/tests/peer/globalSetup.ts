import type { TestProject } from 'vitest/node';
import { startPeerServer } from './server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    peerUrl: string;
  }
}

/** One server for the whole run; each test has a stream of its own on it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startPeerServer();
  project.provide('peerUrl', server.url);
  return server.close;
}
