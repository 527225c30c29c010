import { type Diagnostic, type Emitter, type EmitterOptions, startEmitter } from 'atomwire';
import { onTestFinished } from 'vitest';
import { deriveIds } from './deriveIds.ts';
import { bytes, Peer } from './Peer.ts';

/** An emitter with a peer of its own, both gone when the test is over. */
export async function startWithPeer(
  options: Partial<EmitterOptions> = {},
  prepare: (peer: Peer) => void = () => {},
): Promise<{ emitter: Emitter; peer: Peer; diagnostics: Diagnostic[]; ids: Ids }> {
  const diagnostics: Diagnostic[] = [];
  const peer = await Peer.listen();
  prepare(peer);
  const emitter = startEmitter({
    url: peer.url,
    service: { name: 'test' },
    onDiagnostic: (diagnostic) => diagnostics.push(diagnostic),
    ...options,
  });
  onTestFinished(async () => {
    peer.answers = true;
    await emitter.shutdown();
    peer.stop();
  });
  const ids: Ids = (position) => deriveIds(bytes(peer.hellos[0]?.idSeed ?? ''), position);
  return { emitter, peer, diagnostics, ids };
}

/** Of the span at a position of the session's stream. */
type Ids = (position: number) => { traceId: string; spanId: string };
