import { expect, test } from 'vitest';
import { startWithPeer } from '../../peer/startWithPeer.ts';
import { sameForAnyProgram } from './sameForAnyProgram.ts';

test('any program shows the same before an emitter starts', { timeout: 60_000 }, () => sameForAnyProgram(1));

test('any program shows the same with an emitter', { timeout: 60_000 }, async () => {
  const { emitter } = await startWithPeer();
  await sameForAnyProgram(2);
  await emitter.flush();
  expect(emitter.stats().acknowledged).toBeGreaterThan(0);
});
